# What an operator meets: vacuum_after changed on a job, what a lock wait says, a batch that does not end, an owner
# that is gone, a large table of one's own session.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('operating',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	max_prepared_transactions => 2,
	autovacuum => 'off');
my $rows = 20_000;

sub sql { return $node->safe_psql('postgres', @_); }

sub make_table
{
	my ($name) = @_;
	sql("CREATE TABLE $name (id int PRIMARY KEY, a text, b text); INSERT INTO $name SELECT i, i FROM generate_series(1, $rows) i");
	return;
}

# ---- vacuum_after, turned on and off after the job was queued
for my $case ([ 'off', 'on', 1 ], [ 'on', 'off', 0 ])
{
	my ($first, $then, $vacuums) = @$case;
	my $table = "vacuum_$then";
	make_table($table);
	my $job = sql(qq{SELECT safe_migrate.backfill('$table', 'b = a', settings => '{"nice_ratio": 50, "vacuum_after": "$first"}')});
	wait_for($node, "SELECT rows > 0 FROM safe_migrate.progress WHERE job_id = $job");
	sql("SELECT safe_migrate.configure($job, 'vacuum_after', '$then'), safe_migrate.configure($job, 'vacuum_after', '$then'),
		safe_migrate.configure($job, 'nice_ratio', NULL)");
	wait_for_state($node, $job, 'succeeded');
	is(sql("SELECT string_agg(kind || ' ' || state, ', ' ORDER BY step_no) FROM safe_migrate.job_steps WHERE job_id = $job"),
		'backfill done, vacuum done', "vacuum_after turned $then: steps");
	is(sql("SELECT count(*) FROM pg_stats WHERE tablename = '$table' AND attname = 'b'"), $vacuums, "vacuum_after turned $then: statistics of the column");
	is(sql("SELECT relallvisible > 0 FROM pg_class WHERE relname = '$table'"), $vacuums ? 't' : 'f', "vacuum_after turned $then: the table");
}

# ---- a limit that is passed again and again: a few events, that tell how often
sql(q{CREATE TABLE stop (); CREATE TABLE flapping (id int, a text, b text) PARTITION BY RANGE (id);
	CREATE TABLE flapping_1 PARTITION OF flapping FOR VALUES FROM (MINVALUE) TO (50000);
	CREATE TABLE flapping_2 PARTITION OF flapping FOR VALUES FROM (50000) TO (MAXVALUE)});
sql("INSERT INTO flapping SELECT i, i FROM generate_series(1, 5 * $rows) i");
my $flapping = sql(q{SELECT safe_migrate.backfill('flapping', 'b = a', workers => 2, settings =>
	'{"nice_ratio": 100, "batch_time": "1ms", "throttle_query": "SELECT EXISTS (SELECT FROM public.stop)"}')});
wait_for($node, "SELECT rows > 0 AND cardinality(worker_pids) = 2 FROM safe_migrate.progress WHERE job_id = $flapping");
for (1 .. 3)
{
	sql('INSERT INTO stop DEFAULT VALUES');
	wait_for($node, "SELECT throttled_by IS NOT NULL FROM safe_migrate.progress WHERE job_id = $flapping");
	sql('SELECT pg_sleep(1.5); TRUNCATE stop');
	wait_for($node, "SELECT condition = 'working' FROM safe_migrate.progress WHERE job_id = $flapping");
}
sql("SELECT safe_migrate.configure($flapping, 'nice_ratio', NULL)");
wait_for_state($node, $flapping, 'succeeded');
like(sql("SELECT string_agg(kind || coalesce(' (' || detail || ')', ''), ', ' ORDER BY id) FROM safe_migrate.events
	WHERE job_id = $flapping AND kind LIKE 'throttle%'"),
	qr/^throttled \([^,]*\), throttle ended, throttle ended \(\d+ times since the last event: [^,]*\)$/, 'one pair of events, and how often it was');

# ---- children are vacuumed as well as their parent
sql(q{CREATE SCHEMA "of heirs"; CREATE TABLE parent (id int, a text, b text); CREATE TABLE "a child" () INHERITS (parent);
	CREATE TABLE "of heirs".grandchild () INHERITS ("a child")});
sql("INSERT INTO $_ SELECT i, i FROM generate_series(1, 2000) i") for 'parent', '"a child"', '"of heirs".grandchild';
wait_for_state($node, sql(q{SELECT safe_migrate.backfill('parent', 'b = a')}), 'succeeded');
is(sql(q{SELECT string_agg(relname, ', ' ORDER BY relname) FROM pg_class c WHERE relallvisible > 0 AND relname IN ('parent', 'a child', 'grandchild')
	AND EXISTS (SELECT FROM pg_stats s WHERE s.tablename = relname AND s.attname = 'b' AND NOT s.inherited)}),
	'a child, grandchild, parent', 'the vacuum step reaches children');

# ---- another session's temporary table below the table: its rows are that session's own
my $own_child = $node->background_psql('postgres');
$own_child->query_safe('CREATE TEMP TABLE own_child () INHERITS (parent)');
$own_child->query_safe(q{INSERT INTO own_child VALUES (1, 'own')});
my $beside_temp = sql(q{UPDATE ONLY parent SET b = NULL; SELECT safe_migrate.backfill('parent', 'b = a')});
wait_for_state($node, $beside_temp, 'succeeded');
is(sql('SELECT count(*), count(b) FROM ONLY parent'), '2000|2000', 'it is no obstacle to a backfill');
is($own_child->query_safe('SELECT a, b IS NULL FROM own_child'), 'own|t', 'and stays as it is, as with an UPDATE');
is(sql(q{SELECT string_agg(kind || ' ' || state, ', ' ORDER BY step_no) FROM safe_migrate.job_steps WHERE job_id = } . $beside_temp),
	'backfill done, vacuum done', 'nor to the vacuum step');
is(sql(q{SELECT rows FROM safe_migrate.estimate_backfill('parent', 'b = a')}), '0', 'nor to an estimate');
$own_child->quit;

# ---- the vacuum step waits visibly, and stops when it is told to
sql(q{CREATE TABLE slow ();
	CREATE FUNCTION slow_key(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
		IF EXISTS (SELECT FROM public.slow) THEN PERFORM pg_sleep(100); END IF;
		RETURN $1;
	END $$});
make_table('vacuumed');
sql('CREATE INDEX ON vacuumed (slow_key(a))');
my $locker = $node->background_psql('postgres');
my $locker_pid = $locker->query_safe('BEGIN; SELECT pg_backend_pid(); LOCK TABLE vacuumed IN SHARE UPDATE EXCLUSIVE MODE');
my $vacuum = sql(q{SELECT safe_migrate.backfill('vacuumed', 'b = a', settings => '{"ddl_lock_retry": "0"}')});
my $waits = "SELECT condition = 'waiting for a lock' AND waiting_for_pid = $locker_pid AND waiting_for ~ 'LOCK TABLE' AND phase = 'vacuum'
	FROM safe_migrate.progress WHERE job_id = $vacuum";
my $no_worker = "SELECT worker_pids = '{}' FROM safe_migrate.progress WHERE job_id = $vacuum";
wait_for($node, $waits);
is(sql(q{SELECT string_agg(query, ', ') FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker'}), "job $vacuum: vacuum",
	'a vacuum step that waits for its lock says so, with its holder');
sql("SELECT safe_migrate.pause($vacuum)");
wait_for($node, $no_worker);
sql("SELECT safe_migrate.resume($vacuum)");
wait_for($node, $waits);
sql("SELECT safe_migrate.cancel($vacuum)");
wait_for($node, $no_worker);
pass('pause() and cancel() end the wait');
sql("SELECT safe_migrate.retry($vacuum)");
wait_for($node, $waits);

my $vacuums = qq{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker' AND wait_event = 'PgSleep'};
sql('INSERT INTO slow DEFAULT VALUES');
$locker->query_safe('COMMIT');
wait_for($node, $vacuums);
is(sql(q{SELECT query FROM pg_stat_activity WHERE wait_event = 'PgSleep'}), "job $vacuum: vacuum", 'pg_stat_activity: job and phase, no SQL, while it vacuums');
sql("SELECT safe_migrate.pause($vacuum)");
wait_for($node, $no_worker);
is(state_of($node, $vacuum), 'paused', 'pause() interrupts VACUUM');
sql("SELECT safe_migrate.resume($vacuum)");
wait_for($node, $vacuums);
is(sql("SELECT retries FROM safe_migrate.jobs WHERE id = $vacuum"), 0, 'which is no error, and it begins anew');
configure_server($node, 'safe_migrate.enabled' => 'off');
wait_for($node, "SELECT condition = 'disabled' FROM safe_migrate.progress WHERE job_id = $vacuum");
configure_server($node, 'safe_migrate.enabled' => 'on');
wait_for($node, $vacuums);
pass('so does the switch safe_migrate.enabled');
sql("SELECT safe_migrate.cancel($vacuum)");
wait_for($node, $no_worker);
pass('and cancel()');
sql("DELETE FROM slow; SELECT safe_migrate.retry($vacuum)");
wait_for_state($node, $vacuum, 'succeeded');
is(sql(q{SELECT count(*) FROM pg_stats WHERE tablename = 'vacuumed' AND attname = 'b'}), 1, 'retry() vacuums');

# ---- a batch that does not end: a trigger that loops
sql(q{CREATE FUNCTION loops() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		WHILE new.a = '7' AND EXISTS (SELECT FROM public.slow) LOOP PERFORM pg_sleep(0.1); END LOOP;
		RETURN new;
	END $$; INSERT INTO slow DEFAULT VALUES});
my %stuck;
for my $name ('paused', 'cancelled', 'off')
{
	make_table("stuck_$name");
	sql("CREATE TRIGGER loops BEFORE UPDATE ON stuck_$name FOR EACH ROW EXECUTE FUNCTION loops()");
	$stuck{$name} = sql(qq{SELECT safe_migrate.backfill('stuck_$name', 'b = a', settings => '{"vacuum_after": "off"}')});
	wait_for($node, qq{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'safe_migrate job $stuck{$name}' AND wait_event = 'PgSleep'});
	next if $name eq 'off';
	sql("SELECT safe_migrate." . ($name eq 'paused' ? 'pause' : 'cancel') . "($stuck{$name})");
	wait_for($node, qq{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'safe_migrate job $stuck{$name}'});
	pass("$name: a batch that does not end is rolled back");
}
configure_server($node, 'safe_migrate.enabled' => 'off');
wait_for($node, "SELECT condition = 'disabled' FROM safe_migrate.progress WHERE job_id = $stuck{off}");
pass('so does the switch safe_migrate.enabled');
configure_server($node, 'safe_migrate.enabled' => 'on');
is(sql("SELECT string_agg(state || ' ' || retries, ', ' ORDER BY id) FROM safe_migrate.jobs WHERE id IN ($stuck{paused}, $stuck{cancelled}, $stuck{off})"),
	'paused 0, cancelled 0, running 0', 'which is no error');
sql("DELETE FROM slow; SELECT safe_migrate.resume($stuck{paused}), safe_migrate.retry($stuck{cancelled})");
wait_for_state($node, $stuck{$_}, 'succeeded') for 'paused', 'cancelled', 'off';
is(sql("SELECT count(*) FROM stuck_$_ WHERE b IS DISTINCT FROM a"), 0, "$_: what was rolled back is done afterwards") for 'paused', 'cancelled', 'off';

# a leaf is a part of what it waits for
sql(q{CREATE TABLE parts (id int, a text, b text) PARTITION BY RANGE (id); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
	CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20); INSERT INTO parts SELECT i, i FROM generate_series(0, 19) i});
$locker->query_safe('BEGIN; LOCK TABLE parts_2 IN SHARE UPDATE EXCLUSIVE MODE');
$vacuum = sql(q{SELECT safe_migrate.backfill('parts', 'b = a')});
wait_for($node, "SELECT condition = 'waiting for a lock' AND waiting_for_pid = $locker_pid AND phase = 'vacuum' FROM safe_migrate.progress WHERE job_id = $vacuum");
is(sql(q{SELECT count(*) FROM pg_stats WHERE tablename = 'parts_1'}), 0, 'VACUUM begins when all its locks are free');
$locker->query_safe('SET LOCAL safe_migrate.guard = off; DROP TABLE parts_2; COMMIT');
wait_for_state($node, $vacuum, 'succeeded');
is(sql(q{SELECT count(DISTINCT tablename) FROM pg_stats WHERE tablename ~ '^parts'}), 2, 'and does what is left then');
$locker->quit;

# ---- what a job waits for
make_table('locked');
my $job = sql(q{SELECT safe_migrate.backfill('locked', 'b = a', settings => '{"nice_ratio": 50}')});
wait_for($node, "SELECT rows > 0 FROM safe_migrate.progress WHERE job_id = $job");
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE locked IN SHARE MODE');
my $pid = $holder->query_safe('SELECT pg_backend_pid()');
wait_for($node, "SELECT condition = 'waiting for a lock' FROM safe_migrate.progress WHERE job_id = $job");
wait_for($node, "SELECT detail = 'process $pid holds a lock on the table' FROM safe_migrate.progress WHERE job_id = $job");
pass('a lock on the table is named with its holder');
$holder->query_safe('COMMIT');
full_speed($node, $job);

sql(q{CREATE TABLE counter (n int); INSERT INTO counter VALUES (0);
	CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE counter SET n = n + 1; RETURN new; END $$});
make_table('counted');
sql('CREATE TRIGGER count_up BEFORE UPDATE ON counted FOR EACH ROW WHEN (new.id = 100) EXECUTE FUNCTION count_up()');
$holder->query_safe('BEGIN; UPDATE counter SET n = n + 1');
$job = sql(q{SELECT safe_migrate.backfill('counted', 'b = a', settings => '{"horizon_patience": "0"}')});
wait_for($node, "SELECT detail LIKE 'a lock that process $pid holds: while updating tuple (0,1) in relation \"counter\"%'
	AND waiting_for_pid = $pid AND waiting_for ~ 'UPDATE counter' FROM safe_migrate.progress WHERE job_id = $job");
pass('a lock that a trigger waits for is told by what waits, and with its holder');
$holder->query_safe('COMMIT');
wait_for_state($node, $job, 'succeeded');
is(sql('SELECT n FROM counter'), '2', 'and its batch is done once');
$holder->quit;

# ---- prepared transactions in the way
make_table('prepared');
sql(q{BEGIN; UPDATE prepared SET a = a WHERE id = 7; PREPARE TRANSACTION 'a row'});
$job = sql(q{SELECT safe_migrate.backfill('prepared', 'b = a', settings => '{"horizon_patience": "0"}')});
wait_for($node, qq{SELECT condition = 'waiting for a lock' AND waiting_for_pid IS NULL
	AND detail ~ '^ctid .0,7., by prepared transaction "a row" of role "postgres" since 2.*[0-9] .transaction [0-9]+.\$' FROM safe_migrate.progress WHERE job_id = $job});
pass('a prepared transaction that holds a row is named');
sql(q{COMMIT PREPARED 'a row'});
wait_for_state($node, $job, 'succeeded');
sql(q{BEGIN; LOCK TABLE prepared IN SHARE MODE; PREPARE TRANSACTION 'a table'});
$job = sql(q{SELECT safe_migrate.backfill('prepared', 'b = upper(a)', 'a = b AND false', settings => '{"horizon_patience": "0"}')});
wait_for($node, qq{SELECT condition = 'waiting for a lock' AND detail ~ '^prepared transaction "a table" of role "postgres" since 2.* holds a lock on the table\$' FROM safe_migrate.progress WHERE job_id = $job});
pass('so is one that holds the table');
sql(q{ROLLBACK PREPARED 'a table'});
wait_for_state($node, $job, 'succeeded');

# its snapshot is gone, but what it has changed holds back the horizon; told by name, owner and age as well
sql('CREATE ROLE forgetful; GRANT CREATE ON SCHEMA public TO forgetful');
sql(q{SET ROLE forgetful; BEGIN; CREATE TABLE of_forgetful (); PREPARE TRANSACTION 'a horizon'});
make_table('behind_it');
$job = sql(q{SELECT safe_migrate.backfill('behind_it', 'b = a')});
wait_for($node, qq{SELECT condition = 'waiting for old snapshots' AND waiting_for_pid IS NULL
	AND detail ~ '^prepared transaction "a horizon" of role "forgetful" since 2[-0-9]+ .* holds back the xmin horizon\$'
	FROM safe_migrate.progress WHERE job_id = $job});
pass('and one that holds back the horizon, with its owner and since when');
sql(q{ROLLBACK PREPARED 'a horizon'});
wait_for_state($node, $job, 'succeeded');

# ---- a row of a partition is told with the partition's name
sql(q{CREATE TABLE parted (id int, a text, b text) PARTITION BY RANGE (id);
	CREATE TABLE "the first" PARTITION OF parted FOR VALUES FROM (0) TO (10);
	CREATE TABLE the_second PARTITION OF parted FOR VALUES FROM (10) TO (100);
	INSERT INTO parted SELECT i, nullif(i, 12) FROM generate_series(1, 20) i});
$holder = $node->background_psql('postgres');
$pid = $holder->query_safe('BEGIN; UPDATE parted SET b = a WHERE id = 3; SELECT pg_backend_pid()');
$job = sql(q{SELECT safe_migrate.backfill('parted', 'b = a', 'b IS NULL AND id < 12', settings => '{"horizon_patience": "0"}')});
wait_for($node, qq{SELECT condition = 'waiting for a lock' AND waiting_for_pid = $pid
	AND detail ~ '^ctid .0,3. of table "the first", by pid $pid .transaction [0-9]+.\$' FROM safe_migrate.progress WHERE job_id = $job});
pass('a locked row of a partition: which partition');
$holder->query_safe('COMMIT');
$holder->quit;
wait_for_state($node, $job, 'succeeded');
$job = sql(q{SELECT safe_migrate.backfill('parted', 'b = a')});
wait_for_state($node, $job, 'failed');
is(sql("SELECT error_detail FROM safe_migrate.jobs WHERE id = $job"),
	'It was left as it is: ctid (0,3) of table "the_second".', 'so is one that could not be filled');

# ---- an old snapshot: waited for, with its holder; then the job goes on without its going
make_table('seen');
$holder = $node->background_psql('postgres');
$pid = $holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_backend_pid()');
$job = sql(q{SELECT safe_migrate.backfill('seen', 'b = a')});
wait_for($node, "SELECT condition = 'waiting for old snapshots' AND waiting_for_pid = $pid AND detail = 'backend $pid holds back the xmin horizon'
	FROM safe_migrate.progress WHERE job_id = $job");
cmp_ok(sql('SELECT count(b) FROM seen'), '<', $rows, 'pages wait for an old snapshot, whose holder is named');
my $wait = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "CALL safe_migrate.wait($job)" ], '>', \my $out, '2>', \my $said);
wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL safe_migrate.wait%'});
sql("SELECT safe_migrate.configure($job, 'horizon_patience', '100ms'), safe_migrate.configure($job, 'nice_ratio', '100')");
my $goes_on = qr/NOTICE:  job $job: backend $pid holds back the xmin horizon: goes on without page filling, so the table and its indexes grow more\n/;
IPC::Run::pump_nb($wait), select(undef, undef, undef, 0.05) while $said !~ $goes_on && state_of($node, $job) eq 'running';
is(state_of($node, $job), 'running', 'wait() says that it goes on as soon as it does');
sql("SELECT safe_migrate.configure($job, 'nice_ratio', NULL)");
wait_for_state($node, $job, 'succeeded');
$wait->finish;
my $times = () = $said =~ /$goes_on/g;
is($times, 1, 'once, with the holder');
like(error_of($node, "CALL safe_migrate.wait($job)"), qr/NOTICE:  00000: job $job: backend $pid holds back the xmin horizon: goes on/,
	'whoever waits later is told as well');
is(sql('SELECT count(*) FROM seen WHERE b IS NULL'), 0, 'after horizon_patience it goes on');
like(sql("SELECT string_agg(detail, ', ') FROM safe_migrate.events WHERE job_id = $job AND kind = 'notice'"),
	qr/^backend $pid holds back the xmin horizon: goes on without page filling/, 'with an event that names the holder');
$holder->query_safe('COMMIT');
$holder->quit;

# ---- rows that match and never end to come do not keep a job alive
sql(q{CREATE TABLE fountain (id serial, b int); INSERT INTO fountain SELECT i FROM generate_series(1, 100) i;
	CREATE FUNCTION insert_another() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO fountain DEFAULT VALUES; RETURN new; END $$;
	CREATE TRIGGER another BEFORE UPDATE ON fountain FOR EACH ROW EXECUTE FUNCTION insert_another()});
$job = sql(q{SELECT safe_migrate.backfill('fountain', 'b = id')});
wait_for_state($node, $job, 'succeeded');
like(sql("SELECT string_agg(detail, ', ') FROM safe_migrate.events WHERE job_id = $job AND kind = 'notice'"),
	qr/^rows that match keep arriving: \d+ in pass \d+; does the application write the column\?$/, 'rows that keep arriving end a job with an event');

# ---- only work that writes is throttled
sql('ALTER TABLE seen ADD CONSTRAINT positive CHECK (id > 0) NOT VALID');
$job = sql(q{SELECT safe_migrate.validate_constraint_safely('seen', 'positive', settings => '{"throttle_query": "SELECT true"}')});
wait_for_state($node, $job, 'succeeded');
is(sql(q{SELECT convalidated FROM pg_constraint WHERE conname = 'positive'}), 't', 'a job that only reads goes on where one that writes would stop');

# ---- batches aim at a time: rows that take long, or whose triggers do, are few in one
sql(q{CREATE FUNCTION slow(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN $1; END $$;
	CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN new; END $$});
for my $case ([ 'expression', 'slow(a)' ], [ 'trigger', 'a' ])
{
	my ($what, $expression) = @$case;
	sql("CREATE TABLE slow_$what AS SELECT i::text AS a, NULL::text AS b FROM generate_series(1, 60) i");
	sql('CREATE TRIGGER be_slow BEFORE UPDATE ON slow_trigger FOR EACH ROW EXECUTE FUNCTION be_slow()') if $what eq 'trigger';
	$job = sql(qq{SELECT safe_migrate.backfill('slow_$what', 'b = $expression', settings => '{"batch_time": "30ms"}')});
	wait_for_state($node, $job, 'succeeded');
	cmp_ok(sql("SELECT max(n) FROM (SELECT count(*) AS n FROM slow_$what GROUP BY xmin::text) x"), '<=', 6,
		"a slow $what: no batch has many rows");
}

# ---- nice_ratio: after a batch a pause as many times as long, whatever that is
sql('UPDATE slow_expression SET b = NULL');
$job = sql(q{SELECT safe_migrate.backfill('slow_expression', 'b = slow(a)', settings => '{"batch_time": "30ms", "nice_ratio": 3}')});
wait_for_state($node, $job, 'succeeded');
my $slept = 60 * 0.02; # by the rows
cmp_ok(sql("SELECT extract(epoch FROM finished_at - started_at) FROM safe_migrate.jobs WHERE id = $job"), '>', 3 * $slept,
	'nice_ratio 3: pauses that take three times as long as the batches');

# ---- a row that others hold is looked at again, but not all the time
sql('CREATE TABLE one_held (id int, b int); INSERT INTO one_held SELECT generate_series(1, 10)');
my $row_holder = $node->background_psql('postgres');
$row_holder->query_safe('BEGIN; SELECT FROM one_held WHERE id = 5 FOR UPDATE');
$job = sql(q{SELECT safe_migrate.backfill('one_held', 'b = id')});
my $pass = "SELECT pass FROM safe_migrate.step WHERE job_id = $job AND step_no = 1";
wait_for($node, "SELECT ($pass) > 3");
my $pass_before = sql($pass);
sql('SELECT pg_sleep(1)');
cmp_ok(sql($pass) - $pass_before, '<=', 10, 'passes over nothing but locked rows pause in between');
$row_holder->quit;
wait_for_state($node, $job, 'succeeded');

# ---- rows that clients make match again are none that the job does, however often it has written them
sql(q{CREATE TABLE undone (id int PRIMARY KEY, n int); INSERT INTO undone SELECT generate_series(1, 1000);
	CREATE FUNCTION is_missing(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN $1 IS NULL; END';
	CREATE PROCEDURE undo_it() LANGUAGE plpgsql AS $$
	BEGIN
		WHILE coalesce((SELECT state NOT IN ('succeeded', 'failed') FROM safe_migrate.jobs WHERE name = 'undone'), true) LOOP
			UPDATE undone SET n = NULL WHERE id <= 20 AND n IS NOT NULL;
			COMMIT;
		END LOOP;
	END $$});
my $undoer = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-c', 'CALL undo_it()' ], '<', \undef, '>', \my $undo_out, '2>', \my $undo_err);
$job = sql(q{SELECT safe_migrate.backfill('undone', 'n = id', 'is_missing(n)', job_name => 'undone')});
wait_for_state($node, $job, 'succeeded');
cmp_ok(sql($pass =~ s/= \d+ AND/= $job AND/r), '>=', 3, 'what clients undo is done again, and the job ends well');
$undoer->finish;

# ---- functions that give another value each time, beside a trigger
sql(q{CREATE SEQUENCE drawn; CREATE TABLE volatile (id int PRIMARY KEY, n bigint, u uuid, price numeric(12, 2), seen bigint);
	CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.seen := NEW.n; RETURN NEW; END $$;
	CREATE TRIGGER see BEFORE UPDATE ON volatile FOR EACH ROW EXECUTE FUNCTION see()});
sql("INSERT INTO volatile SELECT generate_series(1, $rows)");
$job = sql(q{SELECT safe_migrate.backfill('volatile', $$n = nextval('drawn'), u = gen_random_uuid(), price = 100 * random()$$, 'n IS NULL')});
wait_for_state($node, $job, 'succeeded');
is(sql('SELECT count(DISTINCT n), count(DISTINCT u), bool_and(seen = n), bool_and(price BETWEEN 0 AND 100) FROM volatile'), "$rows|$rows|t|t",
	'each row has a value of its own, which the trigger has seen');
cmp_ok(sql('SELECT last_value FROM drawn'), '<', 1.5 * $rows, 'drawn once a row, but for rows that were left for a later visit of their page');
sql('UPDATE volatile SET n = NULL');
sql('CREATE FUNCTION chance() RETURNS float8 LANGUAGE sql RETURN random()');
$job = sql(q{SELECT safe_migrate.backfill('volatile', 'n = 1', 'n IS NULL AND chance() < 0.5')});
wait_for_state($node, $job, 'succeeded');
pass('a predicate that depends on chance is asked once: no row counts as kept back by a trigger');
sql('UPDATE volatile SET n = NULL');
$job = sql(q{SELECT safe_migrate.backfill('volatile', 'n = CASE WHEN random() < 0.5 THEN 1 END')});
wait_for_state($node, $job, 'failed');
like(sql("SELECT error_message FROM safe_migrate.jobs WHERE id = $job"), qr/^\d+ rows? would still satisfy the predicate/,
	'nor does a value that chance has made null count as the trigger\'s doing');

# ---- the owner is gone
sql('CREATE ROLE leaver LOGIN; CREATE ROLE heir LOGIN');
make_table('left_behind');
sql('GRANT SELECT, UPDATE ON left_behind TO leaver, heir');
$job = sql(q{SET ROLE leaver; SELECT safe_migrate.backfill('left_behind', 'b = a', job_name => 'left', settings => '{"nice_ratio": 50}')});
wait_for($node, "SELECT rows > 0 FROM safe_migrate.progress WHERE job_id = $job");
sql("SELECT safe_migrate.pause($job); DROP OWNED BY leaver; DROP ROLE leaver");
like(error_of($node, "SELECT safe_migrate.resume($job)"),
	qr/WARNING:.*role that owns job $job does not exist any more.*HINT:.*safe_migrate\.reassign\($job, 'role'\)/s, 'resume() names reassign()');
wait_for($node, "SELECT state = 'paused' FROM safe_migrate.jobs WHERE id = $job");
sql("SELECT safe_migrate.reassign($job, 'heir'), safe_migrate.configure($job, 'nice_ratio', NULL), safe_migrate.resume($job)");
wait_for_state($node, $job, 'succeeded');

# ---- a large table of one's own session
my $own = q{SET safe_migrate.inline = small; CREATE TABLE own_%s AS SELECT i AS id, i::text AS a, NULL::text AS b FROM generate_series(1, %s) i;
	SELECT safe_migrate.backfill('own_%s', 'b = a')};
like(error_of($node, 'SET safe_migrate.small_table_size = 100;' . sprintf $own, 'large', 20_000, 'large'),
	qr/NOTICE:.*table "own_large" is worked on in this transaction.*HINT:.*safe_migrate\.inline = never/s, 'a large one is told of');
unlike(error_of($node, sprintf $own, 'small', 100, 'small'), qr/worked on in this transaction/, 'a small one is not');

stays_clean($node);
done_testing();
