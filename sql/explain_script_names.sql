-- explain() over scripts after which a name means something else: what was shadowed, schemas that come, go and are renamed, settings that nobody sees.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA en;
CREATE SCHEMA en_front;
CREATE TABLE en.big AS SELECT i AS id, i AS a FROM generate_series(1, 1000) i;
CREATE TABLE en_front.big (id int, a int);
\c -
SET search_path = en;
SET safe_migrate.small_table_size = 0;
CREATE FUNCTION pg_temp.explain(script text) RETURNS TABLE (no int, command text, relation text, lock text, verdict text, rule text, reason text)
LANGUAGE sql AS 'SELECT statement_no, command, replace(relation, pg_my_temp_schema()::regnamespace::text, ''pg_temp''), lock, verdict, rule, regexp_replace(reason, ''[0-9]+ kB'', ''size'') FROM safe_migrate.explain(script)';
-- the last statement, after the others
CREATE FUNCTION pg_temp.after(script text, VARIADIC last text[]) RETURNS TABLE (last_statement text, relation text, lock text, verdict text, rule text, reason text)
LANGUAGE sql AS 'SELECT l, replace(e.relation, pg_my_temp_schema()::regnamespace::text, ''pg_temp''), e.lock, e.verdict, e.rule, regexp_replace(e.reason, ''[0-9]+ kB'', ''size'') FROM unnest(last) WITH ORDINALITY u(l, i)
	CROSS JOIN LATERAL (SELECT *, max(statement_no) OVER () AS n FROM safe_migrate.explain(script || '';'' || l)) e WHERE e.statement_no = e.n ORDER BY i';

-- what stood in front of another one is gone
SELECT * FROM pg_temp.after('SET search_path = en_front, en; DROP TABLE big', 'CREATE INDEX ON big (a)', 'ALTER TABLE big ALTER a TYPE bigint', 'TRUNCATE big', 'DROP TABLE big',
	'ALTER TABLE big RENAME TO zz', 'VACUUM FULL big', 'CREATE TABLE n (a int REFERENCES big)', 'DELETE FROM big');
SELECT * FROM pg_temp.after('SET search_path = en_front, en; ALTER TABLE big RENAME TO zz', 'CREATE INDEX ON big (a)', 'CREATE INDEX ON zz (a)');
SELECT * FROM pg_temp.after('SET search_path = en_front, en; ALTER TABLE big SET SCHEMA public', 'CREATE INDEX ON big (a)');
SELECT * FROM pg_temp.after('CREATE TEMP TABLE big (id int, a int); DROP TABLE big', 'CREATE INDEX ON big (a)');
SELECT * FROM pg_temp.after('DROP TABLE big', 'CREATE INDEX ON big (a)', 'DROP TABLE IF EXISTS big', 'CREATE TABLE n (a int REFERENCES big)');
-- a temporary one of before the script is still in front, unless the path says otherwise
CREATE TEMP TABLE big (id int, a int);
SELECT * FROM pg_temp.after('CREATE TABLE n ()', 'CREATE INDEX ON big (a)');
SELECT * FROM pg_temp.after('SET search_path = en, pg_temp', 'CREATE INDEX ON big (a)');
SELECT * FROM pg_temp.after('DROP TABLE big', 'CREATE INDEX ON big (a)');
DROP TABLE pg_temp.big;

-- schemas that the script makes and takes away
SELECT * FROM pg_temp.after('CREATE SCHEMA ns; SET search_path = ns, en; CREATE TABLE big (id int, a int)', 'CREATE INDEX ON big (a)', 'DROP SCHEMA ns', 'DROP SCHEMA ns CASCADE', 'ALTER SCHEMA ns RENAME TO ns2');
SELECT * FROM pg_temp.after('CREATE SCHEMA ns; SET search_path = ns, en; CREATE TABLE big (id int, a int); DROP SCHEMA ns CASCADE', 'CREATE INDEX ON big (a)', 'CREATE INDEX ON ns.big (a)', 'DROP SCHEMA ns',
	'DROP SCHEMA IF EXISTS ns', 'ALTER SCHEMA ns RENAME TO ns2', 'DROP TABLE IF EXISTS ns.big');
SELECT * FROM pg_temp.after('CREATE SCHEMA ns; SET search_path = ns, en; CREATE TABLE big (id int, a int); DROP SCHEMA IF EXISTS ns CASCADE', 'CREATE INDEX ON big (a)');
SELECT * FROM pg_temp.after('CREATE SCHEMA ns; SET search_path = ns, en; CREATE TABLE big (id int, a int); ALTER SCHEMA ns RENAME TO ns2', 'CREATE INDEX ON big (a)', 'CREATE INDEX ON ns2.big (a)', 'CREATE INDEX ON ns.big (a)');
SELECT * FROM pg_temp.after('SET search_path = ns, en; CREATE SCHEMA ns CREATE TABLE big (id int, a int) CREATE INDEX big_a ON big (a)', 'CREATE INDEX ON big (a)', 'DROP INDEX big_a');
SELECT * FROM pg_temp.after('SET search_path = ns, en; CREATE SCHEMA ns CREATE TABLE big (id int, a int); DROP SCHEMA ns CASCADE', 'CREATE INDEX ON big (a)');
SELECT * FROM pg_temp.after('SET search_path = ns, en; BEGIN; CREATE SCHEMA ns CREATE TABLE big (id int, a int); ROLLBACK', 'CREATE INDEX ON big (a)', 'CREATE SCHEMA ns');
SELECT * FROM pg_temp.after('SET search_path = ns, en; CREATE SCHEMA ns CREATE TABLE big (id int, a int); BEGIN; DROP SCHEMA ns CASCADE; ROLLBACK', 'CREATE INDEX ON big (a)');
-- those that were there
SELECT * FROM pg_temp.after('SET search_path = en_front, en; DROP SCHEMA en_front CASCADE', 'CREATE INDEX ON big (a)', 'CREATE INDEX ON en_front.big (a)');
SELECT * FROM pg_temp.after('SET search_path = en_front, en; ALTER SCHEMA en_front RENAME TO en_back', 'CREATE INDEX ON big (a)', 'CREATE INDEX ON en_back.big (a)', 'CREATE INDEX ON en_front.big (a)');
SELECT * FROM pg_temp.explain('ALTER SCHEMA en RENAME TO en2; CREATE SCHEMA en; CREATE TABLE en.big (id int, a int); CREATE INDEX ON en2.big (a); CREATE INDEX ON en.big (a); ALTER SCHEMA en2 RENAME TO en3; DROP SCHEMA en3 CASCADE');
SELECT * FROM pg_temp.explain('CREATE SCHEMA ns; ALTER TABLE big SET SCHEMA ns; DROP SCHEMA ns CASCADE; CREATE INDEX ON ns.big (a)');
-- what fails, as the name is taken or is nowhere, changes nothing
SELECT l.script, a.relation, a.verdict, a.rule FROM unnest(ARRAY['CREATE TABLE big (a int)', 'CREATE TABLE big AS SELECT 1 AS a', 'SELECT 1 AS a INTO big', 'CREATE VIEW big AS SELECT 1 AS a', 'CREATE TABLE n (a int); ALTER TABLE n RENAME TO big',
	'SET search_path = en, en_front; ALTER TABLE en_front.big SET SCHEMA en', 'CREATE SCHEMA en CREATE TABLE big (a int)', 'SET search_path = ns, en; CREATE TABLE ns.big (a int)', 'SET search_path = ns, en; ALTER TABLE en_front.big SET SCHEMA ns',
	'CREATE SCHEMA ns CREATE TABLE big (a int); SET search_path = en; ALTER SCHEMA ns RENAME TO en', 'SET search_path = en, en_front; DROP SCHEMA en',
	'SET search_path = en_front, en; DROP TABLE big; CREATE VIEW big AS SELECT * FROM missing', 'SET search_path = en_front, en; DROP TABLE big; CREATE TABLE b2 (a int); CREATE VIEW big AS SELECT * FROM b2; DROP TABLE b2 CASCADE']) l(script), pg_temp.after(l.script, 'CREATE INDEX ON big (a)') a;
SELECT * FROM pg_temp.after('SET search_path = en_front; DROP TABLE big; SET search_path = en_front, en; CREATE TABLE IF NOT EXISTS big (a int)', 'CREATE INDEX ON big (a)');
-- the other ends of foreign keys are locked
ALTER TABLE big ADD UNIQUE (id);
SELECT * FROM pg_temp.after('CREATE SCHEMA ns; CREATE TABLE ns.c (i int REFERENCES big (id))', 'DROP SCHEMA ns CASCADE');
SELECT * FROM pg_temp.after('CREATE TABLE en_front.c (i int REFERENCES big (id))', 'DROP SCHEMA en_front CASCADE');

-- a search_path that nobody knows
SET search_path = en_front;
CREATE FUNCTION go_there(schema name) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('search_path', schema, false); END $$;
CREATE FUNCTION elsewhere() RETURNS void LANGUAGE sql AS $$ SELECT go_there('en') $$;
CREATE PROCEDURE by_call() LANGUAGE plpgsql AS $$ BEGIN SET search_path = en; END $$;
CREATE FUNCTION harmless() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;
SELECT * FROM pg_temp.after('DO $$ BEGIN SET search_path = en; END $$', 'CREATE INDEX ON big (a)', 'CREATE INDEX ON en_front.big (a)', 'DROP TABLE IF EXISTS missing', 'CREATE TABLE n (a int)', 'INSERT INTO big VALUES (1)', 'DELETE FROM big');
SELECT l.script, a.verdict, a.rule, a.reason FROM unnest(ARRAY['SELECT * FROM (SELECT set_config(''search_path'', ''en'', false)) s', 'SELECT set_config(name, ''en'', false) FROM pg_settings WHERE name = ''search_path''',
	'SELECT set_config(''search_path'', ''e'' || ''n'', false)', 'SELECT set_config(''search_path'', ''en'', false) WHERE false', 'SELECT elsewhere()', 'SELECT 1 FROM go_there(''en'')', 'CALL by_call()',
	'CREATE FUNCTION n() RETURNS void LANGUAGE sql AS ''SELECT go_there(NULL)''; SELECT n()', 'SELECT go_there(''en''); CREATE TABLE n (a int)']) l(script), pg_temp.after(l.script, 'CREATE INDEX ON big (a)') a WHERE a.verdict <> 'allow';
-- one that is known, and what doesn't touch it
SELECT l.script, a.relation, a.verdict, a.rule, a.reason FROM unnest(ARRAY['SELECT go_there(NULL); SET search_path = en_front', 'SELECT set_config(''search_path'', ''en_front'', false)', 'BEGIN; SELECT go_there(NULL); ROLLBACK', 'SELECT set_config(''work_mem'', x, false) FROM current_setting(''work_mem'') x',
	'SELECT harmless(), now(), count(*) FROM big', 'DO $$ BEGIN PERFORM harmless(); END $$', 'SELECT pg_catalog.set_config(''app.x'', ''1'' || ''2'', false)']) l(script), pg_temp.after(l.script, 'CREATE INDEX ON big (a)') a;
SELECT * FROM pg_temp.after('SELECT go_there(NULL); CREATE TABLE n (a int)', 'CREATE INDEX ON n (a)');
-- a statement that would be refused changes nothing
DROP TABLE IF EXISTS pg_temp.big;
CREATE VIEW of_big AS SELECT * FROM big;
SELECT * FROM pg_temp.explain('DROP TABLE big; CREATE TABLE big (id int, a int); ALTER TABLE big ALTER a TYPE bigint');
-- a schema of the path that the role may not use is not looked into, nor created in
CREATE ROLE regress_en_app;
GRANT USAGE, CREATE ON SCHEMA en TO regress_en_app;
ALTER TABLE big OWNER TO regress_en_app;
SET ROLE regress_en_app;
SET search_path = en_front, en;
SELECT * FROM pg_temp.after('CREATE TABLE n (a int)', 'CREATE INDEX ON big (a)', 'DROP TABLE big', 'ALTER TABLE n ALTER a TYPE bigint', 'ALTER TABLE en.n ALTER a TYPE bigint', 'ALTER TABLE en_front.n ALTER a TYPE bigint', 'DROP TABLE en_front.big', 'ALTER TABLE elsewhere.en_front.n ADD b int');
RESET ROLE;
SELECT l.script, a.relation, a.verdict, a.rule FROM unnest(ARRAY['CREATE TABLE n ()', 'CREATE TABLE n (); SET ROLE regress_en_app', 'CREATE TABLE n (); SET ROLE regress_en_app; RESET ROLE', 'GRANT USAGE ON SCHEMA en_front TO regress_en_app; CREATE TABLE n (); SET ROLE regress_en_app',
	'ALTER SCHEMA en_front OWNER TO regress_en_app; SET ROLE regress_en_app', 'GRANT pg_read_all_data TO regress_en_app; SET ROLE regress_en_app']) l(script), pg_temp.after(l.script, 'CREATE INDEX ON big (a)') a;

SET safe_migrate.guard = off;
SET client_min_messages = warning;
DROP SCHEMA en, en_front CASCADE;
DROP ROLE regress_en_app;
