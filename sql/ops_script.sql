-- A script is refused at once for what none of its statements before can have to do with, and not
-- for what one of them makes, renames or takes away.
SET safe_migrate.inline = never;
SET safe_migrate.guard = off;
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
CREATE SCHEMA ops_script;
SET search_path = ops_script;
CREATE TYPE mood AS ENUM ('glad');
CREATE FUNCTION seven() RETURNS int LANGUAGE sql AS 'SELECT 7';
CREATE TABLE p (id int PRIMARY KEY, code text);
CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p, a text, m mood, n int DEFAULT seven());
CREATE VIEW cv AS SELECT p FROM c;
CREATE POLICY cp ON c USING (n > 0);
CREATE TABLE parent (a int);
CREATE TABLE child () INHERITS (parent);
CREATE TABLE pt (id int, v int) PARTITION BY RANGE (id);
CREATE TABLE leaf PARTITION OF pt FOR VALUES FROM (0) TO (9);
CREATE ROLE script_role;

-- By plan(): one row a script, the error's or none.
CREATE FUNCTION told(script text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM * FROM safe_migrate.plan(script);
	RETURN 'planned';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

SELECT script, told(script) FROM (VALUES
	('ALTER TABLE p ADD x int; DROP TABLE p'),
	('CREATE TABLE q (i int); DROP TABLE p'),
	('ALTER TABLE c ADD x int; ALTER TABLE c DROP COLUMN p'),
	('ALTER TABLE c ADD x int, DROP COLUMN p'),
	('ALTER TABLE c ADD x int, DROP COLUMN nope'),
	('ALTER TABLE c ADD x int, DROP CONSTRAINT nope'),
	('ALTER TABLE c ADD x int; ALTER TABLE c ADD UNIQUE (nope)'),
	('ALTER TABLE c ADD x int, ADD UNIQUE (nope)'),
	('ALTER TABLE c ADD x int; CREATE INDEX ON c (nope)'),
	('ALTER TABLE c ADD x int; ALTER TABLE c ADD CHECK (nope > 1)'),
	('ALTER TABLE c ADD x int; ALTER TABLE c ALTER nope SET NOT NULL'),
	('ALTER TABLE c ADD x int; ALTER TABLE c ADD FOREIGN KEY (x) REFERENCES nope'),
	('ALTER TABLE c ADD x text; ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES p (code)'),
	('ALTER TABLE c ADD x int; ALTER TABLE c VALIDATE CONSTRAINT nope'),
	('ALTER TABLE c ADD x int; ALTER TABLE c ALTER id TYPE int USING nope(id)'),
	('ALTER TABLE c ADD x int; ALTER TABLE c ADD a int'),
	('CREATE TABLE q (i int); CREATE TABLE p (i int)'),
	('CREATE TABLE q (i int); DROP FUNCTION seven()'),
	('CREATE TABLE q (i int); ALTER TABLE nope ADD a int'),
	('CREATE TABLE q (i int); GRANT SELECT ON c TO nobody')
) AS scripts(script);

SELECT script, told(script) FROM (VALUES
	('ALTER TABLE c ADD x int, ADD CONSTRAINT k CHECK (x > 0)'),
	('ALTER TABLE c ADD x int, ADD UNIQUE (x), ADD CHECK (x > 0)'),
	('ALTER TABLE c ADD "key" int; CREATE INDEX ON c ("key")'),
	('ALTER TABLE c ADD "x ""y" int; CREATE INDEX ON c ("x ""y")'),
	('ALTER TABLE c ADD U&"\0078" int; CREATE INDEX ON c (x)'),
	('ALTER TABLE p ADD UNIQUE (code); ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES p (code)'),
	('CREATE UNIQUE INDEX ON c (a); ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES c (a)'),
	('ALTER TABLE c ADD FOREIGN KEY (id) REFERENCES p; ALTER TABLE c ALTER CONSTRAINT c_id_fkey DEFERRABLE'),
	('ALTER TABLE c DROP CONSTRAINT c_p_fkey; DROP TABLE p'),
	('DROP VIEW cv; ALTER TABLE c DROP COLUMN p'),
	('DROP VIEW cv; ALTER TABLE c DROP COLUMN p; DROP TABLE p'),
	('CREATE OR REPLACE VIEW cv AS SELECT 1 AS p; ALTER TABLE c DROP COLUMN p'),
	('ALTER POLICY cp ON c USING (id > 0); ALTER TABLE c DROP COLUMN n'),
	('ALTER TABLE c ALTER m TYPE text; DROP TYPE mood'),
	('ALTER TABLE c ALTER n DROP DEFAULT; DROP FUNCTION seven()'),
	('ALTER TABLE c ALTER a TYPE int USING 1; ALTER TABLE c ADD CHECK (a > 0)'),
	('ALTER TABLE c RENAME a TO b; CREATE INDEX ON c (b)'),
	('ALTER TABLE c RENAME TO d; ALTER TABLE p RENAME TO c; CREATE INDEX ON c (code)'),
	('DROP VIEW cv; DROP TABLE c; CREATE TABLE c (LIKE p); CREATE INDEX ON c (code)'),
	('CREATE TABLE q (i serial PRIMARY KEY); ALTER SEQUENCE q_i_seq CACHE 5; ALTER TABLE q CLUSTER ON q_pkey'),
	('CREATE SCHEMA s; CREATE TABLE s.t (i int); CREATE INDEX ON s.t (i)'),
	('CREATE SCHEMA s; ALTER TABLE p SET SCHEMA s; ALTER TABLE s.p ADD y int; CREATE INDEX ON s.p (y)'),
	('ALTER TABLE parent ADD y int; CREATE INDEX ON child (y)'),
	('ALTER TABLE child NO INHERIT parent; ALTER TABLE child DROP COLUMN a'),
	('ALTER TABLE c DROP COLUMN a; ALTER TABLE c ADD a int'),
	('ALTER TABLE c ALTER n DROP DEFAULT; ALTER TABLE c ALTER n ADD GENERATED ALWAYS AS IDENTITY; ALTER TABLE c ALTER n SET START 5'),
	('CREATE DOMAIN pos AS int; ALTER TABLE c ADD x pos'),
	('CREATE ROLE script_other; GRANT SELECT ON c TO script_other'),
	('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''SELECT 1''; ALTER TABLE c ALTER n SET DEFAULT f()'),
	('CREATE MATERIALIZED VIEW mv AS SELECT 1 AS one; CREATE UNIQUE INDEX ON mv (one)'),
	('DROP OWNED BY script_role; ALTER TABLE c DROP COLUMN p'),
	('CREATE STATISTICS st ON id, a FROM c; DROP STATISTICS st'),
	('CREATE COLLATION cc FROM "C"; DROP COLLATION cc'),
	('CREATE INDEX ON pt (v); ALTER INDEX leaf_v_idx RENAME TO leaf_v'),
	('ALTER TABLE pt ADD PRIMARY KEY (id); ALTER TABLE leaf REPLICA IDENTITY USING INDEX leaf_pkey'),
	('CREATE TYPE myrange AS RANGE (SUBTYPE = float8); ALTER TABLE c ADD x mymultirange'),
	('CREATE FUNCTION "position"(int) RETURNS int IMMUTABLE LANGUAGE sql AS ''SELECT $1''; ALTER TABLE c ADD CHECK ("position"(id) > 0)')
) AS scripts(script);

-- which statement it is about
SELECT safe_migrate.apply('CREATE TABLE q (i int); ALTER TABLE c ADD CHECK (nope > 1)');
SELECT safe_migrate.apply('CREATE TABLE q (i int); INSERT INTO q VALUES (1)');
SELECT safe_migrate.apply('ALTER TABLE c ADD CHECK (nope > 1)');
PREPARE one AS SELECT 1 AS one;
SELECT safe_migrate.apply('CREATE TABLE q AS EXECUTE one');

DROP SCHEMA ops_script CASCADE;
DROP ROLE script_role;
