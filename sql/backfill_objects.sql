-- What the stored texts refer to is what it was when the job was queued: renaming does no harm, and
-- an object that was put in its place is not used.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
CREATE SCHEMA bo;
CREATE SCHEMA bo2;
CREATE ROLE bo_alice LOGIN;
GRANT ALL ON SCHEMA bo, bo2 TO bo_alice;
SET search_path = bo, public;
SET safe_migrate.inline = never;
\set SHOW_CONTEXT never

CREATE FUNCTION norm(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION loud(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN INSERT INTO bo.loot VALUES (current_user); RETURN $1; END $$;
CREATE TABLE loot (who text);
CREATE OPERATOR ## (FUNCTION = norm, RIGHTARG = int);
CREATE TYPE pair AS (x int, y int);
CREATE DOMAIN small AS int CHECK (VALUE < 1000);
CREATE SEQUENCE numbers;
CREATE TABLE look (gone int, id int PRIMARY KEY, v text, w text);
ALTER TABLE look DROP gone;
INSERT INTO look SELECT i, 'right', 'wrong' FROM generate_series(1, 100) i;
GRANT ALL ON ALL TABLES IN SCHEMA bo TO bo_alice;
GRANT ALL ON ALL SEQUENCES IN SCHEMA bo TO bo_alice;

SET ROLE bo_alice;
CREATE TABLE t (id int PRIMARY KEY, b int, v text, p text);
INSERT INTO t SELECT i FROM generate_series(1, 100) i;
CREATE PROCEDURE run(job text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM safe_migrate.resume(job);
	COMMIT;
	CALL safe_migrate.wait(job);
END $$;

-- another function of that name, not even where it would be folded into a constant
SELECT safe_migrate.pause(safe_migrate.backfill('t', 'b = norm(id) + norm(1)', job_name => 'function'));
RESET ROLE;
BEGIN;
DROP OPERATOR ## (NONE, int);
DROP FUNCTION norm(int);
ALTER FUNCTION loud(int) RENAME TO norm;
COMMIT;
SET ROLE bo_alice;
CALL run('function');
SELECT count(b), (SELECT count(*) FROM loot) AS loot FROM t;

-- a cast that was put between, and an overload that would fit better
RESET ROLE;
ALTER FUNCTION norm(int) RENAME TO loud;
CREATE FUNCTION norm(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE OPERATOR ## (FUNCTION = norm, RIGHTARG = bigint);
SET ROLE bo_alice;
SELECT safe_migrate.pause(safe_migrate.backfill('t', 'p = row(1, 2) :: pair :: text', job_name => 'cast'));
SELECT safe_migrate.pause(safe_migrate.backfill('t', 'b = norm(id) + ## id', job_name => 'overload'));
RESET ROLE;
CREATE FUNCTION norm(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT -1';
CREATE OPERATOR ## (FUNCTION = norm, RIGHTARG = int);
CREATE FUNCTION shown(pair) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT bo.loud(1) :: text';
CREATE CAST (pair AS text) WITH FUNCTION shown;
SET ROLE bo_alice;
CALL run('cast');
CALL run('overload');
SELECT count(p), sum(b), (SELECT count(*) FROM loot) AS loot FROM t;
UPDATE t SET b = NULL;
RESET ROLE;
DROP CAST (pair AS text);
DROP OPERATOR ## (NONE, int);
DROP FUNCTION norm(int);
SET ROLE bo_alice;

-- a table in a sub-select: renamed, its columns too, moved, and others put in their places
SELECT safe_migrate.pause(safe_migrate.backfill('t', 'v = (SELECT look.v FROM look WHERE look.id = t.id)', job_name => 'table'));
SELECT safe_migrate.pause(safe_migrate.backfill('t', 'p = (SELECT l.b FROM look AS l (a, b, c) JOIN look y ON y.id = l.a JOIN look z USING (id) WHERE z.id = t.id)',
	'p IS NULL AND EXISTS (WITH c AS (SELECT * FROM look) SELECT FROM c WHERE c.id = target.id)', job_name => 'aliases'));
RESET ROLE;
ALTER TABLE look RENAME v TO x;
ALTER TABLE look RENAME w TO v;
ALTER TABLE look ADD w text DEFAULT 'later';
ALTER TABLE look SET SCHEMA bo2;
ALTER TABLE bo2.look RENAME TO looked;
CREATE TABLE look AS SELECT id, 'WRONG' AS v FROM bo2.looked;
GRANT SELECT ON look TO bo_alice;
SET ROLE bo_alice;
CALL run('table');
CALL run('aliases');
SELECT v, count(*) FROM t GROUP BY v;
SELECT p, count(*) FROM t GROUP BY p;

-- functions, operators, types, domains, sequences under other names
SELECT safe_migrate.pause(safe_migrate.backfill('t', 'b = (## id + norm(1)) :: small + nextval(''numbers'') * 0, v = ((id, norm(2)) :: pair).x, p = ''(1,2)'' :: pair',
	'b IS NULL OR v = ''right'' OR p = ''right''', job_name => 'renamed'));
RESET ROLE;
ALTER OPERATOR ## (NONE, bigint) SET SCHEMA bo2;
ALTER FUNCTION norm(bigint) RENAME TO normed;
ALTER DOMAIN small RENAME TO smaller;
ALTER TYPE pair RENAME TO pair2;
ALTER SEQUENCE numbers RENAME TO counted;
CREATE SEQUENCE numbers;
CREATE TYPE pair AS (x text, y text);
SET ROLE bo_alice;
CALL run('renamed');
SELECT b, v, p FROM t WHERE id = 7;
SELECT is_called FROM counted;

-- the same call under the names of now finds its job, another one does not; columns of the table, too
SELECT safe_migrate.pause(safe_migrate.backfill('t', 'v = upper(p)', 'v IS NULL AND p IS NOT NULL', job_name => 'columns'));
RESET ROLE;
ALTER TABLE t RENAME p TO q;
SET ROLE bo_alice;
SET search_path = bo, bo2, public;
SELECT safe_migrate.backfill('t', 'b = (## id + normed(1)) :: smaller + nextval(''counted'') * 0, v = ((id, normed(2)) :: pair2).x, q = ''(1,2)'' :: pair2',
	'b IS NULL OR v = ''right'' OR q = ''right''', job_name => 'renamed') = (SELECT id FROM safe_migrate.jobs WHERE name = 'renamed') AS same;
\set VERBOSITY terse
SELECT safe_migrate.backfill('t', 'b = (## id + normed(1)) :: smaller + nextval(''counted'') * 0, v = ((id, normed(3)) :: pair2).x, q = ''(1,2)'' :: pair2',
	'b IS NULL OR v = ''right'' OR q = ''right''', job_name => 'renamed');
SELECT safe_migrate.backfill('t', 'v = upper(q)', 'v IS NULL AND q IS NOT NULL', job_name => 'columns') = (SELECT id FROM safe_migrate.jobs WHERE name = 'columns') AS same;
SELECT safe_migrate.backfill('t', 'v = lower(q)', 'v IS NULL AND q IS NOT NULL', job_name => 'columns');
\set VERBOSITY default
SELECT safe_migrate.cancel('columns');
SET search_path = bo, public;
RESET ROLE;
ALTER TABLE t RENAME q TO p;
SET ROLE bo_alice;

-- a type that is gone and another in its place, before its input function is asked
RESET ROLE;
CREATE DOMAIN odd AS int;
CREATE TYPE held AS (x odd);
SET ROLE bo_alice;
UPDATE t SET p = NULL;
SELECT safe_migrate.pause(safe_migrate.backfill('t', 'p = ''(1)'' :: held', job_name => 'type'));
RESET ROLE;
DROP TYPE held;
CREATE DOMAIN trap AS int CHECK (bo.loud(VALUE) > 0);
CREATE TYPE held AS (x trap);
SET ROLE bo_alice;
CALL run('type');
SELECT count(p), (SELECT count(*) FROM loot) AS loot FROM t;

-- a second call of the same name finds the objects anew
RESET ROLE;
ALTER DOMAIN trap DROP CONSTRAINT trap_check;
SET ROLE bo_alice;
CALL safe_migrate.wait(safe_migrate.backfill('t', 'p = ''(1)'' :: held', job_name => 'type'));
SELECT p, count(*), (SELECT count(*) FROM loot) AS loot FROM t GROUP BY p;

RESET ROLE;
SET client_min_messages = error;
DROP SCHEMA bo, bo2 CASCADE;
DROP OWNED BY bo_alice CASCADE;
DELETE FROM safe_migrate.job WHERE owner = 'bo_alice' :: regrole;
DROP ROLE bo_alice;
