# A standby that is promoted goes on with the job, under the same id.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $primary = new_server('primary', allows_streaming => 1,
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off');
my $standby = new_standby($primary, 'standby');

make_orders($primary, 40_000);
my $job = $primary->safe_psql('postgres', q{SELECT safe_migrate.backfill('orders',
	'status_v2 = upper(status)', workers => 2, settings => '{"nice_ratio": 20}')});
wait_for($primary, "SELECT rows > 1000 FROM safe_migrate.progress WHERE job_id = $job");
my $paused = $primary->safe_psql('postgres', q{CREATE TABLE others AS SELECT i AS id, NULL::int AS a FROM generate_series(1, 1000) i;
	SELECT safe_migrate.pause(safe_migrate.backfill('others', 'a = id', job_name => 'others'), 'lunch');
	SELECT id FROM safe_migrate.jobs WHERE name = 'others'}) =~ s/\s//gr;

# ---- on the standby nothing of the engine runs, and what can be asked there is answered
wait_for($standby, "SELECT count(*) = 2 FROM safe_migrate.jobs WHERE id IN ($job, $paused)");
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'safe_migrate'}),
	'0', 'no process of the engine on a standby');
my (undef, undef, $stderr) = $standby->psql('postgres', "SELECT safe_migrate.pause($job)");
like($stderr, qr/ERROR:  cannot execute .* in a read-only transaction|recovery/, 'a standby refuses control');

# ---- the primary dies, the standby takes over
$primary->stop('immediate');
$standby->promote;
wait_for($standby, "SELECT worker_pids <> '{}' FROM safe_migrate.progress WHERE job_id = $job");
pass('the job goes on after the promotion');
full_speed($standby, $job);
is($standby->safe_psql('postgres', q{SELECT count(*) FROM orders FULL JOIN expected USING (id)
	WHERE (orders.status_v2, orders.status) IS DISTINCT FROM (expected.status_v2, expected.status)}),
	'0', 'and every row is as one UPDATE leaves it');
is($standby->safe_psql('postgres', "SELECT state, state_reason, (SELECT count(a) FROM others) FROM safe_migrate.jobs WHERE id = $paused"),
	'paused|lunch|0', 'what was paused is paused there too');
$standby->safe_psql('postgres', "SELECT safe_migrate.resume($paused)");
wait_for_state($standby, $paused, 'succeeded');
stays_clean($standby);
done_testing();
