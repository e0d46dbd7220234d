# Old snapshots on a standby: replaying ACCESS EXCLUSIVE there stops readers, and waits for those that
# are there.  So a step waits for them first, says for whom, goes on when they are gone, and
# gives up when its patience is over.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('primary',
	allows_streaming => 1,
	'safe_migrate.guard' => 'off',
	'safe_migrate.inline' => 'never',
	'safe_migrate.max_replica_lag' => '0');
$node->safe_psql('postgres', q{CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g});
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', <<'CONF');
hot_standby_feedback = on
wal_receiver_status_interval = 1s
max_standby_streaming_delay = -1
CONF
$standby->start;

sub sql { return $node->safe_psql('postgres', @_); }
my $feedback = q{SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming' AND backend_xmin};

# A snapshot on the standby that the primary knows of, and transaction ids handed out after it.
sub begin_reading
{
	my $reader = $standby->background_psql('postgres');
	$node->wait_for_catchup($standby);
	$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t');
	my $xid = sql('SELECT pg_current_xact_id()');
	$node->wait_for_catchup($standby);
	wait_for($node, "$feedback IS NOT NULL AND (SELECT backend_xmin::text::bigint FROM pg_stat_replication) <= $xid");
	return $reader;
}
sub waits_for_standby
{
	my ($job) = @_;
	wait_for($node, "SELECT condition LIKE '%old snapshots%' AND detail = 'standby \"standby\" holds an old snapshot'
		AND waiting_for_pid = (SELECT pid FROM pg_stat_replication) FROM safe_migrate.progress WHERE job_id = $job");
}

# ---- waits, says for whom, goes on when the reader ends
my $reader = begin_reading();
my $job = sql(q{SELECT safe_migrate.add_constraint_safely('t', 'CHECK (a > 0)', settings => '{"ddl_lock_retry": "1h"}')});
waits_for_standby($job);
is(sql(q{SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'c'}), 0, 'nothing is locked meanwhile');
is(sql("SELECT detail FROM safe_migrate.events WHERE job_id = $job AND kind = 'waiting for old snapshots'"),
	'standby "standby" holds an old snapshot', 'with an event that names the standby');
$reader->query_safe('COMMIT');
wait_for_state($node, $job, 'succeeded');
pass('goes on when the reader has ended');

# ---- told to stop while it waits
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t');
sql('SELECT pg_current_xact_id()');
$job = sql(q{SELECT safe_migrate.drop_constraint_safely('t', 't_a_check', settings => '{"ddl_lock_retry": "1h"}')});
waits_for_standby($job);
sql("SELECT safe_migrate.cancel($job)");
wait_for($node, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker')});
is(sql(q{SELECT count(*) FROM pg_constraint WHERE conname = 't_a_check'}), 1, 'a cancel ends the wait');

# ---- no ACCESS EXCLUSIVE, no wait
$job = sql(q{SELECT safe_migrate.create_index_safely('CREATE INDEX ON t (a)', settings => '{"ddl_lock_retry": "1h"}')});
wait_for_state($node, $job, 'succeeded');
is(sql("SELECT count(*) FROM safe_migrate.events WHERE job_id = $job AND kind = 'waiting for old snapshots'"), 0,
	'a step that stops no reader does not wait');

# ---- patience is over: the error names the standby, nothing is done; one that stops no job is not
# waited for
$job = sql(q{SELECT safe_migrate.drop_constraint_safely('t', 't_a_check', settings => '{"ddl_lock_retry": "1s"}')});
waits_for_standby($job);
wait_for_state($node, $job, 'failed');
is(sql("SELECT error_sqlstate, error_message, error_detail FROM safe_migrate.jobs WHERE id = $job"),
	'55P03|old snapshots on standby "standby" did not end within 1s|Replaying the ACCESS EXCLUSIVE lock there would stop its readers.',
	'after its patience it gives up, with who was in the way');
is(sql(q{SELECT count(*) FROM pg_constraint WHERE conname = 't_a_check'}), 1, 'nothing is done');
configure_server($node, 'safe_migrate.replica_lag_ignore' => 'standby');
sql("SELECT safe_migrate.retry($job)");
wait_for_state($node, $job, 'succeeded');
is($reader->query_safe('SELECT 1'), 1, 'goes on in spite of the reader of a standby that stops no job');
configure_server($node, 'safe_migrate.replica_lag_ignore' => '');
$reader->query_safe('COMMIT');
$reader->quit;

# ---- by a slot's xmin
$node->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('of_standby')});
$standby->append_conf('postgresql.conf', "primary_slot_name = 'of_standby'");
$standby->restart;
$feedback = q{SELECT count(*) = 1 FROM pg_replication_slots WHERE active AND xmin};
wait_for($node, "$feedback IS NOT NULL");
$reader = $standby->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t');
sql('SELECT pg_current_xact_id()');
$job = sql(q{SELECT safe_migrate.add_constraint_safely('t', 'CHECK (a > 0)', settings => '{"ddl_lock_retry": "1h"}')});
waits_for_standby($job);
$reader->query_safe('COMMIT');
wait_for_state($node, $job, 'succeeded');
pass('the same where the standby has a slot');
$reader->quit;

stays_clean($node);
stays_clean($standby);
$standby->stop;
$node->stop;
done_testing();
