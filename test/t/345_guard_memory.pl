# A session that is judged all day keeps no memory of it: let pass, warned about, rejected, explained, failed.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('guard_memory', 'safe_migrate.guard' => 'enforce', 'safe_migrate.small_table_size' => '0',
	'log_min_messages' => 'fatal', 'autovacuum' => 'off');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(20));
INSERT INTO t SELECT i, i, 'x' FROM generate_series(1, 100) i;
CREATE INDEX t_a ON t (a);
CREATE TABLE ref (id int REFERENCES t);
INSERT INTO ref VALUES (1);
CREATE TABLE p (id int, v int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000);
CREATE TABLE p2 PARTITION OF p DEFAULT;
INSERT INTO p SELECT i, i FROM generate_series(1, 2000) i;
SQL

my @statements = ('ALTER TABLE t ALTER a TYPE bigint', 'ALTER TABLE t ADD COLUMN z int', 'CREATE INDEX z ON t (a)',
	'ALTER TABLE p ALTER v SET NOT NULL', 'DROP TABLE t CASCADE', 'UPDATE t SET a = 1', 'ALTER TABLE t RENAME a TO c', 'TRUNCATE ref',
	'ALTER TABLE nowhere ADD COLUMN z int', 'ALTER TABLE t ADD CHECK (a > b)', 'ALTER TABLE t ADD CHECK (a > 0) NOT VALID',
	"SELECT count(*) FROM safe_migrate.explain('ALTER TABLE p ADD z serial; UPDATE p SET v = 1 WHERE id = 2; CREATE TABLE q (a int); ALTER TABLE q ADD b int; DROP TABLE nowhere')");

# Bytes of the session after some rounds and after all of them.
sub bytes_of
{
	my ($settings, $rounds) = @_;
	my $round = join '', map { "BEGIN;\n$_;\nROLLBACK;\n" } @statements;
	my $bytes = "SELECT 'bytes ' || sum(total_bytes) FROM pg_backend_memory_contexts;\n";
	my $file = $node->basedir . '/judged.sql';
	unlink $file;
	append_to_file($file, "$settings\nSET client_min_messages = fatal;\n" . $round x ($rounds / 10) . $bytes . $round x ($rounds * 9 / 10) . $bytes);
	IPC::Run::run([ 'psql', '-XAtq', '-f', $file, $node->connstr('postgres') ], '>', \my $said, '2>', \my $ignored);
	return $said =~ /bytes (\d+)/g;
}

for my $guard ('enforce', 'warn')
{
	my ($early, $late) = bytes_of("SET safe_migrate.guard = $guard;", 400);
	ok($late > 0 && $late < $early * 1.1, "$guard: ten times as many statements, no more memory") or diag("$early bytes, then $late");
}

# ---- each kind of statement: all cases of test/truth, rejected, carried out by an override, and explained

# Fixture and statements of a family, without what they say of majors and settings.
sub cases
{
	my ($file) = @_;
	my ($fixture, $statements) = map { s/^--.*\n//gmr } split /^-- statements.*\n/m, slurp_file($file);
	return ($fixture, split /;\n+/, $statements);
}

# What the server's own caches and the query that asks take is not counted; nor what is bounded: relations of the session.
my $kept = q{SELECT 'kept ' || sum(total_bytes) FROM pg_backend_memory_contexts WHERE name !~ '^(CacheMemoryContext|RI |LocalBufferContext|Operator lookup|smgr |LOCALLOCK|Timezones|TransactionAbort|Executor|Expr|Message|Tuple|Portal|safe_migrate relations of|printtup|Table function|ErrorContext|WAL record|index info|relation rules|row security|CachedPlan|partition )';} . "\n";

my ($truth) = grep { -d } map { "$_/test/truth/cases" } grep { defined } ($ENV{SAFE_MIGRATE_SOURCE}, '.');
for my $file (grep { !/top_level/ } sort glob "$truth/*.sql")
{
	my ($family) = $file =~ m{(\w+)\.sql};
	my ($fixture, @cases) = cases($file);
	$node->safe_psql('postgres', "CREATE DATABASE $family");
	$node->psql($family, "SET safe_migrate.guard = off; CREATE EXTENSION safe_migrate; $fixture");
	my $round = join '', map { ("BEGIN;\n$_;\nROLLBACK;\n", "BEGIN;\nSET LOCAL safe_migrate.override = 'CHG';\n$_;\nROLLBACK;\n",
			"SELECT FROM safe_migrate.explain(\$case\$$_\$case\$);\n") } @cases;
	my $script = $node->basedir . "/$family.sql";
	append_to_file($script, "SET client_min_messages = fatal;\n$round$kept$round$kept");
	IPC::Run::run([ 'psql', '-XAtq', '-f', $script, $node->connstr($family) ], '>', \my $said, '2>', \my $ignored);
	my ($early, $late) = $said =~ /^kept (\d+)$/gm;
	ok(@cases > 50 && defined $late && $late - $early < 32 * 1024, "$family: " . @cases . ' statements leave no memory behind') or diag("$early bytes, then $late");
}

stays_clean($node);
done_testing();
