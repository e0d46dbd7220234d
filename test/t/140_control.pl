# pause, resume, cancel, retry, configure, the kill switch, names, limits on workers; and that
# nothing wakes up where there is nothing to do.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('control',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off',
	'safe_migrate.max_workers' => 4);
my $rows = 30_000;
my $slowly = q{settings => '{"nice_ratio": 100}'};

sub sql { return $node->safe_psql('postgres', @_); }

# A table of its own and a job on it that is slow enough to be met at work.
sub queue_slowly
{
	my ($table) = @_;
	sql(qq{CREATE TABLE IF NOT EXISTS $table (id int PRIMARY KEY, a text, b text);
		INSERT INTO $table SELECT i, 'row ' || i FROM generate_series(1, $rows) i});
	return sql(qq{SELECT safe_migrate.backfill('$table', 'b = upper(a)', job_name => '$table', $slowly)});
}

# No worker of the job is left, and the rows written stay as they are.
sub stands_still
{
	my ($job, $table, $name) = @_;
	wait_for($node, "SELECT worker_pids = '{}' FROM safe_migrate.progress WHERE job_id = $job");
	my $count = "SELECT count(b) FROM $table";
	my $before = sql($count);
	sql('SELECT pg_sleep(0.3)');
	is(sql($count), $before, "$name: no row is written any more");
	cmp_ok($before, '<', $rows, "$name: in the middle of the work");
	return;
}

# ---- nothing of a transaction that rolls back
sql('CREATE TABLE t (id int PRIMARY KEY, a text, b text); INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i');
sql(q{BEGIN; SELECT safe_migrate.backfill('t', 'b = a', job_name => 'rolled back'); ROLLBACK});
is(sql(q{SELECT count(*) FROM safe_migrate.jobs}), '0', 'a rolled back call leaves no job');
is(sql('SELECT count(*) FROM safe_migrate.events') . sql('SELECT count(*) FROM safe_migrate.progress') .
	sql('SELECT count(*) FROM safe_migrate.job_steps') . sql('SELECT count(b) FROM t'),
	'0000', 'nor events, steps, progress, rows');
sql(q{BEGIN; SAVEPOINT s; SELECT safe_migrate.backfill('t', 'b = a', job_name => 'half'); ROLLBACK TO s;
	SELECT safe_migrate.delete_safely('t', 'id > 990', job_name => 'other half'); COMMIT});
wait_for($node, q{SELECT state = 'succeeded' FROM safe_migrate.jobs WHERE name = 'other half'});
is(sql('SELECT count(*), count(b) FROM t') . ' ' . sql('SELECT string_agg(name, $$,$$) FROM safe_migrate.jobs'),
	'990|0 other half', 'a savepoint takes its job along, the rest is queued');

# ---- by id
my $job = queue_slowly('by_id');
at_work($node, $job);
like(error_of($node, "SELECT safe_migrate.resume($job)"), qr/NOTICE:.*job $job is running already/, 'resume of a running job is a notice');
like(error_of($node, "SELECT safe_migrate.retry($job)"), qr/NOTICE:.*job $job is running already/, 'retry of a running job is a notice');
sql("SELECT safe_migrate.pause($job, 'lunch')");
stands_still($job, 'by_id', 'pause by id');
is(sql("SELECT state, state_reason FROM safe_migrate.jobs WHERE id = $job"), 'paused|lunch', 'state and reason');
like(error_of($node, "SELECT safe_migrate.pause($job)"), qr/NOTICE:.*job $job is paused already/, 'pause of a paused job is a notice');
like(error_of($node, "SELECT safe_migrate.retry($job)"),
	qr/ERROR:  55000: can't retry job $job, which is paused\nHINT:.*resume/, 'retry of a paused job is an error');
sql("SELECT safe_migrate.configure($job, 'batch_time', '1ms'); SELECT safe_migrate.configure($job, 'workers', '3')");
is(sql("SELECT settings ->> 'batch_time' IS NOT NULL, workers FROM safe_migrate.jobs WHERE id = $job"), 't|3',
	'a paused job can be configured');
is(sql("BEGIN; SELECT safe_migrate.configure($job, setting, '') FROM unnest(ARRAY['workers', 'batch_time',
	'nice_ratio', 'vacuum_after', 'throttle_query', 'max_replica_lag', 'horizon_patience', 'ddl_lock_retry']) setting;
	SELECT workers, settings FROM safe_migrate.jobs WHERE id = $job; ROLLBACK") =~ s/^\n+//r, '1|{}', q{'' goes back to the server's value});
sql("SELECT safe_migrate.resume($job)");
at_work($node, $job);
is(sql("SELECT coalesce(state_reason, 'none') FROM safe_migrate.jobs WHERE id = $job"), 'none', 'resumed, the reason is gone');
sql("SELECT safe_migrate.cancel($job, 'wrong table')");
stands_still($job, 'by_id', 'cancel by id');
is(sql("SELECT state, state_reason FROM safe_migrate.jobs WHERE id = $job"), 'cancelled|wrong table', 'cancelled with reason');
like(error_of($node, "SELECT safe_migrate.cancel($job)"), qr/NOTICE:.*job $job is cancelled already/, 'cancel again is a notice');
for my $action ('pause', 'resume')
{
	like(error_of($node, "SELECT safe_migrate.$action($job)"),
		qr/ERROR:  55000: can't $action job $job, which is cancelled\nHINT:.*retry/, "$action of a cancelled job is an error");
}
like(error_of($node, "SELECT safe_migrate.configure($job, 'batch_time', '1ms')"), qr/ERROR:  55000: .*can't be configured/,
	'nor can it be configured');
sql("SELECT safe_migrate.retry($job)");
at_work($node, $job);
full_speed($node, $job);
is(sql('SELECT count(*) FROM by_id WHERE b IS DISTINCT FROM upper(a)'), '0', 'cancelled and retried, it is complete');
for my $action ('pause', 'resume', 'cancel', 'retry')
{
	like(error_of($node, "SELECT safe_migrate.$action($job)"),
		qr/ERROR:  55000: can't $action job $job, which is succeeded/, "$action of a succeeded job is an error");
	like(error_of($node, "SELECT safe_migrate.$action(4711)"), qr/ERROR:  42704: job 4711 does not exist/, "$action of no job");
	like(error_of($node, "SELECT safe_migrate.$action('nobody')"), qr/ERROR:  42704: job "nobody" does not exist/, "$action of no name");
}
like(error_of($node, "SELECT safe_migrate.configure('nobody', 'batch_time', '1ms')"), qr/ERROR:  42704:/, 'configure of no name');
is(sql("SELECT string_agg(kind || coalesce(' by ' || (role = current_user)::text, ''), ', ' ORDER BY id) FROM safe_migrate.events
	WHERE job_id = $job AND kind NOT IN ('retry', 'throttled', 'throttle ended', 'waiting for old snapshots')"),
	'queued by true, running, paused by true, configured by true, configured by true, queued by true, running,'
	. ' cancelled by true, queued by true, running, configured by true, succeeded', 'events tell all of it, and who');

# ---- by name, on two leaves, which two workers can share
sql(q{CREATE TABLE by_name (id int PRIMARY KEY, a text, b text) PARTITION BY RANGE (id);
	CREATE TABLE by_name_1 PARTITION OF by_name FOR VALUES FROM (MINVALUE) TO (15000);
	CREATE TABLE by_name_2 PARTITION OF by_name FOR VALUES FROM (15000) TO (MAXVALUE)});
$job = queue_slowly('by_name');
at_work($node, $job);
sql(q{SELECT safe_migrate.configure('by_name', 'workers', '2')});
wait_for($node, "SELECT array_length(worker_pids, 1) = 2 FROM safe_migrate.progress WHERE job_id = $job");
pass('another worker comes in the middle of the pass');
sub claims
{
	my ($table) = @_;
	return "SELECT array_agg(pid || ':' || objsubid ORDER BY pid) FROM pg_locks WHERE locktype = 'object' AND granted
		AND mode = 'ExclusiveLock' AND classid = 'safe_migrate.$table'::regclass AND objid = $job";
}
wait_for($node, "SELECT count(DISTINCT split_part(c, ':', 1)) = 2 AND count(DISTINCT split_part(c, ':', 2)) = 2 AND count(*) = 2
	FROM unnest((" . claims('slice') . ')) c');
pass('each of the two has claimed a slice of its own');
is(sql('SELECT cardinality((' . claims('job') . '))'), '1', 'and one of them leads the job');
sql(q{SELECT safe_migrate.configure('by_name', 'workers', '1')});
wait_for($node, "SELECT array_length(worker_pids, 1) = 1 FROM safe_migrate.progress WHERE job_id = $job");
pass('and leaves');
sql(q{SELECT safe_migrate.pause('by_name', 'why not')});
stands_still($job, 'by_name', 'pause by name');
like(error_of($node, q{SELECT safe_migrate.pause('by_name')}), qr/NOTICE:.*paused already/, 'again by name');
sql(q{SELECT safe_migrate.resume('by_name')});
at_work($node, $job);
sql(q{SELECT safe_migrate.cancel('by_name')});
stands_still($job, 'by_name', 'cancel by name');
sql(q{SELECT safe_migrate.retry('by_name')});
like(error_of($node, q{SELECT safe_migrate.configure('by_name', 'batch_time', '0')}), qr/ERROR:  22023:/, 'a bad value');
like(error_of($node, q{SELECT safe_migrate.configure('by_name', 'moon_phase', '0')}), qr/ERROR:  (42704|22023):/, 'no such setting');
like(error_of($node, q{SELECT safe_migrate.configure('by_name', 'workers', '0')}), qr/ERROR:  22023:/, 'workers must be one or more');
like(error_of($node, q{SELECT safe_migrate.configure('by_name', 'workers', 'many')}), qr/ERROR:  22P02:/, 'workers must be a number');

# ---- one large table is cut up, and two workers write parts of it at the same time
sql(qq{CREATE TABLE large (id int, who int) WITH (fillfactor = 10);
	INSERT INTO large SELECT generate_series(1, 2500 * 22)});
my $large = sql(qq{SELECT safe_migrate.backfill('large', 'who = pg_backend_pid()', job_name => 'large', workers => 2, $slowly)});
wait_for($node, 'SELECT count(DISTINCT who) = 2 FROM large');
pass('both workers write rows');
is(sql("SELECT count(*) > 1, bool_and(first_block = coalesce(before, 0)), max(end_block) = pg_relation_size('large') / 8192
	FROM (SELECT *, lag(end_block) OVER (ORDER BY first_block) AS before FROM safe_migrate.slice WHERE job_id = $large AND pass = 1) s"),
	't|t|t', 'of slices that lie side by side and leave out nothing');
is(sql("SELECT count(*) FROM (SELECT slice_no FROM large, safe_migrate.slice WHERE job_id = $large AND who IS NOT NULL
	AND relation = 'large'::regclass
	AND (large.ctid::text::point)[0] >= first_block AND (large.ctid::text::point)[0] < end_block GROUP BY 1 HAVING count(DISTINCT who) > 1) x"),
	'0', 'none of them the work of both');
sql(q{SELECT safe_migrate.configure('large', 'nice_ratio', NULL)});
wait_for_state($node, $large, 'succeeded');
is(sql('SELECT count(*) FROM large WHERE who IS NULL'), '0', 'together they write all rows');

# ---- rolled back control does nothing
sql("BEGIN; SELECT safe_migrate.cancel($job); ROLLBACK");
at_work($node, $job);
is(state_of($node, $job), 'running', 'a rolled back cancel is none');

# ---- the kill switch, with several jobs
my @jobs = ($job, queue_slowly('second'), queue_slowly('third'));
at_work($node, $_) for @jobs;
configure_server($node, 'safe_migrate.enabled' => 'off');
wait_for($node, q{SELECT count(*) = 3 AND bool_and(condition = 'disabled') FROM safe_migrate.progress WHERE state = 'running'});
my $written = 'SELECT (SELECT count(b) FROM by_name), (SELECT count(b) FROM second), (SELECT count(b) FROM third)';
my $before = sql($written);
sql('SELECT pg_sleep(0.3)');
is(sql($written), $before, 'enabled = off stops all jobs');
my $late = queue_slowly('late');
wait_for($node, "SELECT condition = 'disabled' AND state = 'queued' FROM safe_migrate.progress WHERE job_id = $late");
is(sql('SELECT count(b) FROM late'), '0', 'a job queued meanwhile does not start, and says why');
configure_server($node, 'safe_migrate.enabled' => 'on');
at_work($node, $_) for @jobs, $late;
wait_for($node, "SELECT count(b) > split_part('$before', '|', $_->[1])::int FROM $_->[0]")
	for [ 'by_name', 1 ], [ 'second', 2 ], [ 'third', 3 ];
pass('enabled = on goes on with all of them');

# ---- all at once
sql("SELECT safe_migrate.pause($late, 'on its own')");
sql(q{SELECT safe_migrate.pause_all('database is on fire')});
stands_still($jobs[$_], (qw(by_name second third))[$_], 'pause_all') for 0 .. 2;
is(sql(q{SELECT string_agg(DISTINCT state::text || ': ' || state_reason, ', ') FROM safe_migrate.jobs WHERE state = 'paused'}),
	'paused: all jobs paused: database is on fire, paused: on its own', 'pause_all gives its reason and leaves what is paused');
sql(q{SELECT safe_migrate.resume_all()});
at_work($node, $_) for @jobs;
is(state_of($node, $late), 'paused', 'resume_all leaves alone what was paused for itself');
sql("SELECT safe_migrate.resume($late)");
like(error_of($node, 'SELECT safe_migrate.pause_all(NULL)'), qr/ERROR:  22004:/, 'pause_all wants a reason');

# a session that holds one job's row keeps pause_all from that job alone
my $editor = $node->background_psql('postgres');
$editor->query_safe("BEGIN; SELECT safe_migrate.configure($jobs[0], 'batch_time', '2ms')");
my $editor_pid = $editor->query_safe('SELECT pg_backend_pid()');
at_work($node, $_) for @jobs, $late;
like(error_of($node, q{SET statement_timeout = '60s'; SELECT safe_migrate.pause_all('disk is filling')}),
	qr/WARNING:  55P03: could not pause job $jobs[0]: its row is locked\nDETAIL:  Process $editor_pid holds it in a transaction that has not ended\.\nHINT:.*safe_migrate\.pause\($jobs[0]\)/,
	'pause_all names the job it could not pause, and who holds it');
is(join(',', map { state_of($node, $_) } @jobs, $late), 'running,paused,paused,paused', 'the others are paused');
$editor->query_safe('COMMIT');
sql(q{SELECT safe_migrate.pause_all('the rest')});
is(state_of($node, $jobs[0]), 'paused', 'once that has ended it is paused as well');
$editor->query_safe("BEGIN; SELECT safe_migrate.configure($jobs[1], 'batch_time', '2ms')");
like(error_of($node, q{SET statement_timeout = '60s'; SELECT safe_migrate.resume_all()}),
	qr/WARNING:  55P03: could not resume job $jobs[1]: its row is locked/, 'resume_all leaves out one as well');
$editor->query_safe('ROLLBACK');
$editor->quit;
sql(q{SELECT safe_migrate.resume_all()});

# ---- max_workers reached
configure_server($node, 'safe_migrate.max_workers' => 4);
at_work($node, $_) for @jobs, $late;
my $fifth = queue_slowly('fifth');
wait_for($node, "SELECT state = 'queued' AND condition = 'max_workers reached' FROM safe_migrate.progress WHERE job_id = $fifth");
pass('max_workers reached: the job stays queued and says so');
full_speed($node, $jobs[0]);
at_work($node, $fifth);
pass('it starts when a worker has ended');
full_speed($node, $_) for @jobs[ 1, 2 ], $late, $fifth;

# ---- names
my $call = q{safe_migrate.backfill('t', 'b = a', 'b IS NULL', job_name => 'named')};
my $one = $node->background_psql('postgres', on_error_stop => 0);
$one->query_safe('BEGIN');
my $id = $one->query_safe("SELECT $call");
my $two = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SELECT $call" ],
	'>', \my $two_out, '2>', \my $two_err);
wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'SELECT safe_migrate.backfill%'});
$one->query_safe('COMMIT');
$two->finish;
is($two_out, "$id\n", 'two sessions queue the same name at once: one job, both get its id');
like($two_err, qr/NOTICE:  job "named" exists already/, 'the second by notice');
wait_for_state($node, $id, 'succeeded');
like(error_of($node, "SELECT $call"), qr/NOTICE:.*job "named" exists already and is succeeded/, 'a third time, after its end');
my $again = q{SELECT safe_migrate.backfill('t', 'b = a', 'b <> a', job_name => 'set once', %s); };
my $twice = error_of($node, 'BEGIN; ' . join('', map { sprintf $again, $_ } q(settings => '{"nice_ratio": 1}'), q(settings => '{"nice_ratio": 1}'), 'workers => 2')
	. q{SELECT safe_migrate.cancel('set once'); } . sprintf($again, q(settings => '{}')) . 'ROLLBACK');
my $keeps = 'It keeps its own settings and workers, which are not those of this call: safe_migrate.configure() changes them.';
is(join('|', $twice =~ /^DETAIL:  Its id is \d+\. ?(.*)$/mg), "|$keeps|$keeps", 'settings of another call are not taken over, which is told');
is(sql('SELECT count(*) FROM safe_migrate.jobs WHERE name = $$named$$'), '1', 'there is one of that name');
like(error_of($node, q{SELECT safe_migrate.backfill('t', 'b = a || 1', 'b IS NULL', job_name => 'named')}),
	qr/ERROR:  42710: job "named" exists already with another definition/, 'another definition is an error');

# the table is dropped and made again: the migration can be run again, whatever became of its job
for my $case ([ 'succeeded', q{safe_migrate.backfill('again', 'b = a', job_name => 'again')} ],
	[ 'cancelled', q{safe_migrate.backfill('again', 'b = a + 1', job_name => 'again')} ],
	[ 'failed', q{safe_migrate.add_constraint_safely('again', 'CONSTRAINT positive CHECK (a > 0)', job_name => 'again')} ],
	[ 'succeeded', q{safe_migrate.create_index_safely('CREATE INDEX ON again (a)', job_name => 'again')} ])
{
	my ($end, $call) = @$case;
	my $made = "CREATE TABLE again (a int, b int); INSERT INTO again VALUES (" . ($end eq 'failed' ? -1 : 1) . ')';
	my $cancel = $end eq 'cancelled' ? "SELECT safe_migrate.cancel('again');" : ''; # before it begins
	my ($old) = sql("DROP TABLE IF EXISTS again; $made; BEGIN; SELECT $call; $cancel COMMIT") =~ /(\d+)/;
	wait_for_state($node, $old, $end);
	my $said = error_of($node, "BEGIN; DROP TABLE again; CREATE TABLE again (a int, b int); SELECT $call; COMMIT");
	like($said, qr/NOTICE:  00000: job $old is no longer named "again"\nDETAIL:  The table that it was for does not exist/,
		"the name of a job that is $end is free once its table is gone: $call");
	my $new = sql(q{SELECT id FROM safe_migrate.jobs WHERE name = 'again'});
	wait_for_state($node, $new, 'succeeded');
	is(sql("SELECT name IS NULL, state, (SELECT count(*) FROM safe_migrate.events WHERE job_id = $old AND detail ~ 'another job takes the name')
		FROM safe_migrate.jobs WHERE id = $old"), "t|$end|1", '... and the old job is kept');
}
sql(q{DROP TABLE again; CREATE TABLE again (a int)});
like(error_of($node, q{SET safe_migrate.guard = off; SELECT safe_migrate.pause(safe_migrate.backfill('again', 'a = 1', job_name => 'waits')); DROP TABLE again; CREATE TABLE again (a int);
	SELECT safe_migrate.backfill('again', 'a = 1', job_name => 'waits')}), qr/ERROR:  42710: job "waits" exists already with another definition\n.*paused/,
	'a job that has not ended keeps its name');
sql(q{SELECT safe_migrate.cancel('waits')});
my $drop = q{safe_migrate.drop_table_safely('again', job_name => 'away')};
wait_for_state($node, sql("SET safe_migrate.override = 'it is empty'; SELECT $drop") =~ s/^\n//r, 'succeeded');
like(error_of($node, "CREATE TABLE again (a int); SELECT $drop"), qr/ERROR:  42710: job "away" exists already/,
	'a job that has dropped its table drops no other one under its name');

sql(q{UPDATE t SET b = NULL; ALTER TABLE t ADD CONSTRAINT small CHECK (b::int < 500) NOT VALID});
$call =~ s/'named'/'failing'/;
$id = sql("SELECT $call");
wait_for_state($node, $id, 'failed');
sql('ALTER TABLE t DROP CONSTRAINT small');
like(error_of($node, "SELECT $call"), qr/NOTICE:.*job "failing" was failed and is queued again/, 'a failed one is queued again by the same call');
wait_for_state($node, $id, 'succeeded');
is(sql('SELECT count(*) FROM t WHERE b IS DISTINCT FROM a'), '0', 'and completes');

sql('CREATE ROLE other LOGIN; GRANT SELECT, UPDATE ON t TO other; UPDATE t SET b = NULL');
my $others = answer($node, 'other', "SELECT $call");
isnt($others, $id, 'names are one role\'s: another one has a job of its own');
wait_for_state($node, $others, 'succeeded');
# a name rolled back by the one is free for the other
$one->query_safe('BEGIN');
$one->query_safe(q{SELECT safe_migrate.backfill('t', 'b = a', 'b IS NULL', job_name => 'given up')});
$two = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
	q{SELECT safe_migrate.backfill('t', 'b = a', 'b IS NULL', job_name => 'given up')} ], '>', \$two_out, '2>', \$two_err);
wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'SELECT safe_migrate.backfill%'});
$one->query_safe('ROLLBACK');
$two->finish;
like($two_out, qr/^\d+$/, 'a name that was rolled back is free for whoever waited');
is($two_err, '', 'without a notice');
wait_for_state($node, $two_out + 0, 'succeeded');
$one->quit;

# ---- a commit starts its job at once, whether a scheduler is there or not: where somebody polled,
# not even the quickest of several would have started within 100 ms
sub quickest_start
{
	my ($rounds, $before) = @_;
	my @started;
	for (1 .. $rounds)
	{
		$before->() if $before;
		push @started, sql(q{UPDATE t SET b = NULL WHERE id = 1; SELECT safe_migrate.backfill('t', 'b = a')});
		wait_for_state($node, $started[-1], 'succeeded');
	}
	return sql('SELECT min(started_at - queued_at) FROM safe_migrate.jobs WHERE id IN (' . join(',', @started) . ')');
}
my $no_scheduler = q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'safe_migrate scheduler')};
my $quickest = quickest_start(5);
cmp_ok(sql("SELECT interval '$quickest' < interval '100 ms'"), 'eq', 't', "a job starts at commit: after $quickest");
$quickest = quickest_start(3, sub {
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'safe_migrate scheduler'});
	wait_for($node, $no_scheduler); });
cmp_ok(sql("SELECT interval '$quickest' < interval '100 ms'"), 'eq', 't', "where no scheduler is there too: after $quickest");

# ---- nothing to do: the scheduler leaves, and nobody wakes up
wait_for($node, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type IN ('safe_migrate scheduler', 'safe_migrate worker'))});
pass('workers and scheduler leave when there is nothing to do');
my $launcher = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'safe_migrate launcher'});

sub switches
{
	my ($pid) = @_;
	my ($n) = slurp_file("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
	return $n;
}
SKIP:
{
	skip 'no /proc here', 1 unless -r "/proc/$launcher/status";
	sql('SELECT pg_sleep(0.2)');
	my $switches = switches($launcher);
	sql('SELECT pg_sleep(3)');
	cmp_ok(switches($launcher) - $switches, '<=', 1, 'the launcher sleeps: nothing polls');
}
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'safe_migrate scheduler'}), '0', 'no scheduler comes by itself');

# ---- no free worker slot: first for a worker, then for the scheduler too
stays_clean($node);
# (the server's own launcher of logical replication takes one of the four)
$node->append_conf('postgresql.conf', "max_worker_processes = 4\nsafe_migrate.max_workers = 4");
$node->restart;
@jobs = (queue_slowly('slot_1'));
at_work($node, $jobs[0]);
push @jobs, queue_slowly('slot_2');
wait_for($node, "SELECT state = 'queued' AND condition = 'no free worker slot' FROM safe_migrate.progress WHERE job_id = $jobs[1]");
pass('no free worker slot: the job stays queued and says so');
$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
$node->safe_psql('elsewhere', 'CREATE EXTENSION safe_migrate; CREATE TABLE e (id int PRIMARY KEY, a text);
	INSERT INTO e SELECT generate_series(1, 100)');
my $e = $node->safe_psql('elsewhere', q{SELECT safe_migrate.backfill('e', 'a = id::text')});
wait_for($node, "SELECT state = 'queued' AND condition = 'no free worker slot' FROM safe_migrate.progress WHERE job_id = $e", 'elsewhere');
pass('nor one for another database\'s scheduler: its job says so');
full_speed($node, $jobs[0]);
full_speed($node, $jobs[1]);
wait_for_state($node, $e, 'succeeded', 'elsewhere');
pass('they start when there is room');
stays_clean($node);
done_testing();
