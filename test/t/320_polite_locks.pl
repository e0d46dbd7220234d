# A guarded statement waits for its strong locks without letting others wait: in short stays in the
# queue, behind nobody who is old, and gives up with the names of who is in the way.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

# Each stay in a queue leaves a line in the log; retries last until what they wait for is there.
my $node = new_server('polite',
	autovacuum => 'off',
	autovacuum_naptime => '1s',
	max_prepared_transactions => '2',
	log_lock_waits => 'on',
	deadlock_timeout => '10ms',
	'safe_migrate.guard' => 'enforce',
	'safe_migrate.ddl_lock_try' => '500ms',
	'safe_migrate.ddl_lock_retry' => '1h',
	'safe_migrate.ddl_lock_timeout' => '500ms',
	'safe_migrate.max_lock_hold' => '0');

sub sql { return $node->safe_psql('postgres', @_); }

sql(q{
	CREATE ROLE owner LOGIN; CREATE ROLE reader LOGIN; CREATE ROLE stranger LOGIN;
	CREATE TABLE orders (id int PRIMARY KEY, customer int, status text);
	CREATE TABLE customers (id int PRIMARY KEY, name text);
	CREATE TABLE parts (id int) PARTITION BY RANGE (id);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
	CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
	INSERT INTO orders SELECT i, i % 10, 'new' FROM generate_series(1, 100) i;
	INSERT INTO customers SELECT i, 'name' FROM generate_series(0, 10) i;
	INSERT INTO parts SELECT generate_series(0, 19);
	ALTER TABLE orders OWNER TO owner; ALTER TABLE customers OWNER TO owner; ALTER TABLE parts OWNER TO owner;
	ALTER TABLE parts_1 OWNER TO owner; ALTER TABLE parts_2 OWNER TO owner;
	GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader, stranger;
	GRANT CREATE ON SCHEMA public TO owner;
});

# A psql of its own that runs the statements and ends; finish() gives what it said.
my $started = 0;

sub start
{
	my ($sql, %where) = @_;
	my %session = (name => 'session ' . ++$started, out => '', err => '');
	my $script = PostgreSQL::Test::Utils::tempdir() . '/script.sql';
	append_to_file($script, "\\set VERBOSITY verbose\nSET client_min_messages = warning;\n$sql\n");
	$session{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres') . " application_name='$session{name}'",
			$where{as} ? ('-U', $where{as}) : () ],
		'<', $script, '>', \$session{out}, '2>', \$session{err},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%session;
}

sub finish
{
	my ($session) = @_;
	$session->{run}->finish;
	return $session->{out} . $session->{err};
}

sub pid_of
{
	my ($session) = @_;
	wait_for($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '$session->{name}'");
	return sql("SELECT pid FROM pg_stat_activity WHERE application_name = '$session->{name}'");
}

# How often a process stood in a lock's queue.
sub stays
{
	my ($pid) = @_;
	return scalar(() = slurp_file($node->logfile) =~ /process $pid still waiting for /g);
}

sub wait_for_stays
{
	my ($pid, $n) = @_;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if stays($pid) >= $n;
		select undef, undef, undef, 0.1;
	}
	BAIL_OUT("process $pid does not come to $n stays in a queue");
}

# A transaction that is in the way until it is told to end; its age makes it old or not.
my ($holder, $holder_pid);

sub hold
{
	my ($statement, $role, $old) = @_;
	$holder = $node->background_psql('postgres', extra_params => $role ? [ '-U', $role ] : []);
	$holder_pid = $holder->query_safe('SELECT pg_backend_pid()');
	$holder->query_safe("SET application_name = 'report'; BEGIN; $statement");
	wait_for($node, "SELECT now() - xact_start > interval '6s' FROM pg_stat_activity WHERE pid = $holder_pid") if $old;
	return;
}

sub let_go
{
	$holder->query_safe('COMMIT');
	$holder->quit;
	return;
}

sub has_column
{
	my ($table, $column) = @_;
	return sql("SELECT count(*) FROM pg_attribute WHERE attrelid = '$table'::regclass AND attname = '$column' AND NOT attisdropped");
}

# Clients that wait for much longer than one stay fail; without the guard they would wait for the holder.
my $client = "SET lock_timeout = '10s'; SET statement_timeout = '30s';";

# ---------------------------------------------------------------- the incident

hold('SELECT count(*) FROM orders');
my $ddl = start('SET safe_migrate.guard = off; ALTER TABLE orders ADD COLUMN note text');
my $pid = pid_of($ddl);
wait_for($node, "SELECT count(*) = 1 FROM pg_locks WHERE pid = $pid AND NOT granted");
my $reader = start('SELECT count(*) FROM orders');
my $reader_pid = pid_of($reader);
wait_for($node, "SELECT pg_blocking_pids($reader_pid) @> ARRAY[$pid]");
like(error_of($node, "SET lock_timeout = '1s'; SELECT count(*) FROM orders"), qr/55P03/,
	'without the guard a plain SELECT waits behind an ALTER TABLE that waits behind a report');
cmp_ok(stays($pid), '<=', 1, 'the ALTER stays in the queue');
let_go();
is(finish($ddl) . finish($reader), "100\n", 'until the report has ended');
sql('SET safe_migrate.guard = off; ALTER TABLE orders DROP COLUMN note');

hold('SELECT count(*) FROM orders');
$ddl = start('ALTER TABLE orders ADD COLUMN note text');
$pid = pid_of($ddl);
my $rounds = 0;
for my $stay (1 .. 3)
{
	wait_for_stays($pid, $stay);
	for (1 .. 5)
	{
		is(sql("$client UPDATE orders SET status = 'paid' WHERE id = $stay; SELECT count(*) FROM orders"), '100',
			'a SELECT and an UPDATE get through') or last;
		$rounds++;
	}
}
is($rounds, 15, 'with the guard they all got through');
is(sql("SELECT string_agg(state, ', ' ORDER BY state) FROM pg_stat_activity WHERE pid IN ($pid, $holder_pid)"),
	'active, idle in transaction', 'while the report goes on and the ALTER still tries');
let_go();
is(finish($ddl), '', 'the ALTER gets its lock once the report has ended');
is(has_column('orders', 'note'), '1', 'and is done');
is(sql('SELECT count(*) FROM pg_prepared_xacts') . sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'"), '00',
	'no lock is left');

# ---------------------------------------------------------------- behind an old one; giving up

hold('SELECT count(*) FROM orders', 'reader', 'old');
$ddl = start("SET safe_migrate.ddl_lock_retry = '2s'; ALTER TABLE orders ADD COLUMN more text");
$pid = pid_of($ddl);
my $said = finish($ddl);
like($said, qr/^ERROR:  55P03: no ACCESS EXCLUSIVE lock on "public.orders" within [\d.]+ s$/m, 'it gives up');
like($said, qr/^DETAIL:  Process $holder_pid \(user "reader", application "report"\) holds a conflicting lock, in a transaction of [\d.]+ s, idle in transaction: .*SELECT count\(\*\) FROM orders$/m,
	'and says who is in the way, since when, doing what');
like($said, qr/^HINT:  .*pg_terminate_backend\($holder_pid\);$/m, 'and what can be done about it');
like($said, qr/^SCHEMA NAME:  public\nTABLE NAME:  orders$/m, 'for a program too');
cmp_ok(stays($pid), '<=', 1, 'behind an old transaction it stood in the queue one last time only');

$said = finish(start("SET lock_timeout = '100ms'; ALTER TABLE orders ADD COLUMN more text", as => 'owner'));
like($said, qr/55P03.*^DETAIL:  Process $holder_pid \(user "reader", application "report"\) holds a conflicting lock\.$/ms,
	'who may not see the query of the other is not told it, nor its state');
like($said, qr/within 1\d\d ms|within [2-9]\d\d ms|within [\d.]+ s/, 'a shorter lock_timeout of the session bounds it all');

$ddl = start('ALTER TABLE orders ADD COLUMN more text', as => 'stranger');
like(finish($ddl), qr/42501: must be owner of table orders/, 'who may not alter the table does not queue for it');
is(has_column('orders', 'more'), '0', 'nothing has happened');

$ddl = start("SET client_min_messages = notice; ALTER TABLE orders ADD COLUMN more text");
$pid = pid_of($ddl);
wait_for($node, "SELECT wait_event_type = 'Extension' AND now() - query_start > interval '6s' FROM pg_stat_activity WHERE pid = $pid");
is(sql("SELECT pg_cancel_backend($pid)"), 't', 'its pause can be cancelled');
$said = finish($ddl);
like($said, qr/57014: canceling statement due to user request/, 'as any statement');
like($said, qr/^NOTICE:  00000: waiting for a lock since \d.* s, outside of its queue\nDETAIL:  Process $holder_pid .user "reader"/m,
	'after a while it has said what it waits for');
let_go();

# ---------------------------------------------------------------- what has to be looked at before

sql(q{CREATE TABLE seen_parts (id int, n int) PARTITION BY RANGE (id); CREATE TABLE seen_1 PARTITION OF seen_parts FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
	CREATE TABLE seen_rest PARTITION OF seen_parts DEFAULT; CREATE TABLE seen_new (id int, n int); CREATE INDEX seen_index ON seen_parts (n);
	CREATE VIEW seen_view AS SELECT * FROM seen_parts; GRANT UPDATE ON seen_view TO owner; GRANT SET ON PARAMETER safe_migrate.ddl_lock_retry TO owner, stranger;
	ALTER TABLE seen_parts OWNER TO owner; ALTER TABLE seen_1 OWNER TO owner; ALTER TABLE seen_rest OWNER TO owner; ALTER TABLE seen_new OWNER TO owner});
my $soon = "SET statement_timeout = '60s'; SET safe_migrate.ddl_lock_retry = '300ms';";
for my $case (
	[ 'seen_new', 'ALTER TABLE seen_new ALTER n TYPE bigint' ],
	[ 'seen_new', 'ALTER TABLE seen_new DISABLE TRIGGER ALL' ],
	[ 'seen_rest', 'CREATE TABLE seen_2 PARTITION OF seen_parts FOR VALUES FROM (10) TO (20)' ],
	[ 'seen_new', 'ALTER TABLE seen_parts ATTACH PARTITION seen_new FOR VALUES FROM (10) TO (20)' ],
	[ 'seen_1', 'ALTER TABLE seen_parts DETACH PARTITION seen_1' ],
	[ 'seen_parts', 'ALTER TABLE seen_1 ATTACH PARTITION seen_new FOR VALUES FROM (1) TO (2)' ],
	[ 'seen_view', 'BEGIN; LOCK TABLE seen_view' ])
{
	my ($locked, $statement) = @$case;
	hold("LOCK TABLE ONLY seen_parts IN ACCESS SHARE MODE; SET safe_migrate.guard = off; LOCK TABLE " . ($locked eq 'seen_view' ? '' : 'ONLY ') . $locked);
	like(finish(start("$soon $statement", as => 'owner')),
		qr/ERROR:  55P03: no [A-Z ]+ lock on "public.$locked" within .*DETAIL:  Process $holder_pid .*holds a conflicting lock/s,
		"$statement waits politely to be judged");
	unlike(finish(start("$soon $statement", as => 'stranger')), qr/57014|55P03/, 'a stranger does not wait') if $locked ne 'seen_view';
	let_go();
}
hold('LOCK TABLE seen_new');
$ddl = start('ALTER TABLE seen_new ALTER n TYPE bigint');
$pid = pid_of($ddl);
wait_for_stays($pid, 2);
for my $statement ('ALTER TABLE seen_new ALTER n TYPE int', 'DELETE FROM seen_new', 'SELECT 1; DELETE FROM seen_parts USING seen_new')
{
	like(finish(start("SET statement_timeout = '60s'; SELECT FROM safe_migrate.explain('$statement')")), qr/ERROR:  55P03/,
		"explain() does not wait for the lock either: $statement");
}
let_go();
like(finish($ddl), qr{^WARNING:  SM001: ALTER TABLE is not safe.*alter-type-prepared-statements}s, 'once it is there the statement is judged and carried out');

# ---------------------------------------------------------------- NOWAIT

sql(q{SET allow_in_place_tablespaces = on; CREATE TABLESPACE other LOCATION ''; CREATE TABLE moved (id int) TABLESPACE other;
	CREATE TABLE not_moved (id int); CREATE VIEW nowait AS SELECT * FROM not_moved});
my $limit = "SET statement_timeout = '20s';";
hold('SELECT FROM moved; SELECT FROM nowait');
for my $case (
	[ 'BEGIN; LOCK TABLE not_moved NOWAIT', qr/ERROR:  55P03: could not obtain lock on relation "not_moved"/ ],
	[ 'BEGIN; LOCK TABLE nowait NOWAIT', qr/ERROR:  55P03: could not obtain lock on relation "nowait"/ ],
	[ 'ALTER TABLE ALL IN TABLESPACE other SET TABLESPACE pg_default NOWAIT', qr/ERROR:  55006: aborting because lock on relation "public.moved" is not available/ ])
{
	$ddl = start("SELECT pg_backend_pid(); $limit $case->[0]");
	$said = finish($ddl);
	like($said, $case->[1], "$case->[0] fails at once");
	is(stays($said =~ /^(\d+)/), 0, 'and stands in no queue');
}
let_go();
hold('LOCK TABLE nowait');
for my $level ('enforce', 'warn')
{
	like(finish(start("SET safe_migrate.guard = $level; $limit BEGIN; LOCK TABLE nowait NOWAIT")), qr/ERROR:  55P03: could not obtain lock on relation "nowait"/,
		"$level: so it does where it can not be looked at");
}
let_go();
is(finish(start("BEGIN; LOCK TABLE nowait NOWAIT; SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock'; COMMIT")), "2\n",
	'where nobody is in the way it has its locks');

# a prepared transaction
sql("BEGIN; SELECT count(*) FROM orders; PREPARE TRANSACTION 'it''s held'; BEGIN; SELECT 1; PREPARE TRANSACTION 'another'");
like(error_of($node, "SET safe_migrate.ddl_lock_retry = 0; ALTER TABLE orders ADD COLUMN more text"),
	qr/55P03.*DETAIL:  Prepared transaction "it's held" holds a conflicting lock\.\n.*HINT:  .*COMMIT PREPARED 'it''s held'; or ROLLBACK PREPARED 'it''s held';/s,
	'a prepared transaction is called by its name');
sql("COMMIT PREPARED 'it''s held'");
sql("COMMIT PREPARED 'another'");

# ---------------------------------------------------------------- who may not

sql(q{
	CREATE TYPE mood AS ENUM ('fine'); CREATE DOMAIN amount AS int; CREATE TYPE pair AS (a int, b int);
	CREATE FUNCTION guess() RETURNS int LANGUAGE sql AS 'SELECT 1';
	CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
	CREATE TABLE typed (m mood, a amount, g int DEFAULT guess()); CREATE TABLE pairs OF pair;
	CREATE TABLE tree (id int) PARTITION BY RANGE (id); CREATE TABLE tree_1 PARTITION OF tree DEFAULT;
	CREATE POLICY nobody ON typed; CREATE TRIGGER nothing BEFORE INSERT ON typed EXECUTE FUNCTION nothing();
	CREATE VIEW seen AS SELECT * FROM typed;
	ALTER TABLE typed OWNER TO owner; ALTER TABLE pairs OWNER TO owner; ALTER TABLE tree OWNER TO owner; ALTER TABLE tree_1 OWNER TO owner;
	CREATE SCHEMA strange AUTHORIZATION stranger; GRANT TRIGGER ON tree TO stranger;
	CREATE TABLE strange.own (id int, m mood); CREATE TABLE strange.part (id int); CREATE VIEW strange.view AS SELECT * FROM typed;
	ALTER TABLE strange.own OWNER TO stranger; ALTER TABLE strange.part OWNER TO stranger; ALTER VIEW strange.view OWNER TO stranger;
});
hold('LOCK TABLE typed, pairs, tree, orders, customers, seen IN ROW EXCLUSIVE MODE');
for my $statement (
	'DROP SCHEMA public', 'REASSIGN OWNED BY owner TO stranger', 'DROP OWNED BY owner', 'DROP TYPE mood', 'DROP DOMAIN amount',
	'ALTER DOMAIN amount SET NOT NULL', 'ALTER TYPE pair ADD ATTRIBUTE c int CASCADE', 'DROP FUNCTION guess()', 'DROP FUNCTION guess() CASCADE',
	'DROP FUNCTION nothing() CASCADE', 'DROP TABLE typed', 'DROP TRIGGER nothing ON typed', 'DROP POLICY nobody ON typed',
	'CREATE TRIGGER nothing BEFORE INSERT ON orders EXECUTE FUNCTION nothing()', 'CREATE RULE nothing AS ON DELETE TO typed DO NOTHING',
	'CREATE TABLE strange.refers (c int REFERENCES customers)', 'ALTER TABLE strange.own ADD FOREIGN KEY (id) REFERENCES customers',
	'ALTER TABLE strange.own ADD FOREIGN KEY (id) REFERENCES customers NOT VALID', 'ALTER TABLE strange.own ADD COLUMN c int REFERENCES customers',
	'CREATE TABLE strange.tree_2 PARTITION OF tree FOR VALUES FROM (0) TO (10)', 'BEGIN; LOCK TABLE strange.view',
	'ALTER TABLE tree ATTACH PARTITION strange.part FOR VALUES FROM (0) TO (10)')
{
	my $answer = finish(start("SELECT pg_backend_pid(); SET lock_timeout = '300ms'; $statement", as => 'stranger'));
	like($answer, qr/ERROR:  42501: (must be owner|permission denied)/, "$statement, by a stranger");
	is(stays($answer =~ /^(\d+)/), 0, 'which stands in no queue');
}
for my $statement ('DROP DOMAIN amount', 'ALTER DOMAIN amount SET NOT NULL', 'CREATE TRIGGER nothing BEFORE INSERT ON tree EXECUTE FUNCTION nothing()')
{
	like(finish(start("SET lock_timeout = '300ms'; $statement")), qr/ERROR:  55P03: no /, "$statement, by who may");
}
let_go();

# ---------------------------------------------------------------- several relations

hold("UPDATE customers SET name = 'other' WHERE id = 1");
$ddl = start('ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY (customer) REFERENCES customers NOT VALID');
$pid = pid_of($ddl);
wait_for_stays($pid, 2);
is(sql("$client UPDATE orders SET status = 'sent' WHERE id = $_ RETURNING 'through'"), 'through',
	'the first of two tables is free while the second is waited for') for 1 .. 3;
is(sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND state = 'active'"), '1', 'which it still is');
let_go();
is(finish($ddl), '', 'both are locked when both are free');

hold('SELECT count(*) FROM parts_2');
$ddl = start('ALTER TABLE parts ADD COLUMN note text');
$pid = pid_of($ddl);
wait_for_stays($pid, 2);
is(sql("$client INSERT INTO parts VALUES ($_) RETURNING 'through'"), 'through', 'partitions and parent are free while one is waited for') for 1 .. 3;
let_go();
is(finish($ddl), '', 'the parent is altered then');

# ---------------------------------------------------------------- in transactions

hold('SELECT count(*) FROM orders');
$ddl = start("BEGIN;\nALTER TABLE customers ADD COLUMN note text;\nALTER TABLE orders ADD COLUMN more text;\nROLLBACK;");
$pid = pid_of($ddl);
like(finish($ddl), qr/55P03: no ACCESS EXCLUSIVE lock on "public.orders"/, 'while a strong lock is held there is no retry');
cmp_ok(stays($pid), '<=', 1, 'but one stay');

$ddl = start("BEGIN;\nCREATE TABLE fresh (id int);\nALTER TABLE fresh ADD COLUMN note text;\nALTER TABLE orders ADD COLUMN more text;\nCOMMIT;");
$pid = pid_of($ddl);
wait_for_stays($pid, 2);
pass('a lock on a table of the same transaction is no reason not to');
let_go();
is(finish($ddl), '', 'and it comes to its end');

hold('SELECT count(*) FROM orders');
$ddl = start(q{DO $$ BEGIN
	BEGIN
		SET LOCAL lock_timeout = '50ms';
		ALTER TABLE orders ALTER COLUMN more SET NOT NULL;
	EXCEPTION WHEN lock_not_available THEN RAISE WARNING 'caught';
	END;
	ALTER TABLE orders ALTER COLUMN more SET DEFAULT 'x';
	INSERT INTO orders VALUES (1000);
END $$;
SELECT more, current_setting('lock_timeout') FROM orders WHERE id = 1000;});
$pid = pid_of($ddl);
wait_for_stays($pid, 3);
let_go();
like(finish($ddl), qr/^x\|0\n.*WARNING:  01000: caught/s, 'a DO block is guarded statement by statement, and can catch the error');

# ---------------------------------------------------------------- judged again

hold('SELECT count(*) FROM orders');
$holder->query_safe('SET safe_migrate.guard = off');
$ddl = start("BEGIN;\nALTER TABLE orders ADD COLUMN late text;
SELECT relation::regclass FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock' AND relation IN (SELECT oid FROM pg_class WHERE relkind = 'r');
COMMIT;");
$pid = pid_of($ddl);
wait_for_stays($pid, 1);
$holder->query_safe('ALTER TABLE orders RENAME TO orders_old; CREATE TABLE orders (id int)');
let_go();
is(finish($ddl), "orders\n", 'the name means another table now: that one is locked, the other one let go');
is(has_column('orders', 'late') . has_column('orders_old', 'late'), '10', 'and altered');

# ---------------------------------------------------------------- statements that commit inside

hold('UPDATE orders_old SET customer = 2 WHERE id = 1');
$ddl = start('CREATE INDEX CONCURRENTLY late ON orders_old (status)');
$pid = pid_of($ddl);
wait_for($node, "SELECT phase LIKE 'waiting for %' FROM pg_stat_progress_create_index WHERE pid = $pid");
sql('SELECT pg_sleep(1.5)'); # longer than any stay
is(sql("SELECT phase LIKE 'waiting for %' FROM pg_stat_progress_create_index WHERE pid = $pid"), 't',
	'CREATE INDEX CONCURRENTLY waits for as long as it has to');
let_go();
is(finish($ddl), '', 'and ends well');
is(sql(q{SELECT indisvalid FROM pg_index WHERE indexrelid = 'late'::regclass}), 't', 'with a valid index');

# ---------------------------------------------------------------- guard = warn

hold('SELECT count(*) FROM orders_old');
$ddl = start('SET safe_migrate.guard = warn; ALTER TABLE orders_old ADD COLUMN later text');
$pid = pid_of($ddl);
wait_for_stays($pid, 1);
like(error_of($node, "SET lock_timeout = '1500ms'; SELECT count(*) FROM orders_old"), qr/55P03/, 'with guard = warn others wait as ever');
is(stays($pid), 1, 'in warn the statement does not leave the queue');
let_go();
is(finish($ddl), '', 'and has no timeout');

stays_clean($node);
done_testing();
