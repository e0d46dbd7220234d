# What shared memory holds is given back, and jobs that find no place there are still obeyed.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('shared_memory',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off');
my $slowly = q{settings => '{"nice_ratio": 50}'};

# ---- databases dropped under their workers leave no place taken
for my $round (1 .. 2)
{
	$node->safe_psql('postgres', 'CREATE DATABASE dropped');
	$node->safe_psql('dropped', 'CREATE EXTENSION safe_migrate');
	make_orders($node, 20_000, 'dropped');
	$node->safe_psql('dropped', qq{CREATE TABLE others AS TABLE orders;
		SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)', $slowly);
		SELECT safe_migrate.backfill('others', 'status_v2 = upper(status)', $slowly)});
	wait_for($node, q{SELECT count(*) = 2 FROM safe_migrate.progress WHERE worker_pids <> '{}' AND rows > 0}, 'dropped');
	$node->safe_psql('postgres', 'DROP DATABASE dropped');
}
make_orders($node, 5_000);
my $job = $node->safe_psql('postgres', q{SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)')});
wait_for_state($node, $job, 'succeeded');
pass('workers of dropped databases do not count as running');

# ---- more jobs than shared memory has room for
$node->safe_psql('postgres', q{
	SELECT safe_migrate.pause(safe_migrate.backfill('orders', 'status_v2 = ' || i || '::text',
		'status_v2 <> ' || i || '::text')) FROM generate_series(1, 140) i});
wait_for($node, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type ~ 'safe_migrate (scheduler|worker)')});
$job = $node->safe_psql('postgres', qq{UPDATE orders SET status_v2 = NULL;
	SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)', $slowly)});
wait_for($node, 'SELECT count(status_v2) > 100 FROM orders');
is($node->safe_psql('postgres', "SELECT state, worker_pids <> '{}' FROM safe_migrate.progress WHERE job_id = $job"),
	'running|t', 'one that runs beside 140 others is seen in progress');
$node->safe_psql('postgres', "SELECT safe_migrate.pause($job)");
wait_for($node, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker')});
pass('and obeys pause()');
$node->safe_psql('postgres', "SELECT safe_migrate.resume($job); SELECT safe_migrate.configure($job, 'nice_ratio', NULL)");
wait_for_state($node, $job, 'succeeded');
is($node->safe_psql('postgres', 'SELECT count(*) FROM orders WHERE status_v2 IS DISTINCT FROM upper(status)'),
	'0', 'and resume()');

stays_clean($node);
done_testing();
