# Schema changes that wait: shown with who is in the way, given up with their names, cancelled without
# a wreck, completed by retry().
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('ops_control',
	'safe_migrate.guard' => 'off',
	'safe_migrate.inline' => 'never',
	'safe_migrate.ddl_lock_try' => '50ms');
$node->safe_psql('postgres', q{
	CREATE TABLE t (id bigint PRIMARY KEY, a int);
	INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g;
	CREATE TABLE p (id int, a int) PARTITION BY RANGE (id);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
	CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
	INSERT INTO p SELECT g, g FROM generate_series(0, 199) g;
});
sub sql { return $node->safe_psql('postgres', @_); }

sub queue
{
	my ($call) = @_;
	return sql("SELECT safe_migrate.$call");
}

# ---- an index that waits for an old snapshot
my $old = $node->background_psql('postgres');
my $old_pid = $old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_backend_pid()');
$old_pid =~ s/\D//g;
my $job = queue(q{create_index_safely('CREATE INDEX waits ON t (a)')});
wait_for($node, "SELECT waiting_for_pid = $old_pid AND condition = 'waiting for old snapshots' AND phase LIKE 'index: %'
	FROM safe_migrate.progress WHERE job_id = $job");
is(sql("SELECT waiting_for LIKE 'pid $old_pid, user %idle in transaction%' FROM safe_migrate.progress WHERE job_id = $job"), 't',
	'who holds the snapshot is told');
sql("SELECT safe_migrate.cancel($job)");
is(state_of($node, $job), 'cancelled', 'cancelled while it waits');
$old->query_safe('COMMIT');
wait_for($node, q{SELECT NOT EXISTS (SELECT FROM pg_class WHERE relname = 'waits')});
pass('the statement is interrupted, and its wreck is dropped');
sql("SELECT safe_migrate.retry($job)");
wait_for_state($node, $job, 'succeeded');
is(sql(q{SELECT indisvalid FROM pg_index WHERE indexrelid = 'waits'::regclass}), 't', 'retry() builds it');

# ---- cancelled in the midst of what goes on in several transactions: nothing is left, or it is told
$old->query_safe('BEGIN; LOCK TABLE t IN ROW EXCLUSIVE MODE');
$job = queue(q{reindex_safely('waits')});
wait_for($node, q{SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'waits_ccnew')});
sql("SELECT safe_migrate.cancel($job)");
$old->query_safe('COMMIT');
wait_for($node, q{SELECT NOT EXISTS (SELECT FROM pg_class WHERE relname = 'waits_ccnew')});
pass('what a cancelled REINDEX has begun to build is dropped');
$old->query_safe('BEGIN; LOCK TABLE t IN ACCESS SHARE MODE');
$job = queue(q{drop_index_safely('waits')});
wait_for($node, q{SELECT NOT indisvalid FROM pg_index WHERE indexrelid = 'waits'::regclass});
sql("SELECT safe_migrate.cancel($job)");
$old->query_safe('COMMIT');
wait_for($node, "SELECT EXISTS (SELECT FROM safe_migrate.events WHERE job_id = $job AND kind = 'left')");
is(sql("SELECT detail FROM safe_migrate.events WHERE job_id = $job AND kind = 'left'"),
	q{Where the index is left invalid (no longer used, but kept up to date): safe_migrate.retry() drops it, safe_migrate.reindex_safely('public.waits') makes it valid again.},
	'a cancelled DROP INDEX says what is left');
sql("SELECT safe_migrate.retry($job)");
wait_for_state($node, $job, 'succeeded');
is(sql(q{SELECT count(*) FROM pg_class WHERE relname ~ '^waits'}), 0, 'retry() completes it');

# ---- a lock that is not to be had
$old->query_safe('BEGIN; SELECT count(*) FROM t');
$job = queue(q{add_constraint_safely('t', 'CONSTRAINT c CHECK (a > 0)', settings => '{"ddl_lock_retry": "1s"}')});
wait_for($node, "SELECT condition = 'waiting for a lock' AND waiting_for_pid = $old_pid FROM safe_migrate.progress WHERE job_id = $job");
is(sql(q{SET lock_timeout = '60s'; SELECT count(*) FROM t}), 1000, 'others get by while it waits');
wait_for_state($node, $job, 'failed');
is(sql("SELECT error_sqlstate, error_message, error_detail FROM safe_migrate.jobs WHERE id = $job"),
	"55P03|could not get a lock within 1s|In the way: process $old_pid holds a lock on the table.", 'given up, with who was in the way');
is(sql("SELECT count(*) FROM safe_migrate.events WHERE job_id = $job AND kind = 'left'"), 0, 'nothing is left of it');
$old->query_safe('COMMIT');
sql("SELECT safe_migrate.retry($job)");
wait_for_state($node, $job, 'succeeded');

# ---- behind a transaction that has been open for long nobody queues: clients would wait behind the job
$old->query_safe('BEGIN; SELECT count(*) FROM t');
wait_for($node, "SELECT clock_timestamp() - xact_start > '5.1s' FROM pg_stat_activity WHERE pid = $old_pid");
$job = queue(q{add_constraint_safely('t', 'CONSTRAINT patient CHECK (a > 0)', settings => '{"ddl_lock_retry": "1h"}')});
wait_for($node, "SELECT condition = 'waiting for a lock' AND waiting_for_pid = $old_pid FROM safe_migrate.progress WHERE job_id = $job");
is(sql(q{SET statement_timeout = 0; DO $$ BEGIN FOR i IN 1 .. 100 LOOP
	IF EXISTS (SELECT FROM pg_locks WHERE relation = 't'::regclass AND NOT granted) THEN RAISE 'it queues'; END IF;
	PERFORM pg_sleep(0.02); END LOOP; END $$}), '', 'a job stays out of the queue behind an old transaction');
$old->query_safe('COMMIT');
wait_for_state($node, $job, 'succeeded');

# ---- who sits in the way may be ended, where that is wanted
my $idle = $node->background_psql('postgres', on_error_stop => 0);
$idle->query_safe('BEGIN; SELECT count(*) FROM t');
$job = queue(q{add_constraint_safely('t', 'CONSTRAINT ended CHECK (a > 0)', settings => '{"ddl_lock_retry": "1h", "terminate_blockers": "100ms"}')});
wait_for_state($node, $job, 'succeeded');
like(sql("SELECT detail FROM safe_migrate.events WHERE job_id = $job AND kind = 'notice'"), qr/^process \d+ was in the way for \d+ ms and was signalled$/,
	'a session idle in a transaction is ended, with an event');
sql('CREATE ROLE owner LOGIN; CREATE TABLE mine (a int); INSERT INTO mine VALUES (1); ALTER TABLE mine OWNER TO owner');
$old->query_safe('BEGIN; SELECT count(*) FROM mine');
$job = $node->safe_psql('postgres', q{SELECT safe_migrate.add_constraint_safely('mine', 'CHECK (a > 0)',
	settings => '{"ddl_lock_retry": "1s", "terminate_blockers": "100ms"}')}, extra_params => [ '-U', 'owner' ]);
wait_for_state($node, $job, 'failed');
like(sql("SELECT string_agg(detail, '|') FROM safe_migrate.events WHERE job_id = $job AND kind = 'notice'"), qr/could not be signalled/,
	'not one that the owner may not signal');
is($old->query_safe('SELECT count(*) FROM mine'), 1, 'who goes on');
$old->query_safe('COMMIT');

# ---- or their statement
$idle = $node->background_psql('postgres', on_error_stop => 0);
$idle->query_until(qr/reads/, "\\echo reads\nSELECT pg_sleep(1000), count(*) FROM t;\n");
wait_for($node, q{SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessShareLock' AND pid <> pg_backend_pid())});
$job = queue(q{add_constraint_safely('t', 'CONSTRAINT cancelled CHECK (a > 0)', settings => '{"ddl_lock_retry": "1h", "terminate_blockers": "100ms"}')});
wait_for($node, "SELECT condition = 'waiting for a lock' FROM safe_migrate.progress WHERE job_id = $job");
sql("SELECT safe_migrate.configure($job, 'cancel_blockers', '100ms')");
wait_for_state($node, $job, 'succeeded');
like(sql("SELECT string_agg(detail, '|') FROM safe_migrate.events WHERE job_id = $job AND kind = 'notice'"), qr/^process \d+ was in the way for \d+ ms and was signalled$/,
	'a statement in the way is cancelled only where that is wanted');
like(join('', $idle->query('SELECT 7')), qr/7/, 'its session goes on');
$idle->quit;

# ---- deadlocks that the server counts meanwhile are kept with the step
sql('CREATE TABLE ref (id int PRIMARY KEY); INSERT INTO ref SELECT generate_series(1, 1000)');
sql('CREATE TABLE d (id int PRIMARY KEY); INSERT INTO d VALUES (1), (2)');
my $deadlocks = sql(q{SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'});
$old->query_safe('BEGIN; SELECT count(*) FROM ref; LOCK TABLE ref IN ROW EXCLUSIVE MODE');
$job = queue(q{add_constraint_safely('t', 'CONSTRAINT refers FOREIGN KEY (a) REFERENCES ref', settings => '{"ddl_lock_retry": "1h"}')});
wait_for($node, "SELECT condition = 'waiting for a lock' FROM safe_migrate.progress WHERE job_id = $job");
my @pair = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;
$pair[$_]->query_safe('BEGIN; SELECT FROM d WHERE id = ' . ($_ + 1) . ' FOR UPDATE') for 0, 1;
# one is the victim, the other goes on: whichever it is
$pair[0]->query_until(qr/waits/, "\\echo waits\nSELECT FROM d WHERE id = 2 FOR UPDATE;\n");
eval { $pair[1]->query('SELECT FROM d WHERE id = 1 FOR UPDATE') };
$_->quit for @pair;
wait_for($node, "SELECT deadlocks = $deadlocks + 1 FROM pg_stat_database WHERE datname = 'postgres'");
$old->query_safe('COMMIT');
wait_for_state($node, $job, 'succeeded');
is(sql("SELECT string_agg(deadlocks_before || ' to ' || deadlocks_after, ', ' ORDER BY step_no) FROM safe_migrate.job_steps WHERE job_id = $job"),
	join(', ', "$deadlocks to " . ($deadlocks + 1), ($deadlocks + 1) . ' to ' . ($deadlocks + 1)),
	'the deadlocks that were counted while a step ran are kept with it');

# ---- what somebody else is about to make is neither waited for nor taken for a mistake when it is queued
$old->query_safe('BEGIN; CREATE TYPE coming AS ENUM ()');
$job = queue(q{apply('CREATE TYPE coming AS ENUM ()')});
wait_for($node, q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker' AND wait_event = 'transactionid')});
$old->query_safe('ROLLBACK');
wait_for_state($node, $job, 'succeeded');

# ---- half way: what is done stays, is told, and can be undone or completed
$job = queue(q{add_constraint_safely('p', 'CONSTRAINT half CHECK (a < 150)')});
wait_for_state($node, $job, 'failed');
like(sql("SELECT detail FROM safe_migrate.events WHERE job_id = $job AND kind = 'left'"), qr/^2 of 4 steps are done and stay/, 'what is left is told');
like(sql("SELECT error_hint FROM safe_migrate.jobs WHERE id = $job"), qr/^The constraint stays NOT VALID: .* call safe_migrate.retry\(\)/, 'with the error in words of its own');
is(sql("SELECT undo FROM safe_migrate.job_steps WHERE job_id = $job AND undo IS NOT NULL"), 'ALTER TABLE public.p DROP CONSTRAINT IF EXISTS half',
	'and how it is undone');
like(sql("SELECT error_detail FROM safe_migrate.jobs WHERE id = $job"), qr/^Rows in the way: 50, for example/, 'with the rows in the way');
sql('UPDATE p SET a = 0 WHERE a >= 150');
sql("SELECT safe_migrate.retry($job)");
wait_for_state($node, $job, 'succeeded');
is(sql(q{SELECT bool_and(convalidated) FROM pg_constraint WHERE conname = 'half'}), 't', 'retry() completes it');

sql(q{CREATE FUNCTION fails() RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE ''no value'' USING HINT = ''None.''; END'});
$job = queue(q{add_column_safely('t', 'never int DEFAULT fails()')});
wait_for_state($node, $job, 'failed');
like(sql("SELECT error_hint FROM safe_migrate.jobs WHERE id = $job"), qr/^None\.\n1 of \d steps are done and stay: .* retry\(\) goes on\.$/, 'or counted, after the hint of the error itself');

# ---- paused between two steps, the server restarted: it goes on from there
$old->query_safe('BEGIN; SELECT count(*) FROM p');
$job = queue(q{add_not_null_safely('p', 'a', settings => '{"ddl_lock_retry": "1h"}')});
wait_for($node, "SELECT condition = 'waiting for a lock' FROM safe_migrate.progress WHERE job_id = $job");
sql("SELECT safe_migrate.pause($job)");
wait_for($node, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker')});
$old->quit;
$node->restart;
is(state_of($node, $job), 'paused', 'still paused after a restart');
sql("SELECT safe_migrate.resume($job)");
wait_for_state($node, $job, 'succeeded');
is(sql(q{SELECT bool_and(attnotnull) FROM pg_attribute WHERE attname = 'a' AND attrelid IN ('p'::regclass, 'p1'::regclass, 'p2'::regclass)}), 't',
	'done on all partitions');
is(sql(q{SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND conname LIKE '%not_null%'}), 0, 'what proved it is gone');
stays_clean($node);
$node->stop;
done_testing();
