# CREATE INDEX CONCURRENTLY and its kin hold a lock on the table, and wait for the snapshots and locks of
# others: of a guarded statement that waits for that very lock, too.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

# A wait that nothing ends lasts longer than the test.
my $node = new_server('concurrently',
	autovacuum => 'off',
	deadlock_timeout => '100ms',
	'safe_migrate.guard' => 'enforce',
	'safe_migrate.ddl_lock_try' => '200ms',
	'safe_migrate.ddl_lock_retry' => '1h',
	'safe_migrate.max_lock_hold' => '0');

sub sql { return $node->safe_psql('postgres', @_); }

sql(q{
	CREATE TABLE orders (id int PRIMARY KEY, status text);
	CREATE TABLE other (id int);
	INSERT INTO orders SELECT i, 'new' FROM generate_series(1, 100) i;
});

sub start
{
	my ($sql, $name) = @_;
	my %session = (name => $name, out => '', err => '');
	my $script = PostgreSQL::Test::Utils::tempdir() . "/$name.sql";
	append_to_file($script, "\\set VERBOSITY verbose\nSET client_min_messages = warning;\n$sql\n");
	$session{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . " application_name='$name'", '-f', $script ],
		'>', \$session{out}, '2>', \$session{err}, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%session;
}

sub finish
{
	my ($session) = @_;
	$session->{run}->finish;
	return $session->{out} . $session->{err};
}

sub job { return "SET safe_migrate.inline = never; CALL safe_migrate.wait(safe_migrate.create_index_safely('$_[0]'))"; }

sub session { return $node->background_psql('postgres', on_error_stop => 0); }

sub wait_until { my ($name, $what) = @_; return wait_for($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '$name' AND $what"); }

my $pauses = "state = 'active' AND wait_event_type = 'Extension'";
my $n = 0;

# ---------------------------------------------------------------- a statement by itself

# The index is begun before, and waits for the snapshots that are older than its end.
for my $build ('CREATE INDEX CONCURRENTLY orders_status ON orders (status)', 'REINDEX TABLE CONCURRENTLY orders',
	job('CREATE INDEX ON orders (id, status)'))
{
	$n++;
	my $writer = session();
	$writer->query_safe("BEGIN; INSERT INTO orders VALUES ($n * 1000, 'new')");
	my $index = start($build, "index_$n");
	wait_for($node, "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'orders'::regclass AND mode = 'ShareUpdateExclusiveLock' AND granted");
	my $alter = start("ALTER TABLE orders ADD COLUMN note_$n text", "alter_$n");
	wait_until("alter_$n", "$pauses AND backend_xmin IS NULL");
	pass("$build: a statement that waits outside of the queue holds no snapshot");
	$writer->query_safe('COMMIT');
	$writer->quit;
	is(finish($index) . finish($alter), '', 'both come to their end');
}
is(sql('SELECT count(*) FROM pg_index WHERE NOT indisvalid'), '0', 'all indexes are valid');
is(sql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname LIKE 'note%'"), $n, 'all columns are there');

# ---------------------------------------------------------------- one that can't let go

# What its transaction holds is waited for: they would stand still, both of them.
for my $case (
	[ 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM other', 'ALTER TABLE orders ADD COLUMN more text', 'CREATE INDEX CONCURRENTLY more ON orders (status)' ],
	[ 'BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO other VALUES (1)', 'CREATE TRIGGER no AFTER INSERT ON orders EXECUTE FUNCTION suppress_redundant_updates_trigger()', 'REINDEX TABLE CONCURRENTLY orders' ],
	[ 'BEGIN; UPDATE orders SET status = status WHERE id = 1', 'ALTER TABLE orders ADD COLUMN more text', 'CREATE INDEX CONCURRENTLY more ON orders (status)' ],
	[ 'BEGIN; DECLARE c CURSOR FOR SELECT * FROM other', 'ALTER TABLE orders ADD COLUMN more text', job('CREATE INDEX ON orders (status, id)') ])
{
	my ($begin, $statement, $other) = @$case;
	sql('DROP INDEX IF EXISTS more');
	my $session = session();
	$session->query_safe("\\set VERBOSITY verbose\n$begin");
	my $work = start($other, 'work_' . ++$n);
	wait_for($node, "SELECT count(*) > 0 FROM pg_locks l WHERE NOT granted AND locktype IN ('virtualxid', 'transactionid', 'relation')
		AND EXISTS (SELECT FROM pg_locks WHERE pid = l.pid AND relation = 'orders'::regclass AND mode = 'ShareUpdateExclusiveLock' AND granted)");
	$session->query($statement);
	like($session->{stderr}, qr/^psql:<stdin>:\d+: ERROR:  40P01: deadlock detected\nDETAIL:  Process \d+ waits for \w+ on relation .*^HINT:  Roll the transaction back, and run the statement in one of its own\./ms,
		"$begin; $statement: it ends as the server would have it end");
	$session->{stderr} = '';
	$session->query_safe('ROLLBACK');
	$session->quit;
	is(finish($work), '', "$other goes on");
}
is(sql('SELECT count(*) FROM pg_index WHERE NOT indisvalid'), '0', 'all indexes are valid');
is(sql("SELECT count(*) FROM pg_attribute WHERE attname = 'more' AND attnum > 0"), '0', 'nothing was altered');

# In a function its caller's snapshot stays.
my $writer = session();
$writer->query_safe("BEGIN; INSERT INTO orders VALUES (100000, 'new')");
my $index = start('CREATE INDEX CONCURRENTLY later ON orders (status)', 'later');
wait_for($node, "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'orders'::regclass AND mode = 'ShareUpdateExclusiveLock' AND granted");
my $alter = start('DO $$ BEGIN ALTER TABLE orders ADD COLUMN later text; END $$', 'in_function');
wait_until('in_function', "$pauses AND backend_xmin IS NOT NULL");
$writer->query_safe('COMMIT');
$writer->quit;
like(finish($alter), qr/ERROR:  40P01: deadlock detected/, 'a DO block ends');
is(finish($index), '', 'and the index is built');

stays_clean($node);
done_testing();
