-- drop_index_safely(): concurrently by a job, plainly where it is done inline; what it refuses.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
CREATE ROLE odi_owner LOGIN;
CREATE ROLE odi_other LOGIN;
CREATE SCHEMA "Odi s" AUTHORIZATION odi_owner;
SET ROLE odi_owner;
SET search_path = "Odi s";
SET safe_migrate.inline = never;
CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE, b int, c int4range, EXCLUDE USING gist (c WITH &&));
INSERT INTO t SELECT i, i, i FROM generate_series(1, 100) i;
CREATE INDEX "Odd ""index" ON t (b);
CREATE INDEX inline_b ON t (b);
CREATE UNIQUE INDEX ident ON t (id);
CREATE UNIQUE INDEX b_key ON t (b);
CREATE TABLE refers (b int REFERENCES t (b));
CREATE TABLE p (id int, v int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
CREATE TABLE "P 11" PARTITION OF p1 FOR VALUES FROM (0) TO (50);
CREATE INDEX p_v ON p (v);
CREATE FUNCTION steps(job bigint) RETURNS TABLE (state text, kind text, description text) LANGUAGE sql
BEGIN ATOMIC SELECT s.state, s.kind, s.description FROM safe_migrate.job_steps s WHERE s.job_id = $1 ORDER BY step_no; END;

-- by a job
SET client_min_messages = notice;
SELECT safe_migrate.drop_index_safely('"Odd ""index"', 'odi') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
SELECT to_regclass('"Odd ""index"') IS NULL AS gone;

-- an invalid one
CREATE INDEX inv ON t (b);
RESET ROLE;
UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = '"Odi s".inv'::regclass;
SET ROLE odi_owner;
CALL safe_migrate.wait(safe_migrate.drop_index_safely('inv'));
SELECT to_regclass('inv') IS NULL AS gone;

-- inline
SET safe_migrate.inline = small;
BEGIN;
SELECT safe_migrate.drop_index_safely('inline_b') > 0 AS job;
SELECT to_regclass('inline_b') IS NULL AS gone;
COMMIT;
SET safe_migrate.inline = never;

-- partitioned: the locks are brief, the rest goes along
\set VERBOSITY sqlstate
SELECT safe_migrate.drop_index_safely('"P 11_v_idx"');
\set VERBOSITY default
SELECT safe_migrate.drop_index_safely('p_v') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
SELECT to_regclass('p_v') IS NULL AND to_regclass('"P 11_v_idx"') IS NULL AS gone;

-- refused
SELECT safe_migrate.drop_index_safely('t_pkey');
SELECT safe_migrate.drop_index_safely('t_c_excl');
SELECT safe_migrate.drop_index_safely('b_key');
SELECT safe_migrate.drop_index_safely('t');
SELECT safe_migrate.drop_index_safely(0);
SELECT safe_migrate.drop_index_safely(NULL);
SELECT safe_migrate.drop_index_safely('nothing');
SELECT safe_migrate.drop_index_safely('pg_catalog.pg_class_oid_index');
RESET ROLE;
SET ROLE odi_other;
SELECT safe_migrate.drop_index_safely((SELECT oid FROM pg_class WHERE relname = 'b_key'));
RESET ROLE;
SET ROLE odi_owner;

\set VERBOSITY terse
-- the name belongs to another index by the time it runs: that one stays
CREATE INDEX mine ON t (b);
BEGIN;
SELECT safe_migrate.drop_index_safely('mine') AS job \gset
ALTER INDEX mine RENAME TO was_mine;
CREATE INDEX mine ON t (b, a);
COMMIT;
CALL safe_migrate.wait(:job);
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 't'::regclass ORDER BY indexrelid::regclass::text COLLATE "C";

\set VERBOSITY default
-- the replica identity
ALTER TABLE t REPLICA IDENTITY USING INDEX ident;
CALL safe_migrate.wait(safe_migrate.drop_index_safely('ident'));
RESET ROLE;
SET client_min_messages = warning;
SET safe_migrate.guard = off;
DROP SCHEMA "Odi s" CASCADE;
DROP ROLE odi_owner;
DROP ROLE odi_other;
