# Processes that the guard leaves alone: logical replication applies what was decided elsewhere, and
# other extensions' background workers have nobody who would read an error.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

my $node = new_server('not_judged',
	autovacuum => 'off',
	wal_level => 'logical',
	max_wal_senders => '10',
	max_replication_slots => '10',
	log_lock_waits => 'on',
	deadlock_timeout => '10ms',
	'safe_migrate.guard' => 'enforce',
	'safe_migrate.small_table_size' => '0',
	'safe_migrate.rule_levels' => 'rename-table=reject, rename-column=reject, strong-lock=reject');
$node->safe_psql('postgres', 'CREATE DATABASE publisher');

sub sql { return $node->safe_psql('postgres', @_); }

sub log_since
{
	my ($log, $like) = @_;
	return join "\n", grep { /$like/ } split /\n(?=\d{4}-)/, slurp_file($node->logfile, $log);
}

my $tables = q{
	CREATE TABLE retyped AS SELECT i AS a FROM generate_series(1, 1000) i;
	CREATE TABLE renamed AS TABLE retyped; CREATE TABLE emptied AS TABLE retyped;
	CREATE TABLE deleted AS TABLE retyped; CREATE TABLE updated AS TABLE retyped; CREATE TABLE gone AS TABLE retyped;};

# As the session that made the tables may do what it likes with them.
sql($tables);

# What each of them has become, in a word.
my $became = q{SELECT concat_ws(' ', (SELECT atttypid::regtype FROM pg_attribute WHERE attrelid = 'retyped'::regclass AND attname = 'a'),
	to_regclass('renamed'), to_regclass('new_name'), (SELECT count(*) FROM emptied), (SELECT count(*) FROM deleted),
	(SELECT count(*) FROM updated WHERE a = 0), to_regclass('gone'))};
my $before = 'integer renamed 1000 1000 0 gone';
my $after = 'bigint new_name 0 0 1000';
my @harm = ('ALTER TABLE retyped ALTER a TYPE bigint', 'ALTER TABLE renamed RENAME TO new_name', 'TRUNCATE emptied',
	'DELETE FROM deleted', 'UPDATE updated SET a = 0', 'DROP TABLE gone');

# ---------------------------------------------------------------- logical replication

# A trigger of the subscriber's that fires in the apply worker does all of it.
my $all = join '; ', @harm;
sql(qq{
	CREATE TABLE orders (id int PRIMARY KEY, status text);
	-- the workers' own search_path is empty
	CREATE FUNCTION harm() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS \$\$
		BEGIN IF new.id IN (1, 1001) THEN $all; END IF; RETURN new; END \$\$;
	CREATE TRIGGER harm BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION harm();
	ALTER TABLE orders ENABLE ALWAYS TRIGGER harm});
like(error_of($node, "INSERT INTO orders VALUES (1)"), qr/ERROR:  SM001/, 'a trigger that a session fires is judged');
is(sql($became), $before, 'and does nothing');

$node->safe_psql('publisher', q{
	CREATE TABLE orders (id int PRIMARY KEY, status text);
	INSERT INTO orders SELECT i, 'new' FROM generate_series(1, 1000) i;
	CREATE PUBLICATION p FOR TABLE orders;
	SELECT pg_create_logical_replication_slot('s', 'pgoutput')});
my $log = -s $node->logfile;
sql(sprintf q{CREATE SUBSCRIPTION s CONNECTION '%s' PUBLICATION p WITH (create_slot = false)},
	$node->connstr('publisher') =~ s/'/''/gr);
wait_for($node, 'SELECT count(*) = 1000 FROM orders');
is(sql($became), $after, 'the copy of a table that is subscribed to is not judged, nor what it fires');

sql(q{ALTER TABLE new_name RENAME TO renamed_before} =~ s/^/SET safe_migrate.guard = off; /r);
sql('SET safe_migrate.guard = off; DROP TABLE retyped, renamed_before, emptied, deleted, updated');
sql($tables);
$node->safe_psql('publisher', q{INSERT INTO orders VALUES (1001, 'new')});
wait_for($node, 'SELECT count(*) = 1001 FROM orders');
is(sql($became), $after, 'nor is what the apply worker fires');
$node->safe_psql('publisher', q{SET safe_migrate.guard = off; UPDATE orders SET status = 'seen'});
wait_for($node, q{SELECT count(*) = 1001 FROM orders WHERE status = 'seen'});
$node->safe_psql('publisher', 'DELETE FROM orders WHERE id > 1; TRUNCATE orders');
wait_for($node, 'SELECT count(*) = 0 FROM orders');
pass('UPDATE, DELETE and TRUNCATE are applied');
is(log_since($log, qr/logical replication|is not safe|without having been judged/) =~ /is not safe|without having been judged|ERROR/ ? 1 : 0, 0,
	'without a word about it') or diag(log_since($log, qr/is not safe|without having been judged|ERROR/));
sql('ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s');

# ---------------------------------------------------------------- other extensions' workers

sql('SET safe_migrate.guard = off; DROP TABLE retyped, new_name, emptied, deleted, updated');
sql($tables);
my ($code, undef, $error) = $node->psql('postgres',
	q{CREATE FUNCTION run_in_worker(text) RETURNS void LANGUAGE c STRICT AS 'safe_migrate_test_worker', 'run_in_worker'});
SKIP:
{
	skip 'test/modules/foreign_worker is not installed', 1 if $code != 0;
	for my $statement (@harm)
	{
		like(error_of($node, $statement), qr/ERROR:  SM001/, "a session is refused: $statement");
		$log = -s $node->logfile;
		sql("SELECT run_in_worker('$statement')");
		my $said = log_since($log, qr{WARNING|ERROR|DETAIL|HINT});
		like($said, qr/WARNING:  \S+ (TABLE )?is not safe: .*DETAIL:  .*A session would get an error\./s, 'another worker is warned about');
		unlike($said, qr/ERROR|HINT:.*override/, 'and not refused');
	}
	is(sql($became), $after, 'it has done all of it');
	is(sql('SELECT count(*) FROM safe_migrate.audit'), '0', 'no override was needed');

	# nor is it delayed, or given a timeout
	my $holder = $node->background_psql('postgres');
	$holder->query_safe('BEGIN; SELECT count(*) FROM retyped');
	$log = -s $node->logfile;
	my $caller = IPC::Run::start([ 'psql', '-X', '-c', "SET safe_migrate.ddl_lock_try = '10ms'",
			'-c', "SELECT run_in_worker('ALTER TABLE retyped ADD COLUMN b int')", $node->connstr('postgres') ], '>', \my $out, '2>', \my $err);
	wait_for($node, q{SELECT now() - waitstart > interval '1 s' FROM pg_locks JOIN pg_stat_activity USING (pid)
		WHERE backend_type = 'other worker' AND NOT granted});
	is(scalar(() = slurp_file($node->logfile, $log) =~ /still waiting for AccessExclusiveLock/g), 1, 'it stays in the queue');
	$holder->query_safe('COMMIT');
	$holder->quit;
	$caller->finish;
	is(sql(q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'retyped'::regclass AND attname = 'b'}), '1', 'and gets its lock in the end');
}

stays_clean($node);
done_testing();
