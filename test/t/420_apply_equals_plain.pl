# What apply() leaves behind is what the plain DDL would have left, by pg_dump of the schema, names
# included: each statement on tables of its own, as if they were large.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('equals',
	'safe_migrate.guard' => 'off', 'safe_migrate.small_table_size' => 0, 'safe_migrate.inline' => 'never');
my $major = $node->safe_psql('postgres', "SELECT current_setting('server_version_num')::int / 10000");

# The tables that every case gets in a schema of its own.
my $tables = q{
CREATE TABLE ref (id int PRIMARY KEY, code text UNIQUE);
INSERT INTO ref SELECT g, 'c' || g FROM generate_series(1, 50) g;
CREATE TABLE t (id bigint PRIMARY KEY, a int, b varchar(20), c numeric(10,2), ref_id int, "Odd Name" text, js jsonb, r int4range);
INSERT INTO t SELECT g, g, 'b' || g, g, 1 + g % 50, 'o' || g, '{}', int4range(g, g + 1) FROM generate_series(1, 200) g;
CREATE TABLE p (id int, a int, ref_id int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
CREATE TABLE p1a PARTITION OF p1 FOR VALUES FROM (0) TO (50);
CREATE TABLE p1b PARTITION OF p1 FOR VALUES FROM (50) TO (100);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
INSERT INTO p SELECT g, g, 1 + g % 50 FROM generate_series(0, 199) g;
CREATE TABLE parent (id int, a int);
CREATE TABLE child (x int) INHERITS (parent);
INSERT INTO child SELECT g, g, g FROM generate_series(1, 50) g;
CREATE INDEX t_old ON t (b);
ALTER TABLE t ADD CONSTRAINT t_later CHECK (a > 0) NOT VALID;
CREATE VIEW v AS SELECT id, a FROM t;
};

my @accepted = (
	# columns
	'ALTER TABLE t ADD COLUMN n int',
	q{ALTER TABLE t ADD COLUMN n text DEFAULT 'x'},
	q{ALTER TABLE t ADD COLUMN n timestamptz NOT NULL DEFAULT now()},
	'ALTER TABLE t ADD COLUMN IF NOT EXISTS a int',
	'ALTER TABLE t ADD COLUMN n int REFERENCES ref',
	'ALTER TABLE p ADD COLUMN n int DEFAULT 5',
	'ALTER TABLE parent ADD COLUMN n int DEFAULT 5',
	'ALTER TABLE t ALTER a SET DEFAULT 7, ALTER b DROP DEFAULT',
	'ALTER TABLE t ALTER a SET NOT NULL',
	'ALTER TABLE t ALTER a SET NOT NULL, ALTER "Odd Name" SET NOT NULL',
	'ALTER TABLE p ALTER a SET NOT NULL',
	'ALTER TABLE parent ALTER a SET NOT NULL',
	'ALTER TABLE t ALTER b TYPE varchar(40)',
	'ALTER TABLE t ALTER b TYPE text',
	'ALTER TABLE t ALTER c TYPE numeric(12,2)',
	'ALTER TABLE t ALTER a SET STATISTICS 100, ALTER b SET STORAGE EXTERNAL',
	# constraints
	'ALTER TABLE t ADD CHECK (a > 0)',
	'ALTER TABLE t ADD CHECK (a > 0), ADD CHECK (a < 1000)',
	'ALTER TABLE t ADD CONSTRAINT "Posi tive" CHECK ("Odd Name" <> $$$$ AND a + id > 0)',
	'ALTER TABLE t ADD CHECK (a > 0) NO INHERIT',
	'ALTER TABLE p ADD CHECK (a >= 0)',
	'ALTER TABLE parent ADD CHECK (a > 0)',
	'ALTER TABLE t ADD CHECK (a > 0) NOT VALID',
	'ALTER TABLE t VALIDATE CONSTRAINT t_later',
	'ALTER TABLE t ADD FOREIGN KEY (ref_id) REFERENCES ref',
	'ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (ref_id) REFERENCES ref (id) ON DELETE SET NULL (ref_id) ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED',
	'ALTER TABLE t ADD FOREIGN KEY (ref_id) REFERENCES ref MATCH FULL NOT VALID',
	'ALTER TABLE p ADD FOREIGN KEY (ref_id) REFERENCES ref',
	'ALTER TABLE t ADD UNIQUE (a)',
	'ALTER TABLE t ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (a, b) INCLUDE (c) WITH (fillfactor = 70) DEFERRABLE',
	'ALTER TABLE p ADD UNIQUE (id, a)',
	'ALTER TABLE p ADD PRIMARY KEY (id)',
	'ALTER TABLE child ADD PRIMARY KEY (x)',
	'ALTER TABLE t DROP CONSTRAINT t_later',
	'ALTER TABLE t DROP COLUMN "Odd Name"',
	'ALTER TABLE t DROP COLUMN b, DROP COLUMN IF EXISTS nix, ADD COLUMN b int',
	'ALTER TABLE parent DROP COLUMN a',
	'DROP TABLE child; DROP TABLE IF EXISTS nix',
	'DROP TABLE p2',
	'DROP VIEW v',
	'DROP TABLE t CASCADE',
	# indexes
	'CREATE INDEX ON t (a)',
	'CREATE INDEX named ON t (a DESC NULLS LAST, lower(b) text_pattern_ops) WHERE a > 5',
	'CREATE UNIQUE INDEX ON t (a) INCLUDE (b) NULLS NOT DISTINCT WITH (fillfactor = 50)',
	'CREATE INDEX ON t (b COLLATE "C"); CREATE INDEX ON t (b COLLATE "C")',
	'CREATE INDEX ON t USING gin (js jsonb_path_ops)',
	'CREATE INDEX ON t USING gist (r)',
	'CREATE INDEX ON t USING brin (a int4_minmax_multi_ops (values_per_range = 16)) WITH (pages_per_range = 4)',
	'CREATE INDEX ON t ((a + 1), (upper("Odd Name")), a)',
	'CREATE INDEX CONCURRENTLY ON t (c)',
	'CREATE INDEX ON p (a)',
	'CREATE UNIQUE INDEX pu ON p (id, a)',
	'CREATE INDEX ON ONLY p (a)',
	'DROP INDEX t_old',
	'DROP INDEX CONCURRENTLY t_old',
	'ALTER INDEX t_old RENAME TO t_new',
	# tables, and statements that build on each other
	'CREATE TABLE n (id int PRIMARY KEY, r int REFERENCES ref); CREATE INDEX ON n (r); ALTER TABLE n ADD COLUMN z int NOT NULL',
	'ALTER TABLE t ADD COLUMN n int DEFAULT 3; ALTER TABLE t ALTER n SET NOT NULL; CREATE INDEX ON t (n); ALTER TABLE t ADD CHECK (n > 0)',
	'ALTER TABLE t DROP CONSTRAINT t_later, ADD CONSTRAINT t_later CHECK (a > -1)',
	'CREATE TABLE p3 (LIKE p); ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (200) TO (300)',
	'ALTER TABLE p DETACH PARTITION p2',
	q{COMMENT ON TABLE t IS 'a table'; COMMENT ON COLUMN t.a IS 'a column'},
	'CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$; CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf()',
	'ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY pol ON t USING (a > 0)',
	'ALTER TABLE t SET (fillfactor = 80); ALTER TABLE t REPLICA IDENTITY FULL',
	q{CREATE TYPE mood AS ENUM ('a', 'b'); ALTER TYPE mood ADD VALUE 'c'; ALTER TABLE t ADD COLUMN m mood},
	'CREATE SEQUENCE s OWNED BY t.a; CREATE VIEW v2 AS SELECT * FROM t',
	'CREATE STATISTICS st ON a, b FROM t',
	'GRANT SELECT ON t TO pg_monitor',
	'ALTER TABLE IF EXISTS nix ADD COLUMN a int',
);
push @accepted, 'ALTER TABLE t ADD CONSTRAINT nn NOT NULL a', 'ALTER TABLE t ADD COLUMN g int GENERATED ALWAYS AS (a + 1) VIRTUAL'
  if $major >= 18;

my @refused = (
	'ALTER TABLE t ALTER a TYPE bigint',
	'ALTER TABLE t ALTER c TYPE numeric(8,1), ADD COLUMN z int',
	'ALTER TABLE t ADD EXCLUDE USING gist (r WITH &&)',
	'VACUUM FULL t',
	'CLUSTER t USING t_pkey',
	'ALTER TABLE t SET UNLOGGED',
	'ADD',
	'UPDATE t SET a = 1',
	'BEGIN; ALTER TABLE t ADD COLUMN z int; COMMIT',
);

$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(plain applied);
$node->safe_psql('applied', 'CREATE EXTENSION safe_migrate');
my $n = 0;
for my $ddl (@accepted)
{
	$n++;
	my $path = "SET search_path = s$n, public;";
	$node->safe_psql($_, "CREATE SCHEMA s$n; $path $tables") for qw(plain applied);
	$node->safe_psql('plain', join(';', $path, $ddl)) if $ddl !~ /CONCURRENTLY/;
	$node->safe_psql('plain', "$path " . $ddl =~ s/CONCURRENTLY//r) if $ddl =~ /CONCURRENTLY/;
	my ($rc, undef, $err) = $node->psql('applied', "$path\nCALL safe_migrate.run(\$apply\$$ddl\$apply\$);");
	is($rc, 0, $ddl) or diag($err);
}

# The lines of the dump that define something; pg_dump writes random keys into newer ones.
sub schema_of
{
	my ($database) = @_;
	my ($out) = run_command([ 'pg_dump', '--schema-only', '--no-owner', '--schema=s*', '--exclude-schema=safe_migrate',
		'-p', $node->port, '-h', $node->host, $database ]);
	return grep { length && !/^--|^\\(un)?restrict / } split /\n/, $out;
}
my @plain = schema_of('plain');
my @applied = schema_of('applied');
cmp_ok(scalar @plain, '>', 100 * $n / 4, 'the dump has the tables');
my %seen;
$seen{$_}++ for @plain;
$seen{$_}-- for @applied;
is(join("\n", map { ($seen{$_} > 0 ? "plain only: " : "applied only: ") . $_ } grep { $seen{$_} } sort keys %seen),
	'', 'the same schema');

for my $ddl (@refused)
{
	my (undef, undef, $err) = $node->psql('applied', "SET search_path = s1, public;\nSELECT safe_migrate.apply(\$apply\$$ddl\$apply\$);");
	like($err, qr/ERROR/, "refused: $ddl");
	is($node->safe_psql('applied', "SELECT count(*) FROM safe_migrate.jobs WHERE state IN ('queued', 'running')"), 0,
		'nothing was begun');
}
$node->stop;
done_testing();
