-- UPDATE, DELETE and MERGE: which of them leave rows out (rows.py).
CREATE TABLE t (id int PRIMARY KEY, a int, b text, n int);
INSERT INTO t SELECT i, i % 10, 'b' || i % 4, CASE WHEN i % 5 > 0 THEN i % 20 END FROM generate_series(1, 1000) i;
CREATE INDEX t_a ON t (a);
CREATE TABLE "It's" (id int PRIMARY KEY, "a b" int);
INSERT INTO "It's" SELECT i, i % 3 FROM generate_series(1, 600) i;
CREATE TABLE other (id int PRIMARY KEY, a int, x text);
INSERT INTO other SELECT i, i % 10, 'x' FROM generate_series(1, 400) i;
CREATE TABLE one (id int);
INSERT INTO one VALUES (1);
CREATE TABLE none (id int);
CREATE TABLE copy (id int, a int);
CREATE TABLE p (id int, a int, b text) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (300);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (300) TO (600) PARTITION BY RANGE (id);
CREATE TABLE p2a PARTITION OF p2 FOR VALUES FROM (300) TO (400);
CREATE TABLE p2b PARTITION OF p2 FOR VALUES FROM (400) TO (600);
CREATE TABLE p_rest PARTITION OF p DEFAULT;
INSERT INTO p SELECT i, i % 10, 'b' FROM generate_series(1, 1000) i;
CREATE TABLE parent (id int, a int);
CREATE TABLE child (c int) INHERITS (parent);
INSERT INTO parent SELECT i, i % 10 FROM generate_series(1, 300) i;
INSERT INTO child SELECT i, i % 10, i FROM generate_series(301, 700) i;
CREATE VIEW every AS SELECT id, a FROM t;
CREATE VIEW few AS SELECT id, a FROM t WHERE a < 5;
CREATE VIEW joined AS SELECT t.id, t.a FROM t JOIN other USING (id);
CREATE FUNCTION through() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE t SET a = new.a WHERE id = new.id; RETURN new; END';
CREATE TRIGGER through INSTEAD OF UPDATE ON joined FOR EACH ROW EXECUTE FUNCTION through();
CREATE TABLE ruled (id int, a int);
INSERT INTO ruled SELECT i, i % 10 FROM generate_series(1, 200) i;
CREATE RULE noted AS ON UPDATE TO ruled DO ALSO DELETE FROM one;
CREATE TABLE watched (id int, a int);
INSERT INTO watched SELECT i, i % 10 FROM generate_series(1, 200) i;
CREATE FUNCTION sweep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM one; RETURN NULL; END';
CREATE TRIGGER sweep AFTER UPDATE ON watched FOR EACH STATEMENT EXECUTE FUNCTION sweep();
CREATE TABLE owner (id int PRIMARY KEY);
INSERT INTO owner SELECT generate_series(1, 50);
CREATE TABLE owned (id int, o int REFERENCES owner ON DELETE CASCADE);
INSERT INTO owned SELECT i, CASE WHEN i < 400 THEN i % 50 + 1 END FROM generate_series(1, 500) i;
CREATE FUNCTION all_of_t() RETURNS void LANGUAGE plpgsql AS 'BEGIN UPDATE t SET b = 1; END';
CREATE FUNCTION some_of_t(int) RETURNS void LANGUAGE plpgsql AS 'BEGIN UPDATE t SET b = 1 WHERE a = $1; END';
CREATE FUNCTION all_of_p() RETURNS void LANGUAGE sql AS 'DELETE FROM p';
CREATE FUNCTION some_of_p() RETURNS void LANGUAGE sql AS 'DELETE FROM p WHERE a = 1';
CREATE FUNCTION any_of(name) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('DELETE FROM %I', $1); END $$;
CREATE FUNCTION row_by_row() RETURNS void LANGUAGE plpgsql AS $$ DECLARE i int; BEGIN FOR i IN SELECT id FROM one LOOP UPDATE t SET b = 1 WHERE id = i; END LOOP; END $$;
CREATE PROCEDURE all_of_other() LANGUAGE plpgsql AS 'BEGIN UPDATE other SET x = NULL; END';
ANALYZE;
CREATE TABLE tg (id int, o int, pad text);
INSERT INTO tg SELECT i, i * 1000, repeat('x', 200) FROM generate_series(1, 40) i;
CREATE TABLE huge (id int PRIMARY KEY, v int);
INSERT INTO huge SELECT i, i FROM generate_series(1, 30000) i;
ANALYZE tg, huge;
-- statements
UPDATE t SET b = 'x';
UPDATE t SET b = 'x' WHERE true;
UPDATE t SET b = 'x' WHERE 1 = 1 AND 2 > 1;
UPDATE ONLY t SET b = 'x';
UPDATE public.t AS q SET b = q.a;
UPDATE t SET b = 'x' WHERE id = 7;
UPDATE t SET b = 'x' WHERE id < 200;
UPDATE t SET b = 'x' WHERE a = 3;
UPDATE t SET b = 'x' WHERE a IN (1, 2, 3);
UPDATE t SET b = 'x' WHERE n IS NULL;
UPDATE t SET b = 'x' WHERE n IS NOT NULL;
UPDATE t SET b = 'x' WHERE false;
UPDATE t SET b = 'x' WHERE id = ANY ('{1,2,3,4}');
UPDATE t SET (a, b) = (SELECT 1, 'x');
UPDATE t SET a = (SELECT max(a) FROM other);
UPDATE t SET b = 'x' RETURNING id;
UPDATE "It's" SET "a b" = 4;
UPDATE "It's" SET "a b" = 4 WHERE "a b" = 1;
UPDATE t SET b = x FROM other WHERE other.id = t.id;
UPDATE t SET b = x FROM other WHERE other.id = t.id AND other.a = 3;
UPDATE t SET b = 'x' FROM one;
UPDATE t SET b = 'x' FROM one WHERE one.id = 1;
--@ inexact
UPDATE t SET b = 'x' FROM one WHERE one.id = t.id;
UPDATE t SET b = 'x' FROM none;
UPDATE t SET b = 'x' WHERE EXISTS (SELECT FROM one);
UPDATE t SET b = 'x' WHERE EXISTS (SELECT FROM other WHERE other.id = t.id);
UPDATE t SET b = 'x' WHERE NOT EXISTS (SELECT FROM other WHERE other.id = t.id);
UPDATE t SET b = 'x' WHERE id IN (SELECT id FROM other WHERE a = 3);
UPDATE t SET b = 'x' WHERE id NOT IN (SELECT id FROM other);
DELETE FROM t;
DELETE FROM t WHERE b = 'b1';
DELETE FROM t WHERE id BETWEEN 100 AND 300;
DELETE FROM t USING other WHERE other.id = t.id;
DELETE FROM t USING one;
--@ inexact
DELETE FROM t WHERE id = (SELECT max(id) FROM other);
DELETE FROM t WHERE ctid = '(0,1)';
DELETE FROM none;
DELETE FROM one;
UPDATE one SET id = 2;
DELETE FROM p;
DELETE FROM ONLY p;
DELETE FROM p1;
DELETE FROM p2;
DELETE FROM p WHERE a = 3;
DELETE FROM p WHERE id < 200;
DELETE FROM p WHERE id = 350;
UPDATE p SET b = 'x';
UPDATE p SET b = 'x' WHERE a = 3;
UPDATE p2 SET b = 'x';
--@ inexact
UPDATE p SET id = id + 300 WHERE id < 100;
DELETE FROM parent;
DELETE FROM ONLY parent;
DELETE FROM child;
DELETE FROM parent WHERE a = 3;
UPDATE parent SET a = 1;
UPDATE ONLY parent SET a = 1;
UPDATE every SET a = 1;
UPDATE every SET a = 1 WHERE id < 200;
UPDATE few SET a = 1;
DELETE FROM every;
DELETE FROM few;
DELETE FROM few WHERE id < 200;
--@ inside
UPDATE joined SET a = 1;
--@ indirect
UPDATE ruled SET a = 1;
--@ inside
UPDATE ruled SET a = 1 WHERE a = 3;
--@ indirect
UPDATE watched SET a = 1;
--@ inside
UPDATE watched SET a = 1 WHERE a = 3;
--@ indirect
DELETE FROM owner;
--@ indirect
DELETE FROM owner WHERE id = 3;
WITH gone AS (DELETE FROM t RETURNING id, a) INSERT INTO copy SELECT * FROM gone;
WITH gone AS (DELETE FROM t WHERE a = 3 RETURNING id, a) INSERT INTO copy SELECT * FROM gone;
WITH u AS (UPDATE other SET x = 'y' RETURNING id) SELECT count(*) FROM u;
WITH u AS (UPDATE other SET x = 'y' WHERE a = 3 RETURNING id) SELECT count(*) FROM u;
--@ inexact
WITH u AS (UPDATE other SET x = 'y' WHERE a = 3 RETURNING id) DELETE FROM t USING u WHERE u.id = t.id;
WITH u AS (DELETE FROM other) UPDATE t SET b = 'x' WHERE id = 1;
WITH d AS (DELETE FROM other WHERE a = 3 RETURNING id) DELETE FROM t WHERE a = 3;
WITH d AS (DELETE FROM t WHERE id <= 40) UPDATE t SET b = 'x' WHERE id > 60 AND id <= 100;
WITH w AS (SELECT 1) DELETE FROM t;
WITH w AS MATERIALIZED (SELECT id FROM other WHERE a = 3), u AS (DELETE FROM one) SELECT * FROM w;
--@ inexact
WITH w AS (SELECT id FROM t ORDER BY id LIMIT 50) DELETE FROM t USING w WHERE w.id = t.id;
INSERT INTO copy SELECT id, a FROM t;
INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET b = 'x';
MERGE INTO t USING other o ON o.id = t.id WHEN MATCHED THEN UPDATE SET b = x;
--@ inexact
MERGE INTO t USING other o ON o.id = t.id WHEN MATCHED AND o.a = 3 THEN DELETE WHEN NOT MATCHED THEN DO NOTHING;
MERGE INTO t USING other o ON o.id = t.id WHEN NOT MATCHED THEN INSERT VALUES (o.id + 5000);
MERGE INTO t USING other o ON o.id = t.id WHEN MATCHED THEN DO NOTHING;
MERGE INTO t USING other o ON o.id = t.id WHEN MATCHED AND o.a = 3 THEN DO NOTHING WHEN NOT MATCHED THEN INSERT VALUES (o.id + 5000);
MERGE INTO t USING one ON true WHEN MATCHED THEN UPDATE SET b = 'x';
MERGE INTO t USING one ON true WHEN MATCHED THEN DELETE;
--@ inexact
MERGE INTO t USING one ON true WHEN MATCHED AND t.a = 3 THEN DELETE;
--@ inexact
MERGE INTO t USING one ON true WHEN MATCHED AND t.a = 3 THEN DO NOTHING WHEN MATCHED THEN DELETE;
MERGE INTO t USING one ON true WHEN MATCHED AND t.a = 3 THEN UPDATE SET b = 'x' WHEN MATCHED THEN DELETE;
MERGE INTO p USING one ON true WHEN MATCHED THEN UPDATE SET b = 'x';
--@ pg >= 17
MERGE INTO t USING other o ON o.id = t.id WHEN MATCHED THEN UPDATE SET b = 'x' WHEN NOT MATCHED BY SOURCE THEN DELETE;
--@ pg >= 17, inexact
MERGE INTO t USING other o ON o.id = t.id WHEN NOT MATCHED BY SOURCE THEN DELETE;
--@ pg >= 17, inexact
MERGE INTO t USING other o ON o.id = t.id WHEN MATCHED THEN UPDATE SET b = 'x' WHEN NOT MATCHED BY SOURCE AND t.a = 3 THEN DELETE;
--@ pg >= 17
MERGE INTO p USING other o ON o.id = p.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE THEN UPDATE SET b = 'x';
EXPLAIN DELETE FROM t;
EXPLAIN (ANALYZE) DELETE FROM t;
EXPLAIN (ANALYZE) DELETE FROM t WHERE a = 3;
--@ inside
SELECT all_of_t();
--@ inside
SELECT some_of_t(3);
--@ inside
SELECT all_of_p();
--@ inside
SELECT some_of_p();
--@ inside
SELECT any_of('other');
--@ inside
SELECT any_of(relname) FROM pg_class WHERE relname = 'one';
--@ inside
SELECT row_by_row();
--@ inside
CALL all_of_other();
--@ inside
DO $$ BEGIN DELETE FROM t WHERE id = 1; DELETE FROM "It's"; END $$;
--@ inside
DO $$ BEGIN DELETE FROM t WHERE id = 1; END $$;
--@ inside
SELECT some_of_t(a) FROM generate_series(1, 3) a;
UPDATE tg SET id = h.v FROM huge h WHERE h.id = tg.o;
DELETE FROM tg USING huge h WHERE h.id = tg.o AND h.v > 10000;
DELETE FROM tg WHERE EXISTS (SELECT FROM huge h WHERE h.id = tg.o AND h.v > 10000);
--@ inexact
DELETE FROM tg WHERE NOT EXISTS (SELECT FROM huge h WHERE h.id = tg.o);
MERGE INTO tg USING huge h ON h.id = tg.o AND h.v > 10000 WHEN MATCHED THEN UPDATE SET id = 1;
UPDATE tg SET id = (SELECT v FROM huge h WHERE h.id = tg.o);
