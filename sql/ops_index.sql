-- create_index_safely: by a job, and at once.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
\set SHOW_CONTEXT never
SET safe_migrate.inline = never;
CREATE SCHEMA ops;
SET search_path = ops;
CREATE TABLE t (id bigint PRIMARY KEY, a int, "Odd b" text, js jsonb);
INSERT INTO t SELECT g, g % 10, 'b' || g, '{}' FROM generate_series(1, 1000) g;

CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX ON t (a)'));
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX CONCURRENTLY ON ops.t (a)'));
CALL safe_migrate.wait(safe_migrate.create_index_safely(
	$$CREATE INDEX "Named" ON t (a DESC NULLS LAST, lower("Odd b") text_pattern_ops) INCLUDE (id) WITH (fillfactor = 70) WHERE a > 5$$));
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX ON t USING gin (js jsonb_path_ops)'));
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX ON t ("Odd b" COLLATE "C", (a + 1))'));
SELECT indexdef FROM pg_indexes WHERE tablename = 't' ORDER BY indexname;

-- what is there under the name: the same is success, an invalid one is built anew, another an error
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX t_a_idx ON t (a)'));
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_a_idx'::regclass;
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX t_a_idx ON t (a)'));
SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a_idx'::regclass;
SELECT safe_migrate.create_index_safely('CREATE INDEX t_a_idx ON t (a DESC)');
SELECT safe_migrate.create_index_safely('CREATE INDEX t_a_idx ON t (a) WHERE a > 0');

-- duplicates: the wreck goes, the keys are told
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE UNIQUE INDEX u ON t (a)'));
SELECT count(*) FROM pg_class WHERE relname = 'u';
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE UNIQUE INDEX u ON t ((id % 20)) WHERE id < 900'));
SELECT count(*) FROM pg_class WHERE relname = 'u';
CREATE TABLE twice (a int, b text);
INSERT INTO twice VALUES (1, NULL), (1, NULL), (NULL, 'x'), (NULL, 'x'), (2, 'y');
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE UNIQUE INDEX ON twice (a, b) NULLS NOT DISTINCT'));
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE UNIQUE INDEX ON twice (a, b)'));
-- what else makes it another one
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX br ON t USING brin (a int4_minmax_multi_ops (values_per_range = 16))'));
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX br ON t USING brin (a int4_minmax_multi_ops (values_per_range = 16))'));
SELECT safe_migrate.create_index_safely('CREATE INDEX br ON t USING brin (a int4_minmax_multi_ops (values_per_range = 32))');
SELECT safe_migrate.create_index_safely('CREATE INDEX br ON t USING brin (a int4_minmax_ops)');
SELECT safe_migrate.create_index_safely('CREATE UNIQUE INDEX twice_a_b_idx ON twice (a, b) NULLS NOT DISTINCT');
SELECT safe_migrate.create_index_safely('CREATE UNIQUE INDEX twice_a_b_idx ON twice (a) INCLUDE (b)');
SELECT safe_migrate.create_index_safely('CREATE UNIQUE INDEX twice_a_b_idx ON twice (a, b COLLATE "C")');
-- constants are stored folded
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX folded ON t ((id % 20), (a + (1 + 1))) WHERE id < 10 + 5 AND NOT (a > 3)'));
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX folded ON t ((id % 20), (a + (1 + 1))) WHERE id < 10 + 5 AND NOT (a > 3)'));
SELECT safe_migrate.create_index_safely('CREATE INDEX folded ON t ((id % 20), (a + (1 + 1))) WHERE id < 10 + 6 AND NOT (a > 3)');

-- partitions: matching indexes are taken
CREATE TABLE p (id int, a int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
CREATE TABLE p1a PARTITION OF p1 FOR VALUES FROM (0) TO (100);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
INSERT INTO p SELECT g, g FROM generate_series(0, 199) g;
CREATE INDEX mine ON p2 (a);
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX ON p (a)', job_name => 'parts'));
SELECT s.kind, description FROM safe_migrate.job_steps s JOIN safe_migrate.jobs j ON j.id = s.job_id WHERE j.name = 'parts' ORDER BY step_no;
SELECT relid, parentrelid, level FROM pg_partition_tree('p_a_idx') ORDER BY 1;
SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid;

-- beside a foreign table, which can have none
CREATE FOREIGN DATA WRAPPER ops_nowhere;
CREATE SERVER ops_nowhere FOREIGN DATA WRAPPER ops_nowhere;
CREATE FOREIGN TABLE p3 PARTITION OF p FOR VALUES FROM (200) TO (300) SERVER ops_nowhere;
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX beside ON p (a, id)', job_name => 'beside'));
SELECT s.kind, description FROM safe_migrate.job_steps s JOIN safe_migrate.jobs j ON j.id = s.job_id WHERE j.name = 'beside' ORDER BY step_no;
SELECT relid, parentrelid, level, indisvalid FROM pg_partition_tree('beside') JOIN pg_index ON indexrelid = relid ORDER BY 1;
SELECT safe_migrate.create_index_safely('CREATE UNIQUE INDEX ON p (id)');
-- of an expression: what the planner knows of it
SELECT count(*) FROM pg_statistic WHERE starelid = '"Named"'::regclass;

-- input that is no good
SELECT safe_migrate.create_index_safely('CREATE INDEX ON t (a); DROP TABLE t');
SELECT safe_migrate.create_index_safely('DROP TABLE t');
SELECT safe_migrate.create_index_safely('CREATE INDEX ON t (nix)');
SELECT safe_migrate.create_index_safely('CREATE INDEX ON nix (a)');
SELECT safe_migrate.create_index_safely('CREATE INDEX ON t (js text_pattern_ops)');
SELECT safe_migrate.create_index_safely('CREATE INDEX ON t (random())');
SELECT safe_migrate.create_index_safely('');
SELECT safe_migrate.create_index_safely(NULL);

-- at once
SET safe_migrate.inline = always;
BEGIN;
SELECT safe_migrate.create_index_safely('CREATE INDEX inline ON t (id, a)') > 0 AS queued;
SELECT count(*) FROM pg_class WHERE relname = 'inline';
ROLLBACK;
SELECT count(*) FROM pg_class WHERE relname = 'inline';
SET safe_migrate.guard = off;
DROP SCHEMA ops CASCADE;
DROP FOREIGN DATA WRAPPER ops_nowhere CASCADE;
