# Errors that pass, roles that go, transactions that stay open, and crashes between a step's work
# and its bookkeeping.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('trouble',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off');
my $slowly = q{settings => '{"nice_ratio": 50}'};

sub sql { return $node->safe_psql('postgres', @_); }

# A table whose rows count how often they are written.
sub fresh
{
	sql(q{DROP TABLE IF EXISTS orders;
		CREATE TABLE orders (id int PRIMARY KEY, status text, status_v2 text, writes int NOT NULL DEFAULT 0);
		INSERT INTO orders SELECT i, 'status ' || i % 7 FROM generate_series(1, 20000) i});
	return;
}

sub rows_written { return sql('SELECT count(status_v2) FROM orders') }

sub queue
{
	my (%option) = @_;
	my $as = $option{as} ? "SET ROLE $option{as};" : '';
	my $how = $option{fast} ? '' : ", $slowly";
	return sql(qq{$as SELECT safe_migrate.backfill('orders',
		'status_v2 = upper(status), writes = writes + 1', 'status_v2 IS NULL' $how)});
}

sub ends_right
{
	my ($job, $name) = @_;
	sql("SELECT safe_migrate.configure($job, 'nice_ratio', NULL)") unless state_of($node, $job) eq 'succeeded';
	wait_for_state($node, $job, 'succeeded');
	is(sql('SELECT count(*), count(*) FILTER (WHERE status_v2 = upper(status) AND writes = 1) FROM orders'),
		'20000|20000', "$name: every row is written once");
	return;
}

# ---- errors that pass are tried again, and counted
sql(q{CREATE SEQUENCE tries;
	CREATE FUNCTION fail_at_first() RETURNS trigger LANGUAGE plpgsql AS $$
	DECLARE
		codes text[] := '{40P01, 40001, 55P03}';
		try int := nextval('tries'); -- is not rolled back
	BEGIN
		IF try <= 3 THEN
			RAISE 'try again' USING ERRCODE = codes[try];
		END IF;
		RETURN new;
	END $$});
fresh();
sql(q{CREATE TRIGGER fail_at_first BEFORE UPDATE ON orders FOR EACH ROW WHEN (new.id % 5000 = 0) EXECUTE FUNCTION fail_at_first()});
my $job = queue(fast => 1);
ends_right($job, 'a deadlock, a serialization failure and a lock timeout');
is(sql("SELECT retries FROM safe_migrate.jobs WHERE id = $job"), '3', 'each is counted');
is(sql("SELECT string_agg(left(detail, 5), ' ' ORDER BY id) FROM safe_migrate.events WHERE job_id = $job AND kind = 'retry'"),
	'40P01 40001 55P03', 'and an event tells of it');

# ---- a lock that a trigger's or a foreign key's row waits for
sql(q{CREATE TABLE parent (id text PRIMARY KEY); INSERT INTO parent SELECT 'STATUS ' || i FROM generate_series(0, 6) i});
fresh();
sql('ALTER TABLE orders ADD FOREIGN KEY (status_v2) REFERENCES parent');
my $holder = $node->background_psql('postgres');
my $holder_pid = $holder->query_safe('SELECT pg_backend_pid()');
$holder->query_safe(q{BEGIN; SELECT * FROM parent WHERE id = 'STATUS 3' FOR UPDATE});
$job = queue(fast => 1);
wait_for($node, "SELECT retries > 2 FROM safe_migrate.jobs WHERE id = $job");
is(state_of($node, $job), 'running', 'a parent row that stays locked holds the job up, no more');
wait_for($node, "SELECT condition = 'waiting for a lock' AND waiting_for_pid = $holder_pid AND waiting_for ~ 'FOR UPDATE'
	AND detail LIKE 'a lock that process $holder_pid holds: while locking tuple (0,4) in relation \"parent\"%' FROM safe_migrate.progress WHERE job_id = $job");
pass('and progress says what it waits for, and whom');
is(sql(q{SELECT count(*) FROM pg_locks WHERE NOT granted AND pid NOT IN (SELECT pid FROM pg_stat_activity WHERE backend_type ~ 'safe_migrate')}),
	'0', 'nobody waits for the job meanwhile');
$holder->query_safe('COMMIT');
ends_right($job, 'a locked parent row');

# ---- pause() in an open transaction: nothing stops before it commits, nobody waits for it
fresh();
$job = queue();
at_work($node, $job);
$holder->query_safe("BEGIN; SELECT safe_migrate.pause($job)");
my $before = sql('SELECT count(status_v2) FROM orders');
wait_for($node, "SELECT count(status_v2) > $before + 500 FROM orders");
is(state_of($node, $job), 'running', 'a pause() that has not committed does not pause');
sql('CREATE TABLE others (id int PRIMARY KEY, a int); INSERT INTO others SELECT generate_series(1, 100)');
my $other = sql(q{SELECT safe_migrate.backfill('others', 'a = id')});
wait_for_state($node, $other, 'succeeded');
pass('other jobs start and end meanwhile');
# an error meanwhile that is to be noted in the row that is held
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE orders IN SHARE MODE');
wait_for($node, "SELECT condition = 'waiting for a lock' FROM safe_migrate.progress WHERE job_id = $job");
$locker->query_safe('COMMIT');
$before = sql('SELECT count(status_v2) FROM orders');
wait_for($node, "SELECT count(status_v2) > $before + 100 FROM orders");
pass('nor does an error that can\'t be noted stop it');
$holder->query_safe('ROLLBACK');
ends_right($job, 'a pause() that was rolled back');
$_->quit for $holder, $locker;

# ---- its role is dropped: paused, for reassign(); renamed: nothing happens
sql(q{CREATE ROLE leaver LOGIN; CREATE ROLE heir LOGIN});
fresh();
sql('GRANT SELECT, UPDATE ON orders TO leaver, heir');
$job = queue(as => 'leaver');
at_work($node, $job);
sql('ALTER ROLE leaver RENAME TO "the leaver"');
$before = sql('SELECT count(status_v2) FROM orders');
wait_for($node, "SELECT count(status_v2) > $before + 300 FROM orders");
is(sql("SELECT owner, state FROM safe_migrate.jobs WHERE id = $job"), 'the leaver|running', 'a role that is renamed');
sql('BEGIN; DROP OWNED BY "the leaver"; DROP ROLE "the leaver"; COMMIT');
wait_for($node, "SELECT state <> 'running' FROM safe_migrate.jobs WHERE id = $job");
is(sql("SELECT state, state_reason FROM safe_migrate.jobs WHERE id = $job"),
	'paused|the role that owns it does not exist any more', 'a role that is dropped pauses the job');
sql("SELECT safe_migrate.resume($job)");
wait_for($node, "SELECT state = 'paused' FROM safe_migrate.jobs WHERE id = $job");
pass('resumed, it is paused again');
sql("SELECT safe_migrate.reassign($job, 'heir'), safe_migrate.resume($job)");
ends_right($job, 'reassigned to another role');
is(sql("SELECT owner FROM safe_migrate.jobs WHERE id = $job"), 'heir', 'whose job it is now');

# ---- the same of one that stands still, and has no batch that would find it out
fresh();
sql('CREATE ROLE leaver LOGIN; GRANT SELECT, UPDATE ON orders TO leaver');
$job = sql(q{SET ROLE leaver; SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status), writes = writes + 1', 'status_v2 IS NULL',
	settings => '{"throttle_query": "SELECT true"}')});
wait_for($node, "SELECT condition = 'throttled' FROM safe_migrate.progress WHERE job_id = $job");
sql('BEGIN; DROP OWNED BY leaver; DROP ROLE leaver; COMMIT');
wait_for($node, "SELECT state <> 'running' FROM safe_migrate.jobs WHERE id = $job");
is(sql("SELECT state, state_reason FROM safe_migrate.jobs WHERE id = $job"),
	'paused|the role that owns it does not exist any more', 'a role that is dropped while its job is throttled');
sql("SELECT safe_migrate.configure($job, 'throttle_query', NULL), safe_migrate.reassign($job, 'heir')");
sql("GRANT SELECT, UPDATE ON orders TO heir; SELECT safe_migrate.resume($job)");
ends_right($job, 'reassigned to another role, too');

# ---- rights revoked: failed, with what is missing; granted again and retried: complete
fresh();
sql('GRANT SELECT, UPDATE ON orders TO heir');
$job = queue(as => 'heir');
at_work($node, $job);
sql('REVOKE UPDATE ON orders FROM heir');
wait_for_state($node, $job, 'failed');
is(sql("SELECT error_sqlstate, error_message FROM safe_migrate.jobs WHERE id = $job"),
	'42501|permission denied for table orders', 'a right that is revoked counts from the next batch on');
sql("GRANT UPDATE ON orders TO heir; SELECT safe_migrate.retry($job)");
ends_right($job, 'granted again and retried');

# ---- crashes between work and bookkeeping: the row that is written last is a long time coming
sql(q{CREATE TABLE public.slow (way text); GRANT SELECT ON slow TO public;
	CREATE FUNCTION public.take_your_time() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF EXISTS (SELECT FROM public.slow WHERE way = tg_table_name) THEN PERFORM pg_sleep(100); END IF;
		RETURN new;
	END $$;
	CREATE TRIGGER slow BEFORE UPDATE ON safe_migrate.slice FOR EACH ROW EXECUTE FUNCTION public.take_your_time();
	CREATE TRIGGER slow BEFORE UPDATE ON safe_migrate.step FOR EACH ROW WHEN (new.state = 'done') EXECUTE FUNCTION public.take_your_time()});
for my $table ('slice', 'step')
{
	fresh();
	sql("INSERT INTO slow VALUES ('$table')");
	$job = queue(fast => 1);
	wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker' AND wait_event = 'PgSleep'});
	my ($pid) = worker_pids($node);
	sql('DELETE FROM slow');
	kill_hard($node, $pid);
	ends_right($job, "killed while its $table was written");
}

# ---- a claim that an abort has lost, and somebody else has now: nothing is written without it
my $engine = is_installed('safe_migrate_engine');
sql('CREATE EXTENSION safe_migrate_engine') if $engine;
sql(q{CREATE TABLE gate (); GRANT SELECT ON gate TO public;
	CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF EXISTS (SELECT FROM public.gate) THEN PERFORM pg_sleep(100); END IF;
		RETURN new;
	END $$;
	CREATE FUNCTION steal(class regclass, job bigint, sub int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
		PERFORM pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker';
		FOR try IN 1 .. 30000 LOOP
			EXIT WHEN engine_claim(class, job, sub);
			PERFORM pg_sleep(0.001);
		END LOOP;
		RETURN engine_claim(class, job, sub);
	END $$});
for my $case ($engine ? ([ 'slice', 1 * 8192 + 1 ], [ 'job', 0 ]) : ())
{
	my ($table, $sub) = @$case;
	fresh();
	sql(q{INSERT INTO gate DEFAULT VALUES;
		CREATE TRIGGER at_gate BEFORE UPDATE ON orders FOR EACH ROW WHEN (new.id = 10000) EXECUTE FUNCTION wait_at_gate()});
	$job = queue(fast => 1);
	wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker' AND wait_event = 'PgSleep'});
	sql('DELETE FROM gate');
	my $thief = $node->background_psql('postgres');
	is($thief->query_safe("BEGIN; SELECT steal('safe_migrate.$table', $job, $sub)"), 't', "the claim of the $table is somebody else's");
	$before = rows_written();
	wait_for($node, "SELECT retries = 1 FROM safe_migrate.jobs WHERE id = $job");
	sql('SELECT pg_sleep(2)');
	is(rows_written(), $before, 'nothing is written meanwhile');
	is(state_of($node, $job), 'running', 'the job waits for it');
	$thief->query_safe('COMMIT');
	$thief->quit;
	ends_right($job, "a claim of its $table that was lost and found");
}

# ---- a batch waits for others no longer than 50 ms; after that the next ones are half as long, so that what
# comes before the row that waits is done without it
sql(q{CREATE TABLE three (id int PRIMARY KEY, limits text, status text);
	INSERT INTO three SELECT generate_series(1, 3);
	CREATE FUNCTION wait_in_row() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		new.status := current_setting('lock_timeout');
		IF new.id = 1 THEN
			PERFORM pg_sleep(0.03);
		ELSIF new.id = 2 THEN
			PERFORM pg_advisory_xact_lock_shared(42);
		END IF;
		RETURN new;
	END $$;
	CREATE TRIGGER wait_in_row BEFORE UPDATE ON three FOR EACH ROW EXECUTE FUNCTION wait_in_row()});
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(42)');
$job = sql(q{SELECT safe_migrate.backfill('three', 'limits = current_setting($$lock_timeout$$)', settings => '{"batch_time": "200ms"}')});
wait_for($node, 'SELECT limits IS NOT NULL FROM three WHERE id = 1');
is(sql('SELECT count(limits) FROM three WHERE id > 1'), '0', 'a batch that is cut short commits what comes before the row that waits');
cmp_ok(sql("SELECT retries FROM safe_migrate.jobs WHERE id = $job"), '>', 0, 'after it was tried in longer ones');
$holder->quit;
wait_for_state($node, $job, 'succeeded');
is(sql('SELECT DISTINCT limits, status FROM three'), '50ms|50ms', 'in expressions and triggers lock_timeout is 50 ms');

# ---- a crash does not begin the table again: the cursor is stored with the batches, about once a second
fresh();
sql(q{ALTER TABLE orders SET (fillfactor = 50)});
sql('VACUUM FULL orders');
$job = queue();
sql("SELECT safe_migrate.configure($job, 'nice_ratio', '100')"); # so that it is far from its end
my $cursor = "SELECT max(cursor_block) FROM safe_migrate.slice WHERE job_id = $job";
wait_for($node, "SELECT ($cursor) > 1");
my ($worker) = worker_pids($node);
sql('CREATE TABLE flushed ()'); # with the batches before it, which commit asynchronously
kill_hard($node, $worker);
sql('UPDATE orders SET status_v2 = NULL, writes = 0 WHERE id = 1');
is(sql(q{SELECT ctid < '(1,0)' FROM orders WHERE id = 1}), 't', 'a row behind the cursor matches again');
$before = rows_written();
wait_for($node, "SELECT count(status_v2) > $before + 100 FROM orders");
is(sql("SELECT (SELECT status_v2 IS NULL FROM orders WHERE id = 1), pass FROM safe_migrate.step WHERE job_id = $job"), 't|1',
	'the pass goes on where it stood');
ends_right($job, 'a later pass finds it');

sql(q{CREATE SEQUENCE saves; GRANT ALL ON saves TO public;
	CREATE FUNCTION count_saves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('public.saves'); RETURN new; END $$;
	CREATE TRIGGER count_saves BEFORE UPDATE ON safe_migrate.slice FOR EACH ROW EXECUTE FUNCTION count_saves()});
fresh();
ends_right(queue(fast => 1), 'at full speed');
my $batches = sql('SELECT count(DISTINCT xmin::text) FROM orders');
my $saves = sql('SELECT last_value FROM saves');
cmp_ok($saves, '<', $batches / 2, "the cursor is stored seldom: $saves times in $batches batches");

my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC:|TRAP:|signal 11|signal 6/, 'nothing crashed but what was killed');
done_testing();
