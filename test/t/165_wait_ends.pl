# wait(): where it may be called, what it holds while it waits, and how it ends.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('wait',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off');
make_orders($node, 30_000);
my $job = $node->safe_psql('postgres', q{SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)',
	job_name => 'waited for', settings => '{"nice_ratio": 50}')});

sub fails_with
{
	my ($sql, @like) = @_;
	my (undef, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	my $name = $sql =~ s/\s+/ /gr;
	like($stderr, $_, "$name: $_") for @like;
	return;
}

# ---- a transaction block, a function, a procedure with SET: 25001 and what to do instead
my $hint = qr/HINT: .*autocommit.*require/s;
fails_with("BEGIN; CALL safe_migrate.wait($job);", qr/ERROR:  25001/, $hint);
fails_with("DO \$\$ BEGIN BEGIN CALL safe_migrate.wait($job); EXCEPTION WHEN division_by_zero THEN NULL; END; END \$\$",
	qr/ERROR:  25001|2D000/);
fails_with("SELECT 1\\; CALL safe_migrate.wait($job);", qr/ERROR:  25001/, $hint);
for my $how ('SECURITY DEFINER', q{SET work_mem = '1MB'})
{
	fails_with("CREATE OR REPLACE PROCEDURE waits() LANGUAGE plpgsql $how AS 'BEGIN CALL safe_migrate.wait($job); END'; CALL waits()", qr/ERROR:  25001/, $hint);
}
fails_with('CALL safe_migrate.wait(987654)', qr/ERROR:  42704.*job 987654 does not exist/);
fails_with('CALL safe_migrate.wait(NULL::bigint)', qr/ERROR:  22004/);

# ---- require() in any transaction
fails_with("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; SELECT safe_migrate.require('waited for');",
	qr/ERROR:  SM002: job "waited for" has not succeeded: it is running/, qr/DETAIL:  Job $job: /, qr/HINT:  Wait for it/);

# ---- timeout
fails_with("CALL safe_migrate.wait($job, '300 ms')", qr/ERROR:  SM002: job $job has not ended in time/,
	qr/HINT:  Only the wait has ended/);
is(state_of($node, $job), 'running', 'a wait that timed out leaves the job running');

# ---- while it waits: no snapshot, no transaction id, no relation lock; ^C ends the wait alone
my ($out, $err) = ('', '');
my $waiter = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', "CALL safe_migrate.wait('waited for')" ],
	'<', \undef, '>', \$out, '2>', \$err);
my $backend = q{backend_type = 'client backend' AND query LIKE 'CALL safe_migrate.wait%'};
wait_for($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE $backend AND wait_event IS NOT NULL");
for (1 .. 5)
{
	is($node->safe_psql('postgres', "SELECT backend_xmin IS NULL, backend_xid IS NULL, (SELECT count(*) FROM pg_locks l
		WHERE l.pid = a.pid AND locktype <> 'virtualxid') FROM pg_stat_activity a WHERE $backend"),
		't|t|0', 'waits without a snapshot, a transaction id or a lock');
	select undef, undef, undef, 0.3;
}
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE $backend");
$waiter->finish;
like($err, qr/ERROR:  canceling statement due to user request/, 'cancel ends the wait');
like($err, qr/NOTICE:  job $job goes on in the background/, 'and says that the job goes on');
like($err, qr/NOTICE:  job $job: .*rows/, 'it had printed a line of progress');
is(state_of($node, $job), 'running', 'the job does go on');

# ---- the waiter is told of pause and cancel
$waiter = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('postgres'), '-v', 'VERBOSITY=verbose', '-c',
	"CALL safe_migrate.wait($job)" ], '<', \undef, '>', \$out, '2>', \$err);
wait_for($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE $backend AND wait_event IS NOT NULL");
$node->safe_psql('postgres', "SELECT safe_migrate.pause($job, 'tea')");
$waiter->pump until $err =~ /is paused: tea/ || !$waiter->pumpable;
like($err, qr/job $job is paused: tea/, 'a pause is told with its reason');
$node->safe_psql('postgres', "SELECT safe_migrate.cancel($job, 'enough')");
$waiter->finish;
like($err, qr/ERROR:  57014: job $job was cancelled/, 'a cancelled job is an error of the wait');
like($err, qr/DETAIL:  enough/, 'with its reason');
fails_with("SELECT safe_migrate.require('waited for')", qr/ERROR:  SM002: .* it is cancelled/, qr/retry/);

# ---- to the end; waiting for what has succeeded returns at once
$node->safe_psql('postgres', "SELECT safe_migrate.retry($job); SELECT safe_migrate.configure($job, 'nice_ratio', NULL)");
is($node->psql('postgres', "CALL safe_migrate.wait($job)"), 0, 'waits to the end');
is(state_of($node, $job), 'succeeded', 'which is success');
is($node->psql('postgres', "CALL safe_migrate.wait($job); SELECT safe_migrate.require('waited for')"), 0, 'again it returns at once');

# ---- one line: queue and wait
is($node->psql('postgres', q{CALL safe_migrate.wait(safe_migrate.backfill('orders', 'status_v2 = lower(status_v2)',
	'status_v2 <> lower(status_v2)'))}), 0, 'CALL wait(backfill(…))');
is($node->safe_psql('postgres', 'SELECT count(*) FROM orders WHERE status_v2 <> lower(status_v2)'), '0', 'did the work');

# ---- many waiters for one job all hear of its end
$job = $node->safe_psql('postgres', q{SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status_v2)',
	'status_v2 <> upper(status_v2)', settings => '{"nice_ratio": 50}')});
my @waiters = map { IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', "CALL safe_migrate.wait($job)" ],
	'<', \undef, '>', \my $o, '2>', \my $e) } 1 .. 5;
wait_for($node, "SELECT count(*) = 5 FROM pg_stat_activity WHERE $backend AND wait_event IS NOT NULL");
$node->safe_psql('postgres', "SELECT safe_migrate.configure($job, 'nice_ratio', NULL)");
is(scalar(grep { $_->finish } @waiters), 5, 'five waiters hear of the end');

stays_clean($node);
done_testing();
