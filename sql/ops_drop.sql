-- drop_constraint_safely(), drop_column_safely(), drop_table_safely(): foreign keys first, each in a
-- step of its own; what goes along is said, what depends on it and stays is an error.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
CREATE ROLE odr_owner LOGIN;
CREATE ROLE odr_other LOGIN;
CREATE SCHEMA "Odr s" AUTHORIZATION odr_owner;
SET ROLE odr_owner;
SET search_path = "Odr s";
SET safe_migrate.inline = never;
CREATE FUNCTION steps(job bigint) RETURNS TABLE (state text, kind text, description text) LANGUAGE sql
BEGIN ATOMIC SELECT s.state, s.kind, s.description FROM safe_migrate.job_steps s WHERE s.job_id = $1 ORDER BY step_no; END;
CREATE TABLE r1 (id int PRIMARY KEY, code text UNIQUE);
CREATE TABLE r2 (id int PRIMARY KEY);
CREATE TABLE "T t" (id serial PRIMARY KEY, "A a" int DEFAULT 7 CHECK ("A a" > 0) REFERENCES r1, b int REFERENCES r2,
	c int UNIQUE, up int REFERENCES "T t", g int GENERATED ALWAYS AS (c + 1) STORED, CONSTRAINT "Odd ""one" CHECK (b < 1000));
INSERT INTO r1 SELECT i, i FROM generate_series(1, 100) i;
INSERT INTO "T t" ("A a", c) SELECT i, i FROM generate_series(1, 100) i;
CREATE INDEX ON "T t" ("A a", b);
CREATE VIEW v AS SELECT b FROM "T t";
CREATE TABLE refers (c int REFERENCES "T t" (c));
CREATE TABLE p (id int, k int, r int REFERENCES r1, CHECK (r > 0)) PARTITION BY RANGE (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
CREATE TABLE p2 PARTITION OF p (CHECK (id > 0), FOREIGN KEY (id) REFERENCES r2) FOR VALUES FROM (100) TO (200);
CREATE TABLE mother (id int, x int CHECK (x > 0));
CREATE TABLE child (y int) INHERITS (mother);
SET client_min_messages = notice;

-- constraints
SELECT safe_migrate.drop_constraint_safely('"T t"', 'Odd "one', 'odr') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
\set VERBOSITY terse
SELECT safe_migrate.drop_constraint_safely('"T t"', 'Odd "one', 'odr') = :job AS same;
\set VERBOSITY default
SELECT safe_migrate.drop_constraint_safely('refers', 'refers_c_fkey') AS job \gset
CALL safe_migrate.wait(:job);
SELECT safe_migrate.drop_constraint_safely('"T t"', 'T t_c_key') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
SELECT conname FROM pg_constraint WHERE conrelid = '"T t"'::regclass AND contype <> 'n' ORDER BY 1;
-- of partitions and children
CALL safe_migrate.wait(safe_migrate.drop_constraint_safely('p', 'p_r_fkey'));
CALL safe_migrate.wait(safe_migrate.drop_constraint_safely('p', 'p_r_check'));
CALL safe_migrate.wait(safe_migrate.drop_constraint_safely('mother', 'mother_x_check'));
SELECT conrelid::regclass, conname FROM pg_constraint WHERE conrelid IN ('p'::regclass, 'p1'::regclass, 'p2'::regclass, 'mother'::regclass, 'child'::regclass)
	AND contype IN ('c', 'f') ORDER BY 1, 2;
-- renamed meanwhile
\set VERBOSITY terse
BEGIN;
SELECT safe_migrate.drop_constraint_safely('p2', 'p2_id_check') AS job \gset
ALTER TABLE p2 RENAME CONSTRAINT p2_id_check TO was;
ALTER TABLE p2 ADD CONSTRAINT p2_id_check CHECK (id < 10);
COMMIT;
CALL safe_migrate.wait(:job);
BEGIN;
SELECT safe_migrate.drop_column_safely('r1', 'code') AS job \gset
ALTER TABLE r1 RENAME code TO was;
ALTER TABLE r1 ADD code int;
COMMIT;
CALL safe_migrate.wait(:job);
SELECT attname FROM pg_attribute WHERE attrelid = 'r1'::regclass AND attnum > 0 ORDER BY attnum;
ALTER TABLE r1 DROP code;
ALTER TABLE r1 RENAME was TO code;
\set VERBOSITY default
-- refused
ALTER TABLE p ADD CHECK (k > -1);
SELECT safe_migrate.drop_constraint_safely('p1', 'p_k_check');
ALTER TABLE refers ADD FOREIGN KEY (c) REFERENCES r1;
SELECT safe_migrate.drop_constraint_safely('r1', 'r1_pkey');
SELECT safe_migrate.drop_constraint_safely('p1', 'nothing');
SELECT safe_migrate.drop_constraint_safely('v', 'nothing');
SELECT safe_migrate.drop_constraint_safely(NULL, 'nothing');
SELECT safe_migrate.drop_constraint_safely('p1', NULL);

-- columns: the foreign key goes first
SELECT safe_migrate.drop_column_safely('"T t"', 'A a') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
SELECT safe_migrate.drop_column_safely('"T t"', 'id');
ALTER TABLE "T t" DROP CONSTRAINT "T t_up_fkey";
\set VERBOSITY terse
CALL safe_migrate.wait(safe_migrate.drop_column_safely('"T t"', 'id'));
\set VERBOSITY default
CALL safe_migrate.wait(safe_migrate.drop_column_safely('p', 'id'));
CALL safe_migrate.wait(safe_migrate.drop_column_safely('mother', 'x'));
SELECT attrelid::regclass, attname FROM pg_attribute WHERE attrelid IN ('"T t"'::regclass, 'p2'::regclass, 'child'::regclass) AND attnum > 0
	AND NOT attisdropped ORDER BY 1, attnum;
SELECT count(*) AS sequences FROM pg_class WHERE relnamespace = '"Odr s"'::regnamespace AND relkind = 'S';
-- refused
SELECT safe_migrate.drop_column_safely('"T t"', 'b');
SELECT safe_migrate.drop_column_safely('"T t"', 'c');
SELECT safe_migrate.drop_column_safely('"T t"', 'nothing');
SELECT safe_migrate.drop_column_safely('"T t"', 'ctid');
SELECT safe_migrate.drop_column_safely('child', 'id');
SELECT safe_migrate.drop_column_safely('p', 'k');
SELECT safe_migrate.drop_column_safely(NULL, 'k');
SELECT safe_migrate.drop_column_safely('p', NULL);

-- tables
SELECT safe_migrate.drop_table_safely('"T t"');
SELECT safe_migrate.drop_table_safely('mother');
DROP VIEW v;
SELECT safe_migrate.drop_table_safely('"T t"') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
SELECT safe_migrate.drop_table_safely('p2') AS job \gset
CALL safe_migrate.wait(:job);
ALTER TABLE p ADD FOREIGN KEY (r) REFERENCES r1;
SELECT safe_migrate.drop_table_safely('p') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
SELECT relname FROM pg_class WHERE relnamespace = '"Odr s"'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1;
SELECT safe_migrate.drop_table_safely(NULL);
SELECT safe_migrate.drop_table_safely('r1_pkey');

-- inline
SET safe_migrate.inline = small;
BEGIN;
SELECT safe_migrate.drop_column_safely('child', 'y') > 0 AND safe_migrate.drop_constraint_safely('refers', 'refers_c_fkey') > 0
	AND safe_migrate.drop_table_safely('refers') > 0 AS job;
SELECT to_regclass('refers') IS NULL AS gone;
COMMIT;
SET safe_migrate.inline = never;

-- another role
RESET ROLE;
GRANT USAGE ON SCHEMA "Odr s" TO odr_other;
SET ROLE odr_other;
SELECT safe_migrate.drop_table_safely('r1');
SELECT safe_migrate.drop_column_safely('r1', 'code');
SELECT safe_migrate.drop_constraint_safely('r1', 'r1_code_key');

-- what loses data is judged when it is queued
\c -
SET search_path = "Odr s";
SET safe_migrate.inline = never;
SET safe_migrate.small_table_size = '1kB';
SET safe_migrate.guard = enforce;
\set VERBOSITY terse
SET ROLE odr_owner;
SELECT safe_migrate.drop_column_safely('r1', 'code');
SELECT safe_migrate.drop_table_safely('r1');
SELECT safe_migrate.drop_constraint_safely('r1', 'r1_code_key') AS job \gset
CALL safe_migrate.wait(:job);
SELECT safe_migrate.drop_table_safely('r2') AS job \gset
CALL safe_migrate.wait(:job);
RESET ROLE;
GRANT SET ON PARAMETER safe_migrate.override TO odr_owner;
SET ROLE odr_owner;
SELECT safe_migrate.drop_column_safely('r1', 'code');
BEGIN;
SET LOCAL safe_migrate.override = 'not read since May';
SELECT safe_migrate.drop_column_safely('r1', 'code', 'odr column') AS job \gset
COMMIT;
CALL safe_migrate.wait(:job);
SELECT kind, detail FROM safe_migrate.events WHERE job_id = :job AND kind = 'override';
-- as often as one likes
SELECT safe_migrate.drop_column_safely('r1', 'code', 'odr column') = :job AS same;
RESET ROLE;
SELECT role, command, statement, rules, relations, reason FROM safe_migrate.audit WHERE role = 'odr_owner';
SET safe_migrate.guard = warn;
SET ROLE odr_owner;
SELECT safe_migrate.drop_table_safely('r1') AS job \gset
CALL safe_migrate.wait(:job);
RESET ROLE;
RESET safe_migrate.guard;
SET client_min_messages = warning;
DELETE FROM safe_migrate.override_log WHERE role = 'odr_owner';
SET safe_migrate.guard = off;
DROP SCHEMA "Odr s" CASCADE;
REVOKE SET ON PARAMETER safe_migrate.override FROM odr_owner;
DROP ROLE odr_owner;
DROP ROLE odr_other;
