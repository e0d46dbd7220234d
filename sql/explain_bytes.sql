-- explain().bytes against the sizes that the server gives: TOAST and all leaves count, statistics don't.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA eb;
SET search_path = eb, public;
CREATE TABLE toasted (id int, doc text) WITH (autovacuum_enabled = off);
ALTER TABLE toasted ALTER doc SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT i, repeat('x', 10000) FROM generate_series(1, 2000) i;
CREATE TABLE parted (id int, x text) PARTITION BY RANGE (id);
CREATE TABLE parent (id int, x text) WITH (autovacuum_enabled = off);
DO $$
BEGIN
	FOR i IN 0 .. 7 LOOP
		EXECUTE format('CREATE TABLE leaf_%s PARTITION OF parted FOR VALUES FROM (%s) TO (%s)', i, i * 1000, (i + 1) * 1000);
		EXECUTE format('CREATE TABLE child_%s () INHERITS (parent)', i);
		EXECUTE format('INSERT INTO child_%s SELECT i, repeat(''x'', 1000) FROM generate_series(1, 1000) i', i);
	END LOOP;
END $$;
INSERT INTO parted SELECT i, repeat('x', 1000) FROM generate_series(0, 7999) i;
CREATE INDEX ON parted (id);
INSERT INTO parent SELECT i, repeat('x', 1000) FROM generate_series(1, 1000) i;
CREATE TABLE never_analyzed (id int, x text) WITH (autovacuum_enabled = off);
INSERT INTO never_analyzed SELECT i, repeat('x', 1000) FROM generate_series(1, 10000) i;
CREATE TABLE analyzed_empty (LIKE never_analyzed) WITH (autovacuum_enabled = off);
ANALYZE analyzed_empty;
INSERT INTO analyzed_empty TABLE never_analyzed;
CREATE FOREIGN DATA WRAPPER eb_wrapper;
CREATE SERVER eb_server FOREIGN DATA WRAPPER eb_wrapper;
CREATE FOREIGN TABLE elsewhere (id int, x text) SERVER eb_server;
\c -
SET search_path = eb, public;
SET safe_migrate.small_table_size = '5MB';
-- heap, with TOAST and without; with indexes, of the relation and all below it
CREATE FUNCTION pg_temp.sizes(regclass) RETURNS TABLE (heap numeric, whole numeric) LANGUAGE sql AS $$
	WITH RECURSIVE below (oid) AS (SELECT $1::oid UNION SELECT inhrelid FROM pg_inherits JOIN below ON inhparent = below.oid)
	SELECT sum(pg_relation_size(c.oid) + CASE WHEN reltoastrelid > 0 THEN pg_relation_size(reltoastrelid) ELSE 0 END),
		sum(pg_relation_size(c.oid) + CASE WHEN reltoastrelid > 0 THEN pg_relation_size(reltoastrelid) ELSE 0 END
			+ (SELECT coalesce(sum(pg_relation_size(indexrelid)), 0) FROM pg_index WHERE indrelid = c.oid))
	FROM below JOIN pg_class c USING (oid) $$;
CREATE FUNCTION pg_temp.said(sql text) RETURNS TABLE (relation text, effect text, is_heap bool, is_whole bool, large bool, verdict text, rule text) LANGUAGE sql AS $$
	SELECT relation, effect, bytes = heap, bytes = whole, bytes > 5 * 1024 * 1024, verdict, rule
	FROM safe_migrate.explain($1) LEFT JOIN pg_temp.sizes(relation::regclass) ON true
	WHERE effect IN ('scan', 'rewrite', 'index build', 'data loss', 'rows') OR rule IS NOT NULL $$;
-- each single file (but TOAST's) is under the limit, only their sum is not
SELECT max(pg_relation_size(oid)) < 5 * 1024 * 1024 AS small_files FROM pg_class WHERE relname ~ '^(leaf|child|parent|toasted)' AND relnamespace = 'eb'::regnamespace;
SELECT * FROM pg_temp.said('ALTER TABLE parted ADD CHECK (id >= 0)');
SELECT * FROM pg_temp.said('ALTER TABLE parted ALTER id TYPE bigint');
SELECT * FROM pg_temp.said('CREATE INDEX ON parted (x)');
SELECT * FROM pg_temp.said('ALTER TABLE leaf_3 ADD CHECK (id >= 0)');
SELECT * FROM pg_temp.said('ALTER TABLE parent ADD CHECK (id >= 0)');
SELECT * FROM pg_temp.said('ALTER TABLE parent ALTER id TYPE bigint');
SELECT * FROM pg_temp.said('ALTER TABLE child_3 ADD CHECK (id >= 0)');
SELECT pg_relation_size('toasted') < 200000 AS small_heap, pg_total_relation_size('toasted') > 20000000 AS large_in_all;
SELECT * FROM pg_temp.said('ALTER TABLE toasted ADD CHECK (id >= 0)');
SELECT * FROM pg_temp.said('ALTER TABLE toasted ALTER id TYPE bigint');
SELECT * FROM pg_temp.said('TRUNCATE toasted');
SELECT * FROM pg_temp.said('DROP TABLE parted');
-- what the statistics say, or don't, makes no difference
SELECT relname, reltuples FROM pg_class WHERE oid IN ('never_analyzed'::regclass, 'analyzed_empty'::regclass) ORDER BY 1;
SELECT * FROM pg_temp.said('ALTER TABLE never_analyzed ADD CHECK (id >= 0)');
SELECT * FROM pg_temp.said('ALTER TABLE analyzed_empty ADD CHECK (id >= 0)');
-- how large a foreign table is nobody knows
SELECT relation, effect, bytes, verdict, rule FROM safe_migrate.explain('DROP FOREIGN TABLE elsewhere');
SELECT relation, effect, bytes, verdict, rule FROM safe_migrate.explain('ALTER FOREIGN TABLE elsewhere DROP COLUMN x');
SELECT relation, effect, bytes, verdict, rule FROM safe_migrate.explain('DELETE FROM elsewhere');
SET safe_migrate.guard = off;
SET client_min_messages = warning;
DROP SCHEMA eb CASCADE;
DROP FOREIGN DATA WRAPPER eb_wrapper CASCADE;
