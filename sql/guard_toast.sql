-- A TOAST table that a statement names, or the index of one, is judged as the table whose values it holds.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE TABLE guard_toast (id int, t text);
ALTER TABLE guard_toast ALTER t SET STORAGE EXTERNAL;
INSERT INTO guard_toast SELECT i, repeat('x', 4000) FROM generate_series(1, 50) i;
CREATE TABLE guard_toast_empty (id int, t text);
\c -
SET safe_migrate.small_table_size = 0;
CREATE FUNCTION pg_temp.toast(regclass) RETURNS text LANGUAGE sql AS 'SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = $1';
CREATE FUNCTION pg_temp.told(sql text) RETURNS TABLE (relation text, lock text, effect text, verdict text, rule text, reason text, instead text) LANGUAGE sql AS $$
	SELECT regexp_replace(relation, '\d+', 'N'), lock, effect, verdict, rule, regexp_replace(regexp_replace(reason, '\d+ kB', 'N kB'), 'toast_\d+', 'toast_N'), regexp_replace(instead, '\d+', 'N')
	FROM safe_migrate.explain(sql) $$;
SELECT t.* FROM pg_temp.told('VACUUM FULL ' || pg_temp.toast('guard_toast')) t;
SELECT t.* FROM pg_temp.told('REINDEX TABLE ' || pg_temp.toast('guard_toast')) t;
SELECT t.* FROM pg_temp.told('REINDEX INDEX ' || pg_temp.toast('guard_toast') || '_index') t;
SELECT verdict, rule FROM pg_temp.told('CLUSTER ' || pg_temp.toast('guard_toast'));
-- what stops nobody, what is empty, and what is a catalog's
SELECT verdict, rule FROM pg_temp.told('VACUUM ' || pg_temp.toast('guard_toast') || '; REINDEX TABLE CONCURRENTLY ' || pg_temp.toast('guard_toast')
	|| '; VACUUM FULL ' || pg_temp.toast('guard_toast_empty') || '; VACUUM FULL ' || pg_temp.toast('pg_proc') || '; REINDEX TABLE ' || pg_temp.toast('pg_proc'));
-- the table's policy is its own
SELECT safe_migrate.set_policy('guard_toast', mode => 'exempt');
SELECT verdict, rule FROM pg_temp.told('VACUUM FULL ' || pg_temp.toast('guard_toast') || '; REINDEX INDEX ' || pg_temp.toast('guard_toast') || '_index');
SELECT safe_migrate.set_policy('guard_toast');
-- and so it is carried out, or not
SELECT pg_temp.toast('guard_toast') AS toast \gset
\set VERBOSITY terse
SET safe_migrate.guard = enforce;
VACUUM FULL :toast;
REINDEX TABLE :toast;
SET safe_migrate.guard = off;
SET client_min_messages = error;
DROP TABLE guard_toast, guard_toast_empty;
