# Somebody's open transaction holds the job's row: the job goes on, and what it has to write there can wait.  What
# errors that pass leave behind in the worker's memory: nothing.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('held_row',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off');
my $rows = 3000;

sub sql { return $node->safe_psql('postgres', @_); }

# Row 500 waits at the gate, then fails as often as that, for now.
sql(q{CREATE TABLE gate (name text); CREATE SEQUENCE tries MINVALUE 0;
	CREATE FUNCTION passing(i int, gate_name text, errors int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
		IF i = 500 THEN
			IF nextval('public.tries') < errors THEN
				RAISE EXCEPTION '%', repeat('x', 300000) USING ERRCODE = '40001';
			END IF;
			WHILE NOT EXISTS (SELECT FROM public.gate WHERE name = gate_name) LOOP PERFORM pg_sleep(0.02); END LOOP;
			IF gate_name = 'hold' AND currval('public.tries') = errors THEN
				RAISE EXCEPTION 'once more' USING ERRCODE = '40001';
			END IF;
		END IF;
		RETURN i;
	END $$});

sub start_job
{
	my ($name, $errors) = @_;
	sql("CREATE TABLE $name (id int PRIMARY KEY, a int, b int); INSERT INTO $name SELECT i, i FROM generate_series(1, $rows) i;
		SELECT setval('tries', 0, false)");
	return sql("SELECT safe_migrate.backfill('$name', 'b = passing(a, ''$name'', $errors)', job_name => '$name')");
}

# ---- many errors
my $errors = 6;
my $job = start_job('memory', $errors);
wait_for($node, "SELECT last_value >= $errors FROM tries");
my $pid = sql("SELECT worker_pids[1] FROM safe_migrate.progress WHERE job_id = $job");
sql("SELECT pg_log_backend_memory_contexts($pid)");
my $log = slurp_file($node->logfile);
for (1 .. 100)
{
	last if $log =~ /safe_migrate step: \d+ total/;
	sql('SELECT pg_sleep(0.1)');
	$log = slurp_file($node->logfile);
}
my ($bytes) = $log =~ /safe_migrate step: (\d+) total/;
cmp_ok($bytes, '<', 300_000, 'the step remembers none of the long messages');
sql(q{INSERT INTO gate VALUES ('memory')});
wait_for_state($node, $job, 'succeeded');
is(sql('SELECT count(b) FROM memory'), $rows, 'the job is done');

# ---- a pause() that is neither committed nor rolled back, before an error and to the end of the work
$job = start_job('hold', 0);
wait_for($node, 'SELECT is_called FROM tries');
my $holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT safe_migrate.pause($job)");
sql(q{INSERT INTO gate VALUES ('hold')});
wait_for($node, "SELECT count(b) = $rows FROM hold");
pass('the work goes on to its end');
wait_for($node, "SELECT condition = 'waiting for a lock' AND state = 'running' FROM safe_migrate.progress WHERE job_id = $job");
is(sql("SELECT detail FROM safe_migrate.progress WHERE job_id = $job"), q{an open transaction holds the job's row},
	'what it waits for is said');
wait_for($node, "SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker'");
pass('it waits without a snapshot');
$holder->query_safe('ROLLBACK');
wait_for_state($node, $job, 'succeeded');
is(sql("SELECT error_message IS NULL FROM safe_migrate.jobs WHERE id = $job"), 't', 'and it succeeds');

$holder->quit;
$node->stop;
done_testing();
