-- Work done in the caller's own transaction: new and small tables; and calls with a job's name.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA bi;
SET search_path = bi, public;

CREATE TABLE t (id int PRIMARY KEY, a text, b text, n int, g int GENERATED ALWAYS AS (n * 2) STORED);
INSERT INTO t SELECT i, 'a' || i, CASE WHEN i % 2 = 0 THEN 'kept' END, i FROM generate_series(1, 6) i;

-- small tables: done at once, and the job is on record
SELECT safe_migrate.backfill('t', 'b = upper(a)', job_name => 'bi fill b') > 0 AS done;
SELECT * FROM t ORDER BY id;
SELECT name, kind, relation_name, state, definition_text FROM safe_migrate.job WHERE name LIKE 'bi %';
SELECT s.step_no, s.kind, s.state, s.rows_written FROM safe_migrate.step s JOIN safe_migrate.job j ON j.id = s.job_id
WHERE j.name = 'bi fill b';

-- each of several columns is set only where it is NULL itself
UPDATE t SET b = NULL WHERE id = 1;
UPDATE t SET n = NULL WHERE id IN (1, 2);
SELECT safe_migrate.backfill('t', 'b = ''new'', n = id * 100') > 0 AS done;
SELECT * FROM t ORDER BY id;

-- a predicate of one's own, over a generated column too
SELECT safe_migrate.backfill('t', 'n = n - 1', 'g = 10') > 0 AS done;
SELECT safe_migrate.delete_safely('t', 'n > 99', job_name => 'bi delete') > 0 AS done;
SELECT * FROM t ORDER BY id;

-- (a, b) = (SELECT …): the right values side by side, NULLs where there is no row
CREATE TABLE source (id int PRIMARY KEY, x text, y int);
INSERT INTO source VALUES (3, 'three', 33), (4, 'four', 44);
CREATE TABLE pair (id int PRIMARY KEY, x text, y int, done bool NOT NULL DEFAULT false);
INSERT INTO pair VALUES (3), (4), (5);
SELECT safe_migrate.backfill('pair', '(x, y) = (SELECT s.x, s.y FROM source s WHERE s.id = pair.id), done = true', 'NOT done') > 0 AS done;
SELECT * FROM pair ORDER BY id;
SELECT safe_migrate.backfill('pair', 'x = NULL, y = DEFAULT, done = DEFAULT', 'done AND id = 3') > 0 AS done;
SELECT * FROM pair ORDER BY id;

-- a row that would match again: an error, and nothing was written
SELECT safe_migrate.backfill('t', 'n = n + 1', 'n < 5');
\echo :LAST_ERROR_SQLSTATE
SELECT safe_migrate.backfill('pair', 'x = (SELECT NULL::text)');
SELECT count(*) AS unchanged FROM t WHERE n < 5;
-- also where a trigger makes it match
CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.y := NULL; RETURN NEW; END $$;
CREATE TRIGGER undo BEFORE UPDATE ON pair FOR EACH ROW EXECUTE FUNCTION undo();
UPDATE pair SET id = id;
SELECT safe_migrate.backfill('pair', 'y = 1');
-- without triggers it works
SELECT safe_migrate.backfill('pair', 'y = 1', fire_triggers => false) > 0 AS done;
SELECT * FROM pair ORDER BY id;
SHOW session_replication_role;

-- or keeps rows back
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER a_keep BEFORE UPDATE OR DELETE ON pair FOR EACH ROW WHEN (OLD.id = 4) EXECUTE FUNCTION keep();
DROP TRIGGER undo ON pair;
SELECT safe_migrate.backfill('pair', 'y = 2', 'y = 1');
\echo :LAST_ERROR_SQLSTATE
SELECT safe_migrate.delete_safely('pair', 'y = 1');
SELECT safe_migrate.delete_safely('pair', 'y = 1 AND id <> 4') > 0 AS done;
SELECT * FROM pair ORDER BY id;
-- and one that changes it back afterwards
CREATE TABLE after (id int PRIMARY KEY, y int, n int);
INSERT INTO after SELECT g FROM generate_series(1, 5) g;
CREATE FUNCTION undo_after() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE after SET y = NULL WHERE id = NEW.id AND y IS NOT NULL; RETURN NULL; END $$;
CREATE TRIGGER undo AFTER UPDATE ON after FOR EACH ROW WHEN (OLD.id = 4 AND NEW.n IS NULL) EXECUTE FUNCTION undo_after();
SELECT safe_migrate.backfill('after', 'y = 1');
SELECT count(*) AS unchanged FROM after WHERE y IS NULL;
SELECT safe_migrate.backfill('after', 'y = 1, n = 1', 'y IS NULL') > 0 AS done;
DROP TABLE after;

-- partitions and children
CREATE TABLE p (k int, v text, w text) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 (w text, gone int, v text, k int);
ALTER TABLE p2 DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2);
INSERT INTO p VALUES (1, 'one'), (2, 'two');
SELECT safe_migrate.backfill('p', 'w = v || k') > 0 AS done;
SELECT tableoid::regclass, * FROM p ORDER BY k;
CREATE TABLE base (v text, w text);
CREATE TABLE child (extra int) INHERITS (base);
INSERT INTO base VALUES ('base');
INSERT INTO child VALUES ('child');
SELECT safe_migrate.backfill('base', 'w = upper(v)') > 0 AS done;
SELECT tableoid::regclass, v, w FROM base ORDER BY v;

-- a rollback leaves neither work nor job
BEGIN;
UPDATE t SET b = NULL;
SELECT safe_migrate.backfill('t', 'b = a', job_name => 'bi rolled back') > 0 AS done;
ROLLBACK;
SELECT count(*) FROM safe_migrate.jobs WHERE name = 'bi rolled back';

\set VERBOSITY terse
-- job_name: a second call is harmless, another definition is an error
SELECT safe_migrate.backfill('t', 'b = upper(a)', job_name => 'bi fill b')
	= (SELECT id FROM safe_migrate.jobs WHERE name = 'bi fill b') AS same \gset
\echo :same
ALTER TABLE t ADD later int;
SELECT safe_migrate.backfill('t', 'b = UPPER(t.a) -- the same', job_name => 'bi fill b') IS NOT NULL AS same_after_add_column \gset
SELECT safe_migrate.backfill('t', 'b = lower(a)', job_name => 'bi fill b') IS NOT NULL AS bad \gset
\echo :LAST_ERROR_SQLSTATE
-- also when there is nothing left that could be NULL
ALTER TABLE t ALTER b SET NOT NULL;
SELECT safe_migrate.backfill('t', 'b = upper(a)', job_name => 'bi fill b') IS NOT NULL AS same_after_not_null \gset
SELECT safe_migrate.backfill('t', 'b = upper(a)', job_name => 'bi another');
ALTER TABLE t ALTER b DROP NOT NULL;

\set VERBOSITY default
-- the setting: never and always, and what counts as small
SET safe_migrate.inline = never;
BEGIN;
SELECT safe_migrate.backfill('t', 'b = upper(a)', job_name => 'bi never') > 0 AS queued;
SELECT state FROM safe_migrate.job WHERE name = 'bi never';
ROLLBACK;
SET safe_migrate.inline = small;
SET safe_migrate.small_table_size = 0;
-- (this session's own tables are new)
BEGIN;
SELECT safe_migrate.backfill('t', 'b = upper(a)', job_name => 'bi new') > 0 AS done;
SELECT state FROM safe_migrate.job WHERE name = 'bi new';
ROLLBACK;
\c -
SET search_path = bi, public;
SET safe_migrate.small_table_size = 0;
BEGIN;
SELECT safe_migrate.backfill('t', 'b = upper(a)', job_name => 'bi old') > 0 AS queued;
SELECT state FROM safe_migrate.job WHERE name = 'bi old';
SET LOCAL safe_migrate.small_table_size = '1MB';
SELECT safe_migrate.backfill('p', 'w = v', job_name => 'bi small') > 0 AS done;
SELECT state FROM safe_migrate.job WHERE name = 'bi small';
SET LOCAL safe_migrate.small_table_size = '8kB';
SELECT safe_migrate.backfill('p', 'w = k', job_name => 'bi sum') > 0 AS queued;
SELECT state FROM safe_migrate.job WHERE name = 'bi sum';
SET LOCAL safe_migrate.inline = always;
SELECT safe_migrate.backfill('p', 'w = k', job_name => 'bi always') > 0 AS done;
SELECT state FROM safe_migrate.job WHERE name = 'bi always';
SET LOCAL safe_migrate.inline = small;
SET LOCAL safe_migrate.small_table_size = 0;
CREATE TABLE fresh AS SELECT * FROM p;
SELECT safe_migrate.backfill('fresh', 'w = k', job_name => 'bi fresh') > 0 AS done;
SELECT state FROM safe_migrate.job WHERE name = 'bi fresh';
-- a rewrite of an old table does not make it new
ALTER TABLE p ALTER v TYPE varchar(80) USING v || '';
SELECT safe_migrate.backfill('p', 'w = v || v', job_name => 'bi rewritten') > 0 AS queued;
SELECT state FROM safe_migrate.job WHERE name = 'bi rewritten';
ROLLBACK;

-- estimate_backfill(): about right, and nothing is left behind
CREATE TABLE big (id int PRIMARY KEY, a text, b text);
INSERT INTO big SELECT i, repeat('x', 50) FROM generate_series(1, 20000) i;
SELECT rows BETWEEN 15000 AND 25000 AS rows, bytes > 1000000 AS bytes, duration > interval '0' AS duration,
	wal_bytes > 100000 AS wal, growth_bytes > 0 AS growth
FROM safe_migrate.estimate_backfill('big', 'b = upper(a)', sample_fraction => 0.2);
SELECT count(b) FROM big;
SELECT rows, growth_bytes FROM safe_migrate.estimate_backfill('big', 'b = a', 'b = ''none''');
SELECT rows FROM safe_migrate.estimate_backfill('p', 'w = v', 'w IS DISTINCT FROM v', 1);
CREATE TABLE nothing (id int, a text);
SELECT * FROM safe_migrate.estimate_backfill('nothing', 'a = id');
SELECT * FROM safe_migrate.estimate_backfill('big', 'b = a', sample_fraction => 0);
SELECT * FROM safe_migrate.estimate_backfill('big', 'b = nope');
SELECT * FROM safe_migrate.estimate_backfill('big', 'id = 1');

SET client_min_messages = warning;
DROP SCHEMA bi CASCADE;
