-- retry() looks at the rows again: what a finished pass had found is no verdict for ever.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
SET safe_migrate.inline = never;
\set VERBOSITY terse
CREATE TABLE retried (id int PRIMARY KEY, a int, b int);
INSERT INTO retried SELECT n, n % 10 FROM generate_series(1, 1000) n;

-- rows for which the expression gives NULL
SELECT safe_migrate.backfill('retried', 'b = nullif(a, 3)', job_name => 'retried') AS job \gset
CALL safe_migrate.wait(:job);
SELECT safe_migrate.require('retried');
UPDATE retried SET a = 4 WHERE a = 3;
SELECT safe_migrate.retry('retried');
CALL safe_migrate.wait('retried');
SELECT safe_migrate.require('retried');
SELECT count(*) FROM retried WHERE b IS DISTINCT FROM a;

-- rows that a trigger keeps back
CREATE FUNCTION keep_back() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN RETURN CASE WHEN new.a <> 7 THEN new END; END $$;
CREATE TRIGGER keep_back BEFORE UPDATE ON retried FOR EACH ROW EXECUTE FUNCTION keep_back();
SELECT safe_migrate.backfill('retried', 'b = b + 100', 'b < 100', job_name => 'kept') AS job \gset
CALL safe_migrate.wait(:job);
DROP TRIGGER keep_back ON retried;
SELECT safe_migrate.retry('kept');
CALL safe_migrate.wait(:job);
SELECT count(*) FROM retried WHERE b IS DISTINCT FROM a + 100;

-- rows that a trigger changes back, at once or when all is written: nothing of the batch stays
\set VERBOSITY sqlstate
CREATE TABLE undone (id int PRIMARY KEY, n int DEFAULT 0, done bool DEFAULT false);
INSERT INTO undone SELECT generate_series(1, 100);
CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN UPDATE undone SET done = false WHERE id = NEW.id AND done; RETURN NULL; END';
CREATE CONSTRAINT TRIGGER undo AFTER UPDATE ON undone DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW WHEN (NEW.id = 4) EXECUTE FUNCTION undo();
CALL safe_migrate.wait(safe_migrate.backfill('undone', 'n = n + 1, done = true', 'NOT done'));
SELECT max(n) <= 1, count(*) FILTER (WHERE done <> (n = 1)) FROM undone;
DROP TRIGGER undo ON undone;
CREATE TRIGGER undo AFTER UPDATE ON undone FOR EACH ROW WHEN (NEW.id = 4) EXECUTE FUNCTION undo();
CALL safe_migrate.wait(safe_migrate.backfill('undone', 'n = n + 1, done = true', 'NOT done'));
SELECT max(n) <= 1, count(*) FILTER (WHERE done <> (n = 1)) FROM undone;
\set VERBOSITY terse
-- a deferred one that leaves them alone is fired like any
DROP TRIGGER undo ON undone;
CREATE TABLE noted (id int);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO noted VALUES (NEW.id); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER note AFTER UPDATE ON undone DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
UPDATE undone SET n = 0, done = false;
TRUNCATE noted;
CALL safe_migrate.wait(safe_migrate.backfill('undone', 'n = n + 1, done = true', 'NOT done'));
SELECT min(n), max(n), bool_and(done), (SELECT count(*) FROM noted) AS noted FROM undone;
DROP TABLE undone, noted;
DROP FUNCTION undo(), note();

DROP TABLE retried;
DROP FUNCTION keep_back();
