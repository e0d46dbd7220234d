# Transactions that wait for each other while a guarded statement stays out of the queue: the server sees
# no deadlock there, and still one of them ends, and the others go on.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

# The server's own looks come too late, and patience lasts for longer than the test.
my $node = new_server('paused',
	autovacuum => 'off',
	deadlock_timeout => '100ms',
	'safe_migrate.guard' => 'enforce',
	'safe_migrate.ddl_lock_try' => '20ms',
	'safe_migrate.ddl_lock_retry' => ($ENV{RETRY} // '1h'),
	'safe_migrate.max_lock_hold' => '0');

sub sql { return $node->safe_psql('postgres', @_); }

sql(qq{CREATE TABLE t$_ (id int PRIMARY KEY, n int); INSERT INTO t$_ VALUES (1, 1), (2, 2)}) for 1 .. 3;

sub session
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_safe("\\set VERBOSITY verbose\nSET client_min_messages = warning");
	return { psql => $session, pid => $session->query_safe('SELECT pg_backend_pid()') };
}

sub begin
{
	my ($statement) = @_;
	my $session = session();
	$session->{psql}->query_safe("BEGIN; $statement");
	return $session;
}

# Does not wait for the end.
sub send_off
{
	my ($session, $statement) = @_;
	$session->{psql}->query_until(qr/sent off/, "\\echo sent off\n$statement;\n\\echo\n");
	return;
}

sub said
{
	my ($session) = @_;
	$session->{psql}->query('SELECT');
	my $said = $session->{psql}{stderr};
	$session->{psql}{stderr} = '';
	return $said;
}

sub end
{
	my ($session, $how) = @_;
	$session->{psql}->query_safe($how // 'COMMIT');
	$session->{psql}->quit;
	return;
}

sub wait_until
{
	my ($session, $what) = @_;
	return wait_for($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $session->{pid} AND $what");
}

sub pauses { return wait_until($_[0], "state = 'active' AND wait_event_type = 'Extension'"); }

sub columns { return sql("SELECT string_agg(attname, ' ' ORDER BY attname) FROM pg_attribute WHERE attname LIKE 'c\\_%' AND NOT attisdropped"); }

my $deadlock = qr/^psql:<stdin>:\d+: ERROR:  40P01: deadlock detected\n/m;
my $hint = qr/^HINT:  Roll the transaction back, and run the statement in one of its own\./m;

# ---------------------------------------------------------------- two

my $first = begin('UPDATE t1 SET n = 1 WHERE id = 1');
my $second = begin('UPDATE t2 SET n = 1 WHERE id = 1');
send_off($first, 'ALTER TABLE t2 ADD COLUMN c_first int');
pauses($first);
send_off($second, 'ALTER TABLE t1 ADD COLUMN c_second int');
my ($t1, $t2) = map { sql("SELECT 't$_'::regclass::oid") } 1, 2;
like(said($second), qr/$deadlock.*^DETAIL:  Process $second->{pid} waits for AccessExclusiveLock on relation $t1 of database \d+; blocked by process $first->{pid}\.
Process $first->{pid} waits for AccessExclusiveLock on relation $t2 of database \d+; blocked by process $second->{pid}\.
$hint/ms, 'two transactions whose statements wait for each other, none of them in a queue: the one that came last ends');
end($second, 'ROLLBACK');
is(said($first), '', 'the other one gets its lock');
end($first);
is(columns(), 'c_first', 'and does what it was to do');

# ---------------------------------------------------------------- three

my @sessions = map { begin("UPDATE t$_ SET n = 1 WHERE id = 1") } 1 .. 3;
send_off($sessions[0], 'ALTER TABLE t2 ADD COLUMN c_1 int');
pauses($sessions[0]);
send_off($sessions[1], 'CREATE TRIGGER c_2 AFTER INSERT ON t3 EXECUTE FUNCTION suppress_redundant_updates_trigger()');
pauses($sessions[1]);
is(sql("SELECT string_agg(state, ' ') FROM pg_stat_activity WHERE pid IN ($sessions[0]{pid}, $sessions[1]{pid})"), 'active active',
	'one that waits for one that waits for somebody is no deadlock');
send_off($sessions[2], 'ALTER TABLE t1 ADD COLUMN c_3 int');
like(said($sessions[2]), qr/$deadlock.*(^.*Process \d+ waits for \w+ on relation \d+ of database \d+; blocked by process \d+\.\n){3}$hint/ms, 'three: the last one ends');
end($sessions[2], 'ROLLBACK');
is(said($sessions[1]), '', 'the second one gets its lock');
end($sessions[1]);
is(said($sessions[0]), '', 'and then the first one');
end($sessions[0]);

# ---------------------------------------------------------------- others in a queue

$first = begin('UPDATE t1 SET n = 1 WHERE id = 1');
$second = begin('UPDATE t2 SET n = 1 WHERE id = 1');
send_off($first, 'ALTER TABLE t2 ADD COLUMN c_queue int');
pauses($first);
send_off($second, 'UPDATE t1 SET n = 3 WHERE id = 1');
like(said($first), qr/$deadlock.*$hint/ms, 'one waits for a row of the one that waits for its table: that one ends');
end($first, 'ROLLBACK');
is(said($second), '', 'the other one writes the row');
end($second);

@sessions = map { begin("UPDATE t$_ SET n = 1 WHERE id = 1") } 1 .. 3;
send_off($sessions[0], 'ALTER TABLE t2 ADD COLUMN c_4 int');
pauses($sessions[0]);
send_off($sessions[1], 'ALTER TABLE t3 ADD COLUMN c_5 int');
pauses($sessions[1]);
send_off($sessions[2], 'UPDATE t1 SET n = 3 WHERE id = 1');
like(said($sessions[1]), qr/$deadlock.*^.*Process $sessions[2]{pid} waits for ShareLock on transaction \d+; blocked by process $sessions[0]{pid}\.\n.*$hint/ms,
	'two that are not in a queue and one that is: the last of those that are not');
end($sessions[1], 'ROLLBACK');
is(said($sessions[0]), '', 'the other one gets its lock');
end($sessions[0]);
is(said($sessions[2]), '', 'and then the one in the queue');
end($sessions[2]);

# ---------------------------------------------------------------- none

$first = begin('UPDATE t1 SET n = 1 WHERE id = 1');
$second = begin('UPDATE t2 SET n = 1 WHERE id = 1');
send_off($second, q{DO $$ BEGIN
	SET LOCAL lock_timeout = '300ms';
	ALTER TABLE t1 ADD COLUMN c_caught int;
EXCEPTION WHEN lock_not_available THEN RAISE WARNING 'caught';
END $$});
like(said($second), qr/caught/, 'a statement that has given up, in a transaction that goes on');
send_off($first, 'ALTER TABLE t2 ADD COLUMN c_waits int');
pauses($first);
end($second);
is(said($first), '', 'is not waiting any more');
end($first);
# What it holds for the length of a stay only is no reason either.
$first = begin('UPDATE t2 SET n = 1 WHERE id = 1');
$second = session();
send_off($second, 'ALTER TABLE t1 ADD CONSTRAINT foreign_key FOREIGN KEY (n) REFERENCES t2 NOT VALID');
pauses($second);
$first->{psql}->query_safe('SAVEPOINT s; ALTER TABLE t1 ADD COLUMN c_free int; ROLLBACK TO s') for 1 .. 5;
end($first, 'ROLLBACK');
is(said($second), '', 'one that takes several locks, and one that wants the first of them');
end($second, 'SELECT');

# One that is ended in its pause leaves nothing behind.
$first = begin('UPDATE t1 SET n = 1 WHERE id = 1');
$second = begin('UPDATE t2 SET n = 1 WHERE id = 1');
send_off($second, 'ALTER TABLE t1 ADD COLUMN c_ended int');
pauses($second);
sql("SELECT pg_terminate_backend($second->{pid})");
wait_for($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $second->{pid}");
eval { $second->{psql}->quit };
my $third = begin('UPDATE t2 SET n = 1 WHERE id = 1');
send_off($first, 'ALTER TABLE t2 ADD COLUMN c_left int');
pauses($first);
end($third);
is(said($first), '', 'one whose session was ended does not wait any more');
end($first);

is(columns(), 'c_1 c_4 c_first c_left c_waits', 'all is done that was to be done');

stays_clean($node);
done_testing();
