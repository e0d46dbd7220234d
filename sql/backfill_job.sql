-- What was queued is what a worker does, whatever has changed or is set differently there.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
CREATE ROLE bj_owner LOGIN;
CREATE SCHEMA bj AUTHORIZATION bj_owner;
CREATE SCHEMA bj_owner AUTHORIZATION bj_owner;
SET ROLE bj_owner;
SET search_path = bj, public;
SET safe_migrate.inline = never;
CREATE TABLE t (id int PRIMARY KEY, a text, b text, "Odd ""col" numeric(6,2), d date, n int);
INSERT INTO t SELECT i, 'a' || i FROM generate_series(1, 1000) i;

-- what a SQL function's body means depends on the caller's search_path, also when it is inlined
CREATE FUNCTION inner_f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
CREATE FUNCTION outer_f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT inner_f($1)';
CALL safe_migrate.wait(safe_migrate.backfill('t', 'b = outer_f(a), "Odd ""col" = id + 0.25'));
SELECT count(*) FROM t WHERE b = upper(a) AND "Odd ""col" = id + 0.25;

-- constants, where the worker's role reads strings and dates in another way
RESET ROLE;
ALTER ROLE bj_owner SET standard_conforming_strings = off;
ALTER ROLE bj_owner SET DateStyle = 'SQL, DMY';
ALTER ROLE bj_owner SET search_path = pg_catalog;
SET ROLE bj_owner;
CALL safe_migrate.wait(safe_migrate.backfill('t', 'b = ''x\ty'', d = date ''2024-02-03''', 'd IS NULL AND b <> ''x\ty'''));
SELECT b, d::text, count(*) FROM t GROUP BY 1, 2;
RESET ROLE;
ALTER ROLE bj_owner RESET ALL;
SET ROLE bj_owner;

-- an object of the same name, earlier in the path, made after queueing

CREATE TABLE lookup (id int PRIMARY KEY, v text);
INSERT INTO lookup SELECT i, 'right' FROM generate_series(1, 1000) i;
SET search_path = bj_owner, bj, public;
BEGIN;
SELECT safe_migrate.backfill('bj.t', 'b = (SELECT v FROM lookup l WHERE l.id = t.id)', 'b <> ''right''', job_name => 'bj path') > 0 AS queued;
CREATE TABLE bj_owner.lookup (id int PRIMARY KEY, v text);
INSERT INTO bj_owner.lookup SELECT i, 'wrong' FROM generate_series(1, 1000) i;
COMMIT;
SELECT id AS job FROM safe_migrate.jobs WHERE name = 'bj path' \gset
CALL safe_migrate.wait(:job);
SELECT b, count(*) FROM bj.t GROUP BY 1;
SET search_path = bj, public;

-- a column renamed between queueing and running
BEGIN;
SELECT safe_migrate.backfill('t', 'n = id * 2, b = a', 'n IS NULL', job_name => 'bj renamed') > 0 AS queued;
ALTER TABLE t RENAME n TO n_now;
ALTER TABLE t RENAME a TO n;
COMMIT;
SELECT id AS job FROM safe_migrate.jobs WHERE name = 'bj renamed' \gset
CALL safe_migrate.wait(:job);
SELECT count(*) FROM t WHERE n_now = id * 2 AND b = n;

-- too long for the column: the job fails as an UPDATE would, it does not cut
ALTER TABLE t ADD short varchar(2);
\set VERBOSITY terse
CALL safe_migrate.wait(safe_migrate.backfill('t', 'short = n'));
SELECT count(short) FROM t;

RESET ROLE;
DROP SCHEMA bj, bj_owner CASCADE;
DELETE FROM safe_migrate.job WHERE owner = 'bj_owner'::regrole;
DROP OWNED BY bj_owner;
DROP ROLE bj_owner;
