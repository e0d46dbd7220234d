-- What a job would fail by is told when it is queued; and what came to be meanwhile is never taken for
-- what was meant.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
\set SHOW_CONTEXT never
CREATE ROLE oea_owner LOGIN;
CREATE SCHEMA oea;
SET search_path = oea;
CREATE TABLE ref (id int PRIMARY KEY, code int, late int UNIQUE DEFERRABLE);
CREATE UNIQUE INDEX ref_part ON ref (code) WHERE code > 0;
CREATE TABLE t (id int PRIMARY KEY, a int, b int);
INSERT INTO ref SELECT g, g, g FROM generate_series(1, 100) g;
INSERT INTO t SELECT g, g, g FROM generate_series(1, 100) g;
CREATE INDEX t_b ON t (b);
CREATE TABLE p (id int, a int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
ALTER TABLE p1 ADD PRIMARY KEY (a);
ALTER TABLE t OWNER TO oea_owner;
GRANT USAGE ON SCHEMA oea TO oea_owner;
SET safe_migrate.inline = never;

-- another primary key, of the table or of a leaf; a column twice; no key to refer to
SELECT safe_migrate.add_constraint_safely('t', 'PRIMARY KEY (a)');
SELECT safe_migrate.add_column_safely('t', 'n serial PRIMARY KEY');
SELECT safe_migrate.add_constraint_safely('p', 'PRIMARY KEY (id)');
SELECT safe_migrate.add_constraint_safely('t', 'UNIQUE (a, b, a)');
SELECT safe_migrate.add_constraint_safely('t', 'FOREIGN KEY (a) REFERENCES ref (code)');
SELECT safe_migrate.add_constraint_safely('t', 'FOREIGN KEY (a) REFERENCES ref (late)');
SELECT safe_migrate.add_constraint_safely('t', 'FOREIGN KEY (a, b) REFERENCES ref (id, id)');
CREATE VIEW v AS SELECT * FROM ref;
CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY);
SELECT safe_migrate.add_constraint_safely('t', 'FOREIGN KEY (a) REFERENCES v (id)');
SELECT safe_migrate.add_constraint_safely('t', 'FOREIGN KEY (a) REFERENCES fleeting');
SELECT safe_migrate.create_index_safely('CREATE INDEX ON safe_migrate.job (id)');
SELECT safe_migrate.drop_table_safely('safe_migrate.job');

-- one without an index for its columns is only told of
SET client_min_messages = notice;
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('t', 'CONSTRAINT unsupported FOREIGN KEY (a) REFERENCES ref'));
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('t', 'CONSTRAINT supported FOREIGN KEY (b) REFERENCES ref'));
SET client_min_messages = warning;

-- no right to refer, or to create beside the table; somebody else's index
SET ROLE oea_owner;
SELECT safe_migrate.add_constraint_safely('t', 'FOREIGN KEY (a) REFERENCES ref');
SELECT safe_migrate.create_index_safely('CREATE INDEX ON t (a)');
SELECT safe_migrate.add_constraint_safely('t', 'UNIQUE (a)');
SELECT safe_migrate.add_column_safely('t', 'n serial');
SELECT safe_migrate.apply('DROP INDEX ref_part');
SELECT safe_migrate.apply('DROP INDEX t_pkey');
RESET ROLE;
GRANT REFERENCES (id) ON ref TO oea_owner;
SET ROLE oea_owner;
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('t', 'CONSTRAINT by_column FOREIGN KEY (a) REFERENCES ref'));
RESET ROLE;

-- a temporary table is none of a job's
CREATE TEMP TABLE temporary (a int);
SELECT safe_migrate.add_constraint_safely('temporary', 'CHECK (a > 0)');
SELECT safe_migrate.apply('ALTER TABLE temporary ADD CHECK (a > 0)');
SET safe_migrate.inline = small;
SELECT safe_migrate.apply('ALTER TABLE temporary ADD CHECK (a > 0)') > 0 AS at_once;
SET safe_migrate.inline = never;

-- renamed, and another table has the name
CREATE FUNCTION exchange() RETURNS void LANGUAGE plpgsql AS
	'BEGIN ALTER TABLE t RENAME TO t_old; CREATE TABLE t (id int, a int, b int); INSERT INTO t VALUES (1, 1, 1); END';
CREATE FUNCTION change_back() RETURNS void LANGUAGE plpgsql AS 'BEGIN DROP TABLE t; ALTER TABLE t_old RENAME TO t; END';
\set VERBOSITY terse
BEGIN; SELECT safe_migrate.add_constraint_safely('t', 'CHECK (b > 0)', 'check') AS job \gset
SELECT exchange(); COMMIT;
CALL safe_migrate.wait(:job);
SELECT change_back();
BEGIN; SELECT safe_migrate.create_index_safely('CREATE INDEX ON t (b, a)', 'index') AS job \gset
SELECT exchange(); COMMIT;
CALL safe_migrate.wait(:job);
SELECT change_back();
BEGIN; SELECT safe_migrate.add_not_null_safely('t', 'b', job_name => 'not null') AS job \gset
SELECT exchange(); COMMIT;
CALL safe_migrate.wait(:job);
SELECT change_back();
BEGIN; SELECT safe_migrate.add_constraint_safely('t', 'UNIQUE (b)', 'unique') AS job \gset
SELECT exchange(); COMMIT;
CALL safe_migrate.wait(:job);
SELECT change_back();
BEGIN; SELECT safe_migrate.reindex_safely('t_b', 'reindex') AS job \gset
ALTER INDEX t_b RENAME TO t_b_old; CREATE INDEX t_b ON t (b); COMMIT;
CALL safe_migrate.wait(:job);
DROP INDEX t_b; ALTER INDEX t_b_old RENAME TO t_b;
-- back again: they go on
SELECT safe_migrate.retry(name) FROM unnest('{check, index, not null, unique, reindex}'::text[]) name;
CALL safe_migrate.wait('check');
CALL safe_migrate.wait('index');
CALL safe_migrate.wait('not null');
CALL safe_migrate.wait('unique');
CALL safe_migrate.wait('reindex');
SELECT conname FROM pg_constraint WHERE conrelid = 't'::regclass AND contype <> 'n' ORDER BY 1;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 't'::regclass ORDER BY indexrelid::regclass::text COLLATE "C";
-- dropped
BEGIN; SELECT safe_migrate.add_constraint_safely('p1', 'CHECK (a > 0)') AS job \gset
DROP TABLE p1; COMMIT;
CALL safe_migrate.wait(:job);

-- names taken since
BEGIN; SELECT safe_migrate.create_index_safely('CREATE INDEX ON t (a)') AS job \gset
CREATE TABLE t_a_idx (a int); COMMIT;
CALL safe_migrate.wait(:job);
BEGIN; SELECT safe_migrate.add_constraint_safely('t', 'CHECK (a > 0)') AS job \gset
ALTER TABLE t ADD CONSTRAINT t_a_check CHECK (a > -10); COMMIT;
CALL safe_migrate.wait(:job);
BEGIN; SELECT safe_migrate.add_column_safely('t', 'n int DEFAULT 5') AS job \gset
ALTER TABLE t ADD n int; COMMIT;
CALL safe_migrate.wait(:job);
BEGIN; SELECT safe_migrate.add_column_safely('t', 's serial') AS job \gset
CREATE TABLE t_s_seq (a int); COMMIT;
CALL safe_migrate.wait(:job);
SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
SET safe_migrate.guard = off;
DROP SCHEMA oea CASCADE;
DROP ROLE oea_owner;
