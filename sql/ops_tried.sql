-- apply() tries what is brief, strong locks and all, and takes it back: the server itself says what is
-- wrong with it, before there is a job.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
\set SHOW_CONTEXT never
\set VERBOSITY terse
CREATE SCHEMA tried;
SET search_path = tried;
SET safe_migrate.inline = never;
SET safe_migrate.ddl_lock_try = '10s'; -- however busy the machine is
CREATE TABLE parent (id int NOT NULL, a int, CONSTRAINT positive CHECK (a > 0));
CREATE TABLE child () INHERITS (parent);
CREATE TABLE list (a int NOT NULL, b text) PARTITION BY LIST (a);
CREATE TABLE list1 PARTITION OF list FOR VALUES IN (1);
CREATE TABLE list_rest PARTITION OF list DEFAULT;
CREATE TABLE fits (a int NOT NULL, b text);
CREATE TABLE short (a int NOT NULL);
CREATE TABLE another (a int);
CREATE TABLE uses (p parent, g int, d int GENERATED ALWAYS AS (g + 1) STORED);
CREATE TYPE pair AS (x int, y int);
CREATE TABLE typed OF pair;
CREATE TABLE key (id int PRIMARY KEY);
CREATE TABLE refers (id int REFERENCES key);
INSERT INTO key VALUES (1);
\set apply 'SELECT safe_migrate.apply('

-- partitions
:apply 'ALTER TABLE list ATTACH PARTITION fits FOR VALUES IN (1)');
:apply 'ALTER TABLE list ATTACH PARTITION fits DEFAULT');
:apply 'ALTER TABLE list ATTACH PARTITION short FOR VALUES IN (2)');
:apply 'ALTER TABLE list ATTACH PARTITION child FOR VALUES IN (2)');
:apply 'ALTER TABLE list DETACH PARTITION fits');

-- what is inherited, and ONLY
:apply 'ALTER TABLE child ALTER a TYPE bigint');
:apply 'ALTER TABLE child RENAME a TO c');
:apply 'ALTER TABLE child RENAME CONSTRAINT positive TO c');
:apply 'ALTER TABLE ONLY parent ADD x int');
:apply 'ALTER TABLE ONLY parent RENAME a TO c');
:apply 'ALTER TABLE ONLY list DROP b');
:apply 'ALTER TABLE ONLY list ADD CHECK (a > 0)');
:apply 'ALTER TABLE list1 ADD x int');
:apply 'ALTER TABLE another INHERIT parent');
:apply 'ALTER TABLE list1 INHERIT parent');

-- what depends on a column's type; types of rows
:apply 'ALTER TABLE uses ALTER g TYPE bigint');
:apply 'ALTER TABLE parent ALTER a TYPE bigint');
:apply 'ALTER TABLE refers ALTER id TYPE date USING now()');
:apply 'ALTER TABLE another OF pair');
:apply 'ALTER TYPE pair ADD ATTRIBUTE z int');
:apply 'ALTER TYPE pair DROP ATTRIBUTE nix');
:apply 'ALTER TABLE key SET UNLOGGED');

-- kinds of things, a constraint of a partition's, what a query would make, what ends with a session
CREATE TABLE keyed (a int, b int, PRIMARY KEY (a, b)) PARTITION BY LIST (a);
CREATE TABLE keyed1 PARTITION OF keyed FOR VALUES IN (1) PARTITION BY LIST (b);
CREATE TABLE keyed11 PARTITION OF keyed1 DEFAULT;
CREATE TABLE to_keyed (a int, b int, CONSTRAINT f FOREIGN KEY (a, b) REFERENCES keyed) PARTITION BY LIST (a);
CREATE TABLE to_keyed1 PARTITION OF to_keyed DEFAULT;
CREATE MATERIALIZED VIEW empty AS SELECT id FROM key WITH NO DATA;
CREATE MATERIALIZED VIEW filled AS SELECT id FROM key;
:apply 'REINDEX TABLE key_pkey');
:apply 'REINDEX (TABLESPACE pg_global) TABLE key');
:apply 'ALTER TABLE to_keyed1 ALTER CONSTRAINT f DEFERRABLE');
:apply 'REFRESH MATERIALIZED VIEW CONCURRENTLY empty');
:apply 'REFRESH MATERIALIZED VIEW CONCURRENTLY filled');
:apply 'REFRESH MATERIALIZED VIEW CONCURRENTLY filled WITH NO DATA');
:apply 'CREATE MATERIALIZED VIEW more (a, b) AS SELECT id FROM key -- one column');
:apply 'CREATE TABLE more AS SELECT id, id FROM key');
:apply 'CREATE TEMP TABLE more AS SELECT id FROM key');
:apply 'CREATE TABLE pg_temp.more (a int)');

-- what a key of partitions would be refused for, and what an earlier sub-command makes, is none of it
CREATE TABLE any_key (a int NOT NULL, b int NOT NULL, c int) PARTITION BY LIST (a);
CREATE TABLE any_key1 PARTITION OF any_key FOR VALUES IN (1) PARTITION BY LIST (b);
BEGIN;
SELECT safe_migrate.apply('ALTER TABLE ONLY any_key ADD PRIMARY KEY (a)') > 0 AS queued;
SELECT safe_migrate.apply('ALTER TABLE another ADD PRIMARY KEY (a), ADD FOREIGN KEY (a) REFERENCES another') > 0 AS queued;
ROLLBACK;

-- rows of a small table
:apply 'ALTER TABLE key ADD CHECK (id > 1)');

-- the second of a script, planned as the first has left it
:apply 'ALTER TABLE another ADD x int; ALTER TABLE another ADD x int');
:apply 'ALTER TABLE another ADD x int; ALTER TABLE another ALTER x TYPE date USING x');
:apply 'ALTER TABLE another RENAME a TO b; ALTER TABLE another RENAME a TO c');
:apply 'CREATE INDEX twice ON another (a); CREATE INDEX twice ON list (a)');

-- where the tables are not free, the catalog knows much of it (as plan() has it)
\set plan 'SELECT step FROM safe_migrate.plan('
:plan 'ALTER TABLE list ATTACH PARTITION fits FOR VALUES IN (1)');
:plan 'ALTER TABLE list ATTACH PARTITION short FOR VALUES IN (2)');
:plan 'ALTER TABLE list ATTACH PARTITION child FOR VALUES IN (2)');
:plan 'ALTER TABLE list ATTACH PARTITION parent FOR VALUES IN (2)');
:plan 'ALTER TABLE list DETACH PARTITION fits');
:plan 'ALTER TABLE child RENAME a TO c');
:plan 'ALTER TABLE child RENAME CONSTRAINT positive TO c');
:plan 'ALTER TABLE child DROP a');
:plan 'ALTER TABLE ONLY parent ADD x int');
:plan 'ALTER TABLE ONLY parent ADD CHECK (id > 0)');
:plan 'ALTER TABLE ONLY parent RENAME a TO c');
:plan 'ALTER TABLE ONLY parent RENAME CONSTRAINT positive TO c');
:plan 'ALTER TABLE ONLY list DROP b');
:plan 'ALTER TABLE list1 ADD x int');
:plan 'ALTER TABLE list1 INHERIT parent');
:plan 'ALTER TABLE list INHERIT parent');
:plan 'ALTER TABLE another INHERIT list');
:plan 'ALTER TABLE parent ALTER a TYPE int');

-- nothing of it stays, no lock either
BEGIN;
SELECT safe_migrate.apply('ALTER TABLE another ADD x int; ALTER TABLE another ALTER x SET NOT NULL') > 0 AS queued;
SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation::regclass::text = 'another' AND mode <> 'AccessShareLock';
\d another
ROLLBACK;
SELECT count(*) FROM safe_migrate.jobs WHERE kind = 'apply' AND definition LIKE '%another%';

-- the session's own statement_timeout stays what it is
SET statement_timeout = '200ms';
BEGIN;
SELECT safe_migrate.apply('ALTER TABLE another ADD x int') > 0 AS queued, pg_sleep(10);
ROLLBACK;
RESET statement_timeout;

-- what takes its time is not waited for
CREATE FUNCTION slow(int) RETURNS bool LANGUAGE plpgsql STABLE AS
	'BEGIN LOOP PERFORM count(*) FROM generate_series(1, 1000); END LOOP; END';
SET safe_migrate.ddl_lock_try = '50ms';
SET statement_timeout = '30s';
BEGIN;
SELECT safe_migrate.apply('ALTER TABLE key ADD CHECK (slow(id))') > 0 AS queued;
ROLLBACK;
RESET statement_timeout;
SET safe_migrate.ddl_lock_try = '10s';

-- what does more than can be taken back is not called: volatile functions, also within others
CREATE SEQUENCE drawn;
INSERT INTO another VALUES (1);
CREATE FUNCTION draws(int) RETURNS bool LANGUAGE plpgsql STABLE AS 'BEGIN RETURN nextval(''tried.drawn'') > 0; END';
BEGIN;
SELECT safe_migrate.apply('ALTER TABLE another ADD x bigint DEFAULT nextval(''drawn'')') > 0 AS queued;
SELECT safe_migrate.apply('ALTER TABLE another ADD CHECK (draws(a))') > 0 AS queued;
SELECT safe_migrate.apply('ALTER TABLE another ADD CHECK (pg_try_advisory_lock(1))') > 0 AS queued;
SELECT is_called FROM drawn;
SELECT count(*) AS locks FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
ROLLBACK;

-- nor is known what it would say, what those that it ends would say, and what comes after it
CREATE SEQUENCE calls;
CREATE TABLE rows (a int NOT NULL);
INSERT INTO rows VALUES (1);
CREATE DOMAIN small AS int;
CREATE TABLE of_small (a small);
INSERT INTO of_small VALUES (1);
CREATE FUNCTION refuses(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM nextval(''tried.calls''); RETURN false; END';
CREATE FUNCTION hides_it(int) RETURNS bool LANGUAGE plpgsql STABLE AS
	'BEGIN RETURN tried.refuses($1); EXCEPTION WHEN OTHERS THEN RETURN false; END';
CREATE FUNCTION by_sql(int) RETURNS bool LANGUAGE sql AS 'SELECT nextval(''tried.calls'') IS NULL';
CREATE FUNCTION numbered(int) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN nextval(''tried.calls''); END';
BEGIN;
SELECT safe_migrate.apply('ALTER TABLE rows ADD CHECK (refuses(a))') > 0 AS queued;
SELECT safe_migrate.apply('ALTER TABLE rows ADD CHECK (by_sql(a))') > 0 AS queued;
SELECT safe_migrate.apply('ALTER TABLE rows ADD CHECK (nextval(''calls'') IS NULL)') > 0 AS queued;
SELECT safe_migrate.apply('ALTER TABLE rows ADD CHECK (hides_it(a))') > 0 AS queued;
SELECT safe_migrate.apply('ALTER TABLE rows ADD CHECK (refuses(a)); ALTER TABLE rows RENAME a TO b; ALTER TABLE rows RENAME a TO c') > 0 AS queued;
SELECT safe_migrate.apply('ALTER DOMAIN small ADD CHECK (refuses(VALUE))') > 0 AS queued;
SELECT safe_migrate.apply('ALTER TABLE rows ALTER a TYPE text USING numbered(a)') > 0 AS queued;
SELECT safe_migrate.apply('ALTER TABLE rows ADD b text DEFAULT numbered(1)') > 0 AS queued;
SELECT safe_migrate.apply('CREATE TABLE made AS SELECT numbered(a) FROM rows') > 0 AS queued;
SELECT safe_migrate.apply('CREATE MATERIALIZED VIEW made AS SELECT refuses(a), numbered(a) FROM rows') > 0 AS queued;
SELECT safe_migrate.apply('CREATE TABLE made PARTITION OF list FOR VALUES IN (nextval(''calls''))') > 0 AS queued;
SELECT safe_migrate.apply('CREATE TABLE made PARTITION OF list FOR VALUES IN (numbered(1)::int)') > 0 AS queued;
-- nor one of an event trigger, whatever it fires for; the server's own words come without it
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM nextval(''tried.calls''); RAISE ''refused''; END';
CREATE EVENT TRIGGER on_ddl ON ddl_command_end EXECUTE FUNCTION on_ddl();
SELECT safe_migrate.apply('ALTER TABLE another ADD x int') > 0 AS queued;
SAVEPOINT s;
SELECT safe_migrate.apply('CREATE INDEX twice ON another (a); CREATE INDEX twice ON list (a)');
ROLLBACK TO s;
ALTER EVENT TRIGGER on_ddl DISABLE;
ALTER EVENT TRIGGER on_ddl ENABLE ALWAYS;
SELECT safe_migrate.apply('ALTER TABLE another ADD y int') > 0 AS queued;
ROLLBACK;
SELECT is_called FROM calls;

DROP SCHEMA tried CASCADE;
