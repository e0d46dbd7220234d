-- explain(): UPDATE, DELETE and MERGE, which are planned, not locked, and not run.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA er;
SET search_path = er, public;
CREATE TABLE orders (id int PRIMARY KEY, status text, total int);
CREATE TABLE other (id int PRIMARY KEY, status text);
INSERT INTO orders SELECT i, 'x', i FROM generate_series(1, 1000) i;
INSERT INTO other VALUES (1, 'y');
CREATE VIEW cheap AS SELECT * FROM orders WHERE total < 10;
CREATE VIEW every AS SELECT id, status FROM orders;
CREATE TABLE log (day date, n int) PARTITION BY RANGE (day);
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO log VALUES ('2024-02-02', 1);
CREATE FUNCTION shout(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'run'; END $$;
ANALYZE orders, other;
\c -
SET search_path = er, public;
SET safe_migrate.small_table_size = 0;
CREATE FUNCTION pg_temp.e(sql text) RETURNS TABLE (n int, command text, relation text, lock text, effect text, verdict text, rule text)
LANGUAGE sql AS 'SELECT statement_no, command, relation, replace(lock, ''Lock'', ''''), effect, verdict, rule FROM safe_migrate.explain(sql)';
SELECT * FROM pg_temp.e('UPDATE orders SET status = 1; UPDATE orders SET status = 1 WHERE id = 1; UPDATE orders SET status = 1 WHERE 1 = 1;
	DELETE FROM orders; DELETE FROM orders o USING other WHERE o.id = other.id; UPDATE log SET n = 2; INSERT INTO orders SELECT * FROM orders; SELECT * FROM orders');
SELECT * FROM pg_temp.e('WITH gone AS (DELETE FROM orders RETURNING id, status) INSERT INTO other SELECT * FROM gone;
	WITH w AS (SELECT 1 AS id), u AS (UPDATE orders SET total = 0 WHERE id IN (SELECT id FROM w) RETURNING *) SELECT * FROM u;
	EXPLAIN UPDATE orders SET total = 1; EXPLAIN (ANALYZE) UPDATE orders SET total = 1');
SELECT * FROM pg_temp.e('UPDATE cheap SET status = 1; DELETE FROM cheap WHERE id = 3');
-- through a view the table is named; what rules and INSTEAD OF triggers make of it nobody can tell before
CREATE VIEW ruled AS SELECT id FROM orders;
CREATE VIEW over_ruled AS SELECT * FROM ruled;
CREATE RULE all_of_it AS ON DELETE TO ruled DO INSTEAD DELETE FROM other;
CREATE RULE also AS ON UPDATE TO other WHERE old.id > 5 DO ALSO DELETE FROM orders;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE VIEW fired AS SELECT id FROM orders;
CREATE TRIGGER fire INSTEAD OF INSERT OR UPDATE ON fired FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT * FROM pg_temp.e('DELETE FROM every; DELETE FROM ruled; UPDATE ruled SET id = 1; DELETE FROM over_ruled WHERE id = 1; UPDATE other SET id = 1; DELETE FROM other;
	WITH gone AS (DELETE FROM ruled) UPDATE orders SET total = 1; INSERT INTO fired VALUES (1); UPDATE fired SET id = 1; DELETE FROM fired; INSERT INTO ruled VALUES (1)');
SELECT * FROM pg_temp.e('CREATE VIEW made AS SELECT * FROM orders; DELETE FROM made; CREATE RULE made_now AS ON INSERT TO other DO ALSO DELETE FROM orders; INSERT INTO other VALUES (1);
	CREATE OR REPLACE VIEW every AS SELECT id, status FROM other; DELETE FROM every; DROP RULE all_of_it ON ruled; DELETE FROM over_ruled;
	ALTER VIEW cheap RENAME TO dear; DELETE FROM dear; CREATE TRIGGER fire INSTEAD OF DELETE ON fired FOR EACH ROW EXECUTE FUNCTION nothing(); DELETE FROM fired');
-- a function of the users' is never run, an IMMUTABLE one neither
SELECT * FROM pg_temp.e('UPDATE orders SET total = shout(1) WHERE id = shout(2); UPDATE orders SET total = shout(1)');
-- where planning would run one, what the condition alone tells is told: a column compared with something leaves rows out
CREATE FUNCTION always(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION like_it(int, int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR === (FUNCTION = like_it, LEFTARG = int, RIGHTARG = int);
SELECT * FROM pg_temp.e('DELETE FROM orders WHERE always(total); UPDATE orders SET total = 1 WHERE id = shout(2) OR true; DELETE FROM orders WHERE id = shout(id); DELETE FROM orders WHERE id === 1;
	DELETE FROM orders USING other WHERE other.id = shout(1); DELETE FROM orders WHERE now() > ''2020-01-01'' AND shout(1) = 1; DELETE FROM every WHERE id = shout(1);
	DELETE FROM orders WHERE status = ''x'' AND shout(1) = 1; DELETE FROM orders WHERE id IN (SELECT id FROM other WHERE id = shout(1)); DELETE FROM log WHERE always(n)');
SELECT * FROM pg_temp.e('DELETE FROM orders WHERE id = shout(1) OR total > 3; DELETE FROM orders WHERE id = shout(1) OR always(2); DELETE FROM orders WHERE id = ANY (ARRAY[shout(1)]);
	DELETE FROM orders WHERE id = ALL (ARRAY[shout(1)]); DELETE FROM orders WHERE NOT (id = shout(1)); DELETE FROM orders WHERE (id = shout(1) OR id === 1) AND (id = 1 OR (total = 2 AND always(1)))');
SELECT relation, verdict, rule, reason FROM safe_migrate.explain('DELETE FROM orders WHERE always(1)');
SET safe_migrate.small_table_size = '10MB';
SELECT * FROM pg_temp.e('DELETE FROM orders WHERE always(1)');
SET safe_migrate.small_table_size = 0;
-- extended statistics of columns are no reason; of an expression with a function they are
CREATE STATISTICS several (ndistinct, dependencies, mcv) ON id, total FROM orders;
SELECT * FROM pg_temp.e('DELETE FROM orders WHERE true; UPDATE orders SET total = 1 WHERE 1 = 1; DELETE FROM orders WHERE total = 1');
CREATE STATISTICS loud ON (total + shout(1)) FROM orders;
SELECT * FROM pg_temp.e('DELETE FROM orders WHERE true; DELETE FROM orders WHERE total = 1; DELETE FROM other WHERE EXISTS (SELECT FROM orders WHERE true)');
DROP STATISTICS several, loud;
-- a WITH query of the target's name is not the target
SELECT * FROM pg_temp.e('WITH orders AS (SELECT 1 AS id) DELETE FROM orders WHERE true; WITH orders AS (SELECT 1 AS id) DELETE FROM orders WHERE id IN (SELECT id FROM other)');
-- estimates
SET safe_migrate.max_rows_per_statement = 100;
SELECT * FROM pg_temp.e('UPDATE orders SET status = 1 WHERE id < 10; UPDATE orders SET status = 1 WHERE id > 10; DELETE FROM log WHERE n = 1;
	MERGE INTO orders o USING other x ON o.id = x.id WHEN MATCHED THEN UPDATE SET status = x.status');
RESET safe_migrate.max_rows_per_statement;
-- columns and tables of the script
SELECT * FROM pg_temp.e('ALTER TABLE orders ADD c int; UPDATE orders SET c = 1; UPDATE orders SET status = 2 WHERE c = 1; UPDATE orders SET c = 1 WHERE true; CREATE TABLE fresh (a int); DELETE FROM fresh');
SELECT * FROM pg_temp.e('ALTER TABLE orders ADD c int; UPDATE orders SET total = 1 WHERE c IS NULL OR true; UPDATE orders SET total = 1 WHERE id = 1 AND total = shout(1)');
SELECT * FROM pg_temp.e('UPDATE nowhere SET a = 1; UPDATE orders SET a = 1 WHERE b = 2');
-- the locks that it names are those that the statement takes: on views, partitions that are not pruned, children
CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE heir (more int) INHERITS (orders);
CREATE VIEW "Odd ""view" AS SELECT id AS "Id" FROM cheap;
CREATE FUNCTION pg_temp.locks(sql text, OUT said text, OUT seen text) LANGUAGE plpgsql AS $$
BEGIN
	SELECT string_agg(DISTINCT relation, ' ' ORDER BY relation) INTO said FROM safe_migrate.explain(sql) WHERE lock = 'RowExclusiveLock';
	BEGIN
		EXECUTE sql;
		SELECT string_agg(format('%I.%I', c.relnamespace::regnamespace, c.relname), ' ' ORDER BY format('%I.%I', c.relnamespace::regnamespace, c.relname)) INTO seen
		FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
		WHERE pid = pg_backend_pid() AND mode = 'RowExclusiveLock' AND relkind <> 'i' AND relnamespace = 'er'::regnamespace;
		RAISE EXCEPTION USING ERRCODE = 'XX999';
	EXCEPTION WHEN SQLSTATE 'XX999' THEN NULL;
	END;
END $$;
SET safe_migrate.guard = off;
SELECT said = seen AS agreed, seen FROM unnest(ARRAY['UPDATE cheap SET status = 1', 'DELETE FROM "Odd ""view" WHERE "Id" = 3', 'DELETE FROM ONLY orders', 'UPDATE ONLY every SET status = 1',
	'UPDATE log SET n = 2', 'DELETE FROM log WHERE day = ''2025-03-03''', 'UPDATE log SET n = 1 WHERE day < ''2024-03-03''', 'DELETE FROM log WHERE false',
	'WITH gone AS (DELETE FROM cheap RETURNING id) UPDATE log SET n = 1 WHERE n IN (TABLE gone)',
	'MERGE INTO log l USING other o ON l.n = o.id WHEN MATCHED THEN DELETE']) statement, pg_temp.locks(statement);
RESET safe_migrate.guard;
DROP TABLE heir, log_2;
-- no lock is left
BEGIN;
SELECT count(*) FROM safe_migrate.explain('UPDATE orders SET status = 1 WHERE total = 1; DELETE FROM log WHERE n = 1');
SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('orders'::regclass, 'log'::regclass, 'log_1'::regclass);
COMMIT;
-- statistics of what may not be read stay where they are
CREATE ROLE er_nobody;
GRANT USAGE ON SCHEMA er TO er_nobody;
SET safe_migrate.max_rows_per_statement = 100;
SET ROLE er_nobody;
SELECT command, relation, verdict, rule FROM safe_migrate.explain('UPDATE er.orders SET status = 1 WHERE total > 3');
RESET ROLE;
SET safe_migrate.guard = off;
SET client_min_messages = warning;
DROP SCHEMA er CASCADE;
DROP ROLE er_nobody;
