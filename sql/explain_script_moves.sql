-- explain() over scripts that put relations somewhere else: under new parents, into other schemas, to other owners, into extensions.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA em;
CREATE SCHEMA em_other;
SET search_path = em;
CREATE TABLE big (id int, x int, c text, ts timestamp);
CREATE TABLE big2 (id int PRIMARY KEY, c text);
CREATE TABLE parts (id int, x int) PARTITION BY LIST (id);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES IN (1);
CREATE DOMAIN base AS int;
CREATE DOMAIN derived AS base;
CREATE TABLE parent (x int NOT NULL);
CREATE TABLE child () INHERITS (parent);
INSERT INTO child VALUES (1);
CREATE TABLE keyed (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE keyed1 PARTITION OF keyed FOR VALUES IN (1);
INSERT INTO keyed VALUES (1);
CREATE TABLE nobodys ();
INSERT INTO big VALUES (1, 1, 'x', 'now');
INSERT INTO big2 VALUES (1, 'x');
INSERT INTO parts VALUES (1, 1);
CREATE TYPE pair AS (id int, x int);
CREATE TABLE pairs AS SELECT 1 AS id, 2 AS x;
CREATE INDEX pairs_x ON pairs (x);
\c -
SET search_path = em;
SET safe_migrate.small_table_size = 0;
-- the last statement, after the others
CREATE FUNCTION pg_temp.after(script text, VARIADIC last text[]) RETURNS TABLE (last_statement text, verdict text, rule text, reason text)
LANGUAGE sql AS 'SELECT l, e.verdict, e.rule, substring(e.reason FROM ''it depends on what statement.*'') FROM unnest(last) WITH ORDINALITY u(l, i)
	CROSS JOIN LATERAL (SELECT *, max(statement_no) OVER () AS n FROM safe_migrate.explain(script || '';'' || l)) e WHERE e.statement_no = e.n ORDER BY i';

-- a new parent has the rows of what was put under it
SELECT * FROM pg_temp.after('CREATE TABLE np (LIKE big); ALTER TABLE big INHERIT np', 'TRUNCATE np', 'DELETE FROM np', 'UPDATE np SET id = 1',
	'ALTER TABLE np ADD COLUMN z serial', 'ALTER TABLE np ALTER id TYPE bigint', 'ALTER TABLE np ADD CHECK (id > 0)', 'ALTER TABLE np ALTER c SET NOT NULL',
	'ALTER TABLE np DROP COLUMN c', 'ALTER TABLE np RENAME c TO d', 'ALTER TABLE np RENAME TO np2', 'DROP TABLE np CASCADE', 'VACUUM FULL np', 'LOCK np');
SELECT * FROM pg_temp.after('CREATE TABLE np (LIKE big); ALTER TABLE big INHERIT np', 'ANALYZE np', 'INSERT INTO np VALUES (1)');
-- at whatever height, and in whatever order
SELECT * FROM pg_temp.after('CREATE TABLE np2 (LIKE big); CREATE TABLE np () INHERITS (np2); ALTER TABLE big INHERIT np', 'TRUNCATE np2');
SELECT * FROM pg_temp.after('CREATE TABLE np2 (LIKE big); CREATE TABLE np (LIKE big); ALTER TABLE big INHERIT np; ALTER TABLE np INHERIT np2', 'TRUNCATE np2');
SELECT * FROM pg_temp.after('CREATE TABLE np2 (LIKE big); CREATE TABLE np (LIKE big); ALTER TABLE np INHERIT np2', 'TRUNCATE np2');
SELECT * FROM pg_temp.after('ALTER TABLE pairs OF pair', 'ALTER TYPE pair ALTER ATTRIBUTE x TYPE bigint CASCADE');
-- partitions
SELECT * FROM pg_temp.after('CREATE TABLE np (LIKE parts) PARTITION BY LIST (id); ALTER TABLE parts DETACH PARTITION parts1; ALTER TABLE np ATTACH PARTITION parts1 FOR VALUES IN (1)',
	'CREATE INDEX ON np (x)', 'TRUNCATE np', 'DROP TABLE np', 'CREATE TABLE np2 PARTITION OF np FOR VALUES IN (2)', 'ALTER TABLE np ADD UNIQUE (id)');
SELECT * FROM pg_temp.after('CREATE TABLE np (LIKE big) PARTITION BY LIST (id); CREATE TABLE np1 (LIKE big); ALTER TABLE np ATTACH PARTITION np1 FOR VALUES IN (1)', 'CREATE INDEX ON np (x)');
-- foreign keys to a new table
SELECT * FROM pg_temp.after('CREATE TABLE np (id int PRIMARY KEY, o int REFERENCES big2); ALTER TABLE big ADD FOREIGN KEY (id) REFERENCES np NOT VALID',
	'TRUNCATE np CASCADE', 'DROP TABLE np CASCADE', 'TRUNCATE np', 'ALTER TABLE np ALTER id TYPE bigint', 'ALTER TABLE np DROP COLUMN id CASCADE', 'ALTER TABLE np DROP CONSTRAINT np_pkey CASCADE');
SELECT * FROM pg_temp.after('CREATE TABLE np (id int, o int REFERENCES big2); BEGIN; ALTER TABLE big ADD COLUMN z int', 'ALTER TABLE np DROP COLUMN o', 'ALTER TABLE np DROP CONSTRAINT np_o_fkey',
	'ALTER TABLE np ALTER o TYPE bigint', 'ALTER TABLE np DROP COLUMN id');

-- into a schema, to an owner, into an extension: and these are dropped
SELECT * FROM pg_temp.after('ALTER TABLE big SET SCHEMA em_other', 'DROP SCHEMA em_other CASCADE', 'REINDEX SCHEMA em_other', 'REINDEX SCHEMA CONCURRENTLY em_other');
SELECT * FROM pg_temp.after('ALTER SCHEMA em_other RENAME TO em_third; ALTER SCHEMA em RENAME TO em_other', 'DROP SCHEMA em_other CASCADE') WHERE verdict <> 'reject';
SELECT * FROM pg_temp.after('ALTER TABLE big OWNER TO pg_monitor', 'DROP OWNED BY pg_monitor', 'REASSIGN OWNED BY pg_monitor TO pg_signal_backend');
SELECT * FROM pg_temp.after('ALTER EXTENSION plpgsql ADD TABLE big', 'DROP EXTENSION plpgsql', 'ALTER EXTENSION plpgsql SET SCHEMA em');
SELECT * FROM pg_temp.after('ALTER TABLE big ADD UNIQUE (id); ALTER TABLE big CLUSTER ON big_id_key', 'CLUSTER');
-- what depends on what is dropped, at whatever distance; nothing of before on a new table
SELECT * FROM pg_temp.after('CREATE TYPE em_other.mood AS ENUM (''happy''); CREATE DOMAIN em_other.feeling AS em_other.mood; ALTER TABLE big ADD COLUMN f em_other.feeling',
	'DROP TYPE em_other.mood CASCADE', 'DROP SCHEMA em_other CASCADE');
SELECT * FROM pg_temp.after('CREATE TABLE np (id int); ALTER TABLE big ADD COLUMN n np', 'DROP TABLE np CASCADE');
SELECT * FROM pg_temp.after('CREATE TABLE np (id int); CREATE INDEX ON np (id); ALTER TABLE np ADD COLUMN a int', 'DROP TABLE np CASCADE');
SELECT * FROM pg_temp.after('CREATE DOMAIN size AS int; CREATE DOMAIN width AS size; ALTER TABLE big ADD COLUMN w width', 'ALTER DOMAIN size ADD CHECK (VALUE > 0)');
-- indexes of the script
SELECT * FROM pg_temp.after('CREATE INDEX CONCURRENTLY bi ON big (id)', 'REINDEX TABLE big', 'REINDEX INDEX bi', 'REINDEX TABLE CONCURRENTLY big', 'REINDEX TABLE big2');

-- where and how a table is stored
SELECT * FROM pg_temp.after('ALTER TABLE big SET UNLOGGED', 'ALTER TABLE big SET LOGGED', 'ALTER TABLE big2 SET LOGGED');
SELECT * FROM pg_temp.after('ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE pg_default', 'ALTER TABLE big SET TABLESPACE pg_default');
-- IF NOT EXISTS: what was there is there no more
SELECT * FROM pg_temp.after('DROP INDEX pairs_x', 'CREATE INDEX IF NOT EXISTS pairs_x ON pairs (x)');
SELECT * FROM pg_temp.after('ALTER INDEX pairs_x RENAME TO other', 'CREATE INDEX IF NOT EXISTS pairs_x ON pairs (x)', 'CREATE INDEX IF NOT EXISTS other ON pairs (x)');
SELECT * FROM pg_temp.after('CREATE INDEX CONCURRENTLY i ON big (c)', 'CREATE INDEX IF NOT EXISTS i ON big (x)');
SELECT * FROM pg_temp.after('ALTER TABLE big DROP COLUMN c', 'ALTER TABLE big ADD COLUMN IF NOT EXISTS c serial', 'ALTER TABLE big ADD COLUMN IF NOT EXISTS x serial');
SELECT * FROM pg_temp.after('ALTER TABLE big RENAME COLUMN c TO d', 'ALTER TABLE big ADD COLUMN IF NOT EXISTS c serial');
SELECT * FROM pg_temp.after('BEGIN; ALTER TABLE big ADD COLUMN z int; DROP TABLE nobodys', 'CREATE TABLE IF NOT EXISTS nobodys (id int REFERENCES big2)',
	'CREATE TABLE IF NOT EXISTS big (id int REFERENCES big2)');

-- what a column's type, its parents and the publications of its table have become
SELECT * FROM pg_temp.after('ALTER DOMAIN base ADD CHECK (VALUE > 0)', 'ALTER TABLE big ADD COLUMN d derived', 'ALTER TABLE big ALTER x TYPE derived', 'ALTER TABLE big ADD COLUMN d bigint');
SELECT * FROM pg_temp.after('CREATE PUBLICATION p FOR TABLE big', 'ALTER TABLE big ADD COLUMN z int', 'ALTER TABLE big ADD COLUMN z serial');
SELECT * FROM pg_temp.after('ALTER TABLE parent ALTER x DROP NOT NULL', 'ALTER TABLE child ALTER x SET NOT NULL');
SELECT * FROM pg_temp.after('ALTER TABLE big ADD FOREIGN KEY (id) REFERENCES keyed NOT VALID', 'ALTER TABLE keyed DETACH PARTITION keyed1', 'ALTER TABLE parts DETACH PARTITION parts1');

SET safe_migrate.guard = off;
SET client_min_messages = warning;
DROP SCHEMA em CASCADE;
DROP SCHEMA em_other CASCADE;
