-- apply(), plan(), run(): ordinary DDL in, its steps out.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
\set SHOW_CONTEXT never
SET safe_migrate.inline = never;
CREATE SCHEMA ops;
SET search_path = ops;
CREATE TABLE ref (id int PRIMARY KEY);
INSERT INTO ref SELECT generate_series(1, 100);
CREATE TABLE t (id bigint PRIMARY KEY, a int, b text, ref_id int);
INSERT INTO t SELECT g, g, 'b' || g, 1 + g % 100 FROM generate_series(1, 1000) g;
\c
SET client_min_messages = warning;
SET safe_migrate.inline = never;
SET safe_migrate.small_table_size = 0;
SET search_path = ops;

-- what stands on its own feet, and what is taken apart; a statement on a table that an earlier one
-- makes is planned when its turn comes
SELECT step, sql, lock, blocks, effect, bytes > 0 AS sized, reversible, undo, kind FROM safe_migrate.plan($$
	CREATE TABLE n (id int PRIMARY KEY, r int REFERENCES ref);
	CREATE INDEX ON n (r);
	ALTER TABLE t ADD CHECK (a > 0), ADD COLUMN c int DEFAULT 1, ADD FOREIGN KEY (ref_id) REFERENCES ref;
	CREATE INDEX "I" ON t (lower(b));
	ALTER TABLE t ADD UNIQUE (a);
	COMMENT ON TABLE t IS 'x'
$$);
SELECT count(*) FROM pg_class WHERE relname = 'n';
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET safe_migrate.small_table_size = 0', current_database()); END $$;
CALL safe_migrate.run($$
	CREATE TABLE n (id int PRIMARY KEY, r int REFERENCES ref);
	CREATE INDEX ON n (r);
	ALTER TABLE t ADD CHECK (a > 0), ADD COLUMN c int DEFAULT 1, ADD FOREIGN KEY (ref_id) REFERENCES ref;
	CREATE INDEX "I" ON t (lower(b));
	ALTER TABLE t ADD UNIQUE (a);
	COMMENT ON TABLE t IS 'x'
$$, 'script');
-- (its steps differ between majors)
CALL safe_migrate.run('ALTER TABLE t ALTER a SET NOT NULL');
\d t
SELECT step_no, s.kind, s.description, s.state FROM safe_migrate.job_steps s JOIN safe_migrate.jobs j ON j.id = s.job_id
	WHERE j.name = 'script' ORDER BY step_no;
-- again: the same job
\set VERBOSITY terse
SET client_min_messages = notice;
SELECT safe_migrate.apply($$ALTER TABLE t ADD COLUMN d int$$, 'd') = safe_migrate.apply($$ALTER TABLE t ADD COLUMN d int$$, 'd') AS same;
SET client_min_messages = warning;
CALL safe_migrate.wait('d');
SELECT safe_migrate.apply($$ALTER TABLE t ADD COLUMN e int$$, 'd');

-- what the guard lets pass is taken
CREATE MATERIALIZED VIEW mv AS SELECT id, a FROM t;
CREATE UNIQUE INDEX ON mv (id);
INSERT INTO t (id, a, ref_id) VALUES (5000, 5000, 1);
\c
SET safe_migrate.inline = never;
SET safe_migrate.small_table_size = 0;
SET search_path = ops;
CALL safe_migrate.run('REFRESH MATERIALIZED VIEW CONCURRENTLY mv; ANALYZE t');
SELECT max(id) FROM mv;
DROP MATERIALIZED VIEW mv;
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
-- refused before anything starts
SELECT safe_migrate.apply('ALTER TABLE t ADD COLUMN z int; ALTER TABLE t ALTER a TYPE bigint');
SELECT safe_migrate.apply('ALTER TABLE t ADD EXCLUDE USING gist (a WITH =)');
SELECT safe_migrate.apply('VACUUM FULL t');
SELECT safe_migrate.apply('UPDATE t SET a = 1');
SELECT safe_migrate.apply('BEGIN; ALTER TABLE t ADD COLUMN z int; COMMIT');
SELECT safe_migrate.apply('ALTER TABLE t ADD COLUM z int');
SELECT safe_migrate.apply('ALTER TABLE nix ADD COLUMN z int');
SELECT safe_migrate.apply(' ; -- nothing');
SELECT safe_migrate.apply(NULL);
SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'z';

-- what loses data is for the guard to let pass
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET safe_migrate.guard = enforce', current_database()); END $$;
\c
SET safe_migrate.guard = enforce;
SET client_min_messages = warning;
SET search_path = ops;
SET safe_migrate.inline = never;
SELECT safe_migrate.apply('ALTER TABLE t DROP COLUMN b');
BEGIN;
SET LOCAL safe_migrate.override = 'CHG-7';
SELECT safe_migrate.apply('ALTER TABLE t DROP COLUMN b', 'drop b') > 0 AS queued;
COMMIT;
CALL safe_migrate.wait('drop b');
SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'b';
SELECT reason FROM safe_migrate.audit WHERE reason = 'CHG-7';
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET safe_migrate.guard', current_database()); END $$;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET safe_migrate.small_table_size', current_database()); END $$;
SET safe_migrate.guard = off;

-- at once, as one with the caller's transaction
SET safe_migrate.inline = always;
BEGIN;
SELECT safe_migrate.apply('CREATE TABLE i (a int); ALTER TABLE i ALTER a SET NOT NULL; CREATE INDEX ON i (a)') > 0 AS queued;
SELECT count(*) FROM pg_class WHERE relname IN ('i', 'i_a_idx');
ROLLBACK;
SELECT count(*) FROM pg_class WHERE relname IN ('i', 'i_a_idx');
\c
SET client_min_messages = warning;
SET safe_migrate.guard = off;
DROP SCHEMA ops CASCADE;
