-- explain(sql, sizes): a copy without the rows gives the verdicts of the database with them.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA ez;
CREATE TABLE ez.orders (id int PRIMARY KEY, status text);
CREATE TABLE ez."Odd ""one" (id int);
CREATE TABLE ez.small (id int);
CREATE TABLE ez.log (day date) PARTITION BY RANGE (day);
CREATE TABLE ez.log_1 PARTITION OF ez.log FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO ez.log VALUES ('2024-02-02');
INSERT INTO ez.small VALUES (1);
\c -
-- every table, a partitioned one with the sum of its leaves
SELECT key, value -> 'heap' AS heap, value -> 'indexes' > '0' AS has_indexes FROM jsonb_each(safe_migrate.export_sizes()) WHERE key LIKE 'ez.%' ORDER BY key COLLATE "C";
CREATE FUNCTION pg_temp.verdicts(sizes jsonb) RETURNS TABLE (n int, relation text, effect text, bytes bigint, verdict text, rule text) LANGUAGE sql AS $$
	SELECT statement_no, relation, effect, bytes, verdict, rule FROM safe_migrate.explain('ALTER TABLE ez.orders ADD CHECK (id > 0);
	VACUUM FULL ez."Odd ""one"; ALTER TABLE ez.log ADD CHECK (day > ''2000-01-01''); VACUUM FULL ez.small', sizes) WHERE rule IS NOT NULL OR verdict <> 'allow' $$;
SELECT * FROM pg_temp.verdicts('{}');
SELECT * FROM pg_temp.verdicts('{"ez.orders": {"heap": 1000000000}, "ez.\"Odd \"\"one\"": {"heap": 8192, "toast": 20000000, "indexes": 3}, "ez.log": {"heap": 90000000}, "ez.log_1": {"heap": 30000000}, "ez.gone": {"heap": 1}}');
-- without, all is as before
SELECT verdict FROM safe_migrate.explain('ALTER TABLE ez.orders ADD CHECK (id > 0)') WHERE effect = 'scan';
-- also after an error
SELECT count(*) FROM safe_migrate.explain('ALTER TABLE ez.nowhere ADD x int', '{"ez.orders": {"heap": 1000000000}}');
SELECT verdict FROM safe_migrate.explain('ALTER TABLE ez.orders ADD CHECK (id > 0)') WHERE effect = 'scan';
-- a column that CI has just been given is an old one on production
SET safe_migrate.guard = warn;
ALTER TABLE ez.small ADD COLUMN old text;
RESET safe_migrate.guard;
SELECT verdict, rule FROM safe_migrate.explain('ALTER TABLE ez.small DROP COLUMN old') WHERE rule IS NOT NULL;
SELECT verdict, rule FROM safe_migrate.explain('ALTER TABLE ez.small DROP COLUMN old', '{"ez.small": {"heap": 1000000000}}') WHERE rule IS NOT NULL;
-- what is no sizes
SELECT * FROM pg_temp.verdicts('[1]');
SELECT * FROM pg_temp.verdicts('{"ez.orders": 1}');
SELECT * FROM pg_temp.verdicts('{"ez.orders": {"heap": "1"}}');
SELECT * FROM pg_temp.verdicts('{"ez.orders": {"heap": -1}}');
-- any role may ask, and sees no more than it could name
CREATE ROLE ez_nobody;
SET ROLE ez_nobody;
SELECT relation, verdict FROM safe_migrate.explain('ALTER TABLE ez.small ADD x int');
SELECT safe_migrate.export_sizes() ? 'ez.small' AS sizes_are_no_secret;
RESET ROLE;
SET safe_migrate.guard = off;
SET client_min_messages = warning;
DROP ROLE ez_nobody;
DROP SCHEMA ez CASCADE;
