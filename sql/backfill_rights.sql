-- A job does what the role that queues it may do, and says beforehand what is missing.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
CREATE ROLE br_owner LOGIN;
CREATE ROLE br_app LOGIN;
CREATE ROLE "br Odd" LOGIN;
CREATE SCHEMA br;
GRANT ALL ON SCHEMA br TO br_owner, br_app, "br Odd";
RESET client_min_messages;
SET search_path = br, public;
SET safe_migrate.inline = always;

SET ROLE br_owner;
CREATE TABLE t (id int PRIMARY KEY, a text, b text, secret text);
INSERT INTO t VALUES (1, 'a');
CREATE TABLE p (k int, v text, w text) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
INSERT INTO p VALUES (1, 'x'), (2, 'y');
CREATE TABLE lookup (id int, v text);

-- the owner
SELECT safe_migrate.backfill('t', 'b = a') > 0 AS done;

-- nobody else, until it is granted what the message says
SET ROLE "br Odd";
SELECT safe_migrate.backfill('t', 'b = a || id', 'b = a');
\echo :LAST_ERROR_SQLSTATE
SELECT safe_migrate.delete_safely('t', 'a = b');
SET ROLE br_owner;
GRANT SELECT (id, a), UPDATE (b) ON t TO "br Odd";
SET ROLE "br Odd";
SELECT safe_migrate.backfill('t', 'b = a || id', 'b = a');
SET ROLE br_owner;
GRANT SELECT (b) ON br.t TO "br Odd";
SET ROLE "br Odd";
-- column-level grants suffice
SELECT safe_migrate.backfill('t', 'b = a || id', 'b = a') > 0 AS done;
-- but not for a whole row
SELECT safe_migrate.backfill('t', 'b = to_json(t)', 'b <> a');
SELECT * FROM safe_migrate.estimate_backfill('t', 'b = secret', 'b <> a');

-- every leaf
SET ROLE br_owner;
GRANT SELECT, UPDATE ON p, p1 TO br_app;
SET ROLE br_app;
SELECT safe_migrate.backfill('p', 'w = v');
SET ROLE br_owner;
REVOKE ALL ON p1 FROM br_app;
SET ROLE br_app;
SELECT safe_migrate.backfill('p', 'w = v');
SET ROLE br_owner;
GRANT SELECT, UPDATE (w) ON br.p1, br.p2 TO br_app;
SET ROLE br_app;
SELECT safe_migrate.backfill('p', 'w = v') > 0 AS done;

-- what sub-selects read
SELECT safe_migrate.backfill('p', 'w = (SELECT l.v FROM lookup l WHERE l.id = k)', 'w = ''x''');
\echo :LAST_ERROR_SQLSTATE

-- what is called: functions and sequences, the table's schema also where its name is not asked for
SET ROLE br_owner;
CREATE FUNCTION br.shout(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT upper($1)';
REVOKE EXECUTE ON FUNCTION br.shout(text) FROM public;
CREATE SEQUENCE br."Numbers";
SELECT 'br.p'::regclass::oid AS p \gset
SET ROLE br_app;
SELECT safe_migrate.backfill('p', 'w = shout(v)', 'w = v');
\echo :LAST_ERROR_SQLSTATE
SELECT safe_migrate.backfill('p', 'w = (SELECT shout(s.x) FROM (VALUES (''a'')) s (x))', 'w = v');
SELECT safe_migrate.delete_safely('p', 'w = shout(v)');
SELECT safe_migrate.backfill('p', $$w = nextval('"Numbers"')$$, 'w = v');
SELECT safe_migrate.backfill('p', $$w = setval('"Numbers"', 4)$$, 'w = v');
SET ROLE br_owner;
GRANT EXECUTE ON FUNCTION br.shout(pg_catalog.text) TO br_app;
GRANT USAGE ON SEQUENCE br."Numbers" TO br_app;
SET ROLE br_app;
SELECT safe_migrate.backfill('p', $$w = shout(v) || nextval('"Numbers"')$$, 'w = v') > 0 AS done;
SELECT safe_migrate.backfill('p', 'w = v', 'w <> v') > 0 AS done;
RESET ROLE;
REVOKE USAGE ON SCHEMA br FROM br_app;
SET ROLE br_app;
SELECT safe_migrate.backfill(:p, 'w = v', 'w = v');
RESET ROLE;
GRANT USAGE ON SCHEMA br TO br_app;
SET ROLE br_app;

-- triggers
SELECT safe_migrate.backfill('p', 'w = upper(v)', 'w = v', fire_triggers => false);
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT SET ON PARAMETER session_replication_role TO br_app;
SET ROLE br_app;
SELECT safe_migrate.backfill('p', 'w = upper(v)', 'w = v', fire_triggers => false) > 0 AS done;

-- VACUUM afterwards only where the role may
RESET ROLE;
SET safe_migrate.inline = never;
BEGIN;
SET LOCAL ROLE br_app;
SELECT safe_migrate.backfill('p', 'w = v', job_name => 'br app') > 0 AS queued;
SET LOCAL ROLE br_owner;
SELECT safe_migrate.backfill('p', 'w = v', job_name => 'br owner') > 0 AS queued;
RESET ROLE;
SELECT j.name, s.step_no, s.kind, s.description FROM safe_migrate.step s JOIN safe_migrate.job j ON j.id = s.job_id
WHERE j.name LIKE 'br %' ORDER BY 1, 2;
ROLLBACK;
SET safe_migrate.inline = always;

-- row security that would hide rows
SET ROLE br_owner;
ALTER TABLE p2 ENABLE ROW LEVEL SECURITY;
SELECT safe_migrate.backfill('p', 'w = v', 'w = ''x''') > 0 AS done;
ALTER TABLE p2 FORCE ROW LEVEL SECURITY;
SELECT safe_migrate.backfill('p', 'w = v', 'w = ''x''');
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE p2 NO FORCE ROW LEVEL SECURITY;
SET ROLE br_app;
SELECT safe_migrate.backfill('p', 'w = v', 'w = ''x''');
RESET ROLE;
ALTER ROLE br_app BYPASSRLS;
SET ROLE br_app;
SELECT safe_migrate.backfill('p', 'w = v', 'w = ''x''') > 0 AS done;

-- settings: stricter than the server's only
SELECT safe_migrate.backfill('p', 'w = v', 'w = ''x''', settings => '{"max_replica_lag": "1h"}');
\echo :LAST_ERROR_SQLSTATE
SELECT safe_migrate.backfill('p', 'w = v', 'w = ''x''', settings => '{"max_replica_lag": "1s"}') > 0 AS done;

-- the job tables are nobody's to write
INSERT INTO safe_migrate.job (kind) VALUES ('x');
DELETE FROM safe_migrate.step;

RESET ROLE;
SET client_min_messages = warning;
REVOKE SET ON PARAMETER session_replication_role FROM br_app;
DROP SCHEMA br CASCADE;
DROP OWNED BY br_owner, br_app, "br Odd";
DROP ROLE br_owner, br_app, "br Odd";
