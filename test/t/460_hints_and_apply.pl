# For each rule that has a recipe: a statement that the guard rejects, the HINT's SQL pasted as it stands,
# and the statement given to apply(), all on populated tables; both end with the schema of the plain DDL.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $source = $ENV{SAFE_MIGRATE_SOURCE} // '.';
my $node = new_server('hints',
	'safe_migrate.small_table_size' => 0, 'safe_migrate.inline' => 'never', 'safe_migrate.guard' => 'enforce',
	'fsync' => 'off',
	# those that warn, or that are brief, are rejected too
	'safe_migrate.rule_levels' => 'drop-index=reject,detach-partition=reject,drop-constraint=reject');

# ---- the rules whose first way out is a safe function, from their table
sub rules_with_recipe
{
	my ($table) = slurp_file("$source/src/guard/rules.cpp") =~ /^constexpr Rule rules\[\] = \{(.*?)^\};/ms;
	my $string = qr/(?:"(?:[^"\\]|\\.)*"\s*(?:\/\/\s*)?)+/;
	my @found;
	while ($table =~ /\{Cause::\w+,\s*"([a-z-]+)",\s*\w+,\s*\w+,\s*$string,\s*(nullptr|\w+|$string),/g)
	{
		push @found, $1 if $2 ne 'nullptr';
	}
	return sort @found;
}

my $tables = q{
CREATE TABLE ref (id int PRIMARY KEY, code text UNIQUE);
INSERT INTO ref SELECT g, 'c' || g FROM generate_series(1, 50) g;
CREATE TABLE t (id bigint PRIMARY KEY, a int, b varchar(20), ref_id int, "Odd Name" text);
INSERT INTO t SELECT g, g, 'b' || g, 1 + g % 50, 'o' || g FROM generate_series(1, 200) g;
ALTER TABLE t ADD CONSTRAINT t_later CHECK (a > 0) NOT VALID;
CREATE INDEX t_old ON t (b);
CREATE INDEX t_older ON t (b);
CREATE TABLE p (id int NOT NULL, a int, ref_id int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
INSERT INTO p SELECT g, g, 1 + g % 50 FROM generate_series(0, 199) g;
CREATE TABLE "New part" (id int NOT NULL, a int, ref_id int);
INSERT INTO "New part" SELECT g, g, 1 + g % 50 FROM generate_series(200, 299) g;
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
};
my $bound = q{CHECK (id >= 200 AND id < 300)};

# rule => [ statement, tables besides, what is different ]
my %case = (
	'add-column-volatile-default' => [ 'ALTER TABLE t ADD COLUMN "N n" uuid DEFAULT gen_random_uuid() NOT NULL' ],
	'add-column-serial' => [ 'ALTER TABLE t ADD COLUMN n serial' ],
	'add-column-identity' => [ 'ALTER TABLE t ADD n int GENERATED ALWAYS AS IDENTITY (START 1000)' ],
	'add-column-constrained-domain' => [ 'ALTER TABLE t ADD COLUMN n positive DEFAULT 1', '', 'base type' ],
	'add-column-check' => [ 'ALTER TABLE t ADD COLUMN n int DEFAULT 1 CHECK (n > 0)' ],
	'add-column-unique' => [ 'ALTER TABLE t ADD COLUMN n int CONSTRAINT "One n" UNIQUE' ],
	'add-column-references' => [ 'ALTER TABLE t ADD COLUMN n int DEFAULT 1 REFERENCES ref ON DELETE CASCADE' ],
	'set-not-null' => [ 'ALTER TABLE t ALTER COLUMN "Odd Name" SET NOT NULL' ],
	'add-check' => [ q{ALTER TABLE t ADD CONSTRAINT "It's" CHECK ("Odd Name" <> 'it''s')} ],
	'add-foreign-key' => [ 'ALTER TABLE t ADD FOREIGN KEY (ref_id) REFERENCES ref DEFERRABLE' ],
	'add-unique' => [ 'ALTER TABLE t ADD UNIQUE (a, b)' ],
	'add-primary-key' => [ 'ALTER TABLE "New part" ADD PRIMARY KEY (a)' ],
	'validate-constraint' => [ 'ALTER TABLE t ALTER a SET DEFAULT 3, VALIDATE CONSTRAINT t_later' ],
	'drop-constraint' => [ 'ALTER TABLE t DROP CONSTRAINT t_later', '', 'override' ],
	'create-index' => [ 'CREATE INDEX "I i" ON t (lower("Odd Name"), a DESC) WHERE a > 5' ],
	'drop-index' => [ 'DROP INDEX t_old' ],
	'reindex' => [ 'REINDEX TABLE t' ],
	'attach-partition' => [ 'ALTER TABLE p ATTACH PARTITION "New part" FOR VALUES FROM (200) TO (300)' ],
	'attach-partition-default' => [
		'ALTER TABLE p ATTACH PARTITION "New part" FOR VALUES FROM (200) TO (300)', "CREATE TABLE pd PARTITION OF p DEFAULT; INSERT INTO p VALUES (1000);
		ALTER TABLE \"New part\" ADD $bound;"
	],
	'attach-partition-index' => [
		'ALTER TABLE p ATTACH PARTITION "New part" FOR VALUES FROM (200) TO (300)', "CREATE INDEX ON p (a); ALTER TABLE \"New part\" ADD $bound;"
	],
	'attach-partition-foreign-key' => [
		'ALTER TABLE p ATTACH PARTITION "New part" FOR VALUES FROM (200) TO (300)',
		"ALTER TABLE p ADD FOREIGN KEY (ref_id) REFERENCES ref; ALTER TABLE \"New part\" ADD $bound;"
	],
	'create-partition-default' => [
		'CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (300) TO (400)', 'CREATE TABLE pd PARTITION OF p DEFAULT; INSERT INTO p VALUES (1000);'
	],
	'detach-partition' => [ 'ALTER TABLE p DETACH PARTITION p2', '', 'bound stays' ],
	'drop-table' => [ 'DROP TABLE t', '', 'override' ],
	'drop-column' => [ 'ALTER TABLE t DROP COLUMN b', '', 'override' ],
	'update-without-where' => [ q{UPDATE t SET a = ref_id + 7, "Odd Name" = b || 'x'}, '', 'rows' ],
	'delete-without-where' => [ 'DELETE FROM t', '', 'rows' ],
);
# the same by statements that say several things at once
my @compound = (
	[ 'ALTER TABLE t ADD COLUMN n serial, ADD COLUMN m int' ],
	[ 'ALTER TABLE t ADD CHECK (a > 0), ALTER a SET NOT NULL, ADD FOREIGN KEY (ref_id) REFERENCES ref' ],
	[ 'ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID, VALIDATE CONSTRAINT c' ],
	[ 'DROP INDEX t_old, t_older' ],
	[ 'DROP TABLE t, p', '', 'override' ],
	[ 'REINDEX INDEX t_old' ],
);
my @rules = rules_with_recipe();
cmp_ok(scalar @rules, '>', 20, 'rules have recipes');
is(join(' ', sort keys %case), join(' ', @rules), 'each of them has a case here');

like(slurp_file("$source/docs/rules/$_.md"), qr/\*\*Use\*\*\n.*SELECT safe_migrate\./s, "the page of $_ names a call") for @rules;

my @database = qw(plain pasted applied);
$node->safe_psql('postgres', "CREATE DATABASE $_") for @database;
$node->safe_psql($_, 'CREATE EXTENSION safe_migrate') for @database;

# Runs it, lets what it queued end, and says what it raised.
sub carry_out
{
	my ($database, $what, $sql, $override) = @_;
	$sql = "BEGIN; SET LOCAL safe_migrate.override = 'it is a test';\n$sql\nCOMMIT;" if $override;
	my ($rc, undef, $err) = $node->psql($database, $sql, on_error_stop => 1);
	is($rc, 0, $what) or diag($err);
	wait_for($node, q{SELECT NOT EXISTS (SELECT FROM safe_migrate.jobs WHERE state IN ('queued', 'running'))}, $database);
	is($node->safe_psql($database, q{SELECT string_agg(error_message || coalesce(' / ' || error_detail, ''), '; ') FROM safe_migrate.jobs
		WHERE state <> 'succeeded'}), '', "$what: the jobs succeed");
	return $err;
}

my ($n, %expected_row) = (0);
for my $case ((map { [ $_, @{ $case{$_} } ] } sort keys %case), (map { [ undef, @$_ ] } @compound))
{
	my ($rule, $statement, $besides, $different) = @$case;
	$besides //= '';
	$different //= '';
	$n++;
	my $path = "SET search_path = s$n, public;";
	my $name = $rule // $statement;
	for (@database)
	{
		$node->safe_psql($_, "SET client_min_messages = warning; SET safe_migrate.guard = off; CREATE SCHEMA s$n; $path $tables $besides");
	}
	my ($rc, undef, $err) = $node->psql('pasted', "\\set VERBOSITY verbose\n$path\n$statement;");
	like($err, qr/^psql:.*ERROR:  SM001: /m, "$name: rejected");
	like($err, qr/^CONSTRAINT NAME:  $rule$/m, "$name: by that rule") if $rule;
	my ($hint) = $err =~ /^HINT:  Instead:\n(.*?)\nTo do it all the same/ms;
	like($hint, qr/^SELECT safe_migrate\.\w+\(.*\);(?: -- which needs an override, too)?$/s, "$name: the HINT has the call") or next;
	carry_out('pasted', "$name: the HINT pasted", "$path\n$hint", $different eq 'override');

	# a partition that is detached concurrently keeps its bound as a CHECK (before 19)
	$node->safe_psql('pasted', "$path SET safe_migrate.guard = off; ALTER TABLE p2 DROP CONSTRAINT IF EXISTS p2_id_check") if $different eq 'bound stays';

	$node->safe_psql('plain', "SET safe_migrate.guard = off; $path $statement");
	if ($different eq 'rows')
	{
		(undef, undef, $err) = $node->psql('applied', "$path\nSELECT safe_migrate.apply(\$apply\$$statement\$apply\$);");
		like($err, qr/statement 1 is no DDL.*HINT:  Use safe_migrate\.(backfill|delete_safely)\(\)/s, "$name: apply() takes DDL, and says what to call");
		is($node->safe_psql('pasted', "SELECT count(*), sum(hashtext(t::text)) FROM s$n.t"),
			$node->safe_psql('plain', "SELECT count(*), sum(hashtext(t::text)) FROM s$n.t"), "$name: the same rows");
	}
	elsif ($different eq 'base type')
	{
		(undef, undef, $err) = $node->psql('applied', "$path\nSELECT safe_migrate.apply(\$apply\$$statement\$apply\$);");
		like($err, qr/ERROR:  there is no safe way to carry out statement 1
.*HINT:  SELECT safe_migrate\.add_column_safely\(.*\);/s,
			"$name: apply() can't leave what the statement would, and says what can be had");
		is($node->safe_psql('pasted', "SELECT format_type(atttypid, atttypmod), pg_get_constraintdef(c.oid), convalidated FROM pg_attribute
			JOIN pg_constraint c ON conrelid = attrelid AND conkey = ARRAY[attnum] WHERE attrelid = 's$n.t'::regclass AND attname = 'n'"),
			'integer|CHECK ((n > 0))|t', "$name: base type and CHECK");
		$node->safe_psql($_, "SET safe_migrate.guard = off; DROP SCHEMA s$n CASCADE") for @database;
	}
	else
	{
		carry_out('applied', "$name: given to apply()", "$path\nSELECT safe_migrate.apply(\$apply\$$statement\$apply\$);", $different eq 'override');
	}
}

my @of_cases = ('--schema=s*', '--exclude-schema=safe_migrate');
my @plain = schema_of($node, 'plain', @of_cases);
for my $database (qw(pasted applied))
{
	my %seen;
	$seen{$_}++ for @plain;
	$seen{$_}-- for schema_of($node, $database, @of_cases);
	is(join("\n", map { ($seen{$_} > 0 ? 'plain only: ' : "$database only: ") . $_ } grep { $seen{$_} } sort keys %seen),
		'', "$database: the schema that the plain statements leave");
}
stays_clean($node);
$node->stop;
done_testing();
