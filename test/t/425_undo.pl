# The undo of each step, the last one first, gives the schema that was there before, by pg_dump: each script on
# tables of its own.  Where something has no way back, what undo there is runs, and takes nothing that was there.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('undo',
	'safe_migrate.guard' => 'off', 'safe_migrate.small_table_size' => 0, 'safe_migrate.inline' => 'never',
	'safe_migrate.max_workers' => 4, fsync => 'off');
my $major = major_of($node);

my $tables = q{
CREATE TABLE ref (id int PRIMARY KEY, code text UNIQUE);
INSERT INTO ref SELECT g, 'c' || g FROM generate_series(1, 50) g;
CREATE TABLE t (id bigint PRIMARY KEY, a int, b varchar(20), ref_id int, "Odd Name" text DEFAULT 'o');
INSERT INTO t SELECT g, g, 'b' || g, 1 + g % 50 FROM generate_series(1, 200) g;
CREATE INDEX t_old ON t (b) WITH (fillfactor = 60);
ALTER TABLE t ADD CONSTRAINT t_later CHECK (a > 0) NOT VALID;
CREATE TABLE p (id int, a int, ref_id int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
CREATE TABLE p1a PARTITION OF p1 FOR VALUES FROM (0) TO (50);
CREATE TABLE p1b PARTITION OF p1 FOR VALUES FROM (50) TO (100);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
INSERT INTO p SELECT g, g, 1 + g % 50 FROM generate_series(0, 199) g;
CREATE TABLE parent (id int, a int);
CREATE TABLE child (x int) INHERITS (parent);
INSERT INTO child SELECT g, g, g FROM generate_series(1, 50) g;
};

# [what is there before ==>] the script [<== what others do between its queueing and its running]
my @goes_back = (
	# columns
	'ALTER TABLE t ADD COLUMN n int',
	'ALTER TABLE t ADD COLUMN n int REFERENCES ref',
	'ALTER TABLE t ADD COLUMN n float8 NOT NULL DEFAULT random() CHECK (n >= 0) UNIQUE',
	'ALTER TABLE t ADD COLUMN n serial',
	'ALTER TABLE t ADD COLUMN n int GENERATED ALWAYS AS IDENTITY',
	'ALTER TABLE t ADD n int, ADD CHECK (n > 0), ADD FOREIGN KEY (n) REFERENCES ref, ADD UNIQUE (n)',
	'ALTER TABLE p ADD COLUMN m float DEFAULT random() NOT NULL CHECK (m >= 0)',
	'ALTER TABLE parent ADD COLUMN m float DEFAULT random() NOT NULL CHECK (m >= 0)',
	'ALTER TABLE child ADD n int ==> ALTER TABLE parent ADD n int',
	'ALTER TABLE t ALTER a SET DEFAULT 3, ALTER "Odd Name" DROP DEFAULT; ALTER TABLE t ALTER a SET DEFAULT 4',
	'ALTER TABLE t ALTER a SET NOT NULL',
	'ALTER TABLE t ADD CONSTRAINT proof CHECK (a IS NOT NULL) ==> ALTER TABLE t ALTER a SET NOT NULL',
	'ALTER TABLE p ALTER a SET NOT NULL',
	'ALTER TABLE parent ALTER a SET NOT NULL',
	'ALTER TABLE p2 ALTER a SET NOT NULL ==> ALTER TABLE p ALTER a SET NOT NULL',
	'ALTER TABLE child ALTER a SET NOT NULL ==> ALTER TABLE parent ALTER a SET NOT NULL',
	# constraints
	'ALTER TABLE t ADD CHECK (a > 0), ADD CHECK (a < 1000) NOT VALID',
	'ALTER TABLE p ADD CHECK (a >= 0)',
	'ALTER TABLE parent ADD CHECK (a > 0)',
	'ALTER TABLE child ADD CONSTRAINT c CHECK (a > 0) ==> ALTER TABLE parent ADD CONSTRAINT c CHECK (a > 0)',
	q{ALTER TABLE p2 ADD CONSTRAINT c CHECK (a >= 0); COMMENT ON CONSTRAINT c ON p2 IS 'mine'; ALTER TABLE p1b ADD CONSTRAINT c CHECK (a >= 0)
		==> ALTER TABLE p ADD CONSTRAINT c CHECK (a >= 0)},
	'ALTER TABLE t ADD FOREIGN KEY (ref_id) REFERENCES ref',
	'ALTER TABLE t ADD FOREIGN KEY (ref_id) REFERENCES ref NOT VALID',
	'ALTER TABLE p ADD FOREIGN KEY (ref_id) REFERENCES ref',
	'ALTER TABLE p ADD CONSTRAINT c FOREIGN KEY (ref_id) REFERENCES ref ==> ALTER TABLE p ADD CONSTRAINT d FOREIGN KEY (ref_id) REFERENCES ref',
	'ALTER TABLE t ADD UNIQUE (a) INCLUDE (b)',
	'ALTER TABLE t ADD CONSTRAINT u UNIQUE (a, b) WITH (fillfactor = 70) DEFERRABLE',
	'ALTER TABLE parent ADD PRIMARY KEY (id)',
	'ALTER TABLE child ADD PRIMARY KEY (x)',
	'ALTER TABLE p ADD UNIQUE (id, a)',
	'ALTER TABLE p ADD PRIMARY KEY (id)',
	'CREATE UNIQUE INDEX ui ON t (a) ==> ALTER TABLE t ADD CONSTRAINT other UNIQUE (a)',
	'ALTER TABLE t DROP CONSTRAINT t_later',
	q{COMMENT ON CONSTRAINT t_later ON t IS 'it''s important' ==> ALTER TABLE t DROP CONSTRAINT t_later},
	'ALTER TABLE t ADD CONSTRAINT u CHECK (a > 0) ==> ALTER TABLE t DROP CONSTRAINT u',
	'ALTER TABLE t ADD CONSTRAINT u CHECK (a > 0) NO INHERIT ==> ALTER TABLE t DROP CONSTRAINT u',
	'ALTER TABLE p ADD CONSTRAINT c CHECK (a >= 0) ==> ALTER TABLE p DROP CONSTRAINT c',
	'ALTER TABLE child ADD CONSTRAINT c CHECK (a > 0); ALTER TABLE parent ADD CONSTRAINT c CHECK (a > 0) ==> ALTER TABLE parent DROP CONSTRAINT c',
	q{ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (ref_id) REFERENCES ref ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;
		COMMENT ON CONSTRAINT f ON t IS 'important' ==> ALTER TABLE t DROP CONSTRAINT f},
	'ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (ref_id) REFERENCES ref NOT VALID ==> ALTER TABLE t DROP CONSTRAINT f',
	'ALTER TABLE p ADD CONSTRAINT f FOREIGN KEY (ref_id) REFERENCES ref ==> ALTER TABLE p DROP CONSTRAINT f',
	'CREATE TABLE r2 (id int REFERENCES ref) ==> ALTER TABLE r2 DROP CONSTRAINT r2_id_fkey',
	q{ALTER TABLE t ADD CONSTRAINT tu UNIQUE (a) INCLUDE (b) WITH (fillfactor = 50) USING INDEX TABLESPACE space DEFERRABLE;
		COMMENT ON INDEX tu IS 'i'; COMMENT ON CONSTRAINT tu ON t IS 'c' ==> ALTER TABLE t DROP CONSTRAINT tu},
	q{ALTER TABLE t CLUSTER ON t_pkey; ALTER TABLE t REPLICA IDENTITY USING INDEX t_pkey ==> ALTER TABLE t DROP CONSTRAINT t_pkey},
	'ALTER TABLE p ADD CONSTRAINT pk PRIMARY KEY (id) ==> ALTER TABLE p DROP CONSTRAINT pk',
	q{ALTER TABLE p1b ADD CONSTRAINT mine UNIQUE (id, a) WITH (fillfactor = 50); COMMENT ON CONSTRAINT mine ON p1b IS 'mine';
		ALTER TABLE p1 ADD CONSTRAINT middle UNIQUE (id, a); ALTER TABLE p ADD CONSTRAINT pk UNIQUE (id, a) ==> ALTER TABLE p DROP CONSTRAINT pk},
	'ALTER TABLE t ADD CONSTRAINT e EXCLUDE USING btree (a WITH =) DEFERRABLE ==> ALTER TABLE t DROP CONSTRAINT e',
	# indexes
	'CREATE INDEX ON t (a); CREATE INDEX ON t (a); CREATE INDEX ON t ((a + 1))',
	'CREATE INDEX CONCURRENTLY ON t (a)',
	'CREATE UNIQUE INDEX ON p (id, a)',
	'CREATE INDEX ON ONLY p (a)',
	'CREATE INDEX mine ON p2 (a) ==> CREATE INDEX ON p (id)',
	q{COMMENT ON INDEX t_old IS 'important'; ALTER TABLE t CLUSTER ON t_old ==> DROP INDEX t_old},
	'DROP INDEX CONCURRENTLY t_old',
	'CREATE UNIQUE INDEX ri ON ref (id); ALTER TABLE ref REPLICA IDENTITY USING INDEX ri ==> DROP INDEX ri',
	'CREATE INDEX ei ON t ((a + 1), b, (a + 2)) TABLESPACE space; ALTER INDEX ei ALTER COLUMN 1 SET STATISTICS 500; ALTER INDEX ei ALTER COLUMN 3 SET STATISTICS 0 ==> DROP INDEX ei',
	'CREATE INDEX pa ON p (a) TABLESPACE space ==> DROP INDEX pa',
	q{CREATE INDEX mine ON p2 (a) WITH (fillfactor = 50); COMMENT ON INDEX mine IS 'mine'; CREATE INDEX middle ON p1 (a); CREATE INDEX pa ON p (a);
		COMMENT ON INDEX pa IS 'all' ==> DROP INDEX pa},
	'CREATE INDEX pa ON ONLY p (a) ==> DROP INDEX pa',
	'CREATE INDEX pa ON ONLY p (a); CREATE INDEX mine ON p2 (a); ALTER INDEX pa ATTACH PARTITION mine ==> DROP INDEX pa',
	'CREATE INDEX i1 ON t (a); CREATE INDEX i1b ON p (a); DROP INDEX i1; CREATE INDEX i1 ON t (b)',
	'REINDEX INDEX t_old; REINDEX TABLE ref; ANALYZE t',
	# partitions
	'ALTER TABLE p DETACH PARTITION p2',
	'ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY',
	'ALTER TABLE p2 ADD CONSTRAINT bound CHECK (id IS NOT NULL AND id >= 100 AND id < 200) ==> ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY',
	'CREATE INDEX pa ON p (a); ALTER TABLE p ADD PRIMARY KEY (id), ADD CHECK (a >= 0) ==> ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY',
	'CREATE TABLE pd PARTITION OF p DEFAULT; INSERT INTO p VALUES (1000, 1, 1) ==> ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY',
	'CREATE TABLE p3 (LIKE p) ==> ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (200) TO (300)',
	q{CREATE TABLE p3 (LIKE p); INSERT INTO p3 VALUES (200, 1, 1); CREATE INDEX ON p (a); ALTER TABLE p ADD CHECK (a >= 0), ADD FOREIGN KEY (ref_id) REFERENCES ref
		==> ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (200) TO (300)},
	'CREATE TABLE p3 (LIKE p); INSERT INTO p3 VALUES (200, 1, 1); ALTER TABLE p ADD PRIMARY KEY (id) ==> ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (200) TO (300)',
	'ALTER TABLE p DETACH PARTITION p2; CREATE INDEX mine ON p2 (a); CREATE INDEX pa ON p (a) ==> ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (100) TO (200)',
	q{ALTER TABLE p DETACH PARTITION p2; ALTER TABLE p2 ADD CONSTRAINT x CHECK (a >= 0), ADD CONSTRAINT y FOREIGN KEY (ref_id) REFERENCES ref;
		ALTER TABLE p ADD CONSTRAINT x CHECK (a >= 0), ADD FOREIGN KEY (ref_id) REFERENCES ref ==> ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (100) TO (200)},
	'CREATE TABLE pd PARTITION OF p DEFAULT; CREATE TABLE p3 (LIKE p); INSERT INTO p VALUES (1000, 1, 1); INSERT INTO p3 VALUES (200, 1, 1) ==> ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (200) TO (300)',
	'CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (200) TO (300)',
	'ALTER TABLE p ADD PRIMARY KEY (id); CREATE TABLE rr (id int REFERENCES p) ==> CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (200) TO (300)',
	'CREATE TABLE pd PARTITION OF p DEFAULT; INSERT INTO p VALUES (1000, 1, 1) ==> CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (200) TO (300)',
	# as they stand, names made twice
	'ALTER TABLE t RENAME a TO aa; ALTER TABLE t RENAME TO tt; ALTER TABLE tt RENAME CONSTRAINT t_later TO l2; ALTER TABLE tt RENAME CONSTRAINT l2 TO l3',
	'ALTER INDEX t_old RENAME TO t_new; CREATE VIEW w AS SELECT a FROM t; ALTER VIEW w RENAME COLUMN a TO az; ALTER VIEW w RENAME TO ww',
	'CREATE TABLE aa (a int PRIMARY KEY); CREATE TABLE ab (a int REFERENCES aa); CREATE VIEW av AS SELECT * FROM aa; CREATE INDEX ON ab (a)',
	q{CREATE SEQUENCE sq; CREATE TYPE e AS ENUM ('a'); CREATE DOMAIN d AS int; CREATE TABLE et (a e, d d); ALTER TABLE et ADD b e[]},
	'CREATE TABLE IF NOT EXISTS zz (a int); CREATE TABLE IF NOT EXISTS zz (a int)',
	'CREATE VIEW w AS SELECT 1 x ==> CREATE TABLE IF NOT EXISTS t (a int); CREATE SEQUENCE IF NOT EXISTS sq; CREATE SEQUENCE IF NOT EXISTS sq',
	'CREATE TABLE z (a int); ALTER TABLE z RENAME TO y; CREATE TABLE z (b int)',
	'CREATE TABLE z (a int) ==> ALTER TABLE z RENAME TO y; CREATE TABLE z (b int); ALTER TABLE z RENAME TO x; CREATE TABLE z (c int)',
	'CREATE TABLE z (a int); DROP TABLE z; CREATE TABLE z (b int)',
	'DROP INDEX t_old; CREATE INDEX t_old ON t (a)',
	'CREATE TRIGGER trg BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); ALTER TABLE t DISABLE TRIGGER trg; ALTER TABLE t ENABLE TRIGGER trg',
	'CREATE POLICY pol ON t; ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; ALTER TABLE t DISABLE ROW LEVEL SECURITY',
	'ALTER TABLE t ALTER a SET STATISTICS 5 ==> ALTER TABLE t ALTER a SET STATISTICS 100, ALTER b SET STATISTICS 7, ALTER b SET STORAGE EXTERNAL; ALTER TABLE t ALTER b SET STORAGE MAIN',
	'ALTER TABLE t SET (fillfactor = 70) ==> ALTER TABLE t SET (fillfactor = 80, parallel_workers = 2); ALTER TABLE t RESET (fillfactor)',
	'ALTER TABLE t CLUSTER ON t_pkey; ALTER TABLE t REPLICA IDENTITY USING INDEX t_pkey ==> ALTER TABLE t SET WITHOUT CLUSTER, REPLICA IDENTITY FULL; ALTER TABLE t CLUSTER ON t_old; ALTER TABLE t REPLICA IDENTITY NOTHING',
	q{COMMENT ON TABLE t IS 'it''s one'; COMMENT ON COLUMN t."Odd Name" IS 'odd' ==> COMMENT ON TABLE t IS NULL; COMMENT ON COLUMN t."Odd Name" IS 'new';
		COMMENT ON CONSTRAINT t_later ON t IS 'c'; COMMENT ON INDEX t_old IS 'i'; COMMENT ON INDEX t_old IS 'j'},
	# what others make meanwhile is theirs
	'ALTER TABLE t ADD COLUMN IF NOT EXISTS n int <== ALTER TABLE t ADD COLUMN n int',
	'ALTER TABLE t ADD COLUMN IF NOT EXISTS n int, ALTER a SET DEFAULT 7 <== ALTER TABLE t ALTER a SET DEFAULT 8',
	'ALTER TABLE t ALTER b SET DEFAULT 1 <== ALTER TABLE t ALTER b SET DEFAULT 2',
	'ALTER TABLE t SET (fillfactor = 70) <== ALTER TABLE t SET (fillfactor = 80)',
	q{COMMENT ON TABLE t IS 'ours' <== COMMENT ON TABLE t IS 'theirs'},
	'CREATE TABLE IF NOT EXISTS z (a int) <== CREATE TABLE z (a int)',
	'CREATE SEQUENCE IF NOT EXISTS z <== CREATE SEQUENCE z',
	'CREATE TABLE IF NOT EXISTS p3 PARTITION OF p FOR VALUES FROM (200) TO (300) <== CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (200) TO (300)',
	'CREATE INDEX i ON t (a) <== CREATE INDEX i ON t (a)',
	'CREATE INDEX i ON p (a) <== CREATE INDEX i ON p (a)',
	'ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) <== ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)',
	'ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (ref_id) REFERENCES ref <== ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (ref_id) REFERENCES ref',
	'ALTER TABLE t ADD CONSTRAINT c UNIQUE (a) <== ALTER TABLE t ADD CONSTRAINT c UNIQUE (a)',
	'ALTER TABLE t ALTER a SET NOT NULL <== ALTER TABLE t ALTER a SET NOT NULL',
	'ALTER TABLE p ALTER a SET NOT NULL <== ALTER TABLE p2 ALTER a SET NOT NULL',
	'ALTER TABLE parent ALTER a SET NOT NULL <== ALTER TABLE child ALTER a SET NOT NULL',
	'CREATE TABLE p3 (LIKE p); INSERT INTO p3 VALUES (201) ==> ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (200) TO (300)
		<== ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (200) TO (300)',
	'ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY <== ALTER TABLE p DETACH PARTITION p2',
	'DROP INDEX t_old <== DROP INDEX t_old',
);

# Something of it has no way back.
my @stays = (
	# what was a table's own is part of its parent's now
	'CREATE INDEX mine ON p2 (a) ==> CREATE INDEX ON p (a)',
	'CREATE INDEX mine ON p1 (a) ==> CREATE INDEX ON p (a)',
	'CREATE INDEX mine ON p1b (a) ==> CREATE INDEX ON p (a)',
	'ALTER TABLE p1b ADD CONSTRAINT mine PRIMARY KEY (id) ==> ALTER TABLE p ADD PRIMARY KEY (id)',
	'ALTER TABLE p2 ADD CONSTRAINT c UNIQUE (id) ==> ALTER TABLE p ADD CONSTRAINT d UNIQUE (id)',
	'ALTER TABLE p2 ADD CONSTRAINT c FOREIGN KEY (ref_id) REFERENCES ref ==> ALTER TABLE p ADD CONSTRAINT d FOREIGN KEY (ref_id) REFERENCES ref',
	'CREATE UNIQUE INDEX ui ON t (a) ==> ALTER TABLE t ADD CONSTRAINT uu UNIQUE USING INDEX ui',
	'CREATE UNIQUE INDEX ui ON child (x) ==> ALTER TABLE child ADD PRIMARY KEY USING INDEX ui',
	'CREATE UNIQUE INDEX uu ON t (a) ==> ALTER TABLE t ADD CONSTRAINT uu UNIQUE (a)',
	# what is found, and taken over
	'ALTER TABLE t VALIDATE CONSTRAINT t_later',
	'ALTER TABLE t ADD CONSTRAINT t_later CHECK (a > 0)',
	# what is lost for good
	'DROP TABLE p2',
	'DROP TABLE t CASCADE',
	'CREATE TABLE r3 (id int REFERENCES ref, c int REFERENCES ref DEFERRABLE) ==> ALTER TABLE r3 DROP COLUMN c; DROP TABLE r3',
	'CREATE TABLE r3 (id int REFERENCES ref, c int REFERENCES ref DEFERRABLE) ==> ALTER TABLE r3 DROP COLUMN c',
	'ALTER TABLE t DROP COLUMN b, ADD COLUMN b int',
	'ALTER TABLE t ADD n int, ALTER a SET DEFAULT 3, ADD CHECK (a < 1000); CREATE INDEX ON t (a); ALTER TABLE t RENAME TO tt; ALTER TABLE tt RENAME a TO aa; DROP TABLE tt',
	'CREATE TABLE z (a int); ALTER TABLE z ADD n int, ALTER a SET DEFAULT 3, ALTER a SET NOT NULL; DROP TABLE z; DROP TABLE t',
	q{ALTER TABLE t ALTER b SET DEFAULT 'x', ALTER a SET DEFAULT 3; COMMENT ON COLUMN t.b IS 'x'; ALTER TABLE t RENAME b TO bb; ALTER TABLE t DROP bb},
	'CREATE VIEW w AS SELECT 1 x ==> CREATE OR REPLACE VIEW w AS SELECT 1 x, 2 y; CREATE OR REPLACE VIEW w AS SELECT 1 x, 2 y, 3 z',
	'DROP TABLE ref CASCADE; CREATE TABLE ref (a int); CREATE TABLE ref2 (a int)',
	'ALTER TABLE p1 ADD CONSTRAINT middle UNIQUE (id, a) ==> ALTER TABLE p ADD UNIQUE (id, a)',
	'ALTER TABLE t ALTER b TYPE text',
	'CREATE OR REPLACE VIEW w AS SELECT 1 x, 2 y <== CREATE VIEW w AS SELECT 1 x',
);

# (before 18 only a valid one is taken)
push @{ $major >= 18 ? \@stays : \@goes_back },
	'ALTER TABLE p1a ADD CONSTRAINT c FOREIGN KEY (ref_id) REFERENCES ref NOT VALID ==> ALTER TABLE p ADD CONSTRAINT d FOREIGN KEY (ref_id) REFERENCES ref';
push @stays,
	'ALTER TABLE p2 ADD CONSTRAINT c FOREIGN KEY (ref_id) REFERENCES ref NOT VALID; ALTER TABLE p ADD CONSTRAINT d FOREIGN KEY (ref_id) REFERENCES ref NOT VALID
		==> ALTER TABLE p VALIDATE CONSTRAINT d',
	'ALTER TABLE p2 ADD CONSTRAINT mine NOT NULL a NOT VALID ==> ALTER TABLE p ALTER a SET NOT NULL' if $major >= 18;
push @goes_back, 'ALTER TABLE p2 ADD CONSTRAINT mine NOT NULL a; ALTER TABLE p ADD CONSTRAINT all_of_it NOT NULL a ==> ALTER TABLE p DROP CONSTRAINT all_of_it'
  if $major >= 18;

my @cases = (@goes_back, @stays);
my @numbers = 1 .. @cases;
my (%setup, %ddl, %meanwhile);
($setup{$_}, $ddl{$_}, $meanwhile{$_}) = $cases[ $_ - 1 ] =~ /\A(?:(.*)==> )?(.*?)(?:\s*<== (.*))?\z/s for @numbers;

$node->safe_psql('postgres', "SET allow_in_place_tablespaces = on; CREATE TABLESPACE space LOCATION ''");
no_errors('there before', map { "CREATE SCHEMA s$_; SET search_path = s$_; $tables " . ($setup{$_} // '') } @numbers);
configure_server($node, 'safe_migrate.enabled' => 'off');
no_errors('queued', map { "SET search_path = s$_; SELECT safe_migrate.apply(\$apply\$$ddl{$_}\$apply\$, 'case $_')" } @numbers);
no_errors('meanwhile', map { "SET search_path = s$_; " . ($meanwhile{$_} // '') } @numbers);
my %before = entries();
configure_server($node, 'safe_migrate.enabled' => 'on');
wait_for($node, q{SELECT NOT EXISTS (SELECT FROM safe_migrate.jobs WHERE state NOT IN ('succeeded', 'failed'))});
is($node->safe_psql('postgres', q{SELECT name, error_message FROM safe_migrate.jobs WHERE state <> 'succeeded'}), '', 'all of them run');
my %after = entries();
no_errors('undo runs', map {
	$node->safe_psql('postgres', qq{SELECT string_agg(undo, E';\\n' ORDER BY step_no DESC) FROM safe_migrate.job_steps
		WHERE job_id = (SELECT id FROM safe_migrate.jobs WHERE name = 'case $_')}) } @numbers);
my %undone = entries();

for my $n (1 .. @cases)
{
	my $case = $cases[ $n - 1 ];
	my ($then, $now) = map { join "\n", sort @$_ } $before{"s$n"}, $undone{"s$n"} // [];
	if ($n <= @goes_back)
	{
		is($now, $then, "goes back: $case");
		next;
	}
	isnt($now, $then, "stays: $case");
	my %left = map { $_ => 1 } @{ $undone{"s$n"} // [] };
	my %had = map { $_ => 1 } @{ $before{"s$n"} };
	is(join("\n", grep { $had{$_} && !$left{$_} } @{ $after{"s$n"} // [] }), '', 'and nothing that was there is lost by undo');
}
stays_clean($node);
$node->stop;
done_testing();

# One text of SQL a case, in one session.
sub no_errors
{
	my ($name, @sql) = @_;
	my (undef, undef, $said) = $node->psql('postgres',
		join("\n", 'SET client_min_messages = error;', map { "\\warn $_\n$sql[$_ - 1];" } @numbers), on_error_stop => 0);
	my (undef, %of) = split /^(\d+)\n/m, "\n$said\n", -1;
	is($of{$_}, '', "$name: $cases[$_ - 1]") or diag($sql[ $_ - 1 ]) for @numbers;
	return;
}

# What pg_dump writes of each schema.
sub entries
{
	my ($dump) = run_command([ 'pg_dump', '--schema-only', '--no-owner', '--schema=s*', '--exclude-schema=safe_migrate',
		'-h', $node->host, '-p', $node->port, 'postgres' ]);
	my %of;
	for my $entry (split /^-- Name: /m, $dump)
	{
		my ($schema, $text) = $entry =~ /\A[^\n]*; Schema: (s\d+);[^\n]*\n--\n+(.*)/s or next;
		$text =~ s/^(?:--|\\unrestrict )[^\n]*$//mg;
		$text =~ s/\s+\z//;
		push @{ $of{$schema} }, $text;
	}
	return %of;
}
