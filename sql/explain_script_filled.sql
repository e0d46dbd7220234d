-- explain() over scripts that add rows: tables are empty no more, and perhaps no longer small.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA ef;
SET search_path = ef;
CREATE TABLE big AS SELECT i AS id, i AS x, repeat('x', 50) AS c FROM generate_series(1, 20000) i;
ALTER TABLE big ADD PRIMARY KEY (id);
CREATE TABLE empty (id int, x int);
CREATE TABLE small (id int, x int);
INSERT INTO small VALUES (1, 1);
CREATE TABLE medium AS SELECT i AS id, i AS x, repeat('x', 50) AS c FROM generate_series(1, 800) i;
VACUUM medium; -- without the pages that later majors extend it by at once
CREATE TABLE parts (id int, x int) PARTITION BY LIST (id);
CREATE TABLE parts1 PARTITION OF parts FOR VALUES IN (1);
\c -
SET search_path = ef;
SET safe_migrate.small_table_size = '100kB';
CREATE FUNCTION pg_temp.after(script text, VARIADIC last text[]) RETURNS TABLE (last_statement text, verdict text, rule text, reason text)
LANGUAGE sql AS 'SELECT l, e.verdict, e.rule, substring(e.reason FROM ''it depends on what statement.*'') FROM unnest(last) WITH ORDINALITY u(l, i)
	CROSS JOIN LATERAL (SELECT *, max(statement_no) OVER () AS n FROM safe_migrate.explain(script || '';'' || l)) e
	WHERE e.statement_no = e.n AND (e.verdict <> ''allow'' OR NOT EXISTS (SELECT FROM safe_migrate.explain(script || '';'' || l) o WHERE o.statement_no = e.n AND o.verdict <> ''allow'')) ORDER BY i';

-- empty no more
SELECT * FROM pg_temp.after('INSERT INTO empty VALUES (1)', 'TRUNCATE empty', 'DROP TABLE empty', 'ALTER TABLE empty DROP COLUMN x', 'CREATE INDEX ON empty (x)');
SELECT * FROM pg_temp.after('BEGIN; INSERT INTO empty VALUES (1); ROLLBACK', 'TRUNCATE empty');
SELECT * FROM pg_temp.after('WITH i AS (INSERT INTO empty VALUES (1) RETURNING x) SELECT x FROM i', 'TRUNCATE empty');
SELECT * FROM pg_temp.after('INSERT INTO empty VALUES (1); BEGIN; ALTER TABLE empty ADD COLUMN z int', 'ALTER TABLE big ADD COLUMN z int');
SELECT * FROM pg_temp.after('INSERT INTO parts VALUES (1)', 'TRUNCATE parts1', 'TRUNCATE parts');
SELECT * FROM pg_temp.after('DELETE FROM empty', 'TRUNCATE empty');
-- no longer small
SELECT * FROM pg_temp.after('INSERT INTO small SELECT id FROM big', 'CREATE INDEX ON small (x)', 'ALTER TABLE small ALTER x TYPE bigint', 'UPDATE small SET x = 1', 'DELETE FROM small',
	'CREATE INDEX CONCURRENTLY ON small (x)', 'UPDATE small SET x = 1 WHERE id = 1');
SELECT * FROM pg_temp.after('COPY small FROM ''/x''', 'CREATE INDEX ON small (x)');
SELECT * FROM pg_temp.after('MERGE INTO small USING big ON small.id = big.id WHEN NOT MATCHED THEN INSERT VALUES (1, 1)', 'CREATE INDEX ON small (x)');
SELECT * FROM pg_temp.after('UPDATE medium SET x = 2 WHERE id > 1', 'ALTER TABLE medium ALTER x TYPE bigint');
SELECT * FROM pg_temp.after('INSERT INTO small VALUES (2), (3); INSERT INTO small SELECT 4; UPDATE small SET x = 5 WHERE id = 1; UPDATE big SET x = 5 WHERE id = 1', 'CREATE INDEX ON small (x)');
-- a new table that is filled harms those who wait meanwhile
SELECT * FROM pg_temp.after('CREATE TABLE n AS TABLE big', 'ALTER TABLE n ADD FOREIGN KEY (id) REFERENCES big', 'ALTER TABLE n ADD FOREIGN KEY (id) REFERENCES big NOT VALID', 'CREATE INDEX ON n (id)');
SELECT * FROM pg_temp.after('CREATE TABLE n (id int, x int); INSERT INTO n SELECT 2 FROM big; BEGIN; SELECT 1; ROLLBACK', 'ALTER TABLE parts ATTACH PARTITION n FOR VALUES IN (2)');
SELECT * FROM pg_temp.after('CREATE TABLE n (id int); INSERT INTO n VALUES (1)', 'ALTER TABLE n ADD FOREIGN KEY (id) REFERENCES big');

-- its rows are those of the tables that it is put under
SELECT * FROM pg_temp.after('CREATE TABLE n AS SELECT 1 AS id, 1 AS x FROM big; ALTER TABLE n INHERIT empty', 'TRUNCATE empty', 'ALTER TABLE empty ADD CHECK (id > 0)', 'UPDATE empty SET x = 1');
SELECT * FROM pg_temp.after('CREATE TABLE n () INHERITS (empty); CREATE TABLE m () INHERITS (n); INSERT INTO m VALUES (1)', 'TRUNCATE empty', 'ALTER TABLE empty ADD CHECK (id > 0)');
SELECT * FROM pg_temp.after('CREATE TABLE n PARTITION OF parts DEFAULT; INSERT INTO n SELECT id FROM big', 'ALTER TABLE parts ADD CHECK (id > 0)');
SELECT * FROM pg_temp.after('CREATE TABLE n () INHERITS (empty)', 'TRUNCATE empty');
SELECT * FROM pg_temp.after('CREATE TABLE n (i int); CREATE TABLE m (i int); ALTER TABLE n INHERIT m; ALTER TABLE m INHERIT n; INSERT INTO m VALUES (1); ALTER TABLE big INHERIT m', 'SELECT 1');

SET safe_migrate.guard = off;
SET client_min_messages = warning;
DROP SCHEMA ef CASCADE;
