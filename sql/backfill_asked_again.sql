-- A statement asks its condition once of each row, a job again and again: what that makes another thing of.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
SET client_min_messages = notice;
SET safe_migrate.inline = never;
CREATE TABLE t (id int PRIMARY KEY, parent int, n int, seen timestamptz);
CREATE TABLE child () INHERITS (t);
CREATE TABLE other (id int PRIMARY KEY, n int);
CREATE VIEW v AS SELECT id FROM t;
CREATE FUNCTION asks(int) RETURNS bool LANGUAGE sql RETURN $1 > random() * 10;
CREATE FUNCTION odd(int) RETURNS bool LANGUAGE sql IMMUTABLE RETURN $1 % 2 = 1;
CREATE SEQUENCE numbers;
\set SHOW_CONTEXT never
-- by chance
SELECT safe_migrate.delete_safely('t', 'id > 3 AND random() < 0.1');
SELECT safe_migrate.backfill('t', 'n = 1', 'n IS NULL AND nextval(''numbers'') < 10');
SELECT safe_migrate.delete_safely('t', 'id IN (SELECT id FROM other ORDER BY gen_random_uuid())');
SELECT safe_migrate.delete_safely('t', 'id IN (SELECT id FROM other TABLESAMPLE bernoulli (10))');
SELECT * FROM safe_migrate.estimate_backfill('t', 'n = 1', 'n IS NULL AND random() < 0.1');
-- a number of rows
SELECT safe_migrate.delete_safely('t', 'id IN (SELECT id FROM t ORDER BY id LIMIT 10)');
SELECT safe_migrate.delete_safely('t', 'id = ANY (ARRAY(SELECT id FROM ONLY child ORDER BY id OFFSET 10))');
SELECT safe_migrate.delete_safely('t', 'EXISTS (SELECT FROM (SELECT id FROM t ORDER BY id FETCH FIRST 3 ROWS ONLY) f WHERE f.id = t.id)');
SELECT safe_migrate.backfill('t', 'n = 1', 'n IS NULL AND id IN (WITH f AS (SELECT id FROM t LIMIT 10) SELECT id FROM f)');
-- in development, too
SET safe_migrate.inline = always;
SELECT safe_migrate.delete_safely('t', 'random() < 0.1');
SET safe_migrate.inline = never;
-- not these
BEGIN;
SELECT safe_migrate.delete_safely('t', 'id IN (SELECT id FROM other ORDER BY id LIMIT 10)') > 0 AS other_table;
SELECT safe_migrate.delete_safely('t', 'seen < clock_timestamp() - interval ''1 day''') > 0 AS time_passes;
SELECT safe_migrate.delete_safely('t', 'odd(id)') > 0 AS says_the_same;
SELECT safe_migrate.backfill('t', 'n = (random() * 10)::int') > 0 AS chance_in_a_value;
-- these, with a notice
SELECT safe_migrate.delete_safely('t', 'id NOT IN (SELECT id FROM t ORDER BY seen DESC LIMIT 10)') > 0 AS all_but_some;
SELECT safe_migrate.delete_safely('t', 'seen < (SELECT seen FROM t ORDER BY seen DESC OFFSET 10 LIMIT 1)') > 0 AS older;
SELECT safe_migrate.delete_safely('t', 'id IN (SELECT id FROM t o WHERE o.parent = t.id LIMIT 1)') > 0 AS correlated;
SELECT safe_migrate.backfill('t', 'n = 1', 'n IS NULL AND asks(id)') > 0 AS volatile;
ROLLBACK;
DROP TABLE t, other CASCADE;
DROP FUNCTION asks, odd;
DROP SEQUENCE numbers;
