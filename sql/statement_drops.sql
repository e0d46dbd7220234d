-- What goes along with a DROP or a TRUNCATE, and what that locks.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA statement_drops;
SET search_path = statement_drops, safe_migrate;
CREATE TABLE customers (id int PRIMARY KEY);
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers);
CREATE TABLE lines (id int PRIMARY KEY, order_id int REFERENCES orders);
INSERT INTO customers VALUES (1);
INSERT INTO orders VALUES (1, 1);
INSERT INTO lines VALUES (1, 1);
CREATE VIEW open_orders AS SELECT * FROM orders;
CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM open_orders;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN small AS positive CHECK (VALUE < 100);
CREATE SEQUENCE numbers;
CREATE FUNCTION next_one(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE TABLE users_of (m mood, s small, n int DEFAULT nextval('numbers'), o int, CHECK (next_one(o) > 0));
CREATE INDEX users_of_next ON users_of (next_one(o));
INSERT INTO users_of VALUES ('good', 1, 1, 1);
CREATE TABLE days (day int PRIMARY KEY) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (100);
CREATE TABLE days_rest PARTITION OF days DEFAULT;
INSERT INTO days VALUES (1), (1000);
CREATE TABLE empty_one (a int);
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER touch BEFORE INSERT ON lines FOR EACH ROW EXECUTE FUNCTION touched();
CREATE RULE ignored AS ON UPDATE TO lines DO ALSO NOTHING;
CREATE POLICY own ON lines USING (id > 0);
-- what is to go with an extension
CREATE EXTENSION amcheck;
CREATE TABLE wishes (a int, b int);
INSERT INTO wishes VALUES (1, 1);
CREATE INDEX wishes_b ON wishes (b);
CREATE TRIGGER wish BEFORE INSERT ON wishes FOR EACH ROW EXECUTE FUNCTION touched();
CREATE MATERIALIZED VIEW wished AS SELECT count(*) FROM wishes;
CREATE FUNCTION wish(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
ALTER INDEX wishes_b DEPENDS ON EXTENSION amcheck;
ALTER TRIGGER wish ON wishes DEPENDS ON EXTENSION amcheck;
ALTER MATERIALIZED VIEW wished DEPENDS ON EXTENSION amcheck;
ALTER FUNCTION wish(int) DEPENDS ON EXTENSION amcheck;
\c
SET search_path = statement_drops, safe_migrate;
SET safe_migrate.small_table_size = 0;
CREATE FUNCTION pg_temp.told(script text) RETURNS TABLE (what text) LANGUAGE sql AS $$
	SELECT concat_ws(' | ', e.relation, e.lock, e.effect, e.verdict, e.rule)
	FROM safe_migrate.explain(script) e $$;

SELECT pg_temp.told('DROP TABLE lines');
SELECT pg_temp.told('DROP TABLE orders CASCADE');
SELECT pg_temp.told('DROP TABLE customers, orders, lines CASCADE');
SELECT pg_temp.told('DROP TABLE empty_one');
SELECT pg_temp.told('DROP TABLE IF EXISTS nowhere');
SELECT pg_temp.told('DROP VIEW open_orders CASCADE');
SELECT pg_temp.told('DROP TYPE mood CASCADE');
SELECT pg_temp.told('DROP DOMAIN positive CASCADE');
SELECT pg_temp.told('DROP SEQUENCE numbers CASCADE');
SELECT pg_temp.told('DROP FUNCTION next_one(int) CASCADE');
SELECT pg_temp.told('DROP FUNCTION touched() CASCADE');
SELECT pg_temp.told('DROP TRIGGER touch ON lines');
SELECT pg_temp.told('DROP RULE ignored ON lines');
SELECT pg_temp.told('DROP POLICY own ON lines');
SELECT pg_temp.told('DROP TABLE days_1');
SELECT pg_temp.told('DROP TABLE days');
SELECT pg_temp.told('TRUNCATE orders CASCADE');
SELECT pg_temp.told('TRUNCATE days');
SELECT pg_temp.told('TRUNCATE empty_one');
-- ALTER … DEPENDS ON EXTENSION: gone without CASCADE, and judged as if it were named
SELECT relation, lock, effect, verdict, rule, reason FROM explain('DROP EXTENSION amcheck');
ALTER TABLE wishes ADD CHECK (wish(a) > 0);
SELECT relation, lock, effect, verdict, rule, reason FROM explain('DROP EXTENSION amcheck');
SELECT relation, lock, effect, verdict, rule, reason FROM explain('DROP EXTENSION amcheck CASCADE');

SET client_min_messages = error;
DROP SCHEMA statement_drops CASCADE;
