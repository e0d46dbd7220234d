# wait(), require(), notifications, events, blockers, and what pg_stat_activity shows of workers.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('wait',
	max_prepared_transactions => 2,
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off');
my $rows = 60_000;

sub sql { return $node->safe_psql('postgres', @_); }

sub queue_slowly
{
	my ($table, $expression) = @_;
	$expression //= 'upper(a)';
	sql(qq{CREATE TABLE $table (id int PRIMARY KEY, a text, b text);
		INSERT INTO $table SELECT i, 'row ' || i FROM generate_series(1, $rows) i});
	return sql(qq{SELECT safe_migrate.backfill('$table', 'b = $expression', job_name => '$table',
		settings => '{"nice_ratio": 100}')});
}

sub faster { sql("SELECT safe_migrate.configure($_[0], 'nice_ratio', NULL)"); return; }

# psql in the background with one command, its error channel filled as it goes; and its pid.
sub start_waiter
{
	my ($sql, $err) = @_;
	my $run = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . " application_name=waiter",
		'-v', 'VERBOSITY=verbose', '-c', $sql ], '>', \my $out, '2>', $err);
	wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'waiter' AND state = 'active'});
	return $run;
}

sub said
{
	my ($run, $err, $pattern, $name) = @_;
	my $until = time + $PostgreSQL::Test::Utils::timeout_default;
	IPC::Run::pump_nb($run), select(undef, undef, undef, 0.05) while $$err !~ $pattern && time < $until;
	like($$err, $pattern, $name);
	return;
}

# ---- never inside a transaction
my $job = queue_slowly('waited');
at_work($node, $job);
my $refused = qr/ERROR:  25001: safe_migrate.wait\(\) can't run inside a transaction block\nDETAIL:.*\nHINT:  .*autocommit.*require/;
like(error_of($node, "BEGIN; CALL safe_migrate.wait($job); COMMIT"), $refused, 'in a block: 25001 with a hint');
like(error_of($node, "CREATE FUNCTION waits() RETURNS void LANGUAGE plpgsql AS \$\$BEGIN CALL safe_migrate.wait($job); END\$\$; SELECT waits()"),
	$refused, 'in a function called by SELECT');
like(error_of($node, "BEGIN; DO \$\$BEGIN CALL safe_migrate.wait($job); END\$\$; COMMIT"), $refused, 'in DO in a block');
like(error_of($node, "CREATE PROCEDURE waits_with() LANGUAGE plpgsql SET work_mem = '1MB' AS \$\$BEGIN CALL safe_migrate.wait($job); END\$\$; CALL waits_with()"),
	$refused, 'in a procedure with SET');
like(error_of($node, 'CALL safe_migrate.wait(4711)'), qr/ERROR:  42704: job 4711 does not exist/, 'no such job');
like(error_of($node, q{CALL safe_migrate.wait('nobody')}), qr/ERROR:  42704: job "nobody" does not exist/, 'no such name');

# ---- a time limit
like(error_of($node, "CALL safe_migrate.wait($job, '300 ms')"),
	qr/ERROR:  SM002: job $job has not ended in time\nDETAIL:  Job $job: .*rows.*\nHINT:  .*the job is as it was/, 'the time limit raises SM002 with the progress');
is(state_of($node, $job), 'running', 'and the job goes on');
my $do = error_of($node, "DO \$\$BEGIN CALL safe_migrate.wait($job, '300 ms'); END\$\$");
like($do, qr/SM002/, 'in DO outside of a block it waits');

# ---- while it waits: no snapshot, no lock; progress; ^C
my $err = '';
my $waiter = start_waiter("CALL safe_migrate.wait($job)", \$err);
said($waiter, \$err, qr/NOTICE:.*job $job: step 1 of 1 \(backfill, pass 1\): [\d.]+ %, [\d,]+ rows(.*rows\/s.*left)?/, 'progress is printed while it waits');
my $pid = sql(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'waiter'});
my @held = map { sql("SELECT backend_xmin IS NULL, backend_xid IS NULL,
	(SELECT count(*) FROM pg_locks WHERE pid = $pid AND locktype <> 'virtualxid') FROM pg_stat_activity WHERE pid = $pid") } 1 .. 20;
is(join(' ', grep { $_ ne 't|t|0' } @held), '', 'while it waits the session holds no snapshot, no transaction id and no lock');
said($waiter, \$err, qr/(NOTICE:.*job $job: step.*[^\0]*){2}/, 'more than one line');
sql("SELECT pg_cancel_backend($pid)");
$waiter->finish;
like($err, qr/NOTICE:.*job $job goes on in the background\nHINT:  .*safe_migrate.progress.*cancel\($job\)/, '^C says that the job goes on');
like($err, qr/ERROR:  57014: canceling statement due to user request/, 'and ends the wait');
my $goes_on = () = $err =~ /goes on in the background/g;
is($goes_on, 1, 'once');
my $written = sql('SELECT count(b) FROM waited');
wait_for($node, "SELECT count(b) > $written FROM waited");
is(state_of($node, $job), 'running', 'the job does go on');

# ---- paused, resumed, to the end; by name
$err = '';
$waiter = start_waiter(q{CALL safe_migrate.wait('waited')}, \$err);
said($waiter, \$err, qr/NOTICE:.*job $job: step/, 'wait by name');
sql("SELECT safe_migrate.pause($job, 'lunch')");
said($waiter, \$err, qr/NOTICE:.*job $job is paused: lunch\nHINT:  It goes on by SELECT safe_migrate.resume\($job\)/, 'a pause is told, with its reason and the way on');
sql("SELECT safe_migrate.resume($job)");
faster($job);
$waiter->finish;
is($waiter->result(0), 0, 'it returns when the job has succeeded');
like($err, qr/NOTICE:.*job $job succeeded: 60,000 rows/, 'and says what was done');
like(error_of($node, "CALL safe_migrate.wait($job)"), qr/^$/, 'waiting for a finished job says nothing');

# ---- cancelled, failed
$job = queue_slowly('stopped');
at_work($node, $job);
$err = '';
$waiter = start_waiter("CALL safe_migrate.wait($job)", \$err);
sql("SELECT safe_migrate.cancel($job, 'wrong column')");
$waiter->finish;
like($err, qr/ERROR:  57014: job $job was cancelled\nDETAIL:  wrong column/, 'a cancelled job raises 57014 with the reason');
sql(q{CREATE FUNCTION fussy(int, text) RETURNS text LANGUAGE plpgsql AS $$BEGIN
	IF $1 = 15000 THEN RAISE EXCEPTION 'not this row' USING ERRCODE = 'P4711', DETAIL = 'Row fifteen thousand.', HINT = 'Delete it.'; END IF;
	RETURN $2; END$$});
$job = queue_slowly('fails', 'fussy(id, a)');
at_work($node, $job);
$err = '';
$waiter = start_waiter("CALL safe_migrate.wait($job)", \$err);
faster($job);
$waiter->finish;
my $error = qr/ERROR:  P4711: not this row\nDETAIL:  Row fifteen thousand.\nHINT:  Delete it./;
like($err, $error, 'a failed job raises its own error: SQLSTATE, DETAIL, HINT');
like(error_of($node, q{CALL safe_migrate.wait('fails')}), $error, 'later too, by name');

# ---- require()
like(error_of($node, q{SELECT safe_migrate.require('fails')}),
	qr/ERROR:  SM002: job "fails" has not succeeded: it is failed\nDETAIL:  Job $job: not this row\nHINT:  .*retry\($job\)/, 'require() of a failed job');
like(error_of($node, q{SELECT safe_migrate.require('stopped')}), qr/ERROR:  SM002: job "stopped" has not succeeded: it is cancelled\n/, 'of a cancelled one');
for my $mode ('READ ONLY', 'ISOLATION LEVEL REPEATABLE READ', 'ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE')
{
	is(error_of($node, "BEGIN $mode; SELECT safe_migrate.require('waited'); COMMIT"), '', "require() works in $mode");
	like(error_of($node, "BEGIN $mode; SELECT safe_migrate.require('fails'); COMMIT"), qr/ERROR:  SM002:/, "and raises in $mode");
}
like(error_of($node, q{SELECT safe_migrate.require('nobody')}), qr/ERROR:  42704: job "nobody" does not exist/, 'of no job');
like(error_of($node, q{BEGIN; SAVEPOINT s; SELECT safe_migrate.retry('fails'); RELEASE s; SELECT safe_migrate.require('fails'); ROLLBACK}),
	qr/ERROR:  SM002: job "fails" has not succeeded: it is queued\nDETAIL:  This transaction has queued it.*\nHINT:  Let the migration tool commit each/,
	'of one that the same transaction has queued: it can only start when that commits');

# ---- notifications, events, pg_stat_activity
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN safe_migrate');
$job = queue_slowly('noticed');
at_work($node, $job);
like(error_of($node, q{SELECT safe_migrate.require('noticed')}),
	qr/ERROR:  SM002: job "noticed" has not succeeded: it is running\nDETAIL:  Job $job: step 1 of 1.*rows.*\nHINT:  Wait for it with CALL safe_migrate.wait\($job\)/,
	'require() of a running job tells its progress');
my $activity = sql(q{SELECT string_agg(format('%s|%s|%s|%s', backend_type, application_name, usename, query), E'\n')
	FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker'});
like($activity, qr/^safe_migrate worker\|safe_migrate job $job\|postgres\|job $job: backfill, pass 1$/, 'pg_stat_activity: type, name, job id and phase, no SQL');
is(sql(q{SELECT string_agg(DISTINCT backend_type || ': ' || application_name || ' ' || query, ', ' ORDER BY backend_type || ': ' || application_name || ' ' || query)
	FROM pg_stat_activity WHERE backend_type ~ 'safe_migrate (launcher|scheduler)'}),
	'safe_migrate launcher: safe_migrate launcher , safe_migrate scheduler: safe_migrate scheduler ', 'launcher and scheduler by their types');
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'safe_migrate%' AND (query ~* 'upper|noticed|safe_migrate\.' OR application_name ~* 'upper|noticed')}),
	'0', 'nothing of the user\'s SQL nor of ours');
sql("SELECT safe_migrate.pause($job, 'secret reason')");
wait_for($node, "SELECT worker_pids = '{}' FROM safe_migrate.progress WHERE job_id = $job");
sql("SELECT safe_migrate.resume($job)");
at_work($node, $job);
faster($job);
wait_for_state($node, $job, 'succeeded');
my $heard = $listener->query('SELECT 1') . $listener->query('SELECT 2');
$listener->quit;
my @payloads = $heard =~ /Asynchronous notification "safe_migrate" with payload "([^"]*)"/g;
is(join(', ', @payloads), join(', ', map { "$job $_" } qw(queued running paused queued running succeeded)),
	'NOTIFY carries id and state and nothing else');
$listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN safe_migrate');
sql(q{SELECT safe_migrate.retry('fails')});
my $failing = sql(q{SELECT id FROM safe_migrate.jobs WHERE name = 'fails'});
wait_for_state($node, $failing, 'failed');
my $dropped = queue_slowly('dropped');
at_work($node, $dropped);
sql("SELECT safe_migrate.cancel($dropped)");
$heard = $listener->query('SELECT 1') . $listener->query('SELECT 2');
$listener->quit;
like($heard, qr/payload "$failing failed".*payload "$dropped cancelled"/s, 'of a failure and a cancel, too');
is(sql("SELECT string_agg(concat_ws(': ', kind, CASE WHEN kind = 'paused' THEN detail END), ', ' ORDER BY id) FROM safe_migrate.events
	WHERE job_id = $job AND kind IN ('queued', 'running', 'paused', 'succeeded', 'configured', 'failed')"),
	'queued, running, paused: secret reason, queued, running, configured, succeeded', 'events keep the order and the reason');

# ---- who blocks whom
sql('CREATE TABLE contended (id int PRIMARY KEY, n int); INSERT INTO contended VALUES (1, 1)');
my %session = map { $_ => $node->background_psql('postgres', on_error_stop => 0) } qw(root middle last);
$session{root}->query_safe(q{SET application_name = 'root'; BEGIN; SELECT * FROM contended});
$session{middle}->query_until(qr/^$/, "SET application_name = 'middle';\nALTER TABLE contended ADD COLUMN c int;\n");
wait_for($node, q{SELECT count(*) = 1 FROM safe_migrate.blockers});
$session{last}->query_until(qr/^$/, "SET application_name = 'last';\nSELECT * FROM contended;\n");
wait_for($node, q{SELECT waiters = 2 FROM safe_migrate.blockers WHERE relation = 'contended'::regclass});
my ($root_pid, $middle_pid) = map { sql("SELECT pid FROM pg_stat_activity WHERE application_name = '$_'") } qw(root middle);
is(sql(q{SELECT count(*), min(root_pid), min(waiters), min(root_user), min(root_application), min(root_state),
	bool_and(waiting_pids @> ARRAY[} . $middle_pid . q{]), bool_and(root_age > '0' AND longest_wait > '0') FROM safe_migrate.blockers}),
	"1|$root_pid|2|postgres|root|idle in transaction|t|t", 'one root blocker, with all who wait behind it');
my $action = sql('SELECT action FROM safe_migrate.blockers');
is($action, "SELECT pg_terminate_backend($root_pid);", 'the action for an idle transaction');
sql($action);
wait_for($node, q{SELECT count(*) = 0 FROM safe_migrate.blockers});
is(sql(q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'contended'::regclass AND attname = 'c'}), '1', 'pasted, it clears the way');
$session{$_}->quit for qw(middle last);
eval { $session{root}->quit };

# many who wait for one row, each behind all before it; in another database; for a prepared transaction
$node->safe_psql('postgres', q{BEGIN; UPDATE contended SET n = 2; PREPARE TRANSACTION 'forgotten'});
$node->append_conf('waiters.sql', "UPDATE contended SET n = n + 1;\n");
my $waiters = IPC::Run::start([ 'pgbench', '-n', '-c', '30', '-t', '1', '-f', $node->data_dir . '/waiters.sql', $node->connstr('postgres') ],
	'<', \undef, '>', \my $printed, '2>&1');
$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
$node->safe_psql('elsewhere', 'CREATE TABLE far ()');
my %far = map { $_ => $node->background_psql('elsewhere', on_error_stop => 0) } qw(holds waits);
$far{holds}->query_safe('BEGIN; LOCK TABLE far');
$far{waits}->query_until(qr/^$/, "SELECT FROM far;\n");
wait_for($node, q{SELECT sum(waiters) = 30 FROM safe_migrate.blockers WHERE root_pid = 0});
is(sql(q{SELECT bool_and(action LIKE '%pg_prepared_xacts%') FROM safe_migrate.blockers WHERE root_pid = 0}), 't', 'all of them stand behind a prepared transaction');
is(sql(q{SELECT count(*) FILTER (WHERE relation IS NULL), sum(waiters) FROM safe_migrate.blockers WHERE root_pid <> 0}), '1|1', 'a table of another database has no name here');
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'forgotten'});
$far{holds}->query_safe('COMMIT');
$_->quit for values %far;
$waiters->finish;
is(sql('SELECT n FROM contended'), '31', 'they all come to their turn');

# a job's own lock wait: the blocker is named in progress
$job = queue_slowly('locked');
at_work($node, $job);
my $holder = $node->background_psql('postgres');
$holder->query_safe(q{SET application_name = 'holder'; BEGIN; LOCK TABLE locked});
wait_for($node, "SELECT condition = 'waiting for a lock' AND waiting_for_pid = (SELECT pid FROM pg_stat_activity WHERE application_name = 'holder')
	AND waiting_for ~ 'idle in transaction.*LOCK TABLE locked' FROM safe_migrate.progress WHERE job_id = $job");
pass('progress names the session that holds the table');
$err = '';
$waiter = start_waiter("CALL safe_migrate.wait($job)", \$err);
said($waiter, \$err, qr/NOTICE:.*job $job: .*; waiting for a lock/, 'and so does wait()');
$holder->query_safe('COMMIT');
$holder->quit;
faster($job);
$waiter->finish;
is($waiter->result(0), 0, 'it goes on by itself');
cmp_ok(sql("SELECT retries FROM safe_migrate.jobs WHERE id = $job"), '>', 0, 'the tries are counted');

# ---- the error says of which job it is, and what that was about, if anything
$job = sql(q{SELECT safe_migrate.apply('CREATE TABLE q AS SELECT 1 / 0 AS x')});
like(error_of($node, "CALL safe_migrate.wait($job)"), qr/division by zero.*CONTEXT:  job $job \(apply\)$/ms, 'about no table');
$job = sql(q{SELECT safe_migrate.delete_safely('contended', '1 / (id - 1) > 0')});
like(error_of($node, "CALL safe_migrate.wait($job)"), qr/division by zero.*CONTEXT:  job $job \(delete of public\.contended\)\n(?!job)/s, 'about one');

stays_clean($node);
done_testing();
