-- What the server would refuse is told when the job is queued, in its own words, and not minutes later by
-- a worker.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
\set SHOW_CONTEXT never
\set VERBOSITY terse
CREATE ROLE refused_owner;
CREATE SCHEMA refused AUTHORIZATION refused_owner;
SET search_path = refused;
CREATE TABLE t (id bigint PRIMARY KEY, a int, b text, pt point, x xml, CONSTRAINT positive CHECK (a > 0));
INSERT INTO t (id, a) SELECT g, g FROM generate_series(1, 100) g;
CREATE INDEX plain ON t (a);
CREATE UNIQUE INDEX fits ON t (a);
CREATE UNIQUE INDEX partial ON t (a) WHERE a > 0;
CREATE UNIQUE INDEX computed ON t ((a + 1));
CREATE UNIQUE INDEX descending ON t (a DESC);
CREATE TABLE ref (id int PRIMARY KEY, code int);
CREATE TABLE elsewhere (id int);
CREATE UNIQUE INDEX of_another ON elsewhere (id);
CREATE TABLE p (id int, a int, k int) PARTITION BY RANGE (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100) PARTITION BY LIST (a);
CREATE TABLE p11 PARTITION OF p1 DEFAULT;
CREATE TABLE by_sum (a int, k int) PARTITION BY RANGE ((a + k));
CREATE MATERIALIZED VIEW mv AS SELECT id, a FROM t;
CREATE VIEW v AS SELECT id, a FROM t;
CREATE FUNCTION changing(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION put_in(int) RETURNS int LANGUAGE sql AS 'SELECT $1'; -- its body takes its place before the server looks
CREATE FUNCTION not_put_in(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + random()::int';
CREATE FUNCTION row_of(int) RETURNS record LANGUAGE sql IMMUTABLE AS 'SELECT $1, $1';
SET safe_migrate.inline = never;

-- indexes
\set index 'SELECT safe_migrate.create_index_safely('
:index 'CREATE INDEX ON t (a text_ops)');
:index 'CREATE INDEX ON t (a nix_ops)');
:index 'CREATE INDEX ON t (x)');
:index 'CREATE INDEX ON t USING nix (a)');
:index 'CREATE INDEX ON t USING gin (a)');
:index 'CREATE UNIQUE INDEX ON t USING hash (a)');
:index 'CREATE INDEX ON t USING hash (a) INCLUDE (b)');
:index 'CREATE INDEX ON t USING hash (a, b)');
:index 'CREATE INDEX ON t USING hash (a DESC)');
:index 'CREATE INDEX ON t USING gist (pt NULLS FIRST)');
:index 'CREATE INDEX ON t (changing(a))');
:index 'CREATE INDEX ON t (put_in(changing(a)))');
:index 'CREATE INDEX ON t (not_put_in(a))');
:index 'CREATE INDEX ON t (row_of(a))');
:index 'CREATE INDEX ON t (sum(a))');
:index 'CREATE INDEX ON t (((SELECT 1)))');
:index 'CREATE INDEX ON t (generate_series(1, a))');
:index 'CREATE INDEX ON t (a) WHERE changing(a) > 1');
:index 'CREATE INDEX ON t (a) WHERE now() > ''2001-01-01''');
:index 'CREATE INDEX ON t (a) WHERE a');
:index 'CREATE INDEX ON t (a) WHERE ctid > ''(0,1)''');
:index 'CREATE INDEX ON t (ctid)');
:index 'CREATE INDEX ON t ((tableoid::int))');
:index 'CREATE INDEX ON t (nix)');
:index 'CREATE INDEX ON t (a COLLATE "C")');
:index 'CREATE INDEX ON t ((b || (b COLLATE "C")), (lower(b COLLATE "C") || (b COLLATE "POSIX")))');
:index 'CREATE INDEX ON t (a) WITH (fillfactor = 5)');
:index 'CREATE INDEX ON t (a) WITH (nix = 5)');
:index 'CREATE INDEX ON t (a) WITH (nix.fillfactor = 50)');
:index 'CREATE INDEX ON t (a int4_ops (nix = 5))');
:index 'CREATE INDEX ON t USING brin (a int4_minmax_multi_ops (values_per_range = 1))');
:index 'CREATE INDEX ON t (a) TABLESPACE nix');
:index 'CREATE INDEX ON t (a) TABLESPACE pg_global');
:index 'CREATE INDEX ON p (a) TABLESPACE pg_default');
:index 'CREATE INDEX ON t (a) INCLUDE (nix)');
:index 'CREATE INDEX ON t (a) INCLUDE ((a + 1))');
:index 'CREATE INDEX ON t (a) INCLUDE (b COLLATE "C")');
:index 'CREATE INDEX ON t (a) INCLUDE (b text_ops)');
:index 'CREATE INDEX ON t (a) INCLUDE (b DESC)');
:index 'CREATE INDEX ON t (a) INCLUDE (b NULLS FIRST)');
:index 'CREATE INDEX ON t (a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a)');
:index 'CREATE INDEX ON v (a)');
:index 'CREATE INDEX plain ON t (b)');
-- of every level
:index 'CREATE UNIQUE INDEX ON p (a)');
:index 'CREATE UNIQUE INDEX ON p (k)');
:index 'CREATE UNIQUE INDEX ON by_sum (a, k)');

-- keys
\set constraint 'SELECT safe_migrate.add_constraint_safely('
:constraint 't', 'UNIQUE (nix)');
:constraint 't', 'UNIQUE (ctid)');
:constraint 't', 'UNIQUE (x)');
:constraint 't', 'UNIQUE (a) INCLUDE (nix)');
:constraint 't', 'UNIQUE (a) WITH (nix = 1)');
:constraint 't', 'UNIQUE (a) USING INDEX TABLESPACE nix');
:constraint 't', 'CONSTRAINT plain UNIQUE (a)');
:constraint 't', 'UNIQUE USING INDEX nix');
:constraint 't', 'UNIQUE USING INDEX plain');
:constraint 't', 'UNIQUE USING INDEX partial');
:constraint 't', 'UNIQUE USING INDEX computed');
:constraint 't', 'UNIQUE USING INDEX descending');
:constraint 't', 'UNIQUE USING INDEX of_another');
:constraint 't', 'UNIQUE USING INDEX t_pkey');
:constraint 'p', 'UNIQUE USING INDEX nix');
:constraint 'p', 'UNIQUE (a)');
:constraint 'p', 'PRIMARY KEY (k)');
:constraint 'p', 'CONSTRAINT plain UNIQUE (a, k)');
-- foreign keys, CHECKs
:constraint 't', 'FOREIGN KEY (tableoid) REFERENCES ref');
:constraint 't', 'FOREIGN KEY (a) REFERENCES ref (xmin)');
:constraint 't', 'FOREIGN KEY (a) REFERENCES ref ON DELETE SET NULL (id)');
:constraint 't', 'CONSTRAINT positive CHECK (a > 5)');
:constraint 't', 'CONSTRAINT positive FOREIGN KEY (a) REFERENCES ref');
:constraint 'p', 'CHECK (a > 0) NO INHERIT');

-- columns
\set column 'SELECT safe_migrate.add_column_safely('
:column 't', 'ctid int');
:column 't', 'n int DEFAULT 1 DEFAULT 2');
:column 't', 'n int NULL NOT NULL');
:column 't', 'n serial DEFAULT 5');
:column 't', 'n record');
:column 't', 'n t');
:column 't', 'n int COLLATE "C"');
:column 't', 'n int COMPRESSION pglz');
:column 't', 'n text COMPRESSION nix');
:column 't', 'n text REFERENCES ref');
:column 't', 'n int REFERENCES ref (code)');
:column 't', 'n int REFERENCES ref (nix)');
:column 't', 'n int REFERENCES ref (id, code)');
:column 't', 'n int REFERENCES v (id)');
:column 't', 'n xml UNIQUE');
:column 't', 'n int UNIQUE WITH (nix = 1)');
:column 't', 'n int UNIQUE USING INDEX TABLESPACE nix');
:column 'p', 'n int UNIQUE');
:column 't', 'n int GENERATED ALWAYS AS IDENTITY GENERATED ALWAYS AS IDENTITY');

-- rights: of the tablespace, the type, the referenced table
ALTER TABLE t OWNER TO refused_owner;
CREATE DOMAIN guarded AS int;
REVOKE ALL ON TYPE guarded FROM PUBLIC;
SET ROLE refused_owner;
:column 't', 'n guarded');
:column 't', 'n int REFERENCES ref');
RESET ROLE;
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE refused_space LOCATION '';
SET ROLE refused_owner;
:index 'CREATE INDEX ON t (a) TABLESPACE refused_space');
:constraint 't', 'UNIQUE (a) USING INDEX TABLESPACE refused_space');
RESET ROLE;
DROP TABLESPACE refused_space;

-- row security that would hide rows which have to be filled
CREATE TABLE hides (id int PRIMARY KEY);
INSERT INTO hides VALUES (1);
CREATE POLICY none ON hides USING (false);
ALTER TABLE hides ENABLE ROW LEVEL SECURITY;
ALTER TABLE hides FORCE ROW LEVEL SECURITY;
ALTER TABLE hides OWNER TO refused_owner;
SET ROLE refused_owner;
:column 'hides', 'n serial');
:column 'hides', 'n float DEFAULT random()');
RESET ROLE;

-- plan() and apply(), where the statement needs no recipe too
\set plan 'SELECT step FROM safe_migrate.plan('
:plan 'CREATE INDEX ON t (a text_ops)');
:plan 'CREATE INDEX CONCURRENTLY ON t (a text_ops)');
:plan 'CREATE INDEX plain ON t (b)');
:plan 'ALTER TABLE t ADD UNIQUE (nix)');
:plan 'ALTER TABLE t ADD UNIQUE USING INDEX plain');
:plan 'ALTER TABLE t ADD FOREIGN KEY (b) REFERENCES ref NOT VALID');
:plan 'ALTER TABLE t ADD CONSTRAINT positive CHECK (a > 7)');
:plan 'ALTER TABLE t ADD a int');
:plan 'CREATE TABLE t (a int)');
:plan 'ALTER TABLE t RENAME nix TO other');
:plan 'ALTER TABLE t RENAME a TO b');
:plan 'ALTER TABLE t RENAME TO p');
:plan 'ALTER INDEX plain RENAME TO fits');
:plan 'ALTER TABLE t SET SCHEMA nix');
:plan 'ALTER TABLE t ALTER a SET DEFAULT ''x''');
:plan 'ALTER TABLE t ALTER a SET DEFAULT now()');
:plan 'ALTER TABLE t ADD n int DEFAULT 1 DEFAULT 2');
:plan 'ALTER TABLE t ALTER nix SET NOT NULL');
:plan 'ALTER TABLE t ALTER nix TYPE bigint');
SELECT safe_migrate.apply('ALTER TABLE t ADD UNIQUE (nix)');
-- a script brings along what it needs
SELECT count(*) FROM safe_migrate.plan('ALTER TABLE t RENAME a TO c; ALTER TABLE t RENAME b TO a; ALTER TABLE t RENAME c TO b; ALTER TABLE t ALTER a SET DEFAULT ''x''');
SELECT count(*) FROM safe_migrate.plan('ALTER TABLE ref ALTER code TYPE text; ALTER TABLE ref ALTER code SET DEFAULT ''x''');
SELECT count(*) FROM safe_migrate.plan('ALTER TABLE t ADD n int; CREATE INDEX ON t (n); ALTER TABLE t ADD CONSTRAINT n_key UNIQUE (n)');
-- no job has come of any of it
SELECT count(*) FROM safe_migrate.jobs WHERE definition LIKE '%refused.%';

-- what is right is done: a materialized view as well, and the frame alone where it says ONLY
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE UNIQUE INDEX ON mv (id)'));
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX ON t (put_in(a)) WHERE put_in(a) > 1'));
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX ON p (a) INCLUDE (id)'));
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX frame ON ONLY p (id)'));
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE UNIQUE INDEX ON p (k, a)'));
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('t', 'CONSTRAINT positive CHECK (a > 0)'));
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('t', 'UNIQUE USING INDEX fits', 'uses'));
-- a migration that is run again finds its job
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('t', 'UNIQUE USING INDEX fits', 'uses'));
SELECT indexrelid::regclass, indisunique, indisvalid FROM pg_index
	WHERE indrelid IN ('mv'::regclass, 'p'::regclass, 'p1'::regclass, 'p11'::regclass) ORDER BY indexrelid::regclass::text COLLATE "C";
REFRESH MATERIALIZED VIEW CONCURRENTLY mv;
SET safe_migrate.guard = off;
DROP SCHEMA refused CASCADE;
DROP ROLE refused_owner;
