# Schema changes that crash at any moment complete after the restart, with the schema that they have
# without a crash.  Steps that commit their work before their bookkeeping (CREATE INDEX CONCURRENTLY)
# are run again when they are done.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use SafeMigrate;

my $rounds = $ENV{SAFE_MIGRATE_CRASHES} // 2;
my $seed = $ENV{SAFE_MIGRATE_SEED} // time;
srand($seed);
note "seed $seed (SAFE_MIGRATE_SEED)";

my $node = new_server('ops_crash',
	'safe_migrate.inline' => 'never',
	'safe_migrate.small_table_size' => 0,
	'safe_migrate.guard' => 'enforce',
	'fsync' => 'off');

my $tables = q{
BEGIN; SET LOCAL safe_migrate.override = 'tables of a test'; DROP SCHEMA IF EXISTS s CASCADE; COMMIT;
CREATE SCHEMA s; SET search_path = s;
CREATE TABLE ref (id int PRIMARY KEY);
INSERT INTO ref SELECT generate_series(1, 500);
CREATE TABLE t (id bigint PRIMARY KEY, a int, b text, ref_id int);
INSERT INTO t SELECT g, nullif(g % 5, 0), 'b' || g, 1 + g % 500 FROM generate_series(1, 60000) g;
CREATE TABLE p (id int, a int, ref_id int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (20000) PARTITION BY RANGE (id);
CREATE TABLE p1a PARTITION OF p1 FOR VALUES FROM (0) TO (10000);
CREATE TABLE p1b PARTITION OF p1 FOR VALUES FROM (10000) TO (20000);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (20000) TO (40000);
INSERT INTO p SELECT g, g, 1 + g % 500 FROM generate_series(0, 39999) g;
};
my %operation = (
	'index' => q{create_index_safely('CREATE INDEX ON s.t (a, lower(b))')},
	'unique index' => q{create_index_safely('CREATE UNIQUE INDEX ON s.t (b)')},
	'index of a partitioned table' => q{create_index_safely('CREATE INDEX ON s.p (a)')},
	'not null, filled' => q{add_not_null_safely('s.t', 'a', '7')},
	'not null of a partitioned table' => q{add_not_null_safely('s.p', 'a')},
	'check' => q{add_constraint_safely('s.t', 'CHECK (id > 0)')},
	'foreign key' => q{add_constraint_safely('s.t', 'FOREIGN KEY (ref_id) REFERENCES s.ref')},
	'foreign key of a partitioned table' => q{add_constraint_safely('s.p', 'FOREIGN KEY (ref_id) REFERENCES s.ref')},
	'primary key of a partitioned table' => q{add_constraint_safely('s.p', 'PRIMARY KEY (id)')},
	'unique' => q{add_constraint_safely('s.t', 'UNIQUE (b)')},
	'script' => q{apply('ALTER TABLE s.t ADD COLUMN n int, ADD CHECK (id > 0), ADD UNIQUE (b); CREATE INDEX ON s.t (n); DROP TABLE IF EXISTS s.nix')},
);

sub schema_now { return join "\n", schema_of($node, 'postgres', '--schema=s'); }

sub queue
{
	my ($call) = @_;
	return $node->safe_psql('postgres', "SET client_min_messages = error; SELECT safe_migrate.$call;");
}

# The server goes down under the job, once or twice.
sub crash_while_running
{
	my ($job) = @_;
	for (1 .. 2)
	{
		usleep(int rand 400_000);
		last if state_of($node, $job) eq 'succeeded';
		if (rand() < 0.3) { $node->stop('immediate'); $node->start; next }
		my ($pid) = worker_pids($node) or next;
		kill_hard($node, $pid);
	}
	return;
}

for my $name (sort keys %operation)
{
	$node->safe_psql('postgres', $tables);
	my $job = queue($operation{$name});
	wait_for_state($node, $job, 'succeeded');
	my $expected = schema_now();

	# done, and not known: as a crash leaves a step that commits by itself
	for my $step (split /\n/, $node->safe_psql('postgres', "SELECT step_no FROM safe_migrate.step WHERE job_id = $job
		AND kind IN ('build index', 'top level') ORDER BY step_no"))
	{
		$node->safe_psql('postgres', "UPDATE safe_migrate.step SET state = 'pending' WHERE job_id = $job AND step_no = $step;
			UPDATE safe_migrate.job SET state = 'failed' WHERE id = $job; SELECT safe_migrate.retry($job)");
		wait_for_state($node, $job, 'succeeded');
		is(schema_now(), $expected, "$name: step $step done again changes nothing");
	}
	for my $round (1 .. $rounds)
	{
		$node->safe_psql('postgres', $tables);
		$job = queue($operation{$name});
		crash_while_running($job);
		wait_for_state($node, $job, 'succeeded');
		is(schema_now(), $expected, "$name: the same schema after crashes, round $round");
	}
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM s.t WHERE a IS NULL'), 12000, 'the last tables are whole');
$node->stop;
done_testing();
