-- reindex_safely(): index by index, concurrently, without leftovers.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
CREATE ROLE ori_owner LOGIN;
CREATE ROLE ori_other LOGIN;
CREATE SCHEMA "Ori s" AUTHORIZATION ori_owner;
SET ROLE ori_owner;
SET search_path = "Ori s";
SET safe_migrate.inline = never;
CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE, b text, c int4range, EXCLUDE USING gist (c WITH &&));
INSERT INTO t SELECT i, i, i FROM generate_series(1, 100) i;
CREATE INDEX "Odd ""index" ON t (b);
CREATE INDEX n123456789012345678901234567890123456789012345678901234567890 ON t (b, a);
CREATE TABLE p (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
CREATE TABLE "P 11" PARTITION OF p1 FOR VALUES FROM (0) TO (50);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
CREATE INDEX p_v ON p (v);
CREATE MATERIALIZED VIEW m AS SELECT 1 AS one;
CREATE INDEX m_one ON m (one);
CREATE TABLE plain (a int);
CREATE VIEW v AS SELECT 1 AS one;
CREATE FUNCTION steps(job bigint) RETURNS TABLE (state text, kind text, description text) LANGUAGE sql
BEGIN ATOMIC SELECT s.state, s.kind, regexp_replace(s.description, 'pg_toast_\d+', 'pg_toast_n')
FROM safe_migrate.job_steps s WHERE s.job_id = $1 ORDER BY step_no; END;
CREATE TABLE before (relation regclass, oid oid, name text, file oid);
CREATE FUNCTION remember() RETURNS void LANGUAGE sql
BEGIN ATOMIC
DELETE FROM before;
INSERT INTO before SELECT indrelid, indexrelid, c.relname, c.relfilenode FROM pg_index JOIN pg_class c ON c.oid = indexrelid
	WHERE c.relkind = 'i' AND (c.relnamespace = '"Ori s"'::regnamespace OR indrelid = (SELECT reltoastrelid FROM pg_class WHERE oid = 't'::regclass));
END;
CREATE FUNCTION rebuilt() RETURNS TABLE (rebuilt boolean, indexes text) LANGUAGE sql
BEGIN ATOMIC
SELECT file IS DISTINCT FROM relfilenode, string_agg(regexp_replace(coalesce(name, 'NEW ' || relname), 'pg_toast_\d+', 'pg_toast_n'), ', ' ORDER BY coalesce(name, relname) COLLATE "C")
FROM before FULL JOIN (SELECT relname, relfilenode FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid
	WHERE relkind = 'i' AND (relnamespace = '"Ori s"'::regnamespace OR indrelid = (SELECT reltoastrelid FROM pg_class WHERE oid = 't'::regclass))) now
ON name = relname GROUP BY 1 ORDER BY 1;
END;

-- a table: an exclusion constraint is left out
SET client_min_messages = notice;
SELECT remember();
SELECT safe_migrate.reindex_safely('t', 'ori') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
SELECT * FROM rebuilt();
-- one index
SELECT remember();
CALL safe_migrate.wait(safe_migrate.reindex_safely('"Odd ""index"'));
SELECT * FROM rebuilt();

-- one whose TOAST table has rows: its index goes along, though only superusers can name it
ALTER TABLE t ADD big text, ALTER big SET STORAGE EXTERNAL;
UPDATE t SET big = repeat(id::text, 4000) WHERE id < 10;
SELECT remember();
SELECT safe_migrate.reindex_safely('t') AS job \gset
SET client_min_messages = warning;
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
SELECT * FROM rebuilt();
RESET ROLE;
SELECT "Ori s".remember();
SELECT safe_migrate.reindex_safely('t') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM "Ori s".steps(:job);
SELECT * FROM "Ori s".rebuilt();
SET ROLE ori_owner;
SET client_min_messages = notice;

-- what interrupted tries left is dropped, also where names had to be cut; an index that is only
-- called like that is not
CREATE INDEX "Odd ""index_ccnew" ON t (b);
CREATE INDEX "Odd ""index_ccold1" ON t (b);
CREATE INDEX n123456789012345678901234567890123456789012345678901234_ccnew12 ON t (b, a);
CREATE INDEX t_a_key_ccnew ON t (a);
CREATE INDEX other_ccold ON t (b);
RESET ROLE;
UPDATE pg_index SET indisvalid = false WHERE indexrelid IN (SELECT oid FROM pg_class WHERE relnamespace = '"Ori s"'::regnamespace
	AND relname ~ 'Odd "index_cc|12$|other');
SET ROLE ori_owner;
SELECT remember();
CALL safe_migrate.wait(safe_migrate.reindex_safely('t'));
SELECT * FROM rebuilt();
DROP INDEX t_a_key_ccnew, other_ccold;

-- an invalid index becomes valid
RESET ROLE;
UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = '"Ori s"."Odd ""index"'::regclass;
SET ROLE ori_owner;
CALL safe_migrate.wait(safe_migrate.reindex_safely('"Odd ""index"'));
SELECT indisvalid AND indisready AS valid FROM pg_index WHERE indexrelid = '"Odd ""index"'::regclass;

-- partitioned tables and indexes, materialized views
SELECT remember();
CALL safe_migrate.wait(safe_migrate.reindex_safely('p'));
SELECT * FROM rebuilt();
SELECT remember();
CALL safe_migrate.wait(safe_migrate.reindex_safely('p_v'));
SELECT * FROM rebuilt();
SELECT remember();
CALL safe_migrate.wait(safe_migrate.reindex_safely('m'));
SELECT * FROM rebuilt();
SELECT count(*) AS attached FROM pg_inherits WHERE inhparent IN ('p_v'::regclass, 'p1_v_idx'::regclass);

-- inline
SET safe_migrate.inline = small;
BEGIN;
SELECT remember();
SELECT safe_migrate.reindex_safely('p') > 0 AND safe_migrate.reindex_safely('m_one') > 0 AND safe_migrate.reindex_safely('t') > 0 AS job;
SELECT * FROM rebuilt();
COMMIT;
SET safe_migrate.inline = never;
SELECT safe_migrate.reindex_safely('plain') > 0 AS nothing_to_do;

-- a unique index that can't be built anew: the old one stays, nothing is left beside it
CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE UNIQUE INDEX t_f ON t (f(a));
CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
\set VERBOSITY sqlstate
CALL safe_migrate.wait(safe_migrate.reindex_safely('t_f'));
\set VERBOSITY default
SELECT relname, indisvalid FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 't'::regclass AND relname ~ 't_f';

-- refused
SELECT safe_migrate.reindex_safely('t_c_excl');
SELECT safe_migrate.reindex_safely('v');
SELECT safe_migrate.reindex_safely(0);
SELECT safe_migrate.reindex_safely(NULL);
SELECT safe_migrate.reindex_safely('pg_catalog.pg_class');
RESET ROLE;
SET ROLE ori_other;
SELECT safe_migrate.reindex_safely((SELECT oid FROM pg_class WHERE relname = 'm_one'));
SELECT safe_migrate.reindex_safely((SELECT oid FROM pg_class WHERE relname = 'm' AND relkind = 'm'));
RESET ROLE;
SET client_min_messages = warning;
SET safe_migrate.guard = off;
DROP SCHEMA "Ori s" CASCADE;
DROP ROLE ori_owner;
DROP ROLE ori_other;
