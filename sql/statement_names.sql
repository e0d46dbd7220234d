-- Renames, domains, enums, and what belongs to a table.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA statement_names;
CREATE SCHEMA statement_names_2;
SET search_path = statement_names, safe_migrate;
CREATE TABLE items (id serial PRIMARY KEY, name text, CONSTRAINT named CHECK (name <> ''));
CREATE TABLE items_of_old () INHERITS (items);
INSERT INTO items (name) VALUES ('one');
CREATE VIEW names AS SELECT name FROM items;
CREATE TYPE pair AS (a int, b int);
CREATE TABLE pairs OF pair;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN small AS positive CHECK (VALUE < 100);
CREATE TABLE measures (p positive, s small);
INSERT INTO measures VALUES (1, 1);
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TABLE days (day int) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (100);
CREATE MATERIALIZED VIEW totals AS SELECT 1 AS one FROM items;
\c
SET search_path = statement_names, safe_migrate;
SET safe_migrate.small_table_size = 0;
CREATE FUNCTION pg_temp.told(script text) RETURNS TABLE (what text) LANGUAGE sql AS $$
	SELECT concat_ws(' | ', e.relation, e.lock, e.effect, e.verdict, e.rule)
	FROM safe_migrate.explain(script) e $$;

SELECT pg_temp.told('ALTER TABLE items RENAME TO things');
SELECT pg_temp.told('ALTER TABLE items RENAME name TO title');
SELECT pg_temp.told('ALTER VIEW names RENAME TO titles');
SELECT pg_temp.told('ALTER TABLE items RENAME CONSTRAINT named TO titled');
SELECT pg_temp.told('ALTER TABLE items RENAME CONSTRAINT items_pkey TO things_pkey');
SELECT pg_temp.told('ALTER TYPE pair RENAME ATTRIBUTE a TO c CASCADE');
SELECT pg_temp.told('ALTER TYPE mood RENAME TO temper');
SELECT pg_temp.told('ALTER TYPE mood RENAME VALUE ''good'' TO ''fine''');
SELECT reason FROM safe_migrate.explain('ALTER TYPE mood RENAME VALUE ''good'' TO ''fine''');
SELECT pg_temp.told('ALTER TYPE mood ADD VALUE ''fair''');
SELECT pg_temp.told('ALTER TABLE items SET SCHEMA statement_names_2');
SELECT pg_temp.told('ALTER SCHEMA statement_names_2 RENAME TO statement_names_3');

SELECT pg_temp.told('ALTER DOMAIN positive ADD CONSTRAINT odd CHECK (VALUE % 2 = 1)');
SELECT pg_temp.told('ALTER DOMAIN positive ADD CONSTRAINT odd CHECK (VALUE % 2 = 1) NOT VALID');
SELECT pg_temp.told('ALTER DOMAIN small SET NOT NULL');
SELECT pg_temp.told('ALTER DOMAIN small DROP NOT NULL');

SELECT pg_temp.told('CREATE TRIGGER touch BEFORE INSERT ON days FOR EACH ROW EXECUTE FUNCTION touched()');
SELECT pg_temp.told('CREATE RULE ignored AS ON DELETE TO items DO INSTEAD NOTHING');
SELECT pg_temp.told('CREATE POLICY own ON items USING (true)');
SELECT pg_temp.told('CREATE OR REPLACE VIEW names AS SELECT name, id FROM items');
SELECT pg_temp.told('COMMENT ON COLUMN items.name IS ''its name''');
SELECT pg_temp.told('ALTER SEQUENCE items_id_seq RESTART');
SELECT pg_temp.told('CREATE PUBLICATION all_items FOR TABLE items');

SELECT pg_temp.told('VACUUM FULL measures');
SELECT pg_temp.told('VACUUM measures');
SELECT pg_temp.told('CLUSTER items USING items_pkey');
SELECT pg_temp.told('REFRESH MATERIALIZED VIEW totals');
SELECT pg_temp.told('REFRESH MATERIALIZED VIEW CONCURRENTLY totals');
SELECT pg_temp.told('BEGIN; LOCK TABLE names IN SHARE MODE; COMMIT');

SET client_min_messages = error;
DROP SCHEMA statement_names CASCADE;
DROP SCHEMA statement_names_2 CASCADE;
