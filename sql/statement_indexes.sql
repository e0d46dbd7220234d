-- What statements about indexes would do: explain() asks the analysis that the hook uses.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA statement_indexes;
SET search_path = statement_indexes, safe_migrate;
SET safe_migrate.small_table_size = 0;
CREATE TABLE items (id int PRIMARY KEY, name text, kind int);
INSERT INTO items SELECT i, 'item ' || i, i % 3 FROM generate_series(1, 500) i;
CREATE INDEX items_kind ON items (kind);
CREATE FUNCTION shout(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
	'BEGIN RAISE NOTICE ''shout() runs''; RETURN upper($1); END';
CREATE TABLE days (day int NOT NULL, note text) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (100);
CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (100) TO (200) PARTITION BY LIST (note);
CREATE TABLE days_2_rest PARTITION OF days_2 DEFAULT;
INSERT INTO days SELECT i, 'n' FROM generate_series(0, 199) i;
CREATE INDEX ON days_1 (note);
CREATE INDEX ON days_1 (lower(note)) WHERE day > 5;
CREATE INDEX ON days_2_rest (note);
SET client_min_messages = warning; -- here it runs
CREATE INDEX ON days_1 (shout(note));
-- As another session would see them.
\c
SET search_path = statement_indexes, safe_migrate;
SET safe_migrate.small_table_size = 0;
CREATE FUNCTION pg_temp.told(script text) RETURNS TABLE (what text) LANGUAGE sql AS $$
	SELECT concat_ws(' | ', e.relation, e.lock, e.effect, e.verdict, e.rule)
	FROM safe_migrate.explain(script) e $$;

-- a table
SELECT pg_temp.told('CREATE INDEX ON items (name)');
SELECT pg_temp.told('CREATE INDEX CONCURRENTLY ON items (name)');
SELECT pg_temp.told('CREATE INDEX IF NOT EXISTS items_kind ON items (name)');
SELECT pg_temp.told('DROP INDEX items_kind');
SELECT pg_temp.told('DROP INDEX CONCURRENTLY items_kind');
SELECT pg_temp.told('ALTER INDEX items_kind RENAME TO items_sort');
SELECT pg_temp.told('REINDEX INDEX items_kind');
SELECT pg_temp.told('REINDEX TABLE items');
SELECT pg_temp.told('REINDEX TABLE CONCURRENTLY items');

-- partitions that have such an index get none built
SELECT pg_temp.told('CREATE INDEX ON days (note)');
SELECT pg_temp.told('CREATE INDEX ON days (note DESC)');
SELECT pg_temp.told('CREATE INDEX ON days (lower(note)) WHERE day > 5');
SELECT pg_temp.told('CREATE INDEX ON days (lower(note)) WHERE day > 6');
SELECT pg_temp.told('CREATE UNIQUE INDEX ON days_1 (day, note)');
SELECT pg_temp.told('CREATE INDEX ON ONLY days (day)');
-- nothing that a user wrote is called
SELECT pg_temp.told('CREATE INDEX ON days (shout(note))');
SELECT pg_temp.told('CREATE INDEX ON days_1 (shout(''constant'' || day))');

-- an index that is there but invalid
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'items_kind'::regclass;
SELECT pg_temp.told('CREATE INDEX CONCURRENTLY IF NOT EXISTS items_kind ON items (kind)');

SELECT count(*) AS locks_kept FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND c.relnamespace = 'statement_indexes'::regnamespace;
SET client_min_messages = error;
DROP SCHEMA statement_indexes CASCADE;
