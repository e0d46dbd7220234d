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
-- a function of the users' is never run, an IMMUTABLE one neither
SELECT * FROM pg_temp.e('UPDATE orders SET total = shout(1) WHERE id = shout(2); UPDATE orders SET total = shout(1)');
-- estimates
SET safe_migrate.max_rows_per_statement = 100;
SELECT * FROM pg_temp.e('UPDATE orders SET status = 1 WHERE id < 10; UPDATE orders SET status = 1 WHERE id > 10; DELETE FROM log WHERE n = 1;
	MERGE INTO orders o USING other x ON o.id = x.id WHEN MATCHED THEN UPDATE SET status = x.status');
RESET safe_migrate.max_rows_per_statement;
-- columns and tables of the script
SELECT * FROM pg_temp.e('ALTER TABLE orders ADD c int; UPDATE orders SET c = 1; UPDATE orders SET status = 2 WHERE c = 1; CREATE TABLE fresh (a int); DELETE FROM fresh');
SELECT * FROM pg_temp.e('UPDATE nowhere SET a = 1; UPDATE orders SET a = 1 WHERE b = 2');
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
