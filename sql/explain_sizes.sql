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
SELECT * FROM pg_temp.verdicts('{"ez.orders": {"heap": 1e300}}');
SELECT * FROM pg_temp.verdicts('{"orders": {"heap": 1}}');
SELECT * FROM pg_temp.verdicts('{"": {"heap": 1}}');
-- names are the same however they are quoted
SET quote_all_identifiers = on;
SELECT string_agg(key, ' ' ORDER BY key COLLATE "C") FROM jsonb_each(safe_migrate.export_sizes()) WHERE key LIKE '%ez%';
SELECT * FROM pg_temp.verdicts('{"ez.orders": {"heap": 1000000000}, "ez.\"Odd \"\"one\"": {"heap": 90000000}}');
RESET quote_all_identifiers;
SELECT * FROM pg_temp.verdicts('{"\"ez\".\"orders\"": {"heap": 1000000000}, "EZ.Log": {"heap": 90000000}}');
-- partitions that only production has are counted, whatever the statement: p has an empty one here, q none
CREATE TABLE ez.k (id int PRIMARY KEY);
CREATE TABLE ez.p (id int NOT NULL, n int, d date) PARTITION BY RANGE (id);
CREATE TABLE ez.p1 PARTITION OF ez.p FOR VALUES FROM (0) TO (10);
CREATE TABLE ez.q (id int NOT NULL, n int, d date) PARTITION BY RANGE (id);
CREATE TABLE ez.q_sub (id int NOT NULL, n int, d date) PARTITION BY RANGE (id);
CREATE INDEX p_id ON ez.p (id);
CREATE DOMAIN ez.positive AS int;
CREATE TABLE ez.w (id int, n ez.positive) PARTITION BY RANGE (id);
ALTER TABLE ez.q ADD CONSTRAINT q_n CHECK (n > 0) NOT VALID;
\c -
CREATE FUNCTION pg_temp.elsewhere(sql text, sizes jsonb DEFAULT
	'{"ez.p": {"heap": 99999999999, "indexes": 77}, "ez.p1": {"heap": 0}, "ez.q": {"heap": 99999999999}, "ez.q_sub": {"heap": 70000000000}, "ez.k": {"heap": 0}}')
	RETURNS TABLE (relation text, effect text, bytes bigint, verdict text, rule text) LANGUAGE sql AS $$
	SELECT relation, effect, bytes, verdict, rule FROM safe_migrate.explain(sql, sizes) WHERE verdict <> 'allow' $$;
SELECT s.sql, e.relation, e.effect, e.bytes, e.verdict, e.rule FROM unnest(ARRAY[
	'CREATE INDEX ON ez.p (n)', 'CREATE UNIQUE INDEX ON ez.q (id)', 'CREATE INDEX ON ONLY ez.q (id)',
	'REINDEX TABLE ez.p', 'REINDEX TABLE ez.q', 'REINDEX INDEX ez.p_id', 'REINDEX SCHEMA ez', 'REINDEX TABLE CONCURRENTLY ez.p',
	'CLUSTER ez.p USING p_id', 'VACUUM FULL ez.p', 'VACUUM FULL ez.q', 'VACUUM ez.q',
	'ALTER TABLE ez.q ADD UNIQUE (id)', 'ALTER TABLE ez.p ADD PRIMARY KEY (id)', 'ALTER TABLE ez.q ADD COLUMN s int UNIQUE',
	'ALTER TABLE ez.q ADD FOREIGN KEY (n) REFERENCES ez.k', 'ALTER TABLE ez.q ADD COLUMN f int DEFAULT 1 REFERENCES ez.k',
	'ALTER TABLE ez.q ALTER n SET NOT NULL', 'ALTER TABLE ez.p ALTER n SET NOT NULL', 'ALTER TABLE ez.q ALTER id SET NOT NULL',
	'ALTER TABLE ez.q ADD CHECK (n > 1)', 'ALTER TABLE ez.q VALIDATE CONSTRAINT q_n', 'ALTER TABLE ez.q ALTER n TYPE bigint',
	'ALTER TABLE ez.p ALTER id TYPE oid', 'ALTER TABLE ez.q ADD COLUMN r float DEFAULT random()', 'ALTER TABLE ez.q ADD COLUMN z int NOT NULL',
	'ALTER TABLE ez.q DROP COLUMN n', 'TRUNCATE ez.q', 'DROP TABLE ez.p', 'ALTER TABLE ez.q ATTACH PARTITION ez.q_sub FOR VALUES FROM (0) TO (10)',
	'DELETE FROM ez.q', 'UPDATE ez.p SET n = 1', 'UPDATE ez.q SET n = 1 WHERE true', 'DELETE FROM ez.q WHERE id = 1',
	'MERGE INTO ez.q USING (SELECT 1) x ON true WHEN MATCHED THEN DELETE', 'MERGE INTO ez.q USING (SELECT 1) x ON true WHEN MATCHED THEN UPDATE SET n = 2'
	]) WITH ORDINALITY s (sql, no) LEFT JOIN LATERAL pg_temp.elsewhere(s.sql) e ON true ORDER BY s.no;
-- and one that has what is asked for anyway, or whose partitions are all here, gives none
SELECT s.sql, e.relation, e.verdict, e.rule FROM unnest(ARRAY['CREATE INDEX ON ez.p (n)', 'VACUUM FULL ez.p', 'REINDEX TABLE ez.p',
	'ALTER TABLE ez.p ALTER n SET NOT NULL']) s (sql) LEFT JOIN LATERAL
	pg_temp.elsewhere(s.sql, '{"ez.p": {"heap": 0, "indexes": 16384}, "ez.p1": {"heap": 0, "indexes": 16384}}') e ON true;
ALTER TABLE ez.q ADD CHECK (n IS NOT NULL);
SELECT * FROM pg_temp.elsewhere('ALTER TABLE ez.q ALTER n SET NOT NULL');
-- by way of a domain, and all of a database
SELECT * FROM pg_temp.elsewhere('ALTER DOMAIN ez.positive ADD CHECK (VALUE > 0)', '{"ez.w": {"heap": 99999999999}}');
SELECT * FROM pg_temp.elsewhere('VACUUM FULL', '{"ez.q": {"heap": 99999999999, "indexes": 1}}') WHERE relation = 'ez.q';
SELECT * FROM pg_temp.elsewhere(format('REINDEX DATABASE %I', current_database()), '{"ez.q": {"heap": 99999999999}}') WHERE relation = 'ez.q';
-- those of a partition count once
CREATE TABLE ez.t (id int) PARTITION BY LIST (id);
CREATE TABLE ez.t_1 PARTITION OF ez.t FOR VALUES IN (1) PARTITION BY LIST (id);
\c -
SELECT relation, effect, bytes, verdict FROM safe_migrate.explain('ALTER TABLE ez.t ADD CHECK (id > 0); VACUUM FULL ez.t; CREATE INDEX ON ez.t (id); DROP TABLE ez.t',
	'{"ez.t": {"heap": 50000000000}, "ez.t_1": {"heap": 20000000000}}');
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
