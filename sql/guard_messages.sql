-- What the guard says: facts in DETAIL, SQL to paste in HINT, with the user's own names in it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA "Odd Schema";
CREATE TABLE "Odd Schema"."it's" (id int PRIMARY KEY, "a b" text, c varchar(10) NOT NULL);
INSERT INTO "Odd Schema"."it's" SELECT i, repeat('x', 100), 'c' FROM generate_series(1, 1000) i;
CREATE TABLE plain (id int, state text);
INSERT INTO plain SELECT i, 'new' FROM generate_series(1, 200) i;
ANALYZE plain, "Odd Schema"."it's";
CREATE TABLE parent (id int NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE child (id int NOT NULL);
INSERT INTO child VALUES (1);
CREATE TABLE "p 2" PARTITION OF parent FOR VALUES FROM (20) TO (30);
INSERT INTO parent VALUES (21);
CREATE INDEX "it's_b" ON "Odd Schema"."it's" (c);
CREATE TABLE kinds (n numeric(5,2), v varchar(3), i int, j json);
INSERT INTO kinds VALUES (1, 'a', 1, '[]');
CREATE VIEW shown AS SELECT i AS number FROM kinds;
CREATE TABLE ranges (id int NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE others PARTITION OF ranges DEFAULT;
INSERT INTO others VALUES (50);
CREATE TABLE kept (id int PRIMARY KEY);
INSERT INTO kept VALUES (1);
CREATE TABLE refers (id int REFERENCES kept);
INSERT INTO refers VALUES (1);
CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0);
CREATE TYPE pair AS (a int, b int);
CREATE TABLE pairs OF pair;
INSERT INTO pairs VALUES (1, 2);
\c -
\set SHOW_CONTEXT never
SET safe_migrate.guard = enforce;
SET safe_migrate.small_table_size = 0;
-- no line of the sources in the output
CREATE FUNCTION told(statement text) RETURNS TABLE (said text) LANGUAGE plpgsql AS $$
DECLARE
	message text; detail text; hint text; rule text; names text; col text;
BEGIN
	BEGIN
		EXECUTE statement;
		RETURN QUERY SELECT 'passes';
		RAISE EXCEPTION USING ERRCODE = 'XX999';
	EXCEPTION
		WHEN SQLSTATE 'XX999' THEN RETURN;
		WHEN SQLSTATE 'SM001' THEN
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
				rule = CONSTRAINT_NAME, names = TABLE_NAME, col = COLUMN_NAME;
			RETURN QUERY SELECT unnest(ARRAY[message, regexp_replace(detail, '\(\d+ \w+\)', '(size)', 'g'),
				split_part(hint, E'\nTo do it all', 1), concat_ws(' | ', rule, names, nullif(col, ''))]);
	END;
END $$;
\pset format unaligned
\pset tuples_only on
SELECT * FROM told($$CREATE INDEX "odd index" ON "Odd Schema"."it's" ("a b")$$);
SELECT * FROM told($$CREATE UNIQUE INDEX ON plain (id)$$);
SELECT * FROM told($$ALTER TABLE "Odd Schema"."it's" ALTER COLUMN "a b" SET NOT NULL$$);
SELECT * FROM told($$ALTER TABLE "Odd Schema"."it's" ADD CONSTRAINT "it's ok" CHECK ("a b" <> 'it''s')$$);
SELECT * FROM told($$ALTER TABLE plain ADD FOREIGN KEY (id) REFERENCES "Odd Schema"."it's"$$);
SELECT * FROM told($$ALTER TABLE plain ADD COLUMN token text DEFAULT random()::text$$);
SELECT * FROM told($$ALTER TABLE plain ADD COLUMN required text NOT NULL$$);
SELECT * FROM told($$ALTER TABLE "Odd Schema"."it's" ALTER COLUMN id TYPE bigint$$);
SELECT * FROM told($$ALTER TABLE plain ADD PRIMARY KEY (id)$$);
SELECT * FROM told($$ALTER TABLE parent ATTACH PARTITION child FOR VALUES FROM (1) TO (10)$$);
SELECT * FROM told($$DROP TABLE "Odd Schema"."it's"$$);
SELECT * FROM told($$ALTER TABLE "Odd Schema"."it's" DROP COLUMN "a b"$$);
-- what CASCADE takes along, what tables have of a type, what stands in another's way: no function does that
SELECT * FROM told($$DROP TABLE kept CASCADE$$);
SELECT * FROM told($$DROP TABLE refers, kept$$);
SELECT * FROM told($$DROP TABLE refers CASCADE$$);
SELECT * FROM told($$ALTER TABLE kinds DROP COLUMN i CASCADE$$);
CREATE MATERIALIZED VIEW kept_texts AS SELECT i::text AS t FROM kinds;
SELECT * FROM told($$ALTER TABLE kinds DROP COLUMN i CASCADE$$);
DROP MATERIALIZED VIEW kept_texts;
SELECT * FROM told($$ALTER TABLE kinds DROP COLUMN v CASCADE, ADD COLUMN k uuid DEFAULT gen_random_uuid()$$);
SELECT * FROM told($$ALTER TYPE pair ADD ATTRIBUTE c even CASCADE$$);
SELECT * FROM told($$ALTER TYPE pair DROP ATTRIBUTE b CASCADE$$);
SELECT * FROM told($$CREATE SCHEMA more CREATE TABLE part PARTITION OF public.ranges FOR VALUES FROM (30) TO (40)$$);
SELECT * FROM told($$TRUNCATE plain$$);
SELECT * FROM told($$REINDEX TABLE "Odd Schema"."it's"$$);
SELECT * FROM told($$UPDATE "Odd Schema"."it's" SET "a b" = 'it''s'$$);
SELECT * FROM told($$UPDATE plain SET "state"='a=b' ,id= ( 7 ) $$);
SELECT * FROM told($$UPDATE plain p SET state = 'new' FROM generate_series(1, 2)$$);
SELECT * FROM told($$UPDATE plain SET state = upper(plain.state)$$);
-- the table's alias, ONLY, columns of a view, values that can't be compared or are others each time would not do in a call; a value of another type is cast
SELECT * FROM told($$UPDATE plain AS q SET id = q.id$$);
SELECT * FROM told($$UPDATE plain SET state = 1$$);
SELECT * FROM told($$UPDATE plain SET id = 10 * random()$$);
SELECT * FROM told($$UPDATE ONLY kinds SET n = 1$$);
SELECT * FROM told($$UPDATE kinds SET n = 1, v = 'v', i = 2$$);
SELECT * FROM told($$UPDATE kinds SET j = '{}'$$);
SELECT * FROM told($$UPDATE shown SET number = 2$$);
SELECT * FROM told($$DELETE FROM shown$$);
UPDATE plain SET state = 'a'\; SELECT 1;
SELECT * FROM told($$DELETE FROM "Odd Schema"."it's"$$);
SET safe_migrate.max_rows_per_statement = 100;
SELECT * FROM told($$DELETE FROM "Odd Schema"."it's" WHERE id > 0$$);
RESET safe_migrate.max_rows_per_statement;
SET safe_migrate.rule_levels = 'detach-partition=reject, drop-index=reject, strong-lock=reject';
SELECT * FROM told($$ALTER TABLE parent DETACH PARTITION "p 2"$$);
SELECT * FROM told($$DROP INDEX "Odd Schema"."it's_b"$$);
RESET safe_migrate.rule_levels;
SELECT * FROM told($$REINDEX (VERBOSE) INDEX "Odd Schema"."it's_b"$$);
SELECT * FROM told($$REINDEX SCHEMA "Odd Schema"$$);
SELECT * FROM told($$ALTER TABLE plain ADD CONSTRAINT ok CHECK (id > 0) NOT VALID, VALIDATE CONSTRAINT ok$$);
VACUUM FULL plain;
SELECT * FROM told($$ALTER TABLE plain ADD COLUMN n int$$);
\pset tuples_only off
SET safe_migrate.guard = off;
DROP FUNCTION told;
SET client_min_messages = warning;
DROP SCHEMA "Odd Schema" CASCADE;
DROP TABLE plain, parent, child, kinds, ranges, kept, refers, pairs CASCADE;
DROP TYPE pair;
DROP DOMAIN even;
