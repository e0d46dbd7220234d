# DROP, RENAME, SET TABLESPACE of a database, copies of it and DROP EXTENSION succeed quickly while
# jobs run there, and what is left of the jobs goes on.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('databases',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off');

# A database of that name with a slow job in it.
sub database_with_job
{
	my ($name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, 'CREATE EXTENSION safe_migrate');
	make_orders($node, 20_000, $name);
	my $job = $node->safe_psql($name, q{SELECT safe_migrate.backfill('orders',
		'status_v2 = upper(status)', job_name => 'fill', settings => '{"nice_ratio": 50}')});
	wait_for($node, "SELECT rows > 0 FROM safe_migrate.progress WHERE job_id = $job", $name);
	return $job;
}

# The server waits 5 s for other sessions, then fails: only the engine's own help gets a statement
# through within 4.
sub soon
{
	my ($sql, $name) = @_;
	my ($rc, undef, $stderr) = $node->psql('postgres', "SET statement_timeout = '4s'; $sql");
	# DROP DATABASE can't run after SET in one string: psql sends them one by one
	is($stderr, '', $name);
	return;
}

my $job = database_with_job('one');
soon("\nDROP DATABASE one;", 'DROP DATABASE while a job runs');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_database WHERE datname = 'one'"), '0', 'it is gone');

$job = database_with_job('two');
soon("\nALTER DATABASE two RENAME TO renamed;", 'RENAME DATABASE while a job runs');
wait_for($node, "SELECT worker_pids <> '{}' FROM safe_migrate.progress WHERE job_id = $job", 'renamed');
pass('the job goes on in the renamed database');

soon("\nCREATE DATABASE copy TEMPLATE renamed;", 'CREATE DATABASE TEMPLATE while a job runs');
# at once, and when the scheduler has looked
my $elsewhere_too = 'paused|queued in another cluster or database|paused|restored from elsewhere';
my $says = "SELECT j.state, j.state_reason, p.state, p.condition FROM safe_migrate.jobs j JOIN safe_migrate.progress p ON p.job_id = j.id WHERE j.id = $job";
is($node->safe_psql('copy', $says), $elsewhere_too, 'where it runs no more the job does not say that it does');
my $new = $node->safe_psql('copy', q{CREATE TABLE few AS SELECT 1 AS a, NULL::int AS b; SELECT safe_migrate.backfill('few', 'b = a')});
wait_for_state($node, $new, 'succeeded', 'copy');
is($node->safe_psql('copy', $says), $elsewhere_too, 'nor later');
for my $call ('resume', 'retry')
{
	like(error_of($node, "SELECT safe_migrate.$call($job)", db => 'copy'), qr/ERROR:  55000: job $job was queued in another cluster or database\nHINT:  Call the function that queued it again/,
		"$call() does not make it run on there");
}
like(error_of($node, "CALL safe_migrate.wait($job, '1s')", db => 'copy'),
	qr/NOTICE:  00000: job $job is paused: queued in another cluster or database\nHINT:  Call the function that queued it again/, 'nor does wait() tell one to resume it');
is($node->safe_psql('copy', "SELECT count(*) FROM orders WHERE status_v2 IS NULL") > 0, 1,
	'the copied job does not start by itself');
wait_for($node, "SELECT worker_pids <> '{}' FROM safe_migrate.progress WHERE job_id = $job", 'renamed');
pass('the job goes on in the database that was copied');

# who wants it there says so by the call that queued it
like(error_of($node, q{SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)', job_name => 'fill')}, db => 'copy'),
	qr/NOTICE:  00000: job $job is no longer named "fill"\nDETAIL:  It was queued in another cluster or database\./, 'a second call in the copy queues a job of its own');
my $own = $node->safe_psql('copy', q{SELECT id FROM safe_migrate.jobs WHERE name = 'fill'});
wait_for_state($node, $own, 'succeeded', 'copy');
is($node->safe_psql('copy', "SELECT state, state_reason, (SELECT count(*) FROM orders WHERE status_v2 IS NULL) FROM safe_migrate.jobs WHERE id = $job"),
	'cancelled|queued anew in this database|0', 'and ends the one that came along');

my $elsewhere = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION '$elsewhere'");
soon("\nALTER DATABASE renamed SET TABLESPACE elsewhere;", 'SET TABLESPACE of a database while a job runs');
wait_for($node, "SELECT worker_pids <> '{}' FROM safe_migrate.progress WHERE job_id = $job", 'renamed');
pass('the job goes on in the database that was moved');

# ---- the kill switch is for all databases
make_orders($node, 20_000);
my $here = $node->safe_psql('postgres', q{SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)', settings => '{"nice_ratio": 50}')});
wait_for($node, "SELECT rows > 0 FROM safe_migrate.progress WHERE job_id = $here");
configure_server($node, 'safe_migrate.enabled' => 'off');
wait_for($node, "SELECT condition = 'disabled' FROM safe_migrate.progress WHERE job_id = $here");
wait_for($node, "SELECT condition = 'disabled' FROM safe_migrate.progress WHERE job_id = $job", 'renamed');
pass('enabled = off stops the jobs of each database');
configure_server($node, 'safe_migrate.enabled' => 'on');
full_speed($node, $here);
wait_for($node, "SELECT condition = 'working' FROM safe_migrate.progress WHERE job_id = $job", 'renamed');
pass('and on goes on with them');

# who may not do it stops nothing
$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN');
my $before = $node->safe_psql('renamed', "SELECT worker_pids FROM safe_migrate.progress WHERE job_id = $job");
my (undef, undef, $denied) = $node->psql('postgres', "DROP DATABASE renamed", extra_params => [ '-U', 'nobody' ]);
like($denied, qr/must be owner/, 'a stranger may not drop it');
is($node->safe_psql('renamed', "SELECT worker_pids FROM safe_migrate.progress WHERE job_id = $job"),
	$before, 'and does not stop the worker by trying');

# a RENAME that is rolled back
soon("\nBEGIN; ALTER DATABASE renamed RENAME TO again; ROLLBACK;", 'RENAME DATABASE rolled back');
wait_for($node, "SELECT worker_pids <> '{}' FROM safe_migrate.progress WHERE job_id = $job", 'renamed');
pass('the job goes on after a rollback');

$node->safe_psql('renamed', "SELECT safe_migrate.configure($job, 'nice_ratio', NULL)");
wait_for_state($node, $job, 'succeeded', 'renamed');
is($node->safe_psql('renamed', q{SELECT count(*) FROM orders FULL JOIN expected USING (id)
	WHERE orders.status_v2 IS DISTINCT FROM expected.status_v2}), '0', 'and every row is right');

# ---- DROP EXTENSION
my $drop = "SET safe_migrate.guard = off; SET statement_timeout = '4s'; DROP EXTENSION safe_migrate";
my $none_left = q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'three' AND backend_type ~ 'safe_migrate')};
my ($out, $err);

# A session of database three in wait($job), once it waits.
sub waiter
{
	my ($job) = @_;
	($out, $err) = ('', '');
	my $waiter = IPC::Run::start([ 'psql', '-X', '-d', $node->connstr('three'), '-v', 'VERBOSITY=verbose', '-c',
		"CALL safe_migrate.wait($job, '$PostgreSQL::Test::Utils::timeout_default s')" ], '<', \undef, '>', \$out, '2>', \$err);
	wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL safe_migrate.wait%'
		AND wait_event_type = 'Extension'});
	return $waiter;
}

$job = database_with_job('three');
my $waiter = waiter($job);
my (undef, undef, $stderr) = $node->psql('three', $drop);
is($stderr, '', 'DROP EXTENSION while a job runs');
wait_for($node, $none_left);
pass('its worker and scheduler leave');
$waiter->finish;
like($err, qr/ERROR:  42704: job $job does not exist any more\nDETAIL:  Extension "safe_migrate" has been dropped/,
	'a session that waits for the job is told so');
$node->safe_psql('three', 'CREATE EXTENSION safe_migrate');
my $again = $node->safe_psql('three', q{SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)',
	settings => '{"nice_ratio": 50}')});
is($again, $job, 'the extension created again counts its jobs from the start');
wait_for($node, "SELECT worker_pids <> '{}' FROM safe_migrate.progress WHERE job_id = $again", 'three');

# dropped, created again and used in one breath: neither worker, nor waiter, nor figures go over to the new job
$waiter = waiter($again);
wait_for($node, "SELECT rows > 0 FROM safe_migrate.progress WHERE job_id = $again", 'three');
$node->safe_psql('three', 'CREATE TABLE few (a int, b int); INSERT INTO few (a) SELECT generate_series(1, 10)');
$job = $node->safe_psql('three', qq{BEGIN; $drop; CREATE EXTENSION safe_migrate;
	SELECT safe_migrate.pause(safe_migrate.backfill('few', 'b = a'));
	SELECT id FROM safe_migrate.jobs; COMMIT}) =~ s/^\n//r;
is($job, $again, 'a new job has the id of the one before');
$waiter->finish;
like($err, qr/ERROR:  42704: job $job does not exist any more/, 'who waited for that one does not wait for the new one');
is($node->safe_psql('three', "SELECT state, coalesce(rows, 0), coalesce(phase, '') FROM safe_migrate.progress WHERE job_id = $job"),
	'paused|0|', 'the new one begins at nothing');
$node->safe_psql('three', "SELECT safe_migrate.resume($job)");
wait_for_state($node, $job, 'succeeded', 'three');
is($node->safe_psql('three', "SELECT rows, (SELECT count(b) FROM few) FROM safe_migrate.progress WHERE job_id = $job"),
	'10|10', 'its figures are its own');

# a job that has ended, and one that waits for no end: the scheduler sleeps, or the worker does
$again = $node->safe_psql('three', q{SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)',
	settings => '{"throttle_query": "SELECT true"}')});
wait_for($node, "SELECT condition = 'throttled' FROM safe_migrate.progress WHERE job_id = $again", 'three');
$waiter = waiter($again);
$node->safe_psql('three', $drop);
$waiter->finish;
like($err, qr/ERROR:  42704: job $again does not exist any more/, 'so is one who waits for a job that is throttled');
wait_for($node, $none_left);
pass('whose worker leaves as well');

# a batch that does not end
$node->safe_psql('three', q{CREATE EXTENSION safe_migrate; CREATE FUNCTION sleeps() RETURNS trigger LANGUAGE plpgsql
	AS 'BEGIN PERFORM pg_sleep(1000); RETURN new; END'; CREATE TRIGGER sleeps BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION sleeps()});
$node->safe_psql('three', q{SELECT safe_migrate.backfill('orders', 'status_v2 = lower(status_v2)', 'status_v2 <> lower(status_v2)')});
wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'three' AND wait_event = 'PgSleep'});
$node->safe_psql('three', $drop);
wait_for($node, $none_left);
pass('a batch that is under way is rolled back');

# a statement under way
$node->safe_psql('three', 'CREATE EXTENSION safe_migrate');
my $old = $node->background_psql('three');
$old->query_safe('BEGIN; INSERT INTO few VALUES (11, 11)');
$again = $node->safe_psql('three', q{SELECT safe_migrate.create_index_safely('CREATE INDEX ON few (a)')});
wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE phase = 'waiting for writers before build'}, 'three');
$node->safe_psql('three', $drop);
wait_for($node, q{SELECT count(*) = 0 FROM pg_stat_progress_create_index}, 'three');
pass('an index build is interrupted');
$old->query_safe('COMMIT');
wait_for($node, $none_left);
is($node->safe_psql('three', q{SELECT count(*) FROM pg_index WHERE indrelid = 'few'::regclass}), '0', 'and leaves no index');
$old->quit;

stays_clean($node);
done_testing();
