# Nobody waits longer than max_lock_hold behind the lock of a job's step, whatever its statement goes on to do: it is
# rolled back, tried again, and given up with the words of the limit; while nobody waits, it may take its time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

my $node = new_server('ops_hold',
	'safe_migrate.guard' => 'off', 'safe_migrate.inline' => 'never', 'safe_migrate.small_table_size' => '100MB',
	'safe_migrate.max_lock_hold' => '500ms');

sub sql { return $node->safe_psql('postgres', @_); }

# A CHECK that waits for as long as somebody holds the advisory lock 1; not where it is tried, when it is queued.
sql(q{
	CREATE TABLE t (id int PRIMARY KEY);
	INSERT INTO t SELECT generate_series(1, 10);
	CREATE FUNCTION waits(id int) RETURNS bool LANGUAGE plpgsql AS $$
	BEGIN
		IF (SELECT backend_type FROM pg_stat_activity WHERE pid = pg_backend_pid()) LIKE 'safe_migrate%' THEN WHILE NOT pg_try_advisory_xact_lock_shared(1) LOOP PERFORM pg_sleep(0.05); END LOOP; END IF;
		RETURN true;
	END $$;
});
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(1)');

my $job = sql("SELECT safe_migrate.apply('ALTER TABLE t ADD CONSTRAINT c CHECK (waits(id))')");
wait_for($node, q{SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessExclusiveLock' AND granted)});
is(sql(q{SELECT pg_sleep(1.2); SELECT state, retries FROM safe_migrate.jobs}), "\nrunning|0", 'while nobody waits the step takes its time');

# a client comes again and again: each time the step goes
my $clients = 0;
while (state_of($node, $job) ne 'failed' && $clients < 500)
{
	is(sql(q{SET lock_timeout = '60s'; SELECT count(*) FROM t}), 10, 'a client gets its turn') if $clients++ < 3;
	sql(q{SET lock_timeout = '60s'; SELECT count(*) FROM t; SELECT pg_sleep(0.1)});
}
is(sql(q{SELECT state, error_sqlstate, error_message, error_hint ~ 'max_lock_hold' FROM safe_migrate.jobs}),
	'failed|57014|canceling statement because others wait for its locks|t', 'and in the end the job, in the words of the limit');
like(sql('SELECT error_detail FROM safe_migrate.jobs'), qr/has waited .* for a lock on "public\.t", .* the limit is 500 ms\./, 'with who waited, and how long');
is(sql(q{SELECT count(*) FROM safe_migrate.events WHERE kind = 'retry'}), 2, 'it is tried three times');
is(sql(q{SELECT count(*) FROM pg_constraint WHERE conname = 'c'}), 0, 'nothing is left');

# nobody is in the way any more
$holder->query_safe('SELECT pg_advisory_unlock(1)');
sql("SELECT safe_migrate.retry($job)");
wait_for_state($node, $job, 'succeeded');
is(sql(q{SELECT count(*) FROM pg_constraint WHERE conname = 'c'}), 1, 'retry() completes it');

# the rehearsal in the session that queues is bounded, too: by a function that ends when it is cancelled it is left, not
# known; by one that catches each cancel the session is ended as soon as somebody waits
sql(q{
	CREATE FUNCTION stays(id int) RETURNS bool LANGUAGE plpgsql STABLE AS $$
	BEGIN
		WHILE pg_backend_pid() = current_setting('test.queues', true)::int LOOP PERFORM count(*) FROM generate_series(1, 1000); END LOOP;
		RETURN true;
	END $$;
	CREATE FUNCTION stays_on(id int) RETURNS bool LANGUAGE plpgsql STABLE AS $$
	BEGIN
		LOOP BEGIN PERFORM stays(id); RETURN true; EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;
	END $$;
});
my $queues = q{SELECT set_config('test.queues', pg_backend_pid()::text, false); SELECT safe_migrate.apply('ALTER TABLE t ADD CONSTRAINT %s CHECK (%s(id))')};
like(sql(sprintf($queues, 'd', 'stays')), qr/^\d+$/m, 'what takes longer than a try is queued');
my $caller = $node->background_psql('postgres', on_error_stop => 0);
$caller->query_until(qr/begun/, sprintf("\\echo begun\n$queues;\n", 'e', 'stays_on'));
wait_for($node, q{SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
	WHERE relation = 't'::regclass AND mode = 'AccessExclusiveLock' AND granted AND query LIKE '%stays_on%')});
is(sql(q{SET lock_timeout = '60s'; SELECT count(*) FROM t}), 10, 'a client gets its turn while the function goes on');
wait_for($node, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%stays_on%' AND pid <> pg_backend_pid())});
is(sql(q{SELECT count(*) FROM safe_migrate.jobs WHERE definition LIKE '%stays_on%'}), 0, 'by a session that is ended');

# in a worker: its job says why it ended, and goes on
sql(q{
	CREATE FUNCTION stays_at_work(id int) RETURNS bool LANGUAGE plpgsql AS $$
	BEGIN
		LOOP BEGIN IF pg_try_advisory_xact_lock_shared(4) THEN RETURN true; END IF; PERFORM pg_sleep(0.05); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;
	END $$;
});
$holder->query_safe('SELECT pg_advisory_lock(4)');
$job = sql("SELECT safe_migrate.apply('ALTER TABLE t ADD CONSTRAINT f CHECK (stays_at_work(id))')");
my $why = '';
for (my $tries = 0; $why !~ /others waited/ && $tries < 300; $tries++)
{
	sql(q{SET lock_timeout = '60s'; SELECT count(*) FROM t; SELECT pg_sleep(0.1)});
	$why = sql("SELECT detail FROM safe_migrate.progress WHERE job_id = $job");
}
like($why, qr/^its worker ended and is started again: others waited for its locks: Process \d+ has waited .* on "public\.t"/, 'a worker that catches each cancel is ended, and its job says why');
$holder->query_safe('SELECT pg_advisory_unlock(4)');
wait_for_state($node, $job, 'succeeded');

# so is the statement that takes away what a failed step has left
sql(q{
	CREATE TABLE parts (id int) PARTITION BY RANGE (id);
	CREATE TABLE part (id int);
	INSERT INTO part VALUES (1), (100);
	CREATE FUNCTION waits_too() RETURNS event_trigger LANGUAGE plpgsql AS $$
	BEGIN
		WHILE NOT pg_try_advisory_xact_lock_shared(3) LOOP PERFORM pg_sleep(0.05); END LOOP;
	END $$;
	CREATE EVENT TRIGGER waits_too ON sql_drop EXECUTE FUNCTION waits_too();
});
$holder->query_safe('SELECT pg_advisory_lock(3)');
$job = sql(q{SELECT safe_migrate.attach_partition_safely('parts', 'part', 'FOR VALUES FROM (0) TO (10)')});
wait_for($node, q{SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'part'::regclass AND mode = 'AccessExclusiveLock' AND granted)});
my ($status, $rows) = $node->psql('postgres', q{SET lock_timeout = '20s'; SELECT count(*) FROM part});
is($rows, 2, 'a client gets its turn while what a failed step has left is taken away');
wait_for_state($node, $job, 'failed');
is(sql(qq{SELECT error_sqlstate, (SELECT count(*) FROM safe_migrate.events e
	WHERE e.job_id = $job AND kind = 'notice' AND detail ~ 'could not be taken away.*others wait') FROM safe_migrate.jobs WHERE id = $job}),
	'23514|1', 'which the job tells, besides its own error');
$holder->query_safe('SELECT pg_advisory_unlock(3)');
$holder->quit;
stays_clean($node);
$node->stop;
done_testing();
