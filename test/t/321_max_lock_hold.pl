# Nobody waits longer than max_lock_hold behind the transaction of a guarded statement: a statement
# that runs is cancelled, a session that idles is ended; while nobody waits, nothing happens.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

my $node = new_server('hold',
	allows_streaming => 1, # commits can wait for standbys
	autovacuum => 'off',
	'safe_migrate.guard' => 'enforce',
	'safe_migrate.ddl_lock_retry' => '1h',
	'safe_migrate.max_lock_hold' => '700ms');

sub sql { return $node->safe_psql('postgres', @_); }

sql(q{
	CREATE TABLE orders (id int PRIMARY KEY, status text);
	CREATE TABLE customers (id int PRIMARY KEY);
	CREATE TABLE log (line text);
	CREATE TABLE turns (turn int);
	INSERT INTO orders SELECT i, 'new' FROM generate_series(1, 100) i;
	CREATE FUNCTION slow(value text) RETURNS text LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_sleep(0.2); RETURN value; END $$;
});

# A client that waits for much longer than the limit fails; without the limit it would for ever.
sub client { return sql("SET lock_timeout = '60s'; SELECT count(*) FROM orders"); }

# A session whose statements come one by one; `ddl` goes first, and its session is checked to hold the
# lock.
sub begin
{
	my (@statements) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->{pid} = $session->query('SELECT pg_backend_pid()');
	$session->query('\set VERBOSITY verbose');
	$session->query($_) for 'BEGIN', @statements;
	return $session;
}

sub holds_lock
{
	my ($session, $relation) = @_;
	$relation //= 'orders';
	return sql("SELECT count(*) FROM pg_locks WHERE pid = $session->{pid} AND granted
		AND relation = '$relation'::regclass AND mode = 'AccessExclusiveLock'");
}

# Sends a statement without waiting for its end; told() has what was said about it.
sub send_statement
{
	my ($session, $sql) = @_;
	$session->query_until(qr/sent/, "\\echo sent\n$sql;\n");
	return;
}

sub is_running
{
	my ($session, $like) = @_;
	wait_for($node, "SELECT state = 'active' AND query LIKE '$like' FROM pg_stat_activity WHERE pid = $session->{pid}");
	return;
}

sub told
{
	my ($session) = @_;
	my $answer = $session->query('SELECT 1');
	my $said = $session->{stderr};
	$session->{stderr} = '';
	return $said;
}

sub is_gone
{
	my ($session, $name) = @_;
	wait_for($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $session->{pid}");
	pass($name);
	eval { $session->quit };
	return;
}

sub is_there
{
	my ($session, $name) = @_;
	return is(sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $session->{pid}"), '1', $name);
}

my $ddl = 'ALTER TABLE orders ADD COLUMN note text';

# ---------------------------------------------------------------- a statement that runs

my $session = begin($ddl);
is(holds_lock($session), '1', 'a transaction holds a strong lock');
send_statement($session, 'SELECT pg_sleep(3600)');
is_running($session, '%pg_sleep%');
is(client(), '100', 'who waits for it gets through');
my $said = told($session);
like($said, qr/ERROR:  57014: canceling statement because others wait for its locks/, 'since the statement is cancelled');
like($said, qr/DETAIL:  Process \d+ has waited \d+ ms for a lock on "public.orders", on which this transaction holds a lock in mode ACCESS EXCLUSIVE; the limit is 700 ms\./,
	'which says for whom');
like($said, qr/HINT:  .*safe_migrate\.max_lock_hold/, 'and by which setting');
is_there($session, 'the session goes on');
$session->query('ROLLBACK');
is($session->query("BEGIN; SELECT 'fine' FROM pg_sleep(1.5); COMMIT"), 'fine', 'and its next transaction has no limit');
$session->quit;

# one statement on its own, that rewrites the table
$session = begin();
$session->query('COMMIT');
send_statement($session, 'ALTER TABLE orders ALTER status TYPE varchar USING slow(status)');
is_running($session, '%slow%');
wait_for($node, "SELECT count(*) = 1 FROM pg_locks WHERE pid = $session->{pid} AND granted AND relation = 'orders'::regclass AND mode = 'AccessExclusiveLock'");
is(client(), '100', 'a statement that takes long under its own lock');
like(told($session), qr/57014: canceling statement because others wait for its locks/, 'is cancelled when others wait');
$session->quit;

# in a function, which can't hide it
$session = begin();
$session->query('COMMIT');
send_statement($session, "DO \$\$ BEGIN EXECUTE '$ddl'; PERFORM pg_sleep(3600); EXCEPTION WHEN OTHERS THEN PERFORM pg_sleep(3600); END \$\$");
is_running($session, 'DO %');
wait_for($node, "SELECT count(*) = 1 FROM pg_locks WHERE pid = $session->{pid} AND granted AND mode = 'AccessExclusiveLock' AND relation = 'orders'::regclass");
is(client(), '100', 'a DO block that sleeps on its lock');
like(told($session), qr/57014: canceling statement because others wait for its locks/, 'is cancelled');
$session->quit;

# ---------------------------------------------------------------- nobody waits

$session = begin($ddl);
is($session->query("SELECT 'slept' FROM pg_sleep(2)"), 'slept', 'while nobody waits a transaction takes its time');
sql('SELECT pg_sleep(1)');
$session->query('COMMIT');
is_there($session, 'idle or not');
is(sql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'note'"), '1', 'and commits');
$session->query('SET safe_migrate.guard = off; ALTER TABLE orders DROP COLUMN note');
$session->quit;

# ---------------------------------------------------------------- a session that idles

$session = begin($ddl);
is(client(), '100', 'who waits for an idle session gets through');
is_gone($session, 'since it is ended');
my $log = slurp_file($node->logfile);
like($log, qr/\[$session->{pid}\].* LOG:  session ended because others waited for its locks\n.*DETAIL:  Process \d+ has waited \d+ ms for a lock on "public.orders"/,
	'the log says why');

# Its client learns of it with its next statement: the server's own words, and the connection is lost.
$session = begin($ddl);
is(client(), '100', 'who waits for a session that idles gets through once more');
wait_for($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $session->{pid}");
$session->{stdin} .= "INSERT INTO turns VALUES (3);\nCOMMIT;\n\\q\n";
$session->{run}->finish;
like($session->{stderr}, qr/FATAL:  57P01: terminating connection due to administrator command\n.*^(psql:<stdin>:\d+: )?server closed the connection unexpectedly/ms,
	"what its client sees is the server's own 57P01");
is($session->{run}->result, 2, 'and that the connection is lost');
is(sql("SELECT (SELECT count(*) FROM turns WHERE turn = 3) || ' ' || count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'note'"), '0 0',
	'nothing of the transaction is there');

$session = begin('SELECT 1');
is_there($session, 'a transaction without a strong lock may idle');
$session->query('COMMIT');
$session->quit;

# ---------------------------------------------------------------- savepoints

for my $after ('SELECT 1/0', 'SELECT 1/0; SELECT 2', 'ROLLBACK TO s')
{
	$session = begin($ddl, 'SAVEPOINT s', 'ALTER TABLE customers ADD COLUMN note text');
	$session->query($_) for split /; /, $after;
	is(client(), '100', "a lock from before a savepoint has its limit after $after");
	is_gone($session, 'by which the idle session is ended');
}
$session = begin('SAVEPOINT s', $ddl, 'ROLLBACK TO s');
is(client(), '100', 'a lock that was given back stops nobody');
sql('SELECT pg_sleep(1)');
is_there($session, 'and has no limit any more');
$session->query('SAVEPOINT t');
$session->query($ddl);
$session->query('RELEASE t');
is(client(), '100', 'a lock of a released savepoint has its limit');
is_gone($session, 'as the transaction has');

# a cancel that is caught: the lock is kept, so it comes again
$session = begin();
send_statement($session, "DO \$\$ BEGIN $ddl; BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN INSERT INTO turns VALUES (1); END; PERFORM pg_sleep(3600); END \$\$");
is_running($session, 'DO %');
wait_for($node, "SELECT count(*) = 1 FROM pg_locks WHERE pid = $session->{pid} AND granted AND mode = 'AccessExclusiveLock' AND relation = 'orders'::regclass");
is(client(), '100', 'a cancel that is caught is followed by another');
is_there($session, 'which is not the end of the session');
like(told($session), qr/57014/, 'but of the statement');
$session->quit;

$session = begin();
send_statement($session, "DO \$\$ BEGIN $ddl; LOOP BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN INSERT INTO turns VALUES (2); END; END LOOP; END \$\$");
is_running($session, 'DO %');
wait_for($node, "SELECT count(*) = 1 FROM pg_locks WHERE pid = $session->{pid} AND granted AND mode = 'AccessExclusiveLock' AND relation = 'orders'::regclass");
is(client(), '100', 'whoever catches every cancel does not keep the lock');
is_gone($session, 'but loses the session');

# a statement that does not heed a cancel, since it waits for its client
$session = begin($ddl);
send_statement($session, 'COPY log FROM STDIN');
is_running($session, 'COPY%');
is(client(), '100', 'COPY FROM STDIN, which waits for its client and heeds no cancel');
is_gone($session, 'is ended with its session');

# ---------------------------------------------------------------- the commit

sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
$node->reload;
$session = begin($ddl);
send_statement($session, 'COMMIT');
wait_for($node, "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $session->{pid}");
like(error_of($node, "SET lock_timeout = '2s'; SELECT count(*) FROM orders"), qr/55P03/, 'while a commit waits for a standby its locks are held');
is(sql("SELECT wait_event FROM pg_stat_activity WHERE pid = $session->{pid}"), 'SyncRep', 'and nobody cancels that');
sql("ALTER SYSTEM RESET synchronous_standby_names");
$node->reload;
wait_for($node, "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $session->{pid}");
is(told($session), '', 'it ends without a warning');
is(sql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'note'"), '1', 'committed');
$session->quit;
sql('SET safe_migrate.guard = off; ALTER TABLE orders DROP COLUMN note');

# ---------------------------------------------------------------- no limit

for my $off ('safe_migrate.max_lock_hold = 0', 'safe_migrate.guard = warn', 'safe_migrate.guard = off')
{
	$session = begin("SET LOCAL $off", $ddl);
	like(error_of($node, "SET lock_timeout = '2s'; SELECT count(*) FROM orders"), qr/55P03/, "with $off others wait as ever");
	is_there($session, 'and the session is left alone');
	$session->query('ROLLBACK');
	$session->quit;
}

# ---------------------------------------------------------------- overridden

my $override = "SET LOCAL safe_migrate.override = 'CHG-1: night'";
my $drop = 'ALTER TABLE orders DROP COLUMN status';
$session = begin($override, $drop);
is(holds_lock($session), '1', 'a statement that is overridden takes its lock');
like(error_of($node, "SET lock_timeout = '2s'; SELECT count(*) FROM orders"), qr/55P03/, 'and has no limit');
is_there($session, 'of its own accord');
$session->query('ROLLBACK');
$session->quit;
$session = begin($override, "SET LOCAL safe_migrate.max_lock_hold = '500ms'", $drop);
is(client(), '100', 'unless its transaction sets one');
is_gone($session, 'which ends it as any');
$session = begin($override, "SET LOCAL safe_migrate.max_lock_hold = '700ms'", $drop);
is(client(), '100', 'be it the one that holds anyway');
is_gone($session, 'which counts as well');
$session = begin("SET safe_migrate.max_lock_hold = '700ms'", 'COMMIT', 'BEGIN', $override, $drop);
is(client(), '100', 'or one of its session');
is_gone($session, 'which is as good');
$session = begin("SET safe_migrate.max_lock_hold = '700ms'; RESET safe_migrate.max_lock_hold", 'SAVEPOINT s',
	"SET LOCAL safe_migrate.max_lock_hold = '700ms'", 'ROLLBACK TO s', $override, $drop);
like(error_of($node, "SET lock_timeout = '2s'; SELECT count(*) FROM orders"), qr/55P03/, 'what was taken back does not count');
is_there($session, 'any more');
$session->query('ROLLBACK');
$session->quit;

stays_clean($node);
done_testing();
