-- A NULL is an error in each function: a gate that was asked about nothing must not let all pass.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;

SELECT safe_migrate.pause(NULL::bigint);
SELECT safe_migrate.pause(NULL::text);
SELECT safe_migrate.resume(NULL::bigint);
SELECT safe_migrate.resume(NULL::text);
SELECT safe_migrate.cancel(NULL::bigint);
SELECT safe_migrate.cancel(NULL::text, 'reason');
SELECT safe_migrate.retry(NULL::bigint);
SELECT safe_migrate.retry(NULL::text);
SELECT safe_migrate.configure(NULL::bigint, 'workers', '1');
SELECT safe_migrate.configure(NULL::text, 'workers', '1');
SELECT safe_migrate.configure(1, NULL, '1');
SELECT safe_migrate.require(NULL);
SELECT safe_migrate.pause_all(NULL);
SELECT safe_migrate.reassign(NULL, 'pg_read_all_data');
SELECT safe_migrate.reassign(1, NULL);
CALL safe_migrate.wait(NULL::bigint);
CALL safe_migrate.wait(NULL::text);
SELECT safe_migrate.backfill(NULL, 'a = 1');
SELECT safe_migrate.backfill('pg_class', NULL);
SELECT safe_migrate.delete_safely(NULL, 'true');
SELECT safe_migrate.delete_safely('pg_class', NULL);
SELECT safe_migrate.estimate_backfill(NULL, 'a = 1');
SELECT safe_migrate.estimate_backfill('pg_class', NULL);

-- other arguments that can't be meant
SET safe_migrate.inline = never;
CREATE TABLE odd (a int);
SELECT safe_migrate.backfill('odd', 'a = 1', job_name => repeat('x', 501));
SELECT safe_migrate.backfill('odd', 'a = 1', job_name => '');
SELECT safe_migrate.backfill('safe_migrate.event', 'detail = ''x''');
BEGIN READ ONLY;
SELECT safe_migrate.pause(1);
ROLLBACK;
BEGIN READ ONLY;
SELECT safe_migrate.configure(1, 'workers', '2');
ROLLBACK;
BEGIN READ ONLY;
SELECT safe_migrate.pause_all('x');
ROLLBACK;
DROP TABLE odd;
