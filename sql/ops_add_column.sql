-- add_column_safely(): what the server would do to each row under its lock is done before or after; in
-- the end the table is as plain DDL leaves it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
CREATE ROLE oac_owner LOGIN;
CREATE ROLE oac_other LOGIN;
CREATE SCHEMA "Oac s" AUTHORIZATION oac_owner;
CREATE SCHEMA oac_twin AUTHORIZATION oac_owner;
SET ROLE oac_owner;
SET search_path = "Oac s";
SET safe_migrate.inline = never;
CREATE FUNCTION steps(job bigint) RETURNS TABLE (state text, kind text, description text) LANGUAGE sql
BEGIN ATOMIC SELECT s.state, s.kind, regexp_replace(s.description, '( ADD CONSTRAINT .*_not_null"?) .*', '\1 …') FROM safe_migrate.job_steps s
	WHERE s.job_id = $1 AND s.description !~ 'SET NOT NULL' ORDER BY step_no; END;
CREATE FUNCTION random_int() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 5; END';
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN loose AS text;
CREATE TABLE ref (id int PRIMARY KEY);
INSERT INTO ref SELECT generate_series(1, 10);
CREATE TABLE "T t" (id int PRIMARY KEY, a int);
INSERT INTO "T t" SELECT i, i FROM generate_series(1, 500) i;
CREATE TABLE p (id int, k int) PARTITION BY RANGE (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (1000);
INSERT INTO p SELECT i, i FROM generate_series(1, 500) i;
CREATE TABLE oac_twin."T t" AS TABLE "T t";
ALTER TABLE oac_twin."T t" ADD PRIMARY KEY (id);
CREATE TABLE oac_twin.p (id int, k int) PARTITION BY RANGE (k);
CREATE TABLE oac_twin.p1 PARTITION OF oac_twin.p FOR VALUES FROM (0) TO (100);
CREATE TABLE oac_twin.p2 PARTITION OF oac_twin.p FOR VALUES FROM (100) TO (1000);
INSERT INTO oac_twin.p TABLE p;
-- all that pg_dump would write of the tables of a schema
CREATE FUNCTION shape(schema name) RETURNS SETOF text LANGUAGE sql SET search_path = pg_catalog AS $$
	WITH r AS (SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = $1 AND relname IN ('T t', 'p', 'p1', 'p2'))
	SELECT replace(replace(s, 'oac_twin.', ''), '"Oac s".', '') FROM (
		SELECT format('%s %s %s %s %s %s %s %s %s', relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, attcollation,
			attstorage, pg_get_expr(adbin, adrelid)) FROM r JOIN pg_attribute a ON attrelid = r.oid AND attnum > 0 AND NOT attisdropped
			LEFT JOIN pg_attrdef d ON adrelid = r.oid AND adnum = attnum
		UNION ALL SELECT format('%s %s %s', relname, conname, pg_get_constraintdef(c.oid)) FROM r JOIN pg_constraint c ON conrelid = r.oid
		UNION ALL SELECT pg_get_indexdef(indexrelid) FROM r JOIN pg_index ON indrelid = r.oid
		UNION ALL SELECT format('%s %s %s %s %s', relname, s.*, d.deptype, refobjsubid, objid::regclass) FROM r JOIN pg_depend d ON refobjid = r.oid AND d.classid = 'pg_class'::regclass
			AND deptype IN ('a', 'i') JOIN pg_sequence q ON q.seqrelid = objid, LATERAL (SELECT seqtypid::regtype, seqstart, seqincrement, seqmax, seqcycle) s
	) t(s) ORDER BY 1 $$;
CREATE FUNCTION differences() RETURNS TABLE (which text, what text) LANGUAGE sql AS $$
	(SELECT 'plain only', s FROM shape('oac_twin') s EXCEPT SELECT 'plain only', s FROM shape('Oac s') s)
	UNION ALL (SELECT 'safe only', s FROM shape('Oac s') s EXCEPT SELECT 'safe only', s FROM shape('oac_twin') s) $$;
\set VERBOSITY terse

-- one after the other, and plainly on the twin
\set def '"C 1" int'
SELECT safe_migrate.add_column_safely('"T t"', :'def', 'oac') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
ALTER TABLE oac_twin."T t" ADD COLUMN :def;
SET client_min_messages = notice;
SELECT safe_migrate.add_column_safely('"T t"', :'def', 'oac') = :job AS same;
SET client_min_messages = warning;
\set def 'c2 numeric(6,2) DEFAULT 1.5 NOT NULL CHECK (c2 > 0) CONSTRAINT "Odd ""one" CHECK (c2 < id + 1000) CHECK (c2 <> a + 0.3)'
SELECT safe_migrate.add_column_safely('"T t"', :'def') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
ALTER TABLE oac_twin."T t" ADD COLUMN :def;
\set def 'c3 text COLLATE "C" DEFAULT clock_timestamp()::text NOT NULL'
SELECT safe_migrate.add_column_safely('"T t"', :'def') AS job \gset
CALL safe_migrate.wait(:job);
SELECT kind, description FROM steps(:job);
ALTER TABLE oac_twin."T t" ADD COLUMN :def;
\set def 'c4 uuid DEFAULT gen_random_uuid() CONSTRAINT c4_once UNIQUE'
SELECT safe_migrate.add_column_safely('"T t"', :'def') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
ALTER TABLE oac_twin."T t" ADD COLUMN :def;
\set def 'c5 int DEFAULT "Oac s".random_int() REFERENCES "Oac s".ref ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED'
SELECT safe_migrate.add_column_safely('"T t"', :'def') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
ALTER TABLE oac_twin."T t" ADD COLUMN :def;
\set def '"C 6" bigserial UNIQUE'
SELECT safe_migrate.add_column_safely('"T t"', :'def') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
ALTER TABLE oac_twin."T t" ADD COLUMN :def;
\set def 'c7 int GENERATED ALWAYS AS IDENTITY (START WITH 1000 INCREMENT BY 2)'
SELECT safe_migrate.add_column_safely('"T t"', :'def') AS job \gset
CALL safe_migrate.wait(:job);
SELECT * FROM steps(:job);
ALTER TABLE oac_twin."T t" ADD COLUMN :def;
INSERT INTO "T t" (id) VALUES (1000) RETURNING "C 6" > 500 AS goes_on, c7 >= 2000 AND c7 % 2 = 0 AS goes_on_too;
INSERT INTO oac_twin."T t" (id) VALUES (1000) RETURNING "C 6" > 500 AS goes_on, c7 >= 2000 AND c7 % 2 = 0 AS goes_on_too;
\set def 'c8 "Oac s".loose DEFAULT NULL CHECK (c8 <> '''')'
CALL safe_migrate.wait(safe_migrate.add_column_safely('"T t"', :'def'));
ALTER TABLE oac_twin."T t" ADD COLUMN :def;
\set def 'c9 smallint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY'
ALTER TABLE "T t" DROP CONSTRAINT "T t_pkey";
ALTER TABLE oac_twin."T t" DROP CONSTRAINT "T t_pkey";
CALL safe_migrate.wait(safe_migrate.add_column_safely('"T t"', :'def'));
ALTER TABLE oac_twin."T t" ADD COLUMN :def;
SELECT count(*), count(DISTINCT c2) AS c2, count(DISTINCT c3) > 1 AS c3, count(DISTINCT c4) AS c4, count(DISTINCT c5) AS c5, count(DISTINCT "C 6") AS c6,
	count(DISTINCT c7) AS c7, count(c8) AS c8, count(DISTINCT c9) AS c9 FROM "T t";
SELECT * FROM differences();
-- partitioned
\set def 'c1 timestamptz DEFAULT clock_timestamp() NOT NULL CHECK (c1 > ''2000-01-01'')'
CALL safe_migrate.wait(safe_migrate.add_column_safely('p', :'def'));
ALTER TABLE oac_twin.p ADD COLUMN :def;
\set def 'c2 serial'
CALL safe_migrate.wait(safe_migrate.add_column_safely('p', :'def'));
ALTER TABLE oac_twin.p ADD COLUMN :def;
SELECT count(*), count(DISTINCT c2) FROM p;
SELECT * FROM differences();
SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = '"Oac s"'::regnamespace ORDER BY 1;

-- rows in the way: the column stays, the constraint does not hold yet
SELECT safe_migrate.add_column_safely('p', 'c3 int DEFAULT 5 CHECK (c3 > id)') AS job \gset
CALL safe_migrate.wait(:job);
SELECT left(error_detail, 19), error_hint FROM safe_migrate.jobs WHERE id = :job;
UPDATE p SET c3 = id + 1;
SELECT safe_migrate.retry(:job);
CALL safe_migrate.wait(:job);
SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'p'::regclass AND contype = 'c' ORDER BY 1;

-- a domain with constraints gives way to its base type, one without is taken, with its default
CREATE DOMAIN "Odd d" AS text COLLATE "C" DEFAULT 'n/a' NOT NULL CONSTRAINT "What's $1" CHECK (VALUE <> '$1 VALUE') CHECK (length(VALUE) < 10);
CREATE DOMAIN inner_d AS "Odd d" CHECK (VALUE ~ '^[a-z/]+$');
CREATE DOMAIN token AS uuid DEFAULT gen_random_uuid();
ALTER TABLE "T t" DROP COLUMN "C 1";
SET client_min_messages = notice;
\set VERBOSITY default
SELECT safe_migrate.add_column_safely('"T t"', '"C 1" inner_d') AS job \gset
SET client_min_messages = warning;
CALL safe_migrate.wait(:job);
CALL safe_migrate.wait(safe_migrate.add_column_safely('"T t"', 'c10 positive'));
CALL safe_migrate.wait(safe_migrate.add_column_safely('"T t"', 'c11 "Oac s".token NOT NULL'));
SELECT attname, format_type(atttypid, atttypmod), collname, attnotnull, pg_get_expr(adbin, adrelid) AS default FROM pg_attribute
	LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum LEFT JOIN pg_collation c ON c.oid = attcollation
	WHERE attrelid = '"T t"'::regclass AND attname IN ('C 1', 'c10', 'c11') ORDER BY attnum;
SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint WHERE conrelid = '"T t"'::regclass AND contype = 'c' AND conname ~ 'C 1|c10' ORDER BY conname;
SELECT count(*), count(DISTINCT "C 1"), count(c10), count(DISTINCT c11) = count(*) AS tokens FROM "T t";
\set VERBOSITY terse
INSERT INTO "T t" (id) VALUES (1001) RETURNING "C 1", c10, c11 IS NOT NULL AS token;
INSERT INTO "T t" (id, c10) VALUES (1002, 0);
INSERT INTO "T t" (id, "C 1") VALUES (1003, '$1 VALUE');

-- inline
SET safe_migrate.inline = small;
BEGIN;
SELECT safe_migrate.add_column_safely('"T t"', 'd1 int GENERATED ALWAYS AS (id + 1) STORED') > 0 AND safe_migrate.add_column_safely('"T t"', 'd2 positive') > 0 AS job;
SELECT attname, attgenerated FROM pg_attribute WHERE attrelid = '"T t"'::regclass AND attname ~ '^d' ORDER BY attnum;
COMMIT;
SET safe_migrate.inline = never;

-- refused
\set VERBOSITY default
SELECT safe_migrate.add_column_safely('"T t"', 'e int GENERATED ALWAYS AS (id + 1) STORED');
SELECT safe_migrate.add_column_safely('"T t"', 'e int NOT NULL');
SELECT safe_migrate.add_column_safely('"T t"', 'e int PRIMARY KEY');
SELECT safe_migrate.add_column_safely('"T t"', 'a text');
SELECT safe_migrate.add_column_safely('"T t"', 'e int; DROP TABLE "T t"');
SELECT safe_migrate.add_column_safely('"T t"', 'e int, DROP COLUMN a');
SELECT safe_migrate.add_column_safely('"T t"', 'IF NOT EXISTS e int');
SELECT safe_migrate.add_column_safely('"T t"', 'e nothing');
SELECT safe_migrate.add_column_safely('"T t"', 'e int DEFAULT ''x''');
SELECT safe_migrate.add_column_safely('"T t"', 'e int DEFAULT id');
SELECT safe_migrate.add_column_safely('"T t"', 'e int CHECK (nothing > 0)');
SELECT safe_migrate.add_column_safely('"T t"', 'e int CHECK (e)');
SELECT safe_migrate.add_column_safely('"T t"', 'e int REFERENCES nothing');
SELECT safe_migrate.add_column_safely('"T t"', 'e serial DEFAULT 7');
SELECT safe_migrate.add_column_safely('"T t"', 'e text GENERATED ALWAYS AS IDENTITY');
SELECT safe_migrate.add_column_safely('"T t"', 'e positive GENERATED ALWAYS AS IDENTITY');
SELECT safe_migrate.add_column_safely('"T t"', 'e int GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME s)');
SELECT safe_migrate.add_column_safely('p1', 'e int');
SELECT safe_migrate.add_column_safely('p_c2_seq', 'e int');
SELECT safe_migrate.add_column_safely(NULL, 'e int');
SELECT safe_migrate.add_column_safely('p', NULL);
RESET ROLE;
GRANT USAGE ON SCHEMA "Oac s" TO oac_other;
SET ROLE oac_other;
SELECT safe_migrate.add_column_safely('p', 'e int');
RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA "Oac s" CASCADE;
DROP SCHEMA oac_twin CASCADE;
DROP ROLE oac_owner;
DROP ROLE oac_other;
