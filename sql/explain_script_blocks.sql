-- explain() over transaction blocks and settings of a script: nothing that the guard would say at the statement itself, or at commit, is left out.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA eb;
CREATE SCHEMA eb_other;
CREATE ROLE regress_eb;
CREATE SCHEMA regress_eb;
CREATE TABLE regress_eb.big AS SELECT 1 AS id;
CREATE TABLE regress_eb.own AS SELECT 1 AS id;
SET search_path = eb;
CREATE TABLE big (id int, x int, c text);
CREATE TABLE big2 (id int, c text);
CREATE TABLE times (t timestamp);
INSERT INTO times VALUES ('2026-01-01');
CREATE SEQUENCE seq;
INSERT INTO big VALUES (1, 1, 'x');
INSERT INTO big2 VALUES (1, 'x');
CREATE TABLE many AS SELECT i AS id, i AS x FROM generate_series(1, 20000) i;
ANALYZE many;
\c -
SET search_path = eb;
SET safe_migrate.small_table_size = 0;
CREATE FUNCTION pg_temp.e(sql text) RETURNS TABLE (n int, command text, relation text, effect text, verdict text, rule text)
LANGUAGE sql AS 'SELECT statement_no, command, relation, effect, verdict, rule FROM safe_migrate.explain(sql) WHERE verdict <> ''allow''';

-- renames: what gives the name again is in the same schema, can be read, and is there at the end
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big RENAME TO bb; CREATE TABLE eb_other.big (i int); COMMIT');
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big RENAME TO bb; SET LOCAL search_path = eb_other; CREATE TABLE big (i int); COMMIT');
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big RENAME TO bb; CREATE TEMP TABLE big (i int); COMMIT');
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big RENAME TO bb; CREATE VIEW big AS SELECT 1 AS x; DROP VIEW big; COMMIT');
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big RENAME TO bb; ALTER SEQUENCE seq RENAME TO big; COMMIT');
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big RENAME TO bb; CREATE INDEX big ON bb (id); COMMIT') WHERE rule <> 'create-index';
-- … and these do
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big RENAME TO bb; CREATE VIEW big AS SELECT * FROM bb; COMMIT');
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big SET SCHEMA eb_other; SAVEPOINT s; CREATE VIEW eb.big AS SELECT * FROM eb_other.big; COMMIT');
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big RENAME TO bb; CREATE TABLE nb (LIKE bb); ALTER TABLE nb RENAME TO big; COMMIT');
-- of a column: one of the same table
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big RENAME COLUMN x TO y; ALTER TABLE big2 RENAME COLUMN c TO x; COMMIT') WHERE rule <> 'several-strong-locks';
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big RENAME COLUMN x TO y; ALTER TABLE big ADD COLUMN x int; COMMIT');
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big RENAME COLUMN x TO y; ALTER TABLE big RENAME TO bb; CREATE TABLE big (i int); COMMIT');

-- many rows written while a strong lock is held, told once
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big ADD COLUMN z int; UPDATE many SET x = 1 WHERE x > 0; UPDATE many SET x = 2 WHERE x > 0; COMMIT; UPDATE many SET x = 3 WHERE x > 0');
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big ADD COLUMN z int; WITH d AS (DELETE FROM many WHERE x > 0 RETURNING id) SELECT count(*) FROM d; COMMIT');
SELECT reason FROM safe_migrate.explain('BEGIN; ALTER TABLE big ADD COLUMN z int; INSERT INTO big2 SELECT id FROM many; COMMIT') WHERE verdict = 'warn';
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big ADD COLUMN z int; MERGE INTO many USING (SELECT i FROM generate_series(1, 20000) i) s ON s.i = many.id WHEN MATCHED AND x > 1 THEN DELETE; COMMIT');
-- a few are none; what can't be estimated may be many
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big ADD COLUMN z int; UPDATE many SET x = 1 WHERE x = 1; INSERT INTO many VALUES (1), (2); CREATE TABLE nm AS SELECT 1 AS x; INSERT INTO nm VALUES (1); COMMIT');
SELECT * FROM pg_temp.e('CREATE TABLE nm AS TABLE many; BEGIN; ALTER TABLE big ADD COLUMN z int; INSERT INTO big2 SELECT id FROM nm; COMMIT');
-- those of a new table take as long
SELECT reason FROM safe_migrate.explain('BEGIN; ALTER TABLE big ADD COLUMN z int; CREATE TABLE nm AS TABLE many; INSERT INTO nm TABLE many; COMMIT') WHERE verdict = 'warn';
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big ADD COLUMN z int; SELECT * INTO nm FROM many; COMMIT');
SELECT * FROM pg_temp.e('BEGIN; CREATE TABLE nm (LIKE many); ALTER TABLE big ADD COLUMN z int; INSERT INTO nm TABLE many; COMMIT');
SELECT * FROM pg_temp.e('CREATE TABLE nm AS TABLE many; BEGIN; ALTER TABLE big ADD COLUMN z int; UPDATE nm SET x = 1 WHERE x > 0; COMMIT');
SELECT * FROM pg_temp.e('BEGIN; CREATE TABLE nm AS TABLE many; ALTER TABLE big ADD COLUMN z int; COMMIT');
CREATE TABLE nm AS TABLE many;
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE big ADD COLUMN z int; CREATE INDEX ON nm (id); UPDATE nm SET x = 1 WHERE x IS NOT NULL; COMMIT');
DROP TABLE nm;

-- settings: the time zone that timestamps are converted by
SET timezone = 'UTC';
SELECT * FROM pg_temp.e('SET timezone = ''Europe/Berlin''; ALTER TABLE times ALTER t TYPE timestamptz') WHERE rule = 'alter-type-rewrite';
SELECT * FROM pg_temp.e('BEGIN; SET LOCAL TIME ZONE ''Europe/Berlin''; ALTER TABLE times ALTER t TYPE timestamptz; ROLLBACK; ALTER TABLE times ALTER t TYPE timestamptz') WHERE rule = 'alter-type-rewrite';
SELECT * FROM pg_temp.e('SELECT set_config(''TimeZone'', ''Europe/Berlin'', false), 1; ALTER TABLE times ALTER t TYPE timestamptz') WHERE rule = 'alter-type-rewrite';
SELECT * FROM pg_temp.e('SET timezone = ''Mars/Phobos''; SET timezone = ''Europe/Berlin''; RESET ALL; SET timezone = ''UTC''; ALTER TABLE times ALTER t TYPE timestamptz') WHERE rule = 'alter-type-rewrite';
SHOW timezone;
-- what SET LOCAL set is over after COMMIT, also after a ROLLBACK later; a SET after it lasts
SELECT * FROM pg_temp.e('BEGIN; SET LOCAL search_path = eb_other; COMMIT; BEGIN; CREATE TABLE n (i int); ROLLBACK; TRUNCATE big');
SELECT * FROM pg_temp.e('BEGIN; SET LOCAL search_path = eb_other; SET search_path = eb; COMMIT; TRUNCATE big');
SELECT * FROM pg_temp.e('SELECT set_config(''search_path'', ''eb_other'', true); TRUNCATE big');
-- whose schema "$user" is
SET search_path = "$user", eb;
SELECT * FROM pg_temp.e('TRUNCATE big; SET ROLE regress_eb; TRUNCATE big; SET search_path = eb, "$user"; TRUNCATE big; TRUNCATE own; BEGIN; RESET ROLE; TRUNCATE own; ROLLBACK; TRUNCATE own');
-- how it is judged
SET search_path = eb;
SELECT * FROM pg_temp.e('SET safe_migrate.rule_levels = ''rename-table=reject''; ALTER TABLE big RENAME TO bb; RESET safe_migrate.rule_levels; ALTER TABLE bb RENAME TO big');

-- temporary tables that hide others, as long as they are there
SELECT * FROM pg_temp.e('BEGIN; CREATE TEMP TABLE big (i int) ON COMMIT DROP; TRUNCATE big; COMMIT; BEGIN; CREATE TABLE n (i int); ROLLBACK; TRUNCATE big');
SELECT * FROM pg_temp.e('CREATE TEMP TABLE big ON COMMIT DROP AS SELECT 1; TRUNCATE big');
SELECT * FROM pg_temp.e('CREATE TEMP TABLE big (i int); TRUNCATE big; DISCARD TEMP; TRUNCATE big');
-- statements whose locks are not known: told once a block
SELECT * FROM pg_temp.e('BEGIN; DO $$ BEGIN ALTER TABLE big ADD z int; END $$; ALTER TABLE big2 ADD z int; ALTER TABLE big2 ADD y int; COMMIT; ALTER TABLE big2 ADD x int');
SELECT * FROM pg_temp.e('BEGIN; SAVEPOINT s; DO $$ BEGIN ALTER TABLE big ADD z int; END $$; ROLLBACK TO s; UPDATE many SET x = 1 WHERE x > 0; COMMIT');
SELECT * FROM pg_temp.e('BEGIN; CREATE VIEW v AS SELECT * FROM big; LOCK v; UPDATE many SET x = 1 WHERE x > 0; COMMIT');
SELECT * FROM pg_temp.e('BEGIN; CREATE VIEW v AS SELECT * FROM big; LOCK v; PREPARE TRANSACTION ''x''');
-- rows changed in the query of another statement
SELECT * FROM pg_temp.e('CREATE TABLE n AS WITH d AS (DELETE FROM big RETURNING *) SELECT * FROM d');

SET safe_migrate.guard = off;
SET client_min_messages = warning;
DROP SCHEMA eb CASCADE;
DROP SCHEMA eb_other, regress_eb CASCADE;
DROP ROLE regress_eb;
