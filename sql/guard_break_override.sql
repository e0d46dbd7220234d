-- Reasons that say nothing, and the way out: DROP EXTENSION is not judged.
SET client_min_messages = error;
\set home :DBNAME
DROP DATABASE IF EXISTS guard_break;
CREATE DATABASE guard_break TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';
\c guard_break
CREATE EXTENSION safe_migrate;
CREATE TABLE guarded (id int);
INSERT INTO guarded VALUES (1);
\c -
\set VERBOSITY terse
SET client_min_messages = error;
SET safe_migrate.guard = enforce;
-- no-break space, ideographic space, zero-width space, tab, soft hyphen
CREATE FUNCTION passes_for(reason text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('safe_migrate.override', reason, true);
	TRUNCATE guarded;
	RAISE EXCEPTION USING ERRCODE = 'XX999';
EXCEPTION
	WHEN SQLSTATE 'XX999' THEN RETURN true;
	WHEN SQLSTATE 'SM001' THEN RETURN false;
END $$;
SELECT passes_for(U&'\00A0'), passes_for(U&'\3000 \200B'), passes_for(U&'\FEFF\2060'), passes_for(E' \t\n'),
	passes_for(U&'\200B.'), passes_for(U&'\00C4nderung');
-- TRUNCATE ONLY of a parent without rows of its own
CREATE TABLE parent (id int);
CREATE TABLE child () INHERITS (parent);
INSERT INTO child VALUES (1);
\c -
\set VERBOSITY terse
SET client_min_messages = error;
SET safe_migrate.guard = enforce;
TRUNCATE ONLY parent;
TRUNCATE parent;
-- its own tables hold a policy and an override by now
BEGIN;
SET LOCAL safe_migrate.override = 'CHG-1';
TRUNCATE guarded;
COMMIT;
SELECT count(*) FROM safe_migrate.audit;
SELECT safe_migrate.set_policy('guarded', mode => 'strict');
DROP EXTENSION safe_migrate;
\c :home
DROP DATABASE guard_break;
