-- apply(): what the server would refuse of a statement that is run as it stands is told when it is queued.
-- Where the statement takes no lock that stops others, it is tried and undone; where it does, the catalog
-- is asked.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
\set SHOW_CONTEXT never
\set VERBOSITY terse
CREATE SCHEMA stands;
SET search_path = stands;
SET safe_migrate.inline = never;
CREATE TABLE t (id int PRIMARY KEY, a int, b text, d date);
CREATE VIEW v AS SELECT a FROM t;
CREATE TABLE p (k int) PARTITION BY RANGE (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE FUNCTION plainf() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION trigf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION trigf();
CREATE TYPE en AS ENUM ('a');
CREATE SEQUENCE sq;
CREATE DOMAIN dom AS int CHECK (VALUE > 0);
CREATE TABLE parent (x int);
CREATE POLICY pol ON t;
CREATE STATISTICS st ON a, b FROM t;
CREATE INDEX t_a ON t (a);
\set apply 'SELECT safe_migrate.apply('

:apply $$CREATE TRIGGER x BEFORE INSERT ON nix FOR EACH ROW EXECUTE FUNCTION trigf()$$);
:apply $$CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION nix()$$);
:apply $$CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION plainf()$$);
:apply $$CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION trigf()$$);
:apply $$CREATE TRIGGER x BEFORE UPDATE OF nix ON t FOR EACH ROW EXECUTE FUNCTION trigf()$$);
:apply $$CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.nix > 0) EXECUTE FUNCTION trigf()$$);
:apply $$CREATE VIEW w AS SELECT nix FROM t$$);
:apply $$CREATE VIEW w AS SELECT 1 FROM nix$$);
:apply $$CREATE VIEW t AS SELECT 1 AS x$$);
:apply $$CREATE OR REPLACE VIEW t AS SELECT 1 AS x$$);
:apply $$CREATE OR REPLACE VIEW v AS SELECT 'x'::text AS a$$);
:apply $$CREATE MATERIALIZED VIEW w AS SELECT nix FROM t$$);
:apply $$CREATE TABLE w AS SELECT nix FROM t$$);
:apply $$CREATE TABLE t AS SELECT 1$$);
:apply $$CREATE TABLE w (a nix)$$);
:apply $$CREATE TABLE w (a int, a int)$$);
:apply $$CREATE TABLE w (a int REFERENCES nix)$$);
:apply $$CREATE TABLE w (a int CHECK (nix > 0))$$);
:apply $$CREATE TABLE w (a int DEFAULT 'x')$$);
:apply $$CREATE TABLE w (LIKE nix)$$);
:apply $$CREATE TABLE w () INHERITS (nix)$$);
:apply $$CREATE TABLE w (x text) INHERITS (parent)$$);
:apply $$CREATE TABLE w PARTITION OF p FOR VALUES FROM (5) TO (20)$$);
:apply $$CREATE TABLE w PARTITION OF t FOR VALUES FROM (5) TO (20)$$);
:apply $$CREATE TABLE w (a int) PARTITION BY RANGE (nix)$$);
:apply $$CREATE TABLE w (a int) WITH (nix = 1)$$);
:apply $$CREATE TABLE w (a int) TABLESPACE nix$$);
:apply $$CREATE TABLE nix.w (a int)$$);
:apply $$ALTER TABLE t ALTER b TYPE int$$);
:apply $$ALTER TABLE t ALTER b TYPE nix$$);
:apply $$ALTER TABLE t ALTER b TYPE int USING nix$$);
:apply $$ALTER TABLE t ALTER a TYPE date USING b$$);
:apply $$ALTER TABLE t OWNER TO nix$$);
:apply $$ALTER TABLE t SET (nix = 1)$$);
:apply $$ALTER TABLE t SET (fillfactor = 1)$$);
:apply $$ALTER TABLE t CLUSTER ON nix$$);
:apply $$ALTER TABLE t REPLICA IDENTITY USING INDEX nix$$);
:apply $$ALTER TABLE t REPLICA IDENTITY USING INDEX t_a$$);
:apply $$ALTER TABLE t ENABLE TRIGGER nix$$);
:apply $$ALTER TABLE t DISABLE RULE nix$$);
:apply $$ALTER TABLE t ALTER a SET (nix = 1)$$);
:apply $$ALTER TABLE t ALTER a SET STORAGE external$$);
:apply $$ALTER TABLE t ALTER a SET STORAGE nix$$);
:apply $$ALTER TABLE t ALTER a SET COMPRESSION pglz$$);
:apply $$ALTER TABLE t ALTER a ADD GENERATED ALWAYS AS IDENTITY$$);
:apply $$ALTER TABLE t ALTER a SET GENERATED ALWAYS$$);
:apply $$ALTER TABLE t ALTER a DROP IDENTITY$$);
:apply $$ALTER TABLE t ALTER id DROP NOT NULL$$);
:apply $$ALTER TABLE t INHERIT parent$$);
:apply $$ALTER TABLE t INHERIT nix$$);
:apply $$ALTER TABLE t NO INHERIT parent$$);
:apply $$ALTER TABLE t OF nix$$);
:apply $$ALTER TABLE t NOT OF$$);
:apply $$ALTER TABLE t SET TABLESPACE nix$$);
:apply $$ALTER TABLE t RENAME CONSTRAINT nix TO y$$);
:apply $$ALTER TABLE t ALTER CONSTRAINT nix DEFERRABLE$$);
:apply $$ALTER TABLE t DROP CONSTRAINT nix$$);
:apply $$ALTER TABLE t DROP COLUMN nix$$);
:apply $$ALTER TABLE t DROP COLUMN a$$);
:apply $$ALTER TABLE nix ADD x int$$);
:apply $$ALTER TABLE t ADD g int GENERATED ALWAYS AS (nix) STORED$$);
:apply $$ALTER TABLE t ADD g int GENERATED ALWAYS AS (random()) STORED$$);
:apply $$ALTER TABLE t ADD g int DEFAULT 'x'$$);
:apply $$ALTER TABLE t ADD g int CHECK (nix > 0)$$);
:apply $$DROP VIEW nix$$);
:apply $$DROP VIEW t$$);
:apply $$DROP TABLE v$$);
:apply $$DROP TYPE nix$$);
:apply $$DROP FUNCTION trigf()$$);
:apply $$DROP FUNCTION nix()$$);
:apply $$DROP SCHEMA nix$$);
:apply $$DROP SCHEMA stands$$);
:apply $$DROP SEQUENCE nix$$);
:apply $$DROP TRIGGER nix ON t$$);
:apply $$DROP POLICY nix ON t$$);
:apply $$DROP RULE nix ON t$$);
:apply $$DROP EXTENSION nix$$);
:apply $$COMMENT ON TABLE nix IS 'x'$$);
:apply $$COMMENT ON COLUMN t.nix IS 'x'$$);
:apply $$COMMENT ON FUNCTION nix() IS 'x'$$);
:apply $$ALTER FUNCTION nix() OWNER TO postgres$$);
:apply $$ALTER VIEW v OWNER TO nix$$);
:apply $$ALTER FUNCTION plainf() SET SCHEMA nix$$);
:apply $$ALTER FUNCTION nix() SET SCHEMA stands$$);
:apply $$ALTER FUNCTION nix() RENAME TO y$$);
:apply $$ALTER TYPE nix RENAME TO y$$);
:apply $$ALTER TYPE en ADD VALUE 'a'$$);
:apply $$ALTER TYPE nix ADD VALUE 'a'$$);
:apply $$ALTER TYPE en RENAME VALUE 'nix' TO 'b'$$);
:apply $$ALTER SEQUENCE nix RESTART$$);
:apply $$GRANT SELECT ON nix TO postgres$$);
:apply $$GRANT SELECT ON t TO nix$$);
:apply $$GRANT SELECT (nix) ON t TO postgres$$);
:apply $$CREATE POLICY pol ON t$$);
:apply $$CREATE POLICY x ON t USING (nix)$$);
:apply $$CREATE POLICY x ON t TO nix$$);
:apply $$ALTER POLICY nix ON t USING (true)$$);
:apply $$CREATE RULE r AS ON INSERT TO nix DO NOTHING$$);
:apply $$CREATE SEQUENCE sq$$);
:apply $$CREATE TYPE en AS ENUM ('b')$$);
:apply $$CREATE TYPE comp AS (a nix)$$);
:apply $$CREATE DOMAIN dom AS int$$);
:apply $$CREATE SCHEMA stands$$);
:apply $$CREATE SCHEMA s2 AUTHORIZATION nix$$);
:apply $$CREATE STATISTICS st ON a, b FROM t$$);
:apply $$CREATE STATISTICS st2 ON a, nix FROM t$$);
:apply $$CREATE EXTENSION plpgsql$$);
:apply $$CREATE FUNCTION f() RETURNS nix LANGUAGE sql AS ''$$);
:apply $$CREATE FUNCTION f() RETURNS int LANGUAGE nix AS ''$$);
:apply $$CREATE FUNCTION plainf() RETURNS int LANGUAGE sql AS 'SELECT 1'$$);
:apply $$CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT nix'$$);
:apply $$CREATE PUBLICATION x FOR TABLE nix$$);
:apply $$ALTER PUBLICATION nix ADD TABLE t$$);
:apply $$REFRESH MATERIALIZED VIEW nix$$);
:apply $$REFRESH MATERIALIZED VIEW v$$);
:apply $$CLUSTER t USING nix$$);
:apply $$TRUNCATE nix$$);
:apply $$CREATE CAST (int AS nix) WITHOUT FUNCTION$$);
:apply $$CREATE AGGREGATE ag (int) (SFUNC = nix, STYPE = int)$$);
:apply $$ALTER DOMAIN nix ADD CHECK (VALUE > 0)$$);
:apply $$ALTER DOMAIN dom ADD CHECK (nix > 0)$$);
:apply $$ALTER DOMAIN dom DROP CONSTRAINT nix$$);
:apply $$ALTER TABLE t ALTER a TYPE bigint$$);
:apply $$CREATE OR REPLACE VIEW v AS SELECT a FROM t WHERE nix$$);
:apply $$CREATE OR REPLACE VIEW v AS SELECT b AS a FROM t$$);
:apply $$CREATE OR REPLACE VIEW v AS SELECT a AS z FROM t$$);
:apply $$CREATE OR REPLACE VIEW v AS SELECT FROM t$$);
-- nothing came of any of it
SELECT count(*) FROM safe_migrate.jobs WHERE definition LIKE '%nix%';

-- nothing is run to find it out that runs the users' code, or for long; what is right is queued
CREATE FUNCTION boom() RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''ran''; END';
\set apply 'BEGIN; SELECT safe_migrate.apply('
\set queued ') > 0; ROLLBACK;'
:apply $$CREATE OR REPLACE VIEW v AS SELECT a, b FROM t$$ :queued
:apply $$CREATE TABLE new (a int DEFAULT boom()); CREATE VIEW w AS SELECT a FROM new; GRANT SELECT ON w TO PUBLIC; COMMENT ON TABLE new IS 'x'$$ :queued
:apply $$CREATE TYPE n AS ENUM ('x'); ALTER TYPE n ADD VALUE 'y'; CREATE TABLE nn (a n)$$ :queued
:apply $$ALTER TABLE t ALTER b TYPE int USING b::int$$ :queued
:apply $$ALTER TABLE t ADD g int GENERATED ALWAYS AS (a + 1) STORED$$ :queued
:apply $$ALTER TABLE t ADD COLUMN "column" int CHECK ("column" > 0)$$ :queued
:apply $$CREATE POLICY x ON t TO PUBLIC USING (a > 0)$$ :queued
:apply $$CREATE TRIGGER x BEFORE UPDATE OF a ON t FOR EACH ROW WHEN (NEW.a > OLD.a) EXECUTE FUNCTION trigf()$$ :queued
:apply $$DROP VIEW v$$ :queued
:apply $$DROP VIEW IF EXISTS nix$$ :queued
:apply $$DROP FUNCTION trigf() CASCADE$$ :queued
:apply $$CREATE MATERIALIZED VIEW m AS SELECT boom()$$ :queued
:apply $$ALTER TABLE t OWNER TO CURRENT_USER$$ :queued
SELECT relname FROM pg_class WHERE relnamespace = 'stands'::regnamespace AND relname IN ('new', 'nn', 'w', 'm');

-- what an earlier statement of the script takes away or brings about is nobody's mistake
:apply $$DROP VIEW v; ALTER TABLE t ALTER a TYPE bigint; CREATE VIEW v AS SELECT a, 1 AS one FROM t$$ :queued
:apply $$ALTER TABLE t ALTER d TYPE text, ALTER d SET STORAGE external, ALTER d SET COMPRESSION pglz$$ :queued
:apply $$ALTER TABLE t ALTER b SET NOT NULL, ALTER d SET NOT NULL; ALTER TABLE t ALTER d TYPE int USING 1, ALTER d ADD GENERATED ALWAYS AS IDENTITY$$ :queued
:apply $$ALTER TABLE t ADD x int; ALTER TABLE t INHERIT parent; ALTER TABLE t NO INHERIT parent$$ :queued
:apply $$DROP TRIGGER tr ON t; CREATE TRIGGER tr AFTER INSERT ON t EXECUTE FUNCTION trigf(); ALTER TABLE t DISABLE TRIGGER tr$$ :queued
:apply $$CREATE SCHEMA coming; CREATE TABLE coming.a (id int PRIMARY KEY); CREATE TABLE coming.b (a int REFERENCES coming.a); CREATE VIEW coming.c AS SELECT * FROM coming.b$$ :queued
-- but what they have nothing to do with is
\set apply 'SELECT safe_migrate.apply('
:apply $$CREATE TYPE fine AS ENUM (); CREATE VIEW w AS SELECT nix FROM t$$);
:apply $$CREATE TABLE fine (id int); CREATE TABLE worse (id nix)$$);

-- an ALTER TABLE that is brief is one step: all or nothing, and each new value from the old row
SET safe_migrate.guard = off;
CREATE TABLE swapped (a int, b int);
INSERT INTO swapped VALUES (1, 2), (3, 4);
CALL safe_migrate.run('ALTER TABLE swapped ALTER a TYPE bigint USING b, ALTER b TYPE bigint USING a');
SELECT * FROM swapped ORDER BY a;
CREATE TABLE kept (a int CONSTRAINT kc CHECK (a > 0), b int NOT NULL DEFAULT 1);
INSERT INTO kept VALUES (1, 1);
CALL safe_migrate.run('ALTER TABLE kept ALTER b DROP DEFAULT, DROP CONSTRAINT kc, ADD CONSTRAINT kc CHECK (a > 1)');
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'kept'::regclass AND contype = 'c';
SELECT column_default FROM information_schema.columns WHERE table_name = 'kept' AND column_name = 'b';
SELECT sql, undo FROM safe_migrate.plan('ALTER TABLE kept ADD n int, ADD PRIMARY KEY (a), ALTER b SET DEFAULT 2');
-- no undo that would take along what was there: an index, what partitions have of their own
CREATE UNIQUE INDEX kept_index ON kept (a);
CREATE TABLE whole (a int, k int) PARTITION BY RANGE (k);
CREATE TABLE whole_1 PARTITION OF whole FOR VALUES FROM (0) TO (10);
CREATE INDEX whole_a ON whole (a);
CREATE INDEX own ON whole_1 (k);
ALTER TABLE whole_1 ADD CONSTRAINT c CHECK (a > 0);
SELECT undo FROM safe_migrate.plan('ALTER TABLE kept ADD UNIQUE USING INDEX kept_index');
SELECT undo FROM safe_migrate.plan('ALTER TABLE whole ADD CONSTRAINT c CHECK (a > 0)');
SELECT undo FROM safe_migrate.plan('ALTER TABLE whole ADD CONSTRAINT d CHECK (a > 0)');
SELECT undo FROM safe_migrate.plan('CREATE INDEX ON whole (k)');
SELECT undo FROM safe_migrate.plan('CREATE INDEX ON whole (k, a)');
SELECT undo FROM safe_migrate.plan('DROP INDEX whole_a');
SELECT undo FROM safe_migrate.plan('CREATE TABLE whole_2 PARTITION OF whole FOR VALUES FROM (10) TO (20)');
SELECT sql, undo FROM safe_migrate.plan('ALTER TABLE kept ADD EXCLUDE USING btree (b WITH =)');
-- what ORMs write
CALL safe_migrate.run($$ALTER TYPE en ADD VALUE 'b'; ALTER TABLE kept ADD e en; ALTER TABLE kept ALTER e SET DEFAULT 'b'; CREATE VIEW with_b AS SELECT FROM kept WHERE e = 'b'$$);
CREATE TABLE one (id int PRIMARY KEY);
CREATE TABLE two (id int REFERENCES one);
CALL safe_migrate.run('DROP TABLE one, two');
SELECT to_regclass('one'), to_regclass('two');
CREATE TABLE made (a int GENERATED ALWAYS AS IDENTITY, g int GENERATED ALWAYS AS (1) STORED);
CALL safe_migrate.run('ALTER TABLE made ALTER a DROP IDENTITY, ALTER a DROP NOT NULL, ALTER g DROP EXPRESSION, ALTER g SET DEFAULT 5');
CREATE TABLE mother (a int);
CREATE TABLE child () INHERITS (mother);
CALL safe_migrate.run('ALTER TABLE child NO INHERIT mother; DROP TABLE mother');
CALL safe_migrate.run('ALTER TABLE IF EXISTS nowhere SET SCHEMA nowhere');
-- what needs the rows that an earlier statement brings
CALL safe_migrate.run('CREATE MATERIALIZED VIEW filled AS SELECT 1 AS one; CREATE UNIQUE INDEX ON filled (one); REFRESH MATERIALIZED VIEW CONCURRENTLY filled');
SELECT * FROM filled;
-- a new value of an enum can be used once it is committed: not in this transaction
CREATE TYPE mood AS ENUM ('sad');
CREATE TABLE moods (id int);
SET safe_migrate.inline = always;
SELECT safe_migrate.apply($$ALTER TYPE mood ADD VALUE 'it''s fine'; ALTER TABLE moods ADD mood mood DEFAULT 'it''s fine'$$, 'new value') > 0 AS queued;
SET safe_migrate.inline = never;
CALL safe_migrate.wait('new value');
INSERT INTO moods DEFAULT VALUES RETURNING *;
-- texts are read as the session reads them
SET array_nulls = off;
SET backslash_quote = on;
CALL safe_migrate.run($$CREATE TABLE texts (a text[] DEFAULT '{NULL}', b text DEFAULT E'it\'s')$$);
RESET array_nulls;
RESET backslash_quote;
INSERT INTO texts DEFAULT VALUES RETURNING a[1] IS NULL AS is_null, b;
-- the same text under another search_path is another job
CREATE SCHEMA tenant;
CREATE TABLE tenant.kept (a int);
CALL safe_migrate.run('ALTER TABLE kept ADD c int', 'stands 1');
SET search_path = tenant;
CALL safe_migrate.run('ALTER TABLE kept ADD c int', 'stands 1');
SET search_path = stands;
CALL safe_migrate.run('ALTER TABLE kept ADD c int', 'stands 1');
DROP SCHEMA tenant CASCADE;
SET safe_migrate.guard = off;
DROP SCHEMA stands CASCADE;
