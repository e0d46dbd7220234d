# A job that writes stops while a signal is over its limit, says why, and goes on by itself.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

my $primary = new_server('primary',
	allows_streaming => 'logical',
	max_prepared_transactions => '2',
	track_commit_timestamp => 'on',
	autovacuum => 'off',
	archive_mode => 'on',
	archive_command => 'exit 1',
	checkpoint_timeout => '1h',
	shared_buffers => '32MB', # dirty pages stay until a checkpoint writes them
	bgwriter_lru_maxpages => '0',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '5ms',
	'safe_migrate.nice_ratio' => '15',
	'safe_migrate.max_replica_lag' => '1s');
my $standby = new_standby($primary, 'standby_1');
make_orders($primary, 120_000);
$primary->safe_psql('postgres', 'CREATE ROLE app LOGIN; GRANT USAGE ON SCHEMA safe_migrate TO app');

sub sql { return $primary->safe_psql('postgres', @_); }

sub catch_up
{
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
	return;
}

sub empty_orders
{
	return sql('UPDATE orders SET status_v2 = NULL WHERE status_v2 <> $$kept$$; VACUUM orders');
}

# Queues a backfill of orders with settings of its own; returns its id.
my $jobs = 0;

sub backfill_orders
{
	my ($settings, $role) = @_;
	$settings //= '{}';
	$jobs++;
	empty_orders() if $jobs > 1;
	return sql(($role ? "SET ROLE $role;" : '') . "SELECT safe_migrate.backfill('orders',
		'status_v2 = upper(status)', job_name => 'fill $jobs', settings => '$settings')");
}

# Waits until throttled_by of the job matches; returns it.
sub wait_throttled
{
	my ($job, $like, $name) = @_;
	wait_for($primary, "SELECT throttled_by LIKE '$like' FROM safe_migrate.progress WHERE job_id = $job");
	my $reason = sql("SELECT throttled_by FROM safe_migrate.progress WHERE job_id = $job");
	pass("$name: $reason");
	return $reason;
}

sub configure
{
	my ($job, $setting, $value) = @_;
	$value = defined $value ? "'$value'" : 'NULL';
	return sql("SELECT safe_migrate.configure($job, '$setting', $value)");
}

# No more need for it to last.
sub hurry
{
	my ($job) = @_;
	configure($job, @$_) for [ nice_ratio => 0 ], [ batch_time => '200ms' ];
	return;
}

sub is_complete
{
	my ($job, $name) = @_;
	wait_for_state($primary, $job, 'succeeded');
	is(sql('SELECT count(*) FROM (TABLE orders EXCEPT TABLE expected) d'), '0', $name);
	return;
}

# ---------------------------------------------------------------- a standby whose replay is paused

catch_up();
my $job = backfill_orders();
wait_for($primary, "SELECT rows > 5000 FROM safe_migrate.progress WHERE job_id = $job");
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
my $reason = wait_throttled($job, 'standby "standby_1" is % behind, limit 1 s',
	'over the limit it stops and says for which standby');
is(state_of($primary, $job), 'running', 'throttled is a condition, not a state');
is(sql("SELECT condition FROM safe_migrate.progress WHERE job_id = $job"), 'throttled', 'condition in progress');
cmp_ok(sql("SELECT replica_lag_seconds > 1 FROM safe_migrate.progress WHERE job_id = $job"),
	'eq', 't', 'progress shows the lag');
like(sql("SELECT readings FROM safe_migrate.progress WHERE job_id = $job"),
	qr/^replica lag \d.* of 1 s \(standby "standby_1"\), inactive slot none, limit 10 GB, lock waiters 0 of 0$/,
	'and what each limit that is on reads');
is(sql("SELECT count(*) FROM pg_locks l JOIN safe_migrate.progress p ON l.pid = ANY (p.worker_pids)
	WHERE p.job_id = $job AND l.relation = 'orders'::regclass"), '0', 'it holds no lock of the table meanwhile');
is(sql("SELECT count(*) FROM pg_stat_activity a JOIN safe_migrate.progress p ON a.pid = ANY (p.worker_pids)
	WHERE p.job_id = $job AND a.backend_xmin IS NOT NULL"), '0', 'nor a snapshot');

# The limit was passed a limit's length after the first commit that the standby has not replayed,
# which comes after the last that it has.
wait_for($primary, "SELECT replica_lag_seconds > 5 FROM safe_migrate.progress WHERE job_id = $job");
my $replayed = $standby->safe_psql('postgres', 'SELECT pg_last_xact_replay_timestamp()');
my $written = sql("SELECT max(pg_xact_commit_timestamp(xmin)) FROM orders WHERE status_v2 <> 'kept'");
my $first = sql("SELECT min(pg_xact_commit_timestamp(xmin)) FROM orders
	WHERE status_v2 <> 'kept' AND pg_xact_commit_timestamp(xmin) > '$replayed'");
is(sql("SELECT '$written'::timestamptz < '$first'::timestamptz + interval '1s' + interval '2s'"), 't',
	"no batch commits later than 2 s after the lag passes the limit ($first: $written)");
my $rows = sql("SELECT count(*) FROM orders WHERE status_v2 <> 'kept'");
cmp_ok($rows, '>', 0, 'it had begun');
cmp_ok($rows, '<', 108_000, 'and not come to the end');
like(sql("SELECT detail FROM safe_migrate.events WHERE job_id = $job AND kind = 'throttled' ORDER BY id LIMIT 1"),
	qr/^(standby "standby_1"|replica lag)/, 'an event tells of it');

hurry($job);
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
is_complete($job, 'it goes on by itself once the standby has caught up, and ends as one UPDATE would');
cmp_ok(sql("SELECT count(*) FROM safe_migrate.events WHERE job_id = $job AND kind = 'throttle ended'"),
	'>', 0, 'an event tells of the end');

# ---------------------------------------------------------------- half of the limit

configure_server($primary, 'safe_migrate.max_replica_lag' => '0');
empty_orders();
catch_up(); # so that what is behind is of the job, and much less than all that it writes
$job = backfill_orders('{"max_replica_lag_bytes": "1MB"}');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
wait_throttled($job, 'standby "standby_1" is % behind, limit 1 MB', 'bytes over the limit');
# a little above what it lags now: no more than the limit, but more than half of it (what others write, as an
# autovacuum, adds to it meanwhile)
my $lag;
for my $look (0 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
{
	last if $lag && sql("SELECT throttled_by LIKE '%goes on at%' FROM safe_migrate.progress WHERE job_id = $job") eq 't';
	if ($look % 20 == 0)
	{
		$lag = sql("SELECT (pg_wal_lsn_diff(pg_current_wal_flush_lsn(), replay_lsn) / 1024)::int FROM pg_stat_replication");
		configure($job, 'max_replica_lag_bytes', int($lag * 1.5) . 'kB');
	}
	select undef, undef, undef, 0.1;
}
wait_throttled($job, 'standby "standby_1" is % behind, goes on at %', 'between half and the whole limit it stays stopped');
my $stopped_at = sql("SELECT rows FROM safe_migrate.progress WHERE job_id = $job");
configure($job, 'max_replica_lag_bytes', int($lag * 2.5) . 'kB');
wait_for($primary, "SELECT rows > $stopped_at AND throttled_by LIKE '%behind, limit%' FROM safe_migrate.progress WHERE job_id = $job");
pass('under half of it, it goes on until the limit is passed again');

# ---------------------------------------------------------------- standbys that may lag

hurry($job);
configure_server($primary, 'safe_migrate.replica_lag_ignore' => 'other, STANDBY_1');
is_complete($job, 'a standby put on the ignore list stops it no more');

configure_server($primary, 'safe_migrate.replica_lag_ignore' => '', 'safe_migrate.max_replica_lag' => '1s');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
catch_up();
$standby->append_conf('postgresql.conf', "recovery_min_apply_delay = '1h'");
$standby->reload;
$job = backfill_orders();
wait_throttled($job, 'standby "standby_1" is % behind, limit 1 s', 'a standby with recovery_min_apply_delay stops it, and is named');
hurry($job);
configure_server($primary, 'safe_migrate.replica_lag_ignore' => 'standby_1', 'safe_migrate.nice_ratio' => 0,
	'safe_migrate.batch_time' => '200ms');
is_complete($job, 'on the ignore list it does not');

# ---------------------------------------------------------------- a dead slot

sql(q{SELECT pg_create_physical_replication_slot('dead', true)});
$job = backfill_orders();
is_complete($job, 'a slot that nobody reads from does not stop it for its lag');
configure_server($primary, 'safe_migrate.max_slot_retained' => '1MB');
$job = backfill_orders();
wait_throttled($job, 'inactive slot "dead" retains % of WAL, limit 1 MB', 'for the WAL it keeps it does, and is named');
sql(q{SELECT pg_drop_replication_slot('dead')});
is_complete($job, 'with the slot gone it goes on by itself');

# ---------------------------------------------------------------- all other signals, on a job that waits

sql('CREATE TABLE gate (closed boolean); INSERT INTO gate VALUES (true); GRANT SELECT ON gate TO app;
	GRANT SELECT, UPDATE ON orders TO app');
$job = backfill_orders('{"throttle_query": "SELECT closed FROM gate"}', 'app');
my $held = "the job''s throttle query returned true";
wait_throttled($job, $held, 'a throttle query');

# what progress calls the reading that a setting limits
my %reading = (
	max_horizon_age => 'horizon age', max_wal_rate => 'WAL rate', max_archive_backlog => 'archive backlog',
	max_active_backends => 'active backends', max_table_write_rate => 'table writes',
	pause_for_checkpoints => 'checkpoint', max_replica_lag => 'replica lag');

sub signal_stops
{
	my ($setting, $value, $like, $cause, $remove) = @_;
	$cause->() if $cause;
	configure($job, $setting, $value);
	wait_throttled($job, $like, $setting);
	wait_for($primary, "SELECT readings ~ '(^|, )$reading{$setting} (\\d|stop|go)' FROM safe_migrate.progress WHERE job_id = $job");
	$remove->() if $remove;
	configure($job, $setting, undef) unless $remove;
	wait_throttled($job, $held, "$setting lets go");
	configure($job, $setting, undef);
	return;
}

my $session;
signal_stops('max_horizon_age', 5, 'the oldest snapshot (backend %) is % transactions old, limit 5', sub {
	$session = $primary->background_psql('postgres');
	$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$session->query_safe('SELECT 1');
	sql('SELECT pg_current_xact_id()') for 1 .. 20;
}, sub { $session->query_safe('COMMIT') });
signal_stops('max_horizon_age', 5, 'the oldest snapshot (backend %', sub {
	$session->query_safe('BEGIN');
	$session->query_safe('SELECT pg_current_xact_id()');
	sql('SELECT pg_current_xact_id()') for 1 .. 20;
}, sub { $session->query_safe('ROLLBACK') });
$session->quit;
signal_stops('max_horizon_age', 5, 'the oldest snapshot (prepared transaction "forgotten" of role "%" since 2%) is % transactions old, limit 5', sub {
	sql(q{BEGIN; CREATE TABLE prepared (); PREPARE TRANSACTION 'forgotten'});
	sql('SELECT pg_current_xact_id()') for 1 .. 20;
}, sub { sql(q{COMMIT PREPARED 'forgotten'}) });

# a standby that tells of its queries, without a slot and then with one
sub read_on_standby
{
	my (%settings) = @_;
	$standby->append_conf('postgresql.conf', "$_ = '$settings{$_}'") for sort keys %settings;
	$standby->restart;
	catch_up(); # what it has yet to replay could cancel its query
	$session = $standby->background_psql('postgres');
	$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$session->query_safe('SELECT 1');
	wait_for($primary, 'SELECT EXISTS (SELECT FROM pg_stat_replication WHERE backend_xmin IS NOT NULL)
		OR EXISTS (SELECT FROM pg_replication_slots WHERE xmin IS NOT NULL)');
	sql('SELECT pg_current_xact_id()') for 1 .. 20;
	return;
}
signal_stops('max_horizon_age', 5, 'the oldest snapshot (standby "standby_1") is %', sub {
	read_on_standby(hot_standby_feedback => 'on', recovery_min_apply_delay => 0, wal_receiver_status_interval => '1s')
}, sub { $session->quit });
sql(q{SELECT pg_create_physical_replication_slot('kept_for_it')});
signal_stops('max_horizon_age', 5, 'the oldest snapshot (slot "kept_for_it") is %', sub {
	read_on_standby(primary_slot_name => 'kept_for_it')
}, sub { $session->quit });
$standby->stop;
sql(q{SELECT pg_drop_replication_slot('kept_for_it')});

signal_stops('max_wal_rate', '1kB', 'the server writes % of WAL, limit 1 kB/s', sub {
	sql('CREATE TABLE noise AS SELECT i FROM generate_series(1, 1000000) i'); });
signal_stops('max_archive_backlog', 1, '% WAL segments wait to be archived, limit 1', sub {
	for (1 .. 3) { sql('SELECT pg_switch_wal()'); sql('CREATE TABLE t (); DROP TABLE t') } }, sub {
	configure_server($primary, archive_command => 'true') });
my @busy;
signal_stops('max_active_backends', 1, '% client backends are active, limit 1', sub {
	@busy = map { $primary->background_psql('postgres') } 1 .. 2;
	$_->query_until(qr/started/, "\\echo started\nSELECT pg_sleep(3600);\n") for @busy; }, sub {
	sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE $$SELECT pg_sleep(3600)%$$') });
eval { $_->quit } for @busy;
signal_stops('max_table_write_rate', 1, 'others write % rows/s to the table, limit 1', sub {
	sql('UPDATE orders SET status = status WHERE id <= 50000');
	configure($job, 'max_table_write_rate', 1);
	wait_throttled($job, 'table writes is unknown', 'table writes before the first two looks');
	wait_throttled($job, $held, 'table writes calm');
	sql('UPDATE orders SET status = status WHERE id <= 50000'); });
signal_stops('pause_for_checkpoints', 'on', 'a requested checkpoint runs', sub {
	$session = $primary->background_psql('postgres');
	# a spread one: it rests after each page that it writes, so there have to be some
	sql('UPDATE orders SET status = status WHERE id <= 5000');
	$session->query_until(qr/started/, "\\echo started\nSELECT pg_backup_start('slow', false);\n"); }, sub {
	sql('CHECKPOINT') });
$session->quit;

# a subscriber whose apply worker is held up, in another database of this server
sql('CREATE DATABASE subscriber');
sql('CREATE TABLE published (i int); CREATE PUBLICATION p FOR TABLE published');
sql(q{SELECT pg_create_logical_replication_slot('sub', 'pgoutput')});
$primary->safe_psql('subscriber', 'CREATE TABLE published (i int)');
$primary->safe_psql('subscriber', sprintf(q{CREATE SUBSCRIPTION sub CONNECTION '%s' PUBLICATION p
	WITH (create_slot = false, copy_data = false)}, $primary->connstr('postgres') =~ s/'/''/gr));
wait_for($primary, q{SELECT count(*) = 1 FROM pg_stat_replication WHERE application_name = 'sub'});
$session = $primary->background_psql('subscriber');
signal_stops('max_replica_lag', '300ms', 'subscriber "sub" is % behind, limit 300 ms', sub {
	$session->query_safe('BEGIN; LOCK published');
	sql('INSERT INTO published VALUES (1)');
}, sub { $session->query_safe('COMMIT') });
$session->quit;
$primary->safe_psql('subscriber', 'DROP SUBSCRIPTION sub');

# the throttle query itself
sql(q{CREATE FUNCTION writes() RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN UPDATE public.orders SET status = ''; RETURN false; END $$});
configure($job, 'throttle_query', 'SELECT writes()');
wait_throttled($job, q{the job''s throttle query failed: cannot execute UPDATE in a read-only transaction},
	'a query that writes');
configure($job, 'throttle_query', 'SELECT pg_sleep(60) IS NULL');
configure($job, 'throttle_query_timeout', '10ms');
wait_throttled($job, q{the job''s throttle query failed: canceling statement due to statement timeout},
	'a query that takes too long');
configure($job, 'throttle_query', 'SELECT closed FROM gate');
wait_throttled($job, $held, 'a query that works again');
sql('CREATE TABLE secret (closed boolean); INSERT INTO secret VALUES (true)');
configure($job, 'throttle_query', 'SELECT closed FROM secret');
wait_throttled($job, q{the job''s throttle query failed: permission denied for table secret}, 'a query that its owner may not make');
configure($job, 'throttle_query', q{SELECT current_user = ''app''});
wait_throttled($job, $held, 'a query is run as the owner');
configure($job, 'throttle_query', 'SELECT closed FROM gate');
sql('ALTER TABLE gate RENAME TO door; ALTER TABLE door RENAME closed TO shut;
	CREATE TABLE gate AS SELECT false AS closed; GRANT SELECT ON gate TO app');
wait_throttled($job, $held, 'a query whose table was renamed goes on with that table');
sleep 2;
wait_throttled($job, $held, 'and another one in its place is not asked');
sql('DROP TABLE door');
wait_throttled($job, q{the job''s throttle query failed: table public.gate is no longer what it was when the job was queued}, 'a query that fails');
configure($job, 'unknown_signal', 'go');
wait_for($primary, "SELECT throttled_by IS NULL FROM safe_migrate.progress WHERE job_id = $job");
is_complete($job, 'where unknown_signal is go, a failing query does not stop the job');

# ---------------------------------------------------------------- waiters behind a batch

# The batch that writes row 1 lasts until somebody waits for it; others come after it.
sql(<<'SQL');
CREATE TABLE small (id int PRIMARY KEY, v int);
INSERT INTO small SELECT i FROM generate_series(1, 20000) i;
CREATE FUNCTION last_until_waited_for() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted) LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN NULL;
END $$;
CREATE TRIGGER lasts AFTER UPDATE OF v ON small FOR EACH ROW WHEN (NEW.id = 1)
	EXECUTE FUNCTION last_until_waited_for();
SQL
$job = sql(q{SELECT safe_migrate.backfill('small', 'v = id', settings => '{"batch_time": "1ms"}')});
wait_for($primary, "SELECT count(*) = 1 FROM pg_stat_activity
	WHERE backend_type = 'safe_migrate worker' AND wait_event = 'PgSleep'");
sql('UPDATE small SET id = id WHERE id = 1'); # returns when the batch has ended
wait_for_state($primary, $job, 'succeeded');
is(sql("SELECT string_agg(detail, ';') FROM safe_migrate.events WHERE job_id = $job AND kind = 'throttled'"),
	"1 session waited for the worker's locks, limit 0", 'it lets those pass who waited for its locks');

# ---------------------------------------------------------------- who may go less strict

my $mine = backfill_orders('{"max_replica_lag": "500ms", "nice_ratio": 100}', 'app');
my ($code, $out, $error) = $primary->psql('postgres', "SET ROLE app; SELECT safe_migrate.configure($mine, 'max_replica_lag', '5s')");
like($error, qr/permission denied to set job setting "max_replica_lag" to 5s.*The server's limit is 1s.*GRANT SET ON PARAMETER/s,
	'an owner can make a limit stricter only');
is($primary->psql('postgres', "SET ROLE app; SELECT safe_migrate.configure($mine, 'max_replica_lag', '200ms')"), 0,
	'stricter is free');
sql('GRANT SET ON PARAMETER safe_migrate.max_replica_lag TO app');
is($primary->psql('postgres', "SET ROLE app; SELECT safe_migrate.configure($mine, 'max_replica_lag', '5s')"), 0,
	'with SET on the parameter he may go less strict');
$primary->psql('postgres', "SELECT safe_migrate.cancel($mine)"); # or it has ended

stays_clean($primary);
$primary->stop;
done_testing();
