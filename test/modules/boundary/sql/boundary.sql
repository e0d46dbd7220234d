-- The boundary between C++ and the server: every error arrives whole, every destructor
-- runs, and the backend lives on.
\set VERBOSITY terse
SELECT pg_backend_pid() AS pid \gset

\set module '\'$libdir/safe_migrate_test_boundary\''
CREATE FUNCTION test_server_error() RETURNS void LANGUAGE c AS :module;
CREATE FUNCTION test_run_sql(text) RETURNS void LANGUAGE c AS :module;
CREATE FUNCTION test_exception() RETURNS void LANGUAGE c AS :module;
CREATE FUNCTION test_strange_exception() RETURNS void LANGUAGE c AS :module;
CREATE FUNCTION test_out_of_range() RETURNS void LANGUAGE c AS :module;
CREATE FUNCTION test_bad_alloc() RETURNS void LANGUAGE c AS :module;
CREATE FUNCTION test_nested(regprocedure) RETURNS void LANGUAGE c AS :module;
CREATE FUNCTION test_call_in_call() RETURNS void LANGUAGE c AS :module;
CREATE FUNCTION test_catch_and_throw(boolean) RETURNS void LANGUAGE c AS :module;
CREATE FUNCTION test_plain_error() RETURNS void LANGUAGE c AS :module;
CREATE FUNCTION test_stacks() RETURNS void LANGUAGE c AS :module;
CREATE FUNCTION test_live_objects() RETURNS int LANGUAGE c AS :module;
CREATE FUNCTION test_destroyed_objects() RETURNS int LANGUAGE c AS :module;

-- Runs a statement in a subtransaction; its error in all its parts, and whether every
-- object that it made was destroyed.
CREATE FUNCTION error_of(statement text, OUT state text, OUT message text, OUT detail text,
	OUT hint text, OUT names text, OUT destroyed int, OUT live int) LANGUAGE plpgsql AS $$
DECLARE
	before int := test_destroyed_objects();
	names_of text[] := array_fill(NULL::text, ARRAY[5]);
BEGIN
	BEGIN
		EXECUTE statement;
		state := 'no error';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
			detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
		DECLARE s text; t text; c text; d text; k text;
		BEGIN
			GET STACKED DIAGNOSTICS s = SCHEMA_NAME, t = TABLE_NAME, c = COLUMN_NAME,
				d = PG_DATATYPE_NAME, k = CONSTRAINT_NAME;
			names := concat_ws(' ', s, t, c, d, k);
		END;
	END;
	destroyed := test_destroyed_objects() - before;
	live := test_live_objects();
END $$;

CREATE TABLE item (id int CONSTRAINT item_key PRIMARY KEY, n int CONSTRAINT positive CHECK (n > 0));
INSERT INTO item VALUES (1, 1);

\x on
SELECT * FROM error_of('SELECT test_server_error()');
SELECT * FROM error_of('SELECT test_plain_error()');
SELECT * FROM error_of('SELECT test_call_in_call()');
SELECT * FROM error_of('SELECT test_catch_and_throw(false)');
SELECT * FROM error_of('SELECT test_catch_and_throw(true)');
SELECT * FROM error_of('SELECT test_run_sql(''INSERT INTO item VALUES (1, 2)'')');
SELECT * FROM error_of('SELECT test_run_sql(''INSERT INTO item VALUES (2, -2)'')');
SELECT * FROM error_of('SELECT test_run_sql(''SELECT 1 / 0'')');
SELECT * FROM error_of('SELECT test_exception()');
SELECT * FROM error_of('SELECT test_strange_exception()');
SELECT state, destroyed, live, message <> '' AS has_message FROM error_of('SELECT test_out_of_range()');
SELECT * FROM error_of('SELECT test_bad_alloc()');
SELECT * FROM error_of('SELECT test_nested(''test_server_error()'')');
SELECT * FROM error_of('SELECT test_nested(''test_exception()'')');
SELECT * FROM error_of('SELECT test_nested(''test_bad_alloc()'')');
SELECT * FROM error_of('SELECT test_stacks()');
-- C++ below SQL below C++ below SQL
SELECT * FROM error_of('SELECT test_run_sql(''SELECT test_run_sql(''''SELECT test_exception()'''')'')');
-- a user's query cancelled inside
SET statement_timeout = '50ms';
SELECT state, destroyed, live FROM error_of('SELECT test_run_sql(''SELECT pg_sleep(60)'')');
RESET statement_timeout;
\x off

-- At top level, where the error ends the transaction.
SELECT test_server_error();
SELECT test_exception();
SELECT test_bad_alloc();
BEGIN;
SELECT test_strange_exception();
SELECT 1;
ROLLBACK;

-- Many in a row: neither error stack nor memory fills up.
DO $$
BEGIN
	FOR i IN 1 .. 2000 LOOP
		PERFORM error_of(CASE i % 4 WHEN 0 THEN 'SELECT test_server_error()'
									WHEN 1 THEN 'SELECT test_exception()'
									WHEN 2 THEN 'SELECT test_bad_alloc()'
									ELSE 'SELECT test_nested(''test_exception()'')' END);
	END LOOP;
END $$;

SELECT count(*) FROM item;
SELECT test_live_objects();
SELECT pg_backend_pid() = :pid AS same_backend;
