-- explain() over transaction blocks and settings of a script: nothing that the guard would say at the statement itself, or at commit, is left out.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA eb;
CREATE SCHEMA eb_other;
SET search_path = eb;
CREATE TABLE big (id int, x int, c text);
CREATE TABLE big2 (id int, c text);
CREATE SEQUENCE seq;
INSERT INTO big VALUES (1, 1, 'x');
INSERT INTO big2 VALUES (1, 'x');
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

SET safe_migrate.guard = off;
SET client_min_messages = warning;
DROP SCHEMA eb CASCADE;
DROP SCHEMA eb_other CASCADE;
