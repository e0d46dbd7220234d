-- UPDATE, DELETE and MERGE that leave no row out, whatever their text looks like.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA statement_rows;
SET search_path = statement_rows, safe_migrate;
CREATE TABLE items (id int PRIMARY KEY, name text);
INSERT INTO items SELECT i, 'item ' || i FROM generate_series(1, 500) i;
CREATE TABLE others (id int PRIMARY KEY, name text);
INSERT INTO others SELECT * FROM items WHERE id < 10;
CREATE TABLE days (day int) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (100);
INSERT INTO days SELECT i FROM generate_series(0, 99) i;
CREATE VIEW half AS SELECT * FROM items WHERE id % 2 = 0;
CREATE FUNCTION loud(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
	'BEGIN RAISE NOTICE ''loud() runs''; RETURN $1; END';
ANALYZE items, others, days;
\c
SET search_path = statement_rows, safe_migrate;
SET safe_migrate.small_table_size = 0;
CREATE FUNCTION pg_temp.told(script text) RETURNS TABLE (what text) LANGUAGE sql AS $$
	SELECT concat_ws(' | ', e.relation, e.lock, e.effect, e.verdict, e.rule)
	FROM safe_migrate.explain(script) e $$;

-- all rows
SELECT pg_temp.told('UPDATE items SET name = upper(name)');
SELECT pg_temp.told('UPDATE items SET name = upper(name) WHERE true');
SELECT pg_temp.told('UPDATE items SET name = o.name FROM others o');
SELECT pg_temp.told('UPDATE items SET name = s.n FROM (SELECT max(name) AS n FROM others) s');
SELECT pg_temp.told('DELETE FROM days');
SELECT pg_temp.told('WITH gone AS (DELETE FROM items RETURNING *) SELECT count(*) FROM gone');
SELECT pg_temp.told('MERGE INTO items USING others ON true WHEN MATCHED THEN DELETE');
-- not all
SELECT pg_temp.told('UPDATE items SET name = upper(name) WHERE id = 1');
SELECT pg_temp.told('UPDATE items SET name = o.name FROM others o WHERE o.id = items.id');
SELECT pg_temp.told('UPDATE half SET name = ''''');
SELECT pg_temp.told('DELETE FROM items WHERE false');
SELECT pg_temp.told('DELETE FROM items WHERE id IN (SELECT id FROM items LIMIT 10)');
SELECT pg_temp.told('MERGE INTO items i USING others o ON i.id = o.id WHEN MATCHED THEN DELETE');
SELECT pg_temp.told('INSERT INTO items SELECT * FROM others');
-- nothing that a user wrote is called, and no lock is kept
SELECT pg_temp.told('DELETE FROM items WHERE loud(1) = 1');
BEGIN;
SELECT pg_temp.told('DELETE FROM items WHERE id > 5');
SELECT count(*) AS locks_kept FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND c.relnamespace = 'statement_rows'::regnamespace;
COMMIT;
-- too many of them
SET safe_migrate.max_rows_per_statement = 100;
SELECT pg_temp.told('DELETE FROM items WHERE id > 5');
SELECT pg_temp.told('DELETE FROM items WHERE id < 5');
-- all parts of the statement together; of a MERGE only if it touches rows that are there
SELECT pg_temp.told('WITH d AS (DELETE FROM items WHERE id <= 60 RETURNING 1) DELETE FROM items WHERE id > 440');
SELECT pg_temp.told('WITH d AS (DELETE FROM items WHERE id <= 60 RETURNING 1) INSERT INTO others SELECT * FROM items');
SELECT pg_temp.told('MERGE INTO items USING (SELECT generate_series(1, 5000) AS id) x ON x.id = items.id WHEN NOT MATCHED THEN INSERT (id) VALUES (x.id)');
SELECT pg_temp.told('MERGE INTO items USING (SELECT generate_series(1, 5000) AS id) x ON x.id = items.id WHEN MATCHED THEN DO NOTHING');
SELECT pg_temp.told('MERGE INTO items USING (SELECT generate_series(1, 5000) AS id) x ON x.id = items.id WHEN MATCHED AND x.id = 1 THEN DELETE');
-- and in the gate
SET safe_migrate.guard = enforce;
BEGIN;
WITH d AS (DELETE FROM items WHERE id <= 60 RETURNING 1) DELETE FROM items WHERE id > 440;
ROLLBACK;
BEGIN;
WITH d AS (DELETE FROM items WHERE id <= 60 RETURNING 1) INSERT INTO others SELECT 1000 + id FROM items;
MERGE INTO items USING (SELECT generate_series(1, 5000) AS id) x ON x.id = items.id WHEN NOT MATCHED THEN INSERT (id) VALUES (x.id);
MERGE INTO items USING (SELECT generate_series(1, 5000) AS id) x ON x.id = items.id WHEN MATCHED THEN DO NOTHING;
MERGE INTO items USING (SELECT generate_series(1, 5000) AS id) x ON x.id = items.id WHEN MATCHED AND x.id = 1 THEN DELETE;
ROLLBACK;
RESET safe_migrate.guard;

SET client_min_messages = error;
DROP SCHEMA statement_rows CASCADE;
