# A row that brings the server down each time that it is touched does not keep it down for ever.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('crash_loop',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off');

# Sessions end with each crash: what to ask is asked until there is an answer.
sub ask
{
	my ($sql) = @_;
	for (1 .. 600)
	{
		my ($rc, $out) = eval { $node->psql('postgres', $sql) };
		return $out if defined $rc && $rc == 0;
		select undef, undef, undef, 0.1;
	}
	return 'no answer';
}

make_orders($node, 5_000);
$node->safe_psql('postgres', q{
	CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'kill -9 ' || pg_backend_pid());
		RETURN new;
	END $$;
	CREATE TRIGGER crash BEFORE UPDATE ON orders FOR EACH ROW WHEN (new.id = 3333) EXECUTE FUNCTION crash();
	CREATE TABLE others AS TABLE expected});
my $job = $node->safe_psql('postgres', q{SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)')});
my $state = '';
for (1 .. 1000)
{
	$state = ask("SELECT state FROM safe_migrate.jobs WHERE id = $job");
	last if $state eq 'paused';
	select undef, undef, undef, 0.1;
}
is($state, 'paused', 'a job under which the server crashes again and again is paused');
is(ask("SELECT state_reason FROM safe_migrate.jobs WHERE id = $job"),
	'the server crashed each time that it ran; see the server log', 'and says why');
my $crashes = () = slurp_file($node->logfile) =~ /was terminated by signal 9/g;
is($crashes, 6, 'after six crashes');

# the others go on, and so does this one when its reason is gone
my $other = $node->safe_psql('postgres', q{SELECT safe_migrate.backfill('others', 'status_v2 = lower(status)', 'status_v2 <> lower(status)')});
wait_for_state($node, $other, 'succeeded');
$node->safe_psql('postgres', "DROP TRIGGER crash ON orders; SELECT safe_migrate.resume($job)");
wait_for_state($node, $job, 'succeeded');
is($node->safe_psql('postgres', q{SELECT count(*) FROM orders FULL JOIN expected USING (id)
	WHERE (orders.status_v2, orders.status) IS DISTINCT FROM (expected.status_v2, expected.status)}), '0',
	'resumed without the cause, it completes');

# a worker that is terminated has not crashed, however often
$node->safe_psql('postgres', 'UPDATE orders SET status_v2 = NULL');
$job = $node->safe_psql('postgres', q{SELECT safe_migrate.backfill('orders', 'status_v2 = lower(status)', settings => '{"nice_ratio": 50}')});
my $old = 0;
for (1 .. 3)
{
	wait_for($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker' AND pid <> $old
		AND query LIKE 'job %: backfill%'");
	($old) = worker_pids($node);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($old, 10000)");
}
wait_for($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker' AND pid <> $old");
cmp_ok($node->safe_psql('postgres', "SELECT starts FROM safe_migrate.job WHERE id = $job"), '<=', 1, 'terminated workers are no crashes');
done_testing();
