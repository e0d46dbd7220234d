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
