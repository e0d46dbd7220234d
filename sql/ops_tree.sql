-- Trees of partitions and children: what a level has already is taken as a whole, and what of it is
-- another role's, or a foreign table, is told when the job is queued.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
\set SHOW_CONTEXT never
CREATE ROLE otr_owner LOGIN;
CREATE ROLE otr_other LOGIN;
CREATE SCHEMA otr AUTHORIZATION otr_owner;
SET search_path = otr;
SET safe_migrate.inline = never;
SET safe_migrate.small_table_size = 0;
SET ROLE otr_owner;
CREATE TABLE ref (id int PRIMARY KEY);
INSERT INTO ref SELECT generate_series(0, 99);
CREATE TABLE m (id int, a int, r int) PARTITION BY RANGE (id);
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (50) PARTITION BY RANGE (id);
CREATE TABLE m1a PARTITION OF m1 FOR VALUES FROM (0) TO (25);
CREATE TABLE m1b PARTITION OF m1 FOR VALUES FROM (25) TO (50);
CREATE TABLE m2 (r int, dropped int, a int, id int);
ALTER TABLE m2 DROP dropped;
ALTER TABLE m ATTACH PARTITION m2 FOR VALUES FROM (50) TO (100);
INSERT INTO m SELECT g, g, g FROM generate_series(0, 99) g;
CREATE VIEW indexes AS SELECT i.indrelid::regclass AS "table", c.relname, indisvalid AS valid, inhparent::regclass AS parent,
	pg_get_constraintdef(o.oid) AS "constraint" FROM pg_index i JOIN pg_class c ON c.oid = indexrelid LEFT JOIN pg_inherits ON inhrelid = indexrelid
	LEFT JOIN pg_constraint o ON conindid = indexrelid AND contype IN ('p', 'u') WHERE relname !~ '^ref' AND relnamespace = 'otr'::regnamespace;
CREATE VIEW keys AS SELECT conrelid::regclass AS "table", conname, convalidated AS valid, conparentid <> 0 AS part FROM pg_constraint
	WHERE contype = 'f' AND connamespace = 'otr'::regnamespace;

-- an index that was made ONLY and lacks partitions gets them, and is valid in the end
CREATE INDEX mine ON ONLY m1 (a);
CREATE INDEX leaf ON m1b (a);
ALTER INDEX mine ATTACH PARTITION leaf;
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX top ON m (a)'));
SELECT * FROM indexes ORDER BY relname COLLATE "C";
DROP INDEX top;
-- one that has all is preferred
CREATE INDEX mine ON ONLY m1 (a);
CREATE INDEX whole ON m1 (a);
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX top ON m (a)'));
SELECT * FROM indexes WHERE "table" NOT IN ('m1a'::regclass, 'm1b'::regclass) ORDER BY relname COLLATE "C";
DROP INDEX top, mine;
-- what an earlier try has left of a partition's, invalid, is built again
CREATE INDEX m1b_a_idx ON m1b (a);
CREATE UNIQUE INDEX m2_id_a_key ON m2 (id, a);
CREATE INDEX m1a_a_idx ON m1a (a, id);
CREATE INDEX m1a_other ON m1a (a DESC);
CREATE INDEX m2_other ON m2 (a);
RESET ROLE;
UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('otr.m1a_other'::regclass, 'otr.m2_other'::regclass, 'otr.m1b_a_idx'::regclass, 'otr.m2_id_a_key'::regclass, 'otr.m1a_a_idx'::regclass);
SET ROLE otr_owner;
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX top ON m (a)'));
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('m', 'UNIQUE (id, a)'));
SELECT * FROM indexes ORDER BY relname COLLATE "C";
DROP INDEX top, m1a_a_idx, m1a_other;
ALTER TABLE m DROP CONSTRAINT m_id_a_key;
-- a constraint's lacks constraints
ALTER TABLE ONLY m1 ADD CONSTRAINT mine UNIQUE (id, a);
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE UNIQUE INDEX top ON m (id, a)'));
SELECT * FROM indexes ORDER BY relname COLLATE "C";
DROP INDEX top;
ALTER TABLE m1a ADD CONSTRAINT leaf UNIQUE (id, a);
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('m', 'CONSTRAINT top UNIQUE (id, a)'));
SELECT * FROM indexes ORDER BY relname COLLATE "C";
ALTER TABLE m DROP CONSTRAINT top;
-- a primary key of a level is no second one of what is below it; another is
ALTER TABLE m1 ADD CONSTRAINT mine PRIMARY KEY (id);
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('m', 'PRIMARY KEY (id)'));
SELECT * FROM indexes ORDER BY relname COLLATE "C";
ALTER TABLE m DROP CONSTRAINT m_pkey;
ALTER TABLE m1 ADD CONSTRAINT mine PRIMARY KEY (id, a);
SELECT safe_migrate.add_constraint_safely('m', 'PRIMARY KEY (id)');
ALTER TABLE m1 DROP CONSTRAINT mine;
-- foreign keys
ALTER TABLE m1 ADD CONSTRAINT mine FOREIGN KEY (r) REFERENCES ref;
ALTER TABLE m2 ADD CONSTRAINT top CHECK (r > 0);
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('m', 'CONSTRAINT top FOREIGN KEY (r) REFERENCES ref'));
SELECT "table", CASE WHEN "table" = 'm2'::regclass THEN 'by major' ELSE conname END, valid, part FROM keys ORDER BY 1, 2;
ALTER TABLE m DROP CONSTRAINT top;
ALTER TABLE m2 DROP CONSTRAINT top;
-- a CHECK of the name that can't be merged
ALTER TABLE m1b ADD CONSTRAINT top CHECK (a > -2);
SELECT safe_migrate.add_constraint_safely('m', 'CONSTRAINT top CHECK (a > -1)');
ALTER TABLE m1b DROP CONSTRAINT top, ADD CONSTRAINT top CHECK (a > -1) NO INHERIT;
SELECT safe_migrate.add_constraint_safely('m', 'CONSTRAINT top CHECK (a > -1)');
ALTER TABLE m1b DROP CONSTRAINT top;
CALL safe_migrate.wait(safe_migrate.add_constraint_safely('m', 'CONSTRAINT top CHECK (a > -1)'));

-- a partition of another owner: what changes it is refused in the server's words
\c -
SET client_min_messages = warning;
SET search_path = otr;
SET safe_migrate.inline = never;
SET safe_migrate.small_table_size = 0;
ALTER TABLE m1b OWNER TO otr_other;
SET ROLE otr_owner;
CREATE FUNCTION say(ddl text) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM safe_migrate.apply(ddl, 'say'); RAISE assert_failure USING MESSAGE = 'queued';
	EXCEPTION WHEN assert_failure OR insufficient_privilege THEN RETURN SQLERRM; END$$;
SELECT safe_migrate.create_index_safely('CREATE INDEX ON m (r)');
SELECT ddl, say(ddl) FROM unnest(ARRAY['CREATE INDEX ON m (r)', 'ALTER TABLE m ADD UNIQUE (id)', 'ALTER TABLE m ADD PRIMARY KEY (id)',
	'ALTER TABLE m ADD CHECK (r > -1)', 'ALTER TABLE m ALTER r SET NOT NULL',
	'ALTER TABLE m ADD COLUMN n int', 'ALTER TABLE m ADD COLUMN n float NOT NULL DEFAULT random()', 'ALTER TABLE m DROP COLUMN r',
	'ALTER TABLE m DROP CONSTRAINT top', 'ALTER TABLE m RENAME r TO s', 'ALTER TABLE m RENAME CONSTRAINT top TO tip', 'ALTER TABLE m ALTER r SET DEFAULT 3',
	'ALTER TABLE m ALTER r DROP NOT NULL, ALTER a SET STORAGE PLAIN', 'ALTER TABLE m ALTER a SET STATISTICS 7', 'ALTER TABLE m ADD COLUMN n int, DROP COLUMN r']) ddl;
-- a foreign key can be NOT VALID from 18 on, and needs no statement for the leaf
SELECT say('ALTER TABLE m ADD FOREIGN KEY (r) REFERENCES ref') =
	CASE WHEN current_setting('server_version_num')::int < 180000 THEN 'must be owner of table m1b' ELSE 'queued' END AS by_major;
-- but not what is done at once, as the server lets it
SET safe_migrate.inline = always;
SELECT safe_migrate.create_index_safely('CREATE INDEX top ON m (a, r)') > 0 AS at_once;
SET safe_migrate.inline = never;
SELECT say('REINDEX INDEX top'), say('REINDEX TABLE m');
CALL safe_migrate.wait(safe_migrate.drop_index_safely('top'));
-- a level of another owner, its leaves one's own
RESET ROLE;
ALTER TABLE m1b OWNER TO otr_owner;
ALTER TABLE m1 OWNER TO otr_other;
SET ROLE otr_owner;
CALL safe_migrate.wait(safe_migrate.create_index_safely('CREATE INDEX top ON m (a)'));
SELECT "table", valid, parent FROM indexes WHERE relname ~ 'top|_a_idx' ORDER BY relname COLLATE "C";
-- a CHECK is validated as a whole where a leaf is another's
RESET ROLE;
ALTER TABLE m1 OWNER TO otr_owner;
ALTER TABLE m ADD CONSTRAINT later CHECK (a < 100) NOT VALID;
ALTER TABLE m1b OWNER TO otr_other;
SET ROLE otr_owner;
CALL safe_migrate.wait(safe_migrate.validate_constraint_safely('m', 'later'));
SELECT conrelid::regclass, convalidated FROM pg_constraint WHERE conname = 'later' ORDER BY 1;
RESET ROLE;
ALTER TABLE m1b OWNER TO otr_owner;

-- of children, the server asks where they lose something or get it
SET ROLE otr_owner;
CREATE TABLE g (a int NOT NULL, b int);
CREATE TABLE g1 () INHERITS (g);
CREATE TABLE g2 (b int) INHERITS (g);
CREATE TABLE g12 () INHERITS (g1, g2);
CREATE TABLE keeps (b int) INHERITS (g);
CREATE TABLE below () INHERITS (keeps);
INSERT INTO g12 VALUES (1, 1);
ALTER TABLE g ADD CONSTRAINT c CHECK (b > 0);
RESET ROLE;
ALTER TABLE below OWNER TO otr_other;
SET ROLE otr_owner;
CALL safe_migrate.wait(safe_migrate.drop_column_safely('g', 'b'));
RESET ROLE;
ALTER TABLE below OWNER TO otr_owner;
ALTER TABLE g12 OWNER TO otr_other;
SET ROLE otr_owner;
SELECT ddl, say(ddl) FROM unnest(ARRAY['ALTER TABLE g ADD CHECK (a > 0)', 'ALTER TABLE g ADD COLUMN n int',
	'ALTER TABLE g ALTER a SET DEFAULT 1', 'ALTER TABLE g DROP COLUMN a']) ddl;
SELECT say('ALTER TABLE g ADD PRIMARY KEY (a)') =
	CASE WHEN current_setting('server_version_num')::int < 180000 THEN 'must be owner of table g12' ELSE 'queued' END AS by_major;
RESET ROLE;

-- a sub-command may be about what those before it add
CREATE TABLE fresh (a text);
CALL safe_migrate.run('ALTER TABLE fresh ADD c int, ADD CONSTRAINT cc CHECK (c > 0 OR a <> $$x$$), ADD PRIMARY KEY (c), ALTER c SET DEFAULT 3');
SELECT conname FROM pg_constraint WHERE conrelid = 'fresh'::regclass AND contype <> 'n' ORDER BY 1;

-- a column that a child has is taken as its own, with its default and its rows
CREATE TABLE h (a int);
CREATE TABLE h1 (n float DEFAULT 7) INHERITS (h);
SELECT safe_migrate.add_column_safely('h', 'n float DEFAULT random()');
CALL safe_migrate.wait(safe_migrate.add_column_safely('h', 'n float DEFAULT 3'));
SELECT attrelid::regclass, pg_get_expr(adbin, adrelid) FROM pg_attribute LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum)
	WHERE attname = 'n' AND attrelid IN ('h'::regclass, 'h1'::regclass) ORDER BY 1;

-- foreign tables
CREATE FOREIGN DATA WRAPPER otr;
CREATE SERVER otr FOREIGN DATA WRAPPER otr;
CREATE FOREIGN TABLE m3 PARTITION OF m FOR VALUES FROM (200) TO (300) SERVER otr;
SELECT safe_migrate.add_constraint_safely('m', 'FOREIGN KEY (r) REFERENCES ref');
SELECT safe_migrate.apply('ALTER TABLE m ADD COLUMN n int DEFAULT 3 REFERENCES ref');
SELECT safe_migrate.add_constraint_safely('m', 'UNIQUE (id)');
SELECT safe_migrate.create_index_safely('CREATE UNIQUE INDEX ON m (id)');
DROP FOREIGN TABLE m3;
SELECT safe_migrate.apply('ALTER TABLE m ATTACH PARTITION m1 FOR VALUES FROM (200) TO (300)');

DROP SERVER otr CASCADE;
DROP FOREIGN DATA WRAPPER otr;
DROP SCHEMA otr CASCADE;
DROP OWNED BY otr_owner, otr_other;
DROP ROLE otr_owner, otr_other;
