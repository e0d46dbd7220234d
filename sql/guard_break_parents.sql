-- A parent that this session has just made does not hide the tables of others that were attached to it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE TABLE guarded (id int NOT NULL, a int, b text);
INSERT INTO guarded SELECT i, i, i FROM generate_series(1, 2000) i;
CREATE TABLE heir (id int NOT NULL, a int, b text);
INSERT INTO heir SELECT i, i, i FROM generate_series(1, 2000) i;
CREATE FOREIGN DATA WRAPPER guard_break;
CREATE SERVER guard_break FOREIGN DATA WRAPPER guard_break;
CREATE FOREIGN TABLE afar (id int, a int) SERVER guard_break;
CREATE TABLE near () INHERITS (afar);
INSERT INTO near SELECT i, i FROM generate_series(1, 2000) i;
ANALYZE guarded, heir, near;
\c -
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE TABLE fresh (id int NOT NULL, a int, b text) PARTITION BY RANGE (id);
ALTER TABLE fresh ATTACH PARTITION guarded DEFAULT;
CREATE TABLE fresh_parent (id int NOT NULL, a int, b text);
ALTER TABLE heir INHERIT fresh_parent;
CREATE FUNCTION verdict(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	rule text;
BEGIN
	EXECUTE statement;
	RAISE EXCEPTION USING ERRCODE = 'XX999';
EXCEPTION
	WHEN SQLSTATE 'XX999' THEN RETURN 'passes';
	WHEN SQLSTATE 'SM001' THEN
		GET STACKED DIAGNOSTICS rule = CONSTRAINT_NAME;
		RETURN rule;
END $$;
SET safe_migrate.guard = enforce;
SET safe_migrate.small_table_size = 0;
SELECT statement, verdict(statement) FROM unnest(ARRAY[
	'TRUNCATE fresh',
	'DELETE FROM fresh',
	'UPDATE fresh SET a = 1',
	'CREATE INDEX ON fresh (b)',
	'CREATE INDEX ON ONLY fresh (b)',
	'ALTER TABLE fresh ADD COLUMN c int',
	'ALTER TABLE fresh RENAME TO not_so_fresh',
	'DROP TABLE fresh',
	'TRUNCATE fresh_parent',
	'TRUNCATE ONLY fresh_parent',
	'DELETE FROM fresh_parent',
	'DELETE FROM ONLY fresh_parent',
	'DROP TABLE fresh_parent CASCADE',
	-- a foreign table has no rows here, its children may
	'ALTER FOREIGN TABLE afar ADD COLUMN b int DEFAULT (random() * 9)::int',
	'ALTER FOREIGN TABLE afar ADD COLUMN b int DEFAULT 1',
	'ALTER FOREIGN TABLE afar ALTER a TYPE bigint',
	'ALTER FOREIGN TABLE afar ALTER a SET DEFAULT 1'
]) statement;
SET safe_migrate.guard = off;
DROP FUNCTION verdict;
DROP TABLE fresh, fresh_parent, heir, near CASCADE;
DROP FOREIGN DATA WRAPPER guard_break CASCADE;
