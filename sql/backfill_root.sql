-- The table that the call names, above the tables that hold the rows: its triggers for each statement
-- fire as an UPDATE of it would fire them, its rights and its row security are asked for in each batch.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
CREATE SCHEMA br;
SET search_path = br, public;
SET safe_migrate.inline = never;
\set SHOW_CONTEXT never
CREATE TABLE p (id int, a int, b int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000);
CREATE TABLE p2 (b int, gone int, a int, id int NOT NULL);
ALTER TABLE p2 DROP gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (1000) TO (10000);
INSERT INTO p SELECT i, i FROM generate_series(1, 3000) i;
CREATE TABLE seen (what text, id int, b int);
CREATE FUNCTION note_new() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO br.seen SELECT 'new', id, b FROM n; RETURN NULL; END $$;
CREATE FUNCTION note_old() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO br.seen SELECT 'old', id, b FROM o; RETURN NULL; END $$;
CREATE FUNCTION note_leaf() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO br.seen VALUES ('leaf'); RETURN NULL; END $$;
CREATE FUNCTION note_assigned() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO br.seen VALUES ('assigned', 0); RETURN NULL; END $$;
CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'frozen'; END $$;
CREATE TRIGGER new AFTER UPDATE ON p REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION note_new();
CREATE TRIGGER old AFTER DELETE ON p REFERENCING OLD TABLE AS o FOR EACH STATEMENT EXECUTE FUNCTION note_old();
CREATE TRIGGER assigned AFTER UPDATE OF b ON p FOR EACH STATEMENT EXECUTE FUNCTION note_assigned();
CREATE TRIGGER other AFTER UPDATE OF a ON p FOR EACH STATEMENT EXECUTE FUNCTION forbid();
CREATE TRIGGER leaf AFTER UPDATE OR DELETE ON p1 FOR EACH STATEMENT EXECUTE FUNCTION note_leaf();
CALL safe_migrate.wait(safe_migrate.backfill('p', 'b = a'));
SELECT what, count(*) > 1 AS some, count(DISTINCT id), bool_and(b = id) FROM seen GROUP BY 1 ORDER BY 1;
TRUNCATE seen;
CALL safe_migrate.wait(safe_migrate.delete_safely('p', 'id % 2 = 0'));
SELECT what, count(*), count(DISTINCT id), bool_and(b = id) FROM seen GROUP BY 1;
TRUNCATE seen;
CREATE TRIGGER forbid BEFORE DELETE ON p FOR EACH STATEMENT EXECUTE FUNCTION forbid();
CALL safe_migrate.wait(safe_migrate.delete_safely('p', 'id < 100'));
SELECT count(*) FROM p;

-- the leaf's fire where it is named
CALL safe_migrate.wait(safe_migrate.backfill('p1', 'b = a + 1', 'b = a'));
SELECT what, count(*) > 0 FROM seen GROUP BY 1;

-- of a parent by inheritance, too
CREATE TABLE r (id int, a int, b int);
CREATE TABLE r1 (more text) INHERITS (r);
INSERT INTO r SELECT i, i FROM generate_series(1, 200) i;
INSERT INTO r1 SELECT i, i FROM generate_series(201, 1000) i;
TRUNCATE seen;
CREATE TRIGGER new AFTER UPDATE ON r REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION note_new();
CREATE TRIGGER leaf AFTER UPDATE OR DELETE ON r1 FOR EACH STATEMENT EXECUTE FUNCTION note_leaf();
CALL safe_migrate.wait(safe_migrate.backfill('r', 'b = a'));
SELECT what, count(*), count(DISTINCT id), bool_and(b = id) FROM seen GROUP BY 1;

-- rights and row security of the root
CREATE ROLE br_app LOGIN;
GRANT USAGE ON SCHEMA br TO br_app;
CREATE TABLE q (id int, a int, b int) PARTITION BY RANGE (id);
CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (10000);
INSERT INTO q SELECT i, i FROM generate_series(1, 3000) i;
GRANT SELECT, UPDATE (b) ON q, q1 TO br_app;
CREATE PROCEDURE run(job text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM safe_migrate.resume(job);
	COMMIT;
	CALL safe_migrate.wait(job);
END $$;
SET ROLE br_app;
SELECT safe_migrate.pause(safe_migrate.backfill('q', 'b = a', job_name => what)) FROM unnest('{update,select,policy,allowed}' :: text[]) what;
RESET ROLE;
REVOKE UPDATE (b) ON q FROM br_app;
SET ROLE br_app;
CALL run('update');
RESET ROLE;
GRANT UPDATE (b) ON q TO br_app;
REVOKE SELECT ON q FROM br_app;
GRANT SELECT (id, b) ON q TO br_app;
SET ROLE br_app;
CALL run('select');
RESET ROLE;
GRANT SELECT ON q TO br_app;
ALTER TABLE q ENABLE ROW LEVEL SECURITY;
SET ROLE br_app;
CALL run('policy');
SELECT count(b) FROM q1;
RESET ROLE;
ALTER TABLE q DISABLE ROW LEVEL SECURITY;
REVOKE SELECT ON q FROM br_app;
GRANT SELECT (a, b) ON q TO br_app;
SET ROLE br_app;
CALL run('allowed');
SELECT count(b) FROM q1;

RESET ROLE;
-- a row that a trigger moves to another partition is not looked for in the one that it left
CREATE TABLE leaving (id int, k int, x int) PARTITION BY LIST (k);
CREATE TABLE leaving_1 PARTITION OF leaving FOR VALUES IN (1);
CREATE TABLE leaving_2 PARTITION OF leaving FOR VALUES IN (2);
INSERT INTO leaving SELECT i, 1, 0 FROM generate_series(1, 100) i;
INSERT INTO leaving SELECT i, 2 FROM generate_series(101, 400) i;
CREATE FUNCTION move_first() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN IF new.id = 101 THEN new.k := 1; END IF; RETURN new; END';
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER move_first BEFORE UPDATE ON leaving_2 FOR EACH ROW EXECUTE FUNCTION move_first();
CREATE TRIGGER nothing AFTER UPDATE ON leaving FOR EACH ROW EXECUTE FUNCTION nothing();
CALL safe_migrate.wait(safe_migrate.backfill('leaving', 'x = id'));
SELECT tableoid :: regclass, count(x), count(*) FROM leaving GROUP BY 1 ORDER BY 1;

SET client_min_messages = error;
DROP SCHEMA br CASCADE;
DELETE FROM safe_migrate.job WHERE owner = 'br_app' :: regrole;
DROP ROLE br_app;
