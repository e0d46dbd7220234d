-- The search_path that travels with a job may hold any character, and sets nothing else.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
SET safe_migrate.inline = never;
CREATE TABLE carried (id int, v text);
INSERT INTO carried VALUES (1);
SELECT set_config('search_path', E'public, "x\x01application_name=injected"', false) IS NULL;
CALL safe_migrate.wait(safe_migrate.backfill('carried', 'v = current_setting(''application_name'')'));
SELECT v = 'injected' AS injected FROM carried;
DROP TABLE carried;

-- How a session writes constants has no say in what a job is: a migration that is run again finds
-- it; the literals themselves are read as the session reads them.
RESET search_path;
CREATE TABLE written (id int, at timestamptz, raw bytea, span interval, share float8, texts text[]);
PREPARE job AS SELECT safe_migrate.backfill('written',
	$$raw = '\xdeadbeef', span = '1 day 2 hours', share = 0.1::float8, texts = '{NULL,a}'$$,
	$$raw IS NULL AND at < '2020-01-01 00:00+00'$$, job_name => 'written')
	= coalesce((SELECT id FROM safe_migrate.jobs WHERE name = 'written'), 0) AS found;
PREPARE check_job AS SELECT safe_migrate.add_constraint_safely('written',
	$$CHECK (at < '2040-01-01 00:00+00' AND raw <> '\xdeadbeef')$$, job_name => 'written check')
	= coalesce((SELECT id FROM safe_migrate.jobs WHERE name = 'written check'), 0) AS found;
SET TimeZone = 'UTC';
EXECUTE job;
EXECUTE check_job;
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German';
SET bytea_output = 'escape';
SET IntervalStyle = 'iso_8601';
SET extra_float_digits = -3;
SET quote_all_identifiers = on;
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SET array_nulls = off;
SET transform_null_equals = on;
DEALLOCATE check_job;
PREPARE check_job AS SELECT safe_migrate.add_constraint_safely('written',
	$$CHECK (at < '2040-01-01 09:00' AND raw <> E'\\xdeadbeef')$$, job_name => 'written check')
	= coalesce((SELECT id FROM safe_migrate.jobs WHERE name = 'written check'), 0) AS found;
EXECUTE check_job;
RESET array_nulls;
RESET standard_conforming_strings;
EXECUTE job;
SELECT safe_migrate.delete_safely('written', $$at < '2020-01-01 09:00'$$, job_name => 'local time') > 0 AS queued;
SELECT name, definition FROM safe_migrate.jobs WHERE name IN ('written', 'local time') ORDER BY name;
CALL safe_migrate.wait('written');
CALL safe_migrate.wait('written check');
CALL safe_migrate.wait('local time');
RESET ALL;
DROP TABLE written;

-- what the session evaluates an expression with, the worker does too
CREATE TABLE evaluated (id int, written text, at timestamptz, payload bytea, as_xml text, seen text);
INSERT INTO evaluated VALUES (1, '2024-01-01 12:00 EST', NULL, 'abc', NULL, NULL);
SET safe_migrate.inline = never;
SET timezone_abbreviations = 'Australia';
SET TimeZone = 'UTC';
SET xmlbinary = hex;
SET row_security = off;
CALL safe_migrate.wait(safe_migrate.backfill('evaluated',
	$$at = written::timestamptz, as_xml = xmlelement(name x, payload)::text, seen = current_setting('row_security')$$, 'at IS NULL'));
SELECT at, as_xml, seen FROM evaluated;
RESET ALL;
DROP TABLE evaluated;
