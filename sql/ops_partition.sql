-- attach_partition_safely(), detach_partition_safely(): what the server would check or build under its
-- lock is there before; in the end everything is as plain DDL leaves it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
CREATE ROLE opa_owner LOGIN;
CREATE ROLE opa_other LOGIN;
CREATE SCHEMA "Opa s" AUTHORIZATION opa_owner;
SET ROLE opa_owner;
SET search_path = "Opa s";
SET safe_migrate.inline = never;
CREATE FUNCTION steps(job bigint) RETURNS TABLE (state text, kind text, description text) LANGUAGE sql
BEGIN ATOMIC SELECT s.state, s.kind, s.description FROM safe_migrate.job_steps s WHERE s.job_id = $1 ORDER BY step_no; END;
CREATE FUNCTION parts(parent regclass) RETURNS TABLE (part regclass, bound text) LANGUAGE sql
BEGIN ATOMIC SELECT inhrelid::regclass, pg_get_expr(relpartbound, inhrelid) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
	WHERE inhparent = $1 ORDER BY 1; END;
CREATE FUNCTION has(regclass) RETURNS TABLE (conname name, definition text) LANGUAGE sql
BEGIN ATOMIC SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1 AND contype <> 'n' ORDER BY 1; END;
CREATE TABLE ref (id int PRIMARY KEY);
INSERT INTO ref SELECT generate_series(1, 10);
CREATE TABLE p (id int, "K k" date NOT NULL, r int REFERENCES ref, note text NOT NULL, CONSTRAINT positive CHECK (r > 0), PRIMARY KEY (id, "K k"))
	PARTITION BY RANGE ("K k");
CREATE UNIQUE INDEX p_u ON p (r DESC, "K k");
CREATE INDEX p_lower ON p (lower(note)) WHERE r < 5;
CREATE TABLE pd PARTITION OF p DEFAULT;
INSERT INTO p VALUES (1, '2024-01-01', 1, 'x');
CREATE TABLE "New t" (note text, dropped int, id int, r int, "K k" date);
ALTER TABLE "New t" DROP dropped;
INSERT INTO "New t" VALUES ('a', 7, 1, '2025-02-03');

-- all of it has to be made first, and nothing is left of the proofs
SET client_min_messages = notice;
SELECT safe_migrate.attach_partition_safely('p', '"New t"', $$FOR VALUES FROM ('2025-01-01') TO (date '2026-01-01')$$, 'opa') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job) WHERE state <> 'done' OR description !~ 'not_null|NOT NULL';
SELECT * FROM parts('p');
SELECT * FROM has('"New t"');
SELECT * FROM has('pd');
SELECT pg_get_indexdef(indexrelid), indisvalid, inhparent::regclass FROM pg_index LEFT JOIN pg_inherits ON inhrelid = indexrelid
	WHERE indrelid = '"New t"'::regclass ORDER BY 1;
\set VERBOSITY terse
SELECT safe_migrate.attach_partition_safely('p', '"New t"', $$FOR VALUES FROM ('2025-01-01') TO (date '2026-01-01')$$, 'opa') = :job AS same;

-- rows in the way: of the table, of the default partition
\set VERBOSITY default
CREATE TABLE bad (LIKE p INCLUDING ALL);
INSERT INTO bad VALUES (7, '2027-02-03', 3, 'b'), (8, '2029-02-03', 4, 'c');
SELECT safe_migrate.attach_partition_safely('p', 'bad', $$FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')$$, 'opa bad') AS job \gset
\set VERBOSITY terse
CALL safe_migrate.wait(:job);
SELECT error_detail FROM safe_migrate.jobs WHERE id = :job;
DELETE FROM bad WHERE id = 8;
INSERT INTO p VALUES (9, '2027-02-03', 9, 'd');
SELECT safe_migrate.retry(:job);
CALL safe_migrate.wait(:job);
SELECT error_detail FROM safe_migrate.jobs WHERE id = :job;
SELECT * FROM has('bad') WHERE conname ~ 'bound';
SELECT * FROM has('pd') WHERE conname ~ 'bound';
DELETE FROM pd WHERE id = 9;
SELECT safe_migrate.retry(:job);
CALL safe_migrate.wait(:job);
SELECT * FROM parts('p');
SELECT * FROM has('bad') WHERE conname ~ 'bound';
\set VERBOSITY default

-- two at a time: each has a proof of its own on the default partition
CREATE TABLE one (LIKE p);
CREATE TABLE two (LIKE p);
BEGIN;
SET LOCAL client_min_messages = warning;
SELECT safe_migrate.attach_partition_safely('p', 'one', $$FOR VALUES FROM ('2031-01-01') TO ('2032-01-01')$$) AS one,
	safe_migrate.attach_partition_safely('p', 'two', $$FOR VALUES FROM ('2032-01-01') TO ('2033-01-01')$$) AS two \gset
COMMIT;
CALL safe_migrate.wait(:one);
CALL safe_migrate.wait(:two);
SELECT * FROM parts('p');
SELECT * FROM has('pd') WHERE conname ~ 'bound';
DROP TABLE one, two;

-- detached by brief locks, as there is a default partition
SELECT safe_migrate.detach_partition_safely('p', 'bad') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
SELECT safe_migrate.detach_partition_safely('p', 'pd') AS job \gset
CALL safe_migrate.wait(:job);
-- and concurrently
SELECT safe_migrate.detach_partition_safely('p', '"New t"') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
SELECT * FROM parts('p');

-- one that was interrupted is finished
CREATE TABLE pending PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
RESET ROLE;
UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'pending'::regclass;
SET ROLE opa_owner;
SELECT safe_migrate.detach_partition_safely('p', 'pending') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
SELECT * FROM parts('p');
SELECT safe_migrate.drop_table_safely('pending') AS job \gset
CALL safe_migrate.wait(:job);
-- a partition that is dropped is detached first, and what it inherited is dropped one by one
CREATE TABLE leaving PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
SET client_min_messages = warning;
SELECT safe_migrate.drop_table_safely('leaving') AS job \gset
CALL safe_migrate.wait(:job);
SELECT kind, regexp_replace(description, ', with.*', '') FROM steps(:job);
SET client_min_messages = notice;

-- list, hash, several levels, a partitioned child, what is there already
CREATE TABLE l (id int, k text) PARTITION BY LIST (k);
CREATE TABLE lh PARTITION OF l FOR VALUES IN ('x') PARTITION BY HASH (id);
CREATE INDEX l_id ON l (id);
CREATE TABLE lh0 (LIKE l);
CREATE TABLE lh1 (LIKE l);
INSERT INTO lh0 SELECT i, 'x' FROM generate_series(1, 100) i WHERE satisfies_hash_partition('lh'::regclass, 2, 0, i);
INSERT INTO lh1 SELECT i, 'x' FROM generate_series(1, 100) i WHERE satisfies_hash_partition('lh'::regclass, 2, 1, i);
CALL safe_migrate.wait(safe_migrate.attach_partition_safely('lh', 'lh0', 'FOR VALUES WITH (MODULUS 2, REMAINDER 0)'));
CALL safe_migrate.wait(safe_migrate.attach_partition_safely('lh', 'lh1', 'FOR VALUES WITH (MODULUS 2, REMAINDER 1)'));
CREATE TABLE ly (LIKE l) PARTITION BY RANGE (id);
CREATE TABLE ly1 PARTITION OF ly FOR VALUES FROM (0) TO (100);
INSERT INTO ly VALUES (5, 'y'), (6, 'it''s');
SELECT safe_migrate.attach_partition_safely('l', 'ly', $$FOR VALUES IN ('y', 'it''s', NULL)$$) AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
CREATE TABLE lz (LIKE l INCLUDING ALL, CHECK (k IS NOT NULL AND k = 'z'));
CREATE INDEX ON lz (id);
SELECT safe_migrate.attach_partition_safely('l', 'lz', $$FOR VALUES IN ('z')$$) AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
CREATE TABLE ld (LIKE l);
CALL safe_migrate.wait(safe_migrate.attach_partition_safely('l', 'ld', 'DEFAULT'));
SELECT * FROM parts('l');
SELECT * FROM parts('lh');
SELECT count(*) FROM l;
SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'Opa s' AND tablename ~ '^l' ORDER BY 1, 2;

-- inline
SET safe_migrate.inline = small;
BEGIN;
SELECT safe_migrate.attach_partition_safely('p', 'pd', 'DEFAULT') > 0 AND safe_migrate.attach_partition_safely('p', 'bad', $$FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')$$) > 0
	AND safe_migrate.detach_partition_safely('l', 'ly') > 0 AS job;
SELECT * FROM parts('p');
COMMIT;
SET safe_migrate.inline = never;

-- refused
CREATE TABLE other (id int, k text, more int);
CREATE TABLE missing (id int);
CREATE TABLE typed (id bigint, k text);
SELECT safe_migrate.attach_partition_safely('l', 'other', $$FOR VALUES IN ('q')$$);
SELECT safe_migrate.attach_partition_safely('l', 'missing', $$FOR VALUES IN ('q')$$);
SELECT safe_migrate.attach_partition_safely('l', 'typed', $$FOR VALUES IN ('q')$$);
ALTER TABLE other DROP more;
SELECT safe_migrate.attach_partition_safely('l', 'other', $$FOR VALUES IN ('z')$$);
SELECT safe_migrate.attach_partition_safely('l', 'other', $$FOR VALUES FROM (1) TO (2)$$);
SELECT safe_migrate.attach_partition_safely('l', 'other', $$FOR VALUES IN ('q'); DROP TABLE l$$);
SELECT safe_migrate.attach_partition_safely('l', 'other', 'FOR VALUES');
SELECT safe_migrate.attach_partition_safely('l', 'other', 'DEFAULT, ADD COLUMN x int');
SELECT safe_migrate.attach_partition_safely('l', 'lz', $$FOR VALUES IN ('q')$$);
SELECT safe_migrate.attach_partition_safely('other', 'lz', $$FOR VALUES IN ('q')$$);
SELECT safe_migrate.attach_partition_safely('ly', 'ly', $$FOR VALUES FROM (1) TO (2)$$);
SELECT safe_migrate.attach_partition_safely(NULL, 'lz', $$FOR VALUES IN ('q')$$);
SELECT safe_migrate.attach_partition_safely('l', NULL, $$FOR VALUES IN ('q')$$);
SELECT safe_migrate.attach_partition_safely('l', 'other', NULL);
SELECT safe_migrate.detach_partition_safely('l', 'other');
SELECT safe_migrate.detach_partition_safely('other', 'l');
SELECT safe_migrate.detach_partition_safely('l', 0);
SELECT safe_migrate.detach_partition_safely('l', NULL);
SELECT safe_migrate.detach_partition_safely(NULL, 'l');
RESET ROLE;
GRANT USAGE ON SCHEMA "Opa s" TO opa_other;
SET ROLE opa_other;
SELECT safe_migrate.detach_partition_safely('l', 'lz');
SELECT safe_migrate.attach_partition_safely('l', 'other', $$FOR VALUES IN ('q')$$);
RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA "Opa s" CASCADE;
DROP ROLE opa_owner;
DROP ROLE opa_other;
