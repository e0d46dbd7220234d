-- What a row is made of: the job writes and finds what an UPDATE does.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
CREATE SCHEMA brf;
SET search_path = brf, public;
SET safe_migrate.inline = never;

-- tableoid, also within generated columns and constraints
CREATE TABLE whole (id int PRIMARY KEY, a int, b int, CHECK (tableoid = 'whole' :: regclass),
	g text GENERATED ALWAYS AS ((tableoid = 'whole' :: regclass) :: text || coalesce(b, 0)) STORED);
INSERT INTO whole SELECT i, i FROM generate_series(1, 500) i;
CALL safe_migrate.wait(safe_migrate.backfill('whole', 'b = a', 'b IS NULL AND g = ''true0'''));
SELECT count(*) FROM whole WHERE g = 'true' || a;
CREATE TABLE parts (id int, a int, b int, c oid, g oid GENERATED ALWAYS AS (CASE WHEN b > 0 THEN tableoid END) STORED) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (200);
CREATE TABLE parts_2 (g oid GENERATED ALWAYS AS (CASE WHEN b > 0 THEN tableoid END) STORED, c oid, b int, a int, id int);
ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (200) TO (1000);
INSERT INTO parts SELECT i, i FROM generate_series(1, 500) i;
CALL safe_migrate.wait(safe_migrate.backfill('parts', 'b = a, c = tableoid', 'g IS DISTINCT FROM tableoid'));
SELECT tableoid :: regclass, count(*) FROM parts WHERE g = tableoid AND c = tableoid GROUP BY 1 ORDER BY 1;

-- a whole row is NULL or not by the columns that it has, not by those that were dropped
CREATE TABLE dropped (gone int, id int PRIMARY KEY, a int, b int);
ALTER TABLE dropped DROP gone;
INSERT INTO dropped SELECT i, i FROM generate_series(1, 500) i;
CALL safe_migrate.wait(safe_migrate.backfill('dropped', 'b = a', 'NOT (dropped IS NOT NULL)'));
SELECT count(b) FROM dropped;
UPDATE dropped SET b = NULL;
CALL safe_migrate.wait(safe_migrate.backfill('dropped', 'b = a', 'NOT EXISTS (SELECT FROM generate_series(1, 1) WHERE dropped IS NOT NULL)'));
SELECT count(b) FROM dropped;

-- a whole row is one of the table that is named, whatever the order and number of columns below it
CREATE TABLE above (id int, a int, b text);
CREATE TABLE below (more int, gone int) INHERITS (above);
ALTER TABLE below DROP gone;
CREATE FUNCTION shown(above) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1 :: text';
INSERT INTO above VALUES (1, 1);
INSERT INTO below VALUES (2, 2, NULL, 2), (3, 3, NULL, NULL);
CALL safe_migrate.wait(safe_migrate.backfill('above', 'b = to_jsonb(above) :: text || shown(above)'));
SELECT * FROM above ORDER BY id;
CALL safe_migrate.wait(safe_migrate.backfill('above', 'b = NULL', 'above IS NOT NULL'));
SELECT * FROM above ORDER BY id;
CREATE TABLE mixed (id int, a int, b text) PARTITION BY LIST (id);
CREATE TABLE mixed_1 (b text, gone int, a int, id int);
ALTER TABLE mixed_1 DROP gone;
ALTER TABLE mixed ATTACH PARTITION mixed_1 FOR VALUES IN (1);
INSERT INTO mixed VALUES (1, 2);
CALL safe_migrate.wait(safe_migrate.backfill('mixed', 'b = (SELECT (mixed.*) :: text)', 'NOT (mixed IS NOT NULL)'));
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER keep BEFORE UPDATE ON mixed FOR EACH ROW EXECUTE FUNCTION keep();
CALL safe_migrate.wait(safe_migrate.backfill('mixed', 'a = length((mixed.*) :: text)', 'a = 2'));
SELECT * FROM mixed;

-- nor do fields of what is made of a whole row depend on the order below
CREATE FUNCTION same(anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE TABLE fields (id int, a int, b int, x int) PARTITION BY RANGE (id);
CREATE TABLE fields_1 (b int, x int, a int, id int);
ALTER TABLE fields ATTACH PARTITION fields_1 FOR VALUES FROM (0) TO (100);
INSERT INTO fields VALUES (1, 10, 20), (2, 20, 10), (3, 30, 40);
CALL safe_migrate.wait(safe_migrate.backfill('fields', 'x = (coalesce(fields, fields)).a + ((array[fields])[1]).id'));
SELECT * FROM fields ORDER BY id;
CALL safe_migrate.wait(safe_migrate.backfill('fields', 'x = (SELECT (u.r).b FROM (SELECT fields AS r OFFSET 0) u)', '(same(fields)).x <> (same(fields)).b'));
SELECT * FROM fields ORDER BY id;
CALL safe_migrate.wait(safe_migrate.delete_safely('fields', '(coalesce(fields, fields)).a = 20'));
SELECT * FROM fields ORDER BY id;
-- by the name that stored texts have for it, too
CALL safe_migrate.wait(safe_migrate.backfill('fields', 'x = (coalesce(target, target)).a + (SELECT (target.*).b)', 'x = (same(target)).b'));
SELECT * FROM fields ORDER BY id;

SET client_min_messages = error;
DROP SCHEMA brf CASCADE;
