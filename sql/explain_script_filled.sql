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
CREATE TABLE split (id int, x int) PARTITION BY LIST (id);
CREATE TABLE split1 PARTITION OF split FOR VALUES IN (1);
CREATE TABLE split2 PARTITION OF split FOR VALUES IN (2);
INSERT INTO split VALUES (1, 1);
CREATE VIEW shown AS SELECT * FROM empty;
CREATE TABLE logged (id int);
CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ef.shown VALUES (1); RETURN NULL; END $$;
CREATE TRIGGER t AFTER INSERT OR DELETE ON logged FOR EACH ROW EXECUTE FUNCTION log_it();
CREATE TABLE ruled (id int);
CREATE RULE r AS ON INSERT TO ruled DO ALSO INSERT INTO empty VALUES (1);
CREATE MATERIALIZED VIEW unread AS SELECT * FROM big WITH NO DATA;
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

-- filled by what doesn't look like it
SET safe_migrate.small_table_size = 0;
CREATE FUNCTION fills() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ef.empty SELECT id, x FROM ef.big; END $$;
CREATE FUNCTION fills_too() RETURNS int LANGUAGE sql AS $$ SELECT fills(); SELECT 1 $$;
CREATE FUNCTION fills_atomically() RETURNS void LANGUAGE sql BEGIN ATOMIC INSERT INTO empty VALUES (1, 1); END;
CREATE PROCEDURE fills_by_call() LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'INS' || 'ERT INTO ef.empty VALUES (1)'; END $$;
CREATE FUNCTION reads() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM ef.big); END $$;
SELECT * FROM pg_temp.after('EXPLAIN (ANALYZE) INSERT INTO empty SELECT id, x FROM big', 'CREATE INDEX ON empty (id)', 'TRUNCATE empty', 'DROP TABLE empty');
SELECT * FROM pg_temp.after('EXPLAIN INSERT INTO empty SELECT id, x FROM big', 'CREATE INDEX ON empty (id)');
SELECT * FROM pg_temp.after('EXPLAIN ANALYZE CREATE TABLE n AS SELECT 1 AS id', 'CREATE INDEX ON n (id)');
SELECT * FROM pg_temp.after('REFRESH MATERIALIZED VIEW unread', 'CREATE INDEX ON unread (id)');
SELECT * FROM pg_temp.after('REFRESH MATERIALIZED VIEW unread WITH NO DATA', 'CREATE INDEX ON unread (id)');
SELECT * FROM pg_temp.after('UPDATE split SET id = id + 1 WHERE id > 0', 'CREATE INDEX ON split2 (id)', 'DROP TABLE split2');
SELECT * FROM pg_temp.after('UPDATE split SET x = x + 1 WHERE id > 0', 'CREATE INDEX ON split2 (id)');
SELECT * FROM pg_temp.after('MERGE INTO split USING big ON split.id = big.id WHEN MATCHED THEN UPDATE SET id = split.id + 1', 'CREATE INDEX ON split2 (id)');
SELECT * FROM pg_temp.after('PREPARE p AS INSERT INTO empty SELECT id, x FROM big; EXECUTE p', 'CREATE INDEX ON empty (id)', 'TRUNCATE empty');
SELECT * FROM pg_temp.after('PREPARE p AS INSERT INTO empty SELECT id, x FROM big', 'TRUNCATE empty');
SELECT * FROM pg_temp.after('PREPARE p AS SELECT 1; EXPLAIN ANALYZE EXECUTE p', 'TRUNCATE empty');
SELECT * FROM pg_temp.after('EXECUTE nobody_knows', 'TRUNCATE empty');
PREPARE here AS INSERT INTO empty VALUES (1, 1);
SELECT * FROM pg_temp.after('EXECUTE here', 'TRUNCATE empty', 'TRUNCATE split2');
SELECT * FROM pg_temp.after('CREATE VIEW v AS SELECT * FROM empty; INSERT INTO v SELECT id, x FROM big', 'CREATE INDEX ON empty (id)', 'TRUNCATE empty');
SELECT * FROM pg_temp.after('CREATE VIEW v AS SELECT * FROM empty; CREATE VIEW v2 AS SELECT * FROM v; INSERT INTO v2 VALUES (1)', 'TRUNCATE empty', 'TRUNCATE split2');
SELECT * FROM pg_temp.after('CREATE VIEW v AS SELECT * FROM small; CREATE RULE r AS ON INSERT TO v DO INSTEAD INSERT INTO empty VALUES (1); INSERT INTO v VALUES (1)', 'TRUNCATE empty');
-- by code, which may have filled any
SELECT l.script, a.* FROM unnest(ARRAY['SELECT fills()', 'SELECT fills_too() FROM big', 'SELECT fills_atomically()', 'CALL fills_by_call()', 'CALL nobody_knows()', 'DO $$ BEGIN EXECUTE ''SELECT 1''; END $$', 'DO $$ BEGIN PERFORM fills(); END $$',
	'INSERT INTO small SELECT 1, fills_too()', 'CREATE FUNCTION n() RETURNS void LANGUAGE sql AS ''INSERT INTO empty VALUES (1)''; SELECT n()']) l(script), pg_temp.after(l.script, 'TRUNCATE empty') a;
SELECT * FROM pg_temp.after('SELECT fills()', 'CREATE INDEX ON empty (id)', 'DROP TABLE empty', 'ALTER TABLE empty ALTER x TYPE bigint', 'UPDATE empty SET x = 1', 'DELETE FROM empty', 'ALTER TABLE empty ADD COLUMN z int', 'CREATE INDEX CONCURRENTLY ON empty (id)', 'ALTER TABLE empty RENAME TO n');
SELECT * FROM pg_temp.after('DO $$ BEGIN INSERT INTO ef.split VALUES (2); END $$', 'TRUNCATE split2', 'TRUNCATE empty');
SELECT * FROM pg_temp.after('SELECT fills()', 'TRUNCATE split2');
-- by triggers and rules, also of what code writes to
SELECT l.script, a.* FROM unnest(ARRAY['INSERT INTO logged VALUES (1)', 'DELETE FROM logged WHERE id = 1', 'COPY logged FROM STDIN', 'INSERT INTO ruled VALUES (1)', 'DO $$ BEGIN INSERT INTO ef.shown VALUES (1); END $$', 'DO $$ BEGIN INSERT INTO ef.logged VALUES (1); END $$',
	'CREATE TRIGGER t2 AFTER UPDATE ON big EXECUTE FUNCTION log_it(); UPDATE big SET x = 1 WHERE id = 1', 'CREATE TABLE n (id int); CREATE TRIGGER t AFTER INSERT ON n EXECUTE FUNCTION log_it(); INSERT INTO n VALUES (1)', 'DECLARE c CURSOR WITH HOLD FOR SELECT fills()']) l(script), pg_temp.after(l.script, 'TRUNCATE empty') a;
SELECT * FROM pg_temp.after('INSERT INTO logged VALUES (1)', 'TRUNCATE split2');
-- and by what has filled none
SELECT l.script, a.* FROM unnest(ARRAY['SELECT now(), count(*), nextval(''s'') FROM big', 'SELECT reads()', 'DO $$ BEGIN GRANT EXECUTE ON FUNCTION reads TO pg_monitor; CREATE TRIGGER t AFTER UPDATE ON ef.big EXECUTE FUNCTION suppress_redundant_updates_trigger(); END $$',
	'CREATE FUNCTION n() RETURNS void LANGUAGE sql AS ''INSERT INTO empty VALUES (1)''', 'SELECT safe_migrate.pause_all()', 'CREATE TRIGGER t2 AFTER UPDATE ON big EXECUTE FUNCTION log_it(); INSERT INTO small VALUES (-1)', 'DO LANGUAGE plpgsql $$ BEGIN UPDATE ef.big SET x = 1 WHERE id = 1; END $$']) l(script), pg_temp.after(l.script, 'TRUNCATE empty') a;
SET safe_migrate.guard = off;
SET client_min_messages = warning;
DROP SCHEMA ef CASCADE;
