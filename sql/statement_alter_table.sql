-- What ALTER TABLE would do, sub-command by sub-command, as explain() tells it.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
CREATE SCHEMA statement_alter;
SET search_path = statement_alter;

CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN over_positive AS positive;
CREATE DOMAIN plain AS text;
CREATE DOMAIN random_default AS float8 DEFAULT random();
CREATE FUNCTION told(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION left_volatile() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION put_in(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1'; -- its body takes its place
CREATE FUNCTION not_put_in() RETURNS float8 LANGUAGE sql AS 'SELECT random()';
CREATE FUNCTION tells(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT statement_alter.told($1)';
CREATE TABLE ref (id int PRIMARY KEY, u text UNIQUE);
INSERT INTO ref VALUES (1, 'u');
CREATE TABLE t (
	id int PRIMARY KEY, a int, b varchar(10), c text, n numeric(10, 2), ts timestamp,
	r int CONSTRAINT t_r REFERENCES ref, nn int NOT NULL, p int CONSTRAINT p_set CHECK (p IS NOT NULL),
	q int CONSTRAINT q_positive CHECK (q > 0), pq int CHECK (pq IS NOT NULL AND pq > told(0)));
INSERT INTO t VALUES (1, 1, 'b', 'c', 1, now(), 1, 1, 1, 1, 1);
CREATE INDEX t_b ON t (b);
CREATE INDEX t_ts ON t (ts);
CREATE INDEX t_lower ON t (lower(c));
CREATE TABLE of_t (id int, t_id int CONSTRAINT of_t_fk REFERENCES t);
INSERT INTO of_t VALUES (1, 1);
CREATE TABLE empty_one (id int);
CREATE TABLE p (id int NOT NULL, v text, d int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
INSERT INTO p VALUES (1, 'v', 1), (11, 'v', 1);
ALTER TABLE p1 ADD CONSTRAINT d_set CHECK (d IS NOT NULL);
CREATE TABLE parent (id int, v text);
CREATE TABLE child (x int) INHERITS (parent);
INSERT INTO child VALUES (1, 'v', 1);
CREATE VIEW v AS SELECT id, nn FROM t;
CREATE TYPE row_type AS (f int, g text);
CREATE TABLE typed OF row_type;
INSERT INTO typed VALUES (1, 'g');

-- From here on it tells if it is called.
CREATE OR REPLACE FUNCTION told(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
	'BEGIN RAISE WARNING ''user code ran''; RETURN $1; END';

-- All this was created by this very session, which would exempt it.
\c -
\set VERBOSITY terse
SET timezone = 'UTC';
SET search_path = statement_alter;
CREATE FUNCTION pg_temp.says(statements text[]) RETURNS TABLE (statement text, effects text)
LANGUAGE sql AS $$
	SELECT s, (SELECT string_agg(concat_ws(' ', replace(relation::text, 'statement_alter.', ''),
										   replace(lock::text, 'Lock', ''), effect, rule), E'\n')
			   FROM safe_migrate.explain(s))
	FROM unnest(statements) WITH ORDINALITY AS one (s, no) ORDER BY no
$$;

-- ADD COLUMN
SELECT * FROM pg_temp.says(ARRAY[
	'ALTER TABLE t ADD x int',
	'ALTER TABLE t ADD x timestamptz NOT NULL DEFAULT now()',
	'ALTER TABLE t ADD x float8 DEFAULT random()',
	'ALTER TABLE t ADD x int DEFAULT left_volatile()',
	'ALTER TABLE t ADD x int DEFAULT told(1)',
	'ALTER TABLE t ADD x int DEFAULT put_in(put_in(1))',
	'ALTER TABLE t ADD x float8 DEFAULT not_put_in()',
	'ALTER TABLE t ADD x int DEFAULT tells(put_in(1))',
	'ALTER TABLE t ADD x bigserial',
	'ALTER TABLE t ADD x int GENERATED ALWAYS AS IDENTITY',
	'ALTER TABLE t ADD x int GENERATED ALWAYS AS (a + 1) STORED',
	'ALTER TABLE t ADD x over_positive',
	'ALTER TABLE t ADD x plain',
	'ALTER TABLE t ADD x random_default',
	'ALTER TABLE t ADD x int NOT NULL',
	'ALTER TABLE t ADD x int CHECK (x > 0)',
	'ALTER TABLE t ADD x int UNIQUE',
	'ALTER TABLE t ADD x int REFERENCES ref',
	'ALTER TABLE t ADD x int DEFAULT NULL REFERENCES ref',
	'ALTER TABLE t ADD IF NOT EXISTS a serial',
	'ALTER TABLE t DROP a, ADD a float8 DEFAULT random()',
	'ALTER TABLE p ADD x float8 DEFAULT random()',
	'ALTER TABLE parent ADD y float8 DEFAULT random()',
	'ALTER TABLE empty_one ADD x int NOT NULL',
	'ALTER TYPE row_type ADD ATTRIBUTE h positive CASCADE']);

-- ALTER COLUMN TYPE
SELECT * FROM pg_temp.says(ARRAY[
	'ALTER TABLE t ALTER b TYPE varchar(20)',
	'ALTER TABLE t ALTER b TYPE text',
	'ALTER TABLE t ALTER b TYPE varchar(5)',
	'ALTER TABLE t ALTER b TYPE text COLLATE "C"',
	'ALTER TABLE t ALTER c TYPE varchar',
	'ALTER TABLE t ALTER c TYPE plain',
	'ALTER TABLE t ALTER n TYPE numeric(12, 2)',
	'ALTER TABLE t ALTER n TYPE numeric(12, 3)',
	'ALTER TABLE t ALTER ts TYPE timestamptz',
	'ALTER TABLE t ALTER ts TYPE timestamptz USING ts AT TIME ZONE ''CET''',
	'ALTER TABLE t ALTER a TYPE bigint',
	'ALTER TABLE t ALTER a TYPE oid',
	'ALTER TABLE t ALTER a TYPE positive',
	'ALTER TABLE t ALTER a TYPE int USING told(a)',
	'ALTER TABLE t ALTER q TYPE int',
	'ALTER TABLE t ALTER r TYPE bigint',
	'ALTER TABLE ref ALTER u TYPE varchar',
	'ALTER TABLE of_t ALTER t_id TYPE int',
	'ALTER TABLE p ALTER v TYPE varchar(3)',
	'ALTER TYPE row_type ALTER ATTRIBUTE f TYPE bigint CASCADE']);
SET timezone = 'Africa/Abidjan';
SELECT * FROM pg_temp.says(ARRAY['ALTER TABLE t ALTER ts TYPE timestamptz']);
SET timezone = 'UTC';

-- SET NOT NULL
SELECT * FROM pg_temp.says(ARRAY[
	'ALTER TABLE t ALTER a SET NOT NULL',
	'ALTER TABLE t ALTER nn SET NOT NULL',
	'ALTER TABLE t ALTER p SET NOT NULL',
	'ALTER TABLE t ALTER p SET NOT NULL, DROP CONSTRAINT p_set',
	'ALTER TABLE t ALTER q SET NOT NULL',
	'ALTER TABLE t ALTER pq SET NOT NULL',
	'ALTER TABLE t ALTER p SET NOT NULL, ALTER a SET NOT NULL',
	'ALTER TABLE t ALTER a SET NOT NULL, ADD x float8 DEFAULT random()',
	'ALTER TABLE p ALTER d SET NOT NULL',
	'ALTER TABLE parent ALTER id SET NOT NULL',
	'ALTER TABLE empty_one ALTER id SET NOT NULL']);

-- constraints
SELECT * FROM pg_temp.says(ARRAY[
	'ALTER TABLE t ADD CHECK (a > 0)',
	'ALTER TABLE t ADD CHECK (a > 0) NOT VALID',
	'ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID, VALIDATE CONSTRAINT k',
	'ALTER TABLE parent ADD CHECK (id > 0)',
	'ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES ref',
	'ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES ref NOT VALID',
	'ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES t',
	'ALTER TABLE t ADD UNIQUE (a)',
	'ALTER TABLE of_t ADD PRIMARY KEY (id)',
	'ALTER TABLE t ADD EXCLUDE USING btree (a WITH =)',
	'ALTER TABLE t DROP CONSTRAINT t_r',
	'ALTER TABLE t DROP CONSTRAINT q_positive',
	'ALTER TABLE ref DROP CONSTRAINT ref_pkey CASCADE',
	'ALTER TABLE t DROP CONSTRAINT IF EXISTS nothing']);

-- DROP COLUMN, storage, and what is brief
SELECT * FROM pg_temp.says(ARRAY[
	'ALTER TABLE t DROP b',
	'ALTER TABLE t DROP r',
	'ALTER TABLE t DROP nn CASCADE',
	'ALTER TABLE t DROP IF EXISTS nothing',
	'ALTER TABLE empty_one DROP id',
	'ALTER TABLE parent DROP v',
	'ALTER TABLE of_t SET UNLOGGED',
	'ALTER TABLE of_t SET LOGGED',
	'ALTER TABLE t SET TABLESPACE pg_default',
	'ALTER TABLE t SET ACCESS METHOD heap',
	'ALTER TABLE t SET (fillfactor = 50)',
	'ALTER TABLE t ALTER a SET STATISTICS 100',
	'ALTER TABLE t DISABLE TRIGGER ALL',
	'ALTER TABLE t REPLICA IDENTITY FULL',
	'ALTER TABLE p ALTER v SET DEFAULT ''x''',
	'ALTER VIEW v SET (security_barrier)',
	'ALTER INDEX t_b SET (fillfactor = 50)',
	'ALTER TABLE IF EXISTS nothing ADD x int']);

SET client_min_messages = error;
DROP SCHEMA statement_alter CASCADE;
