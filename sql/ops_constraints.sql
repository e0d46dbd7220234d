-- add_constraint_safely, validate_constraint_safely, add_not_null_safely: by a job, and at once.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
\set SHOW_CONTEXT never
SET safe_migrate.inline = never;
CREATE SCHEMA ops;
SET search_path = ops;
CREATE TABLE ref (id int PRIMARY KEY);
INSERT INTO ref SELECT generate_series(1, 100);
CREATE TABLE t (id bigint PRIMARY KEY, a int, "Odd b" text, ref_id int);
INSERT INTO t SELECT g, nullif(g % 5, 0), 'b' || g, 1 + g % 100 FROM generate_series(1, 1000) g;

-- CHECK and FOREIGN KEY
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('t', 'CHECK (id > 0)'));
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('t', 'CONSTRAINT "Odd" CHECK ("Odd b" <> '''') NO INHERIT'));
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('t', 'FOREIGN KEY (ref_id) REFERENCES ref ON DELETE CASCADE'));
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('t', 'CONSTRAINT later CHECK (a < 3) NOT VALID'));
SELECT conname, contype, convalidated, pg_get_constraintdef(oid) FROM pg_constraint
	WHERE conrelid = 't'::regclass AND contype IN ('c', 'f') ORDER BY conname;
-- what stands in the way: number and keys; the constraint stays, retry() completes it
CALL safe_migrate.wait(safe_migrate.validate_constraint_safely('t', 'later', job_name => 'later'));
UPDATE t SET a = 1 WHERE a >= 3;
SELECT safe_migrate.retry('later');
CALL safe_migrate.wait('later');
SELECT convalidated FROM pg_constraint WHERE conname = 'later';
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('t', 'CONSTRAINT wrong FOREIGN KEY (id) REFERENCES ref'));
SELECT convalidated FROM pg_constraint WHERE conname = 'wrong';
ALTER TABLE t DROP CONSTRAINT wrong;
-- of two columns, NULL in both of them or in none; what inherits from the table is no matter
CREATE TABLE pair (a int, b int, PRIMARY KEY (a, b));
INSERT INTO pair VALUES (1, 1);
CREATE TABLE refers (a int, b int);
CREATE TABLE inherits () INHERITS (refers);
INSERT INTO refers VALUES (1, 1), (1, 1), (NULL, NULL), (1, NULL), (NULL, 2), (3, 3);
INSERT INTO inherits VALUES (4, 4), (5, 5), (5, 5);
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('refers', 'CONSTRAINT whole FOREIGN KEY (a, b) REFERENCES pair MATCH FULL'));
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('refers', 'FOREIGN KEY (a, b) REFERENCES pair'));
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE UNIQUE INDEX ON refers (a)'));
DROP TABLE refers CASCADE;

-- UNIQUE and PRIMARY KEY
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('t', 'UNIQUE ("Odd b") INCLUDE (a) DEFERRABLE'));
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('t', 'CONSTRAINT u UNIQUE (ref_id)'));
CREATE TABLE k (x int, y int);
INSERT INTO k SELECT g, g FROM generate_series(1, 100) g;
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('k', 'PRIMARY KEY (x, y)'));
CREATE UNIQUE INDEX k_y ON k (y);
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('k', 'UNIQUE USING INDEX k_y'));
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
	WHERE conrelid IN ('t'::regclass, 'k'::regclass) AND contype IN ('u', 'p') ORDER BY 1, 2;
SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid;

-- errors of fill show the caller's own text
SELECT safe_migrate.add_not_null_safely('t', 'a', 'nix + 1');
SELECT safe_migrate.add_not_null_safely('t', 'a', '1, b = 2');
-- NOT NULL: without fill NULLs are an error and nothing is left; with it they are filled
CALL safe_migrate.wait(safe_migrate.add_not_null_safely('t', 'a', job_name => 'nn'));
SELECT conname FROM pg_constraint WHERE conname LIKE '%not_null%' AND conrelid = 't'::regclass AND conkey = '{2}';
CALL safe_migrate.wait(safe_migrate.add_not_null_safely('t', 'a', '0 -- with a comment'));
SELECT attnotnull, (SELECT count(*) FROM t WHERE a = 0) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'a';
SELECT safe_migrate.retry('nn');
CALL safe_migrate.wait('nn');
SELECT state FROM safe_migrate.jobs WHERE name = 'nn';
-- a valid CHECK proves it
CREATE TABLE proven (a int, CONSTRAINT c CHECK (a IS NOT NULL AND a > 0));
INSERT INTO proven VALUES (1);
CALL safe_migrate.wait(safe_migrate.add_not_null_safely('proven', 'a', job_name => 'proven'));
SELECT description FROM safe_migrate.job_steps s JOIN safe_migrate.jobs j ON j.id = s.job_id WHERE j.name = 'proven' ORDER BY step_no;

-- partitions of two levels
CREATE TABLE p (id int, a int, ref_id int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
CREATE TABLE p1a PARTITION OF p1 FOR VALUES FROM (0) TO (100);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
INSERT INTO p SELECT g, g, 1 + g % 100 FROM generate_series(0, 199) g;
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('p', 'CHECK (a >= 0)'));
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('p', 'FOREIGN KEY (ref_id) REFERENCES ref'));
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('p', 'PRIMARY KEY (id)'));
CALL safe_migrate.wait(safe_migrate.add_not_null_safely('p', 'a'));
SELECT conrelid::regclass, conname, contype, convalidated FROM pg_constraint
	WHERE conrelid::regclass::text IN ('p', 'p1', 'p1a', 'p2') AND contype IN ('c', 'f', 'p') ORDER BY 1, 2;
SELECT attrelid::regclass, attnotnull FROM pg_attribute WHERE attname = 'a' AND attrelid::regclass::text IN ('p', 'p1', 'p1a', 'p2') ORDER BY 1;

-- input that is no good is refused at once
SELECT safe_migrate.add_constraint_safely('t', 'CHECK (nix > 0)');
SELECT safe_migrate.add_constraint_safely('t', 'CHECK (a > 0), DROP COLUMN a');
SELECT safe_migrate.add_constraint_safely('t', 'CHECK (a > 0); DROP TABLE t');
SELECT safe_migrate.add_constraint_safely('t', 'EXCLUDE USING gist (a WITH =)');
SELECT safe_migrate.add_constraint_safely('t', 'FOREIGN KEY ("Odd b") REFERENCES ref');
SELECT safe_migrate.add_constraint_safely('t', 'FOREIGN KEY (a, id) REFERENCES ref');
SELECT safe_migrate.add_constraint_safely('pg_class', 'CHECK (oid > 0)');
SELECT safe_migrate.add_constraint_safely('t_pkey', 'CHECK (id > 0)');
SELECT safe_migrate.add_constraint_safely('t', NULL);
-- of a composite type, whose IS NOT NULL would look at the fields
CREATE TYPE two_ints AS (x int, y int);
CREATE TABLE pairs (p two_ints);
INSERT INTO pairs VALUES (ROW(NULL, NULL)), (ROW(1, NULL)), (NULL);
CALL safe_migrate.wait(safe_migrate.add_not_null_safely('pairs', 'p', job_name => 'pairs'));
CALL safe_migrate.wait(safe_migrate.add_not_null_safely('pairs', 'p', 'ROW(7, 7)::two_ints'));
SELECT p, p IS DISTINCT FROM NULL AS filled FROM pairs ORDER BY 1;
SELECT safe_migrate.add_not_null_safely('t', 'nix');
SELECT safe_migrate.add_not_null_safely('t', 'ctid');
SELECT safe_migrate.add_not_null_safely('t', 'ref_id', '1, a = 2');
SELECT safe_migrate.validate_constraint_safely('t', 'nix');
CREATE ROLE ops_other;
GRANT USAGE ON SCHEMA ops, safe_migrate TO ops_other;
SET ROLE ops_other;
SELECT safe_migrate.add_constraint_safely('ops.t', 'CHECK (id > 0)');
SELECT safe_migrate.add_not_null_safely('ops.t', 'ref_id');
RESET ROLE;

-- at once: plain DDL in the caller's transaction, gone with it
SET safe_migrate.inline = always;
BEGIN;
SELECT safe_migrate.add_constraint_safely('t', 'CONSTRAINT inline CHECK (id > -1)') > 0 AS queued;
SELECT safe_migrate.add_not_null_safely('t', 'ref_id') > 0 AS queued;
SELECT count(*) FROM pg_constraint WHERE conname = 'inline';
ROLLBACK;
SELECT count(*) FROM pg_constraint WHERE conname = 'inline';

DROP OWNED BY ops_other;
DROP ROLE ops_other;
SET safe_migrate.guard = off;
DROP SCHEMA ops CASCADE;
