# A job lives through whatever happens to its processes and its server, under the same id, and
# its table ends as one UPDATE would leave it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('survival',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off',
	'wal_level' => 'logical', # of REPACK (CONCURRENTLY)
	'wal_writer_delay' => '10s'); # what nobody waits for stays in memory
$node->safe_psql('postgres', 'CREATE EXTENSION amcheck');
my $rows = 60_000;

# A job slow enough to be met in the middle: it sleeps between batches.
sub queue_slowly
{
	my ($name) = @_;
	$node->safe_psql('postgres', 'DROP TABLE IF EXISTS orders, expected');
	make_orders($node, $rows);
	my $job = $node->safe_psql('postgres', qq{SELECT safe_migrate.backfill('orders',
		'status_v2 = upper(status)', job_name => '$name', settings => '{"nice_ratio": 20}')});
	wait_for($node, "SELECT rows > 0 FROM safe_migrate.progress WHERE job_id = $job");
	return $job;
}

# To the end at full speed, then row by row against the twin, and index against heap.
sub ends_right
{
	my ($job, $name) = @_;
	$node->psql('postgres', "SELECT safe_migrate.configure($job, 'nice_ratio', NULL)"); # it may have ended already
	wait_for_state($node, $job, 'succeeded');
	is( $node->safe_psql('postgres', q{SELECT count(*) FROM orders FULL JOIN expected USING (id)
		WHERE (orders.status_v2, orders.status) IS DISTINCT FROM (expected.status_v2, expected.status)}),
		'0', "$name: every row is as one UPDATE leaves it");
	is( $node->safe_psql('postgres', q{SELECT (bt_index_check('orders_pkey', true)) IS NULL,
		(SELECT count(*) FROM verify_heapam('orders'))}),
		'f|0', "$name: heap and index agree");
	return;
}

sub lead_pid
{
	my @pids = wait_for_workers($node, 1);
	return $pids[0];
}

# ---- the worker is killed: the server restarts, the job goes on by itself
my $job = queue_slowly('killed');
kill_hard($node, lead_pid());
ends_right($job, 'kill -9 of the worker');

# ---- the whole server stops at once
$job = queue_slowly('stopped');
$node->stop('immediate');
$node->start;
ends_right($job, 'immediate stop');

# ---- what wait() says in the end
$job = queue_slowly('counted');
wait_for($node, "SELECT rows_written > 0 FROM safe_migrate.job_steps WHERE job_id = $job AND kind = 'backfill'");
my $counted = $node->safe_psql('postgres', "SELECT rows_written FROM safe_migrate.job_steps WHERE job_id = $job AND kind = 'backfill'");
$node->stop('immediate');
$node->start;
wait_for($node, "SELECT rows > 0 FROM safe_migrate.progress WHERE job_id = $job");
my ($said, $outcome);
{
	my $waiter = IPC::Run::start(
		[ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', "CALL safe_migrate.wait($job)" ],
		'<', \undef, '>', \my $out, '2>', \$said);
	wait_for($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'CALL safe_migrate.wait%' AND state = 'active'});
	$node->safe_psql('postgres', 'SELECT pg_sleep(2)'); # it prints a line
	$node->safe_psql('postgres', "SELECT safe_migrate.configure($job, 'nice_ratio', NULL)");
	$waiter->finish;
}
my ($rows_said) = $said =~ /job $job succeeded: ([\d,]+) rows, waited/;
is(($rows_said // '') =~ s/,//gr, $node->safe_psql('postgres', "SELECT rows FROM safe_migrate.progress WHERE job_id = $job"),
	'the last line of wait() has the rows from before a crash as well');
cmp_ok($node->safe_psql('postgres', "SELECT rows_written FROM safe_migrate.job_steps WHERE job_id = $job AND kind = 'backfill'"),
	'>=', $counted, 'as the step has them');

# ---- batches do not wait for the disk, the end of the job does
$node->safe_psql('postgres', q{CREATE TABLE durable (id int PRIMARY KEY, straight text);
	CREATE TABLE durable_2 (id int PRIMARY KEY, straight text, seen text);
	INSERT INTO durable SELECT generate_series(1, 1000); INSERT INTO durable_2 TABLE durable;
	CREATE FUNCTION see_commit() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN NEW.seen := current_setting(''synchronous_commit''); RETURN NEW; END';
	CREATE TRIGGER see_commit BEFORE UPDATE ON durable_2 FOR EACH ROW EXECUTE FUNCTION see_commit()});
for my $table ('durable', 'durable_2')
{
	$job = $node->safe_psql('postgres', "SELECT safe_migrate.backfill('$table', 'straight = current_setting(\$\$synchronous_commit\$\$)')");
	wait_for_state($node, $job, 'succeeded');
	$node->stop('immediate');
	$node->start;
	is(state_of($node, $job), 'succeeded', "$table: a job that has succeeded has, after a crash too");
	is($node->safe_psql('postgres', "SELECT straight, count(*) FROM $table GROUP BY 1"), 'off|1000',
		'with all its rows, of batches that did not wait for the disk');
}
is($node->safe_psql('postgres', 'SELECT DISTINCT seen FROM durable_2'), 'off', 'as triggers see');

# ---- cancel aborts one batch, which is tried again and counted; between two batches it does nothing
$job = queue_slowly('cancelled batch');
my $pid = lead_pid();
for (1 .. 20)
{
	$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
		WHERE backend_type = 'safe_migrate worker'");
}
is(state_of($node, $job), 'running', 'pg_cancel_backend of the worker does not end the job');
my $written = $node->safe_psql('postgres', 'SELECT count(status_v2) FROM orders');
wait_for($node, "SELECT count(status_v2) > $written FROM orders");
is(lead_pid(), $pid, 'nor the worker');
ends_right($job, 'cancel of the worker');

# ---- terminate ends the worker; another one follows
$job = queue_slowly('terminated');
$pid = lead_pid();
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
wait_for($node, "SELECT pid <> $pid FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker'");
ends_right($job, 'terminate of the worker');

# ---- scheduler and launcher terminated
$job = queue_slowly('no scheduler');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE backend_type IN ('safe_migrate scheduler', 'safe_migrate launcher')");
ends_right($job, 'terminate of scheduler and launcher');
my $next = $node->safe_psql('postgres', q{SELECT safe_migrate.backfill('expected', 'status_v2 = upper(status)',
	'status_v2 IS NULL AND id < 0', job_name => 'after that')});
wait_for_state($node, $next, 'succeeded');

# ---- a paused job stays paused over a restart
$job = queue_slowly('paused');
$node->safe_psql('postgres', "SELECT safe_migrate.pause($job, 'lunch')");
$node->restart;
wait_for($node, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type ~ 'safe_migrate (scheduler|worker)')});
is(state_of($node, $job), 'paused', 'paused before the restart, paused after it');
is($node->safe_psql('postgres', "SELECT state_reason FROM safe_migrate.jobs WHERE id = $job"),
	'lunch', 'and the reason is kept');
$node->safe_psql('postgres', "SELECT safe_migrate.resume($job)");
ends_right($job, 'restart while paused');

# ---- its table is renamed, rewritten, emptied, dropped
$job = queue_slowly('renamed');
$node->safe_psql('postgres', 'ALTER TABLE orders RENAME TO "Orders 2"; ALTER TABLE "Orders 2" RENAME status TO "old status"');
wait_for($node, "SELECT rows > 10000 OR state <> 'running' FROM safe_migrate.progress WHERE job_id = $job");
is(state_of($node, $job), 'running', 'a renamed table and column are followed');
$node->safe_psql('postgres', 'ALTER TABLE "Orders 2" RENAME TO orders; ALTER TABLE orders RENAME "old status" TO status');
ends_right($job, 'rename');

$job = queue_slowly('rewritten');
$node->safe_psql('postgres', 'VACUUM FULL orders');
ends_right($job, 'VACUUM FULL');

$job = queue_slowly('clustered');
$node->safe_psql('postgres', 'CLUSTER orders USING orders_pkey');
ends_right($job, 'CLUSTER');

for my $repack (major_of($node) >= 19 ? ('REPACK', 'REPACK (CONCURRENTLY)') : ())
{
	$job = queue_slowly($repack);
	my $file = $node->safe_psql('postgres', q{SELECT pg_relation_filenode('orders')});
	$node->safe_psql('postgres', "$repack orders");
	isnt($node->safe_psql('postgres', q{SELECT pg_relation_filenode('orders')}), $file, "$repack gives the table another file");
	ends_right($job, $repack);
}

$job = queue_slowly('truncated');
$node->safe_psql('postgres', 'BEGIN; TRUNCATE orders; TRUNCATE expected;
	INSERT INTO orders VALUES (1, $$a$$, NULL); INSERT INTO expected VALUES (1, $$a$$, $$A$$); COMMIT'); # the job may end between two
ends_right($job, 'TRUNCATE');

$job = queue_slowly('dropped');
$node->safe_psql('postgres', 'DROP TABLE orders');
wait_for_state($node, $job, 'failed');
is($node->safe_psql('postgres', "SELECT error_sqlstate FROM safe_migrate.jobs WHERE id = $job"),
	'42P01', 'a dropped table fails the job with undefined_table');

$job = queue_slowly('column dropped');
$node->safe_psql('postgres', 'ALTER TABLE orders DROP COLUMN status_v2');
wait_for_state($node, $job, 'failed');
is($node->safe_psql('postgres', "SELECT error_sqlstate FROM safe_migrate.jobs WHERE id = $job"),
	'42703', 'a dropped column fails the job with undefined_column');

# ---- a batch error that stays one: everything about it is kept, wait() raises the same
$node->safe_psql('postgres', 'DROP TABLE orders, expected');
make_orders($node, 20_000);
$node->safe_psql('postgres', 'ALTER TABLE orders ADD CONSTRAINT short CHECK (length(status_v2) < 100 OR id < 15000) NOT VALID');
$job = $node->safe_psql('postgres', q{SELECT safe_migrate.backfill('orders', 'status_v2 = repeat(status, 50)')});
my ($rc, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nCALL safe_migrate.wait($job)");
like($stderr, qr/ERROR:  23514: .*violates check constraint "short"/, 'wait() raises the error of the job');
like($stderr, qr/DETAIL:  Failing row contains/, 'with its detail');
is($node->safe_psql('postgres', "SELECT state, error_sqlstate, error_detail LIKE 'Failing row%' FROM safe_migrate.jobs WHERE id = $job"),
	'failed|23514|t', 'and the tables keep it');
like($node->safe_psql('postgres', "SELECT error_statement FROM safe_migrate.jobs WHERE id = $job"),
	qr/^UPDATE public.orders AS target SET status_v2 = repeat/, 'with the statement');
$node->safe_psql('postgres', "ALTER TABLE orders DROP CONSTRAINT short; SELECT safe_migrate.retry($job)");
wait_for_state($node, $job, 'succeeded');
is($node->safe_psql('postgres', "SELECT count(*) FROM orders WHERE status_v2 IS NULL"), '0', 'retry() completes it');

stays_clean_but_for_kills();
done_testing();

sub stays_clean_but_for_kills
{
	my $log = slurp_file($node->logfile);
	my $crashes = () = $log =~ /was terminated by signal/g;
	is($crashes, 1, 'no process crashed but the one that was killed');
	unlike($log, qr/PANIC:|TRAP:/, 'no panic');
	return;
}
