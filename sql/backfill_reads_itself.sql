-- A volatile function, or a constraint's, may look at rows that the same batch has just written,
-- and finds them by the table's indexes as it would in one UPDATE.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
SET safe_migrate.inline = never;
CREATE TABLE numbered (id int PRIMARY KEY, grp int, n int);
CREATE INDEX ON numbered (grp, n);
INSERT INTO numbered SELECT i, i % 10 FROM generate_series(1, 1000) i;
CREATE FUNCTION next_n(int) RETURNS int LANGUAGE plpgsql SET enable_seqscan = off AS
	'BEGIN RETURN (SELECT coalesce(max(n), 0) + 1 FROM numbered WHERE grp = $1 AND n IS NOT NULL); END';
CALL safe_migrate.wait(safe_migrate.backfill('numbered', 'n = next_n(grp)'));
SELECT count(DISTINCT (grp, n)), max(n) FROM numbered;

-- at most 3 rows with a mark: the check refuses the fourth
CREATE FUNCTION marked() RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off AS
	'BEGIN RETURN (SELECT count(*) FROM numbered WHERE mark = 1); END';
ALTER TABLE numbered ADD mark int;
CREATE INDEX ON numbered (mark);
ALTER TABLE numbered ADD CHECK (mark IS NULL OR marked() < 3);
SELECT safe_migrate.backfill('numbered', 'mark = 1', 'mark IS NULL AND id <= 3', job_name => 'three') IS NULL;
CALL safe_migrate.wait('three'::text);
SELECT safe_migrate.backfill('numbered', 'mark = 1', 'mark IS NULL AND id <= 6', job_name => 'more') IS NULL;
\set VERBOSITY terse
CALL safe_migrate.wait('more'::text);
SELECT count(*) FROM numbered WHERE mark = 1;
DROP TABLE numbered;
DROP FUNCTION next_n, marked;

-- what changes the row at hand, or one that is yet to come, is refused as in one UPDATE or DELETE; by
-- statements, too, where a trigger fires
CREATE TABLE numbered (id int PRIMARY KEY, n int, m int, t int);
INSERT INTO numbered SELECT i FROM generate_series(1, 1000) i;
CREATE FUNCTION touch(int) RETURNS int LANGUAGE plpgsql AS
	'BEGIN UPDATE numbered SET m = 1 WHERE id = $1; RETURN $1; END';
CREATE FUNCTION erase(int) RETURNS bool LANGUAGE plpgsql AS
	'BEGIN DELETE FROM numbered WHERE id = $1; RETURN true; END';
CREATE FUNCTION hold(int) RETURNS int LANGUAGE plpgsql AS
	'BEGIN PERFORM FROM numbered WHERE id = $1 FOR UPDATE; RETURN $1; END';
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN coalesce(NEW, OLD); END';
CREATE FUNCTION touch_next() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN UPDATE numbered SET t = OLD.id WHERE id = OLD.id + 7; RETURN NULL; END';
UPDATE numbered SET n = touch(id) WHERE n IS NULL;
\echo :LAST_ERROR_SQLSTATE
DELETE FROM numbered WHERE erase(id);
\echo :LAST_ERROR_SQLSTATE
CALL safe_migrate.wait(safe_migrate.backfill('numbered', 'n = touch(id)'));
\echo :LAST_ERROR_SQLSTATE
CALL safe_migrate.wait(safe_migrate.backfill('numbered', 'n = touch(id + 1)'));
CALL safe_migrate.wait(safe_migrate.delete_safely('numbered', 'erase(id)'));
\echo :LAST_ERROR_SQLSTATE
CALL safe_migrate.wait(safe_migrate.backfill('numbered', 'n = hold(id)'));
SELECT count(*), count(n), count(m) FROM numbered;
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON numbered FOR EACH ROW EXECUTE FUNCTION keep();
UPDATE numbered SET n = NULL WHERE true;
CALL safe_migrate.wait(safe_migrate.backfill('numbered', 'n = touch(id)', job_name => 'touch'));
\echo :LAST_ERROR_SQLSTATE
CALL safe_migrate.wait(safe_migrate.delete_safely('numbered', 'erase(id)', job_name => 'erase'));
\echo :LAST_ERROR_SQLSTATE
CALL safe_migrate.wait(safe_migrate.backfill('numbered', 'n = hold(id)', job_name => 'hold'));
SELECT count(*), count(n), count(m) FROM numbered;

-- rows that an AFTER trigger has changed before they were looked at are for the next pass
CREATE TRIGGER touch_next AFTER UPDATE OF n ON numbered FOR EACH ROW EXECUTE FUNCTION touch_next();
CALL safe_migrate.wait(safe_migrate.backfill('numbered', 'n = 0', 'n > 0', job_name => 'next'));
SELECT count(*), count(n), min(t), max(t), count(t) FROM numbered WHERE n = 0;
DROP TABLE numbered;
DROP FUNCTION touch, erase, hold, keep, touch_next;

-- where the rows that were written make others match, it goes on until none does
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE TABLE chain (id int PRIMARY KEY, prev int, n int);
INSERT INTO chain SELECT i, i - 1 FROM generate_series(1, 20) i;
INSERT INTO chain VALUES (0, NULL, 0);
CALL safe_migrate.wait(safe_migrate.backfill('chain', 'n = (SELECT q.n + 1 FROM chain q WHERE q.id = chain.prev)',
	'n IS NULL AND EXISTS (SELECT FROM chain q WHERE q.id = chain.prev AND q.n IS NOT NULL)'));
SELECT count(*) FROM chain WHERE n = id;
CALL safe_migrate.wait(safe_migrate.delete_safely('chain', 'NOT EXISTS (SELECT FROM chain q WHERE q.prev = chain.id)', workers => 2));
SELECT count(*) FROM chain;

-- and ends where only others go on coming
CREATE TABLE fountain (id serial, b int);
INSERT INTO fountain SELECT i FROM generate_series(1, 100) i;
CREATE FUNCTION insert_another() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO fountain DEFAULT VALUES; RETURN new; END';
CREATE TRIGGER another BEFORE UPDATE ON fountain FOR EACH ROW EXECUTE FUNCTION insert_another();
\set VERBOSITY sqlstate
CALL safe_migrate.wait(safe_migrate.backfill('fountain', 'b = id', 'b IS NULL AND EXISTS (SELECT FROM fountain)', job_name => 'fountain'));
SELECT j.state, j.error_message, regexp_replace(e.detail, '\d+', 'N', 'g') AS notice
	FROM safe_migrate.jobs j JOIN safe_migrate.events e ON e.job_id = j.id AND e.kind = 'notice' WHERE j.name = 'fountain';
-- but not before a row that was there before, and matches by the last of those, is written
CREATE TABLE fed (id serial, b int);
INSERT INTO fed SELECT i FROM generate_series(0, 100) i;
CREATE FUNCTION feed() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN IF new.id > 0 THEN INSERT INTO fed DEFAULT VALUES; END IF; RETURN new; END';
CREATE TRIGGER feed BEFORE UPDATE ON fed FOR EACH ROW EXECUTE FUNCTION feed();
CALL safe_migrate.wait(safe_migrate.backfill('fed', 'b = id', 'b IS NULL AND (id > 0 OR (SELECT count(b) FROM fed) > 750)'));
SELECT b FROM fed WHERE id = 0;
-- rows that match again and again by each other are written three times, not more
CREATE TABLE swing (id int PRIMARY KEY, v int, times int DEFAULT 0);
INSERT INTO swing VALUES (1, 10), (2, 20);
CALL safe_migrate.wait(safe_migrate.backfill('swing', 'v = (SELECT o.v FROM swing o WHERE o.id = 3 - swing.id), times = times + 1',
	'v IS DISTINCT FROM (SELECT o.v FROM swing o WHERE o.id = 3 - swing.id)', job_name => 'swing'));
SELECT state, error_sqlstate, error_message, error_detail, error_hint FROM safe_migrate.jobs WHERE name = 'swing';
SELECT max(times) FROM swing;
-- also where others come to match for the first time meanwhile
CREATE TABLE swings (id int PRIMARY KEY, v int, times int DEFAULT 0);
INSERT INTO swings SELECT i, CASE WHEN i <= 3 THEN i END FROM generate_series(1, 30) i;
CALL safe_migrate.wait(safe_migrate.backfill('swings', 'v = (SELECT o.v FROM swings o WHERE o.id = CASE WHEN swings.id <= 2 THEN 3 - swings.id ELSE swings.id - 1 END), times = times + 1',
	'CASE WHEN id <= 2 THEN v IS DISTINCT FROM (SELECT o.v FROM swings o WHERE o.id = 3 - swings.id)'
	' ELSE v IS NULL AND (SELECT o.v FROM swings o WHERE o.id = swings.id - 1) IS NOT NULL END', job_name => 'swings'));
SELECT state FROM safe_migrate.jobs WHERE name = 'swings';
SELECT max(times) FROM swings;
-- and where a function says another thing each time
CREATE SEQUENCE flip;
CREATE FUNCTION flips(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN nextval(''flip'') % 2 = 1; END';
CREATE TABLE flipping (id int PRIMARY KEY, n int);
INSERT INTO flipping SELECT i, 0 FROM generate_series(1, 1000) i;
CALL safe_migrate.wait(safe_migrate.backfill('flipping', 'n = n + 1', 'flips(n)', job_name => 'flipping'));
SELECT state, error_sqlstate FROM safe_migrate.jobs WHERE name = 'flipping';
SELECT max(n) FROM flipping;
-- what settles may take more
CREATE TABLE tree (id int PRIMARY KEY, total int, times int DEFAULT 0);
INSERT INTO tree SELECT i FROM generate_series(1, 127) i;
CALL safe_migrate.wait(safe_migrate.backfill('tree', 'total = 1 + (SELECT coalesce(sum(c.total), 0) FROM tree c WHERE c.id IN (2 * tree.id, 2 * tree.id + 1)), times = times + 1',
	'total IS DISTINCT FROM 1 + (SELECT coalesce(sum(c.total), 0) FROM tree c WHERE c.id IN (2 * tree.id, 2 * tree.id + 1))', job_name => 'tree'));
SELECT state FROM safe_migrate.jobs WHERE name = 'tree';
SELECT total, times FROM tree WHERE id = 1;
SELECT count(*) FROM safe_migrate.own_write JOIN safe_migrate.jobs ON id = job_id AND state = 'succeeded';
DROP TABLE swings, flipping, tree;
DROP FUNCTION flips;
DROP SEQUENCE flip;
-- a row that a trigger keeps back is not one that was written, however long others come
CREATE TABLE kept (id serial, b int);
INSERT INTO kept SELECT i FROM generate_series(-5, 5) i;
CREATE FUNCTION keep_one() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN IF new.id = -5 THEN RETURN NULL; END IF; INSERT INTO kept DEFAULT VALUES; RETURN new; END';
CREATE TRIGGER keep_one BEFORE UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION keep_one();
CREATE FUNCTION stable_f(int) RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
SELECT safe_migrate.backfill('kept', 'b = stable_f(id)', job_name => 'kept') IS NULL;
CALL safe_migrate.wait('kept'::text, '20s');
SELECT state, error_message FROM safe_migrate.jobs WHERE name = 'kept';
DROP TABLE chain, fountain, fed, swing, kept;
DROP FUNCTION insert_another, feed, keep_one, stable_f;
