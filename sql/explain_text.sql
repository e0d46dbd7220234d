-- explain(): what is not a statement, what has nothing to judge, what can't be told beforehand.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
SELECT * FROM safe_migrate.explain('');
SELECT * FROM safe_migrate.explain(' ; ; -- only a comment
/* and another */ ;');
SELECT * FROM safe_migrate.explain(NULL);
SELECT * FROM safe_migrate.explain('SELECT 1; SET work_mem = 1; DO $$BEGIN END$$; CALL p(); CREATE TABLE et (a int)');
PREPARE et_all AS SELECT 1 AS a;
SELECT statement_no, command, verdict, reason FROM safe_migrate.explain('EXECUTE et_all; EXPLAIN EXECUTE et_all; EXPLAIN ANALYZE EXECUTE et_all;
	EXPLAIN (ANALYZE off) EXECUTE et_all; CREATE TABLE et AS EXECUTE et_all WITH NO DATA; CREATE TABLE et2 AS EXECUTE et_all;
	EXPLAIN (ANALYZE) CREATE TABLE et3 AS EXECUTE et_all');
DEALLOCATE et_all;
SELECT to_regclass('et');
-- a syntax error shows its place
SELECT * FROM safe_migrate.explain('SELECT 1; CREATE TABEL x');
