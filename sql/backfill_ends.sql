-- Rows that a job can't bring out of its predicate: they stay as they are, are counted, and one is named; what
-- it has done is not done again by a second try.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
CREATE SCHEMA be;
SET search_path = be, public;
SET safe_migrate.inline = never;
\set SHOW_CONTEXT never
CREATE VIEW ended AS SELECT name, state, error_sqlstate, error_message, error_detail, error_hint FROM safe_migrate.jobs WHERE name LIKE 'be %';

-- the new row would still match: an expression that gives null
CREATE TABLE t (id int PRIMARY KEY, a text, b text, times int DEFAULT 0);
INSERT INTO t SELECT i, CASE WHEN i % 100 > 0 THEN 'a' || i END FROM generate_series(1, 1000) i;
SELECT ctid AS "first" FROM t WHERE a IS NULL ORDER BY ctid LIMIT 1 \gset
CALL safe_migrate.wait(safe_migrate.backfill('t', 'b = upper(a), times = times + 1', 'b IS NULL', job_name => 'be null'));
SELECT state, error_sqlstate, error_message, replace(error_detail, :'first', '(first)') AS detail, error_hint FROM ended WHERE name = 'be null';
SELECT b IS NULL AS missing, count(*), min(times), max(times), count(*) FILTER (WHERE a IS NULL) AS without FROM t GROUP BY 1 ORDER BY 1;
SELECT s.rows_written, s.state FROM safe_migrate.job_steps s JOIN safe_migrate.jobs j ON j.id = s.job_id WHERE j.name = 'be null' AND s.kind = 'backfill';
-- the data mended, it goes on with these rows alone
UPDATE t SET a = 'later' WHERE a IS NULL;
SELECT safe_migrate.retry('be null');
CALL safe_migrate.wait('be null'::text);
SELECT count(*), count(*) FILTER (WHERE b = upper(a)) AS filled, min(times), max(times) FROM t;
-- one row of a partition: with its table
CREATE TABLE p (id int, a text, b text) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
INSERT INTO p SELECT i, CASE WHEN i <> 12 THEN 'a' END FROM generate_series(0, 19) i;
CALL safe_migrate.wait(safe_migrate.backfill('p', 'b = upper(a)', job_name => 'be partition'));
SELECT count(b) FROM p;

-- a trigger makes a written row match again: nothing of that batch stays, and the job fails
CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_WHEN = 'BEFORE' THEN
		IF new.id = 7 THEN new.b := NULL; END IF;
	ELSIF pg_trigger_depth() = 1 AND new.id = 7 THEN
		UPDATE be.u SET b = NULL WHERE id = 7;
	END IF;
	RETURN new;
END $$;
CREATE TABLE u (id int PRIMARY KEY, b int);
INSERT INTO u SELECT generate_series(1, 10);
CREATE TRIGGER undo BEFORE UPDATE ON u FOR EACH ROW EXECUTE FUNCTION undo();
\set VERBOSITY sqlstate
CALL safe_migrate.wait(safe_migrate.backfill('u', 'b = id', job_name => 'be before'));
SELECT id FROM u WHERE b IS NOT NULL AND id >= 7;
DROP TRIGGER undo ON u;
CREATE TRIGGER undo AFTER UPDATE ON u FOR EACH ROW EXECUTE FUNCTION undo();
UPDATE u SET b = NULL WHERE id > 7;
CALL safe_migrate.wait(safe_migrate.backfill('u', 'b = id', 'b IS NULL', job_name => 'be after'));
SELECT id FROM u WHERE b IS NOT NULL AND id >= 7;
DROP TRIGGER undo ON u;
CREATE CONSTRAINT TRIGGER undo AFTER UPDATE ON u DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION undo();
CALL safe_migrate.wait(safe_migrate.backfill('u', 'b = id', 'b IS NULL', job_name => 'be deferred'));
SELECT id FROM u WHERE b IS NOT NULL AND id >= 7;
\set VERBOSITY default
SELECT name, state, error_sqlstate, regexp_replace(error_message, '\(0,\d+\)', '(0,N)') AS message, error_detail, error_hint
FROM ended WHERE name IN ('be before', 'be after', 'be deferred') ORDER BY 1;
-- and goes on where the trigger is gone
DROP TRIGGER undo ON u;
SELECT safe_migrate.retry('be deferred');
CALL safe_migrate.wait('be deferred'::text);
SELECT count(*) FROM u WHERE b = id;

-- a trigger keeps rows back
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN CASE WHEN old.id % 4 > 0 THEN coalesce(new, old) END; END';
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON u FOR EACH ROW EXECUTE FUNCTION keep();
CALL safe_migrate.wait(safe_migrate.backfill('u', 'b = -id', 'b > 0', job_name => 'be kept'));
SELECT array_agg(id ORDER BY id) FROM u WHERE b > 0;
CALL safe_migrate.wait(safe_migrate.delete_safely('u', 'id < 10', job_name => 'be kept too'));
SELECT array_agg(id ORDER BY id) FROM u;

SET client_min_messages = error;
DELETE FROM safe_migrate.job WHERE name LIKE 'be %';
DROP SCHEMA be CASCADE;
