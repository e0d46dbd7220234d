# A partition that is detached while its rows are worked on is left as it is from the next batch on.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('detach',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off');
my $rows = 30_000;
sub sql { return $node->safe_psql('postgres', @_); }

# Two leaves of so many rows, the first below a partition of its own.
my %make = (
	partitions => q{CREATE TABLE t (id int, a text, b text) PARTITION BY RANGE (id);
		CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (100000) PARTITION BY RANGE (id);
		CREATE TABLE first PARTITION OF low FOR VALUES FROM (0) TO (100000);
		CREATE TABLE second PARTITION OF t FOR VALUES FROM (100000) TO (200000)},
	children => q{CREATE TABLE t (id int, a text, b text);
		CREATE TABLE first () INHERITS (t); CREATE TABLE second () INHERITS (t)});

sub under_way
{
	my ($kind, $ddl, $workers, $attach_again) = @_;
	my $name = "$ddl, $workers workers";
	sql("DROP TABLE IF EXISTS t, first, second, low CASCADE; $make{$kind};
		INSERT INTO first SELECT i, 'row ' || i FROM generate_series(1, $rows) i;
		INSERT INTO second SELECT 100000 + i, 'row ' || i FROM generate_series(1, $rows) i");
	my $job = sql(qq{SELECT safe_migrate.backfill('t', 'b = upper(a)', workers => $workers, settings => '{"nice_ratio": 100}')});
	wait_for($node, "SELECT rows > 0 FROM safe_migrate.progress WHERE job_id = $job");
	wait_for($node, 'SELECT count(b) > 0 FROM first');
	sql($ddl);
	my $written = sql('SELECT count(b) FROM first');
	if ($attach_again)
	{
		wait_for($node, "SELECT count(*) = 1 FROM safe_migrate.events WHERE job_id = $job AND kind = 'notice'");
		sql($attach_again);
		is(state_of($node, $job), 'running', "$name, $attach_again: in the midst of the job");
	}
	full_speed($node, $job);
	is(sql('SELECT count(*) - count(b) FROM second'), '0', "$name: the other leaf is complete");
	if (!$attach_again)
	{
		is(sql('SELECT count(b) FROM first'), $written, "$name: nothing is written there any more");
		cmp_ok($written, '<', $rows, "$name: in the midst of it");
		is(sql("SELECT detail FROM safe_migrate.events WHERE job_id = $job AND kind = 'notice'"),
			'table "first" was detached and is left as it is now', "$name: an event tells, once");
	}
	else
	{
		is(sql('SELECT count(*) - count(b) FROM first'), '0', "$name: complete");
	}
	return;
}

for my $workers (1, 2)
{
	under_way('partitions', 'ALTER TABLE low DETACH PARTITION first', $workers);
	under_way('partitions', 'ALTER TABLE t DETACH PARTITION low', $workers);
	under_way('children', 'ALTER TABLE first NO INHERIT t', $workers);
	under_way('partitions', 'ALTER TABLE low DETACH PARTITION first', $workers,
		'ALTER TABLE low ATTACH PARTITION first FOR VALUES FROM (0) TO (100000)');
}

stays_clean($node);
done_testing();
