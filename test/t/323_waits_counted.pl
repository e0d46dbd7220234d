# For how long plain SELECTs and UPDATEs wait while a schema change meets a long reader, or keeps its
# lock: the server counts.  With the guard never longer than one stay in the queue, or the budget;
# without it as long as the reader reads.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use IPC::Run;
use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

# In milliseconds: long against what a loaded machine is late by, which is measured and allowed for.
my ($stay, $budget, $margin) = (500, 1000, 50);

my $node = new_server('waits',
	autovacuum => 'off',
	max_connections => '50',
	log_lock_waits => 'on',
	deadlock_timeout => '10ms', # a wait that lasted longer is in the log, with its length
	'safe_migrate.guard' => 'enforce',
	'safe_migrate.ddl_lock_try' => "${stay}ms",
	'safe_migrate.ddl_lock_retry' => '1h',
	'safe_migrate.max_lock_hold' => '0');

sub sql { return $node->safe_psql('postgres', @_); }

sql(q{
	CREATE TABLE orders (id int PRIMARY KEY, status text);
	INSERT INTO orders SELECT i, 'new' FROM generate_series(1, 1000) i;
	CREATE TABLE lateness (ms float8);
	CREATE TABLE enough ();
	CREATE FUNCTION slow(value text) RETURNS text LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_sleep(0.2); RETURN value; END $$;
});

sub script
{
	my ($name, $text) = @_;
	my $file = $node->basedir . "/$name.sql";
	append_to_file($file, $text);
	return $file;
}
my %client = (
	AccessShareLock => script('select', "\\set id random(1, 1000)\nSELECT * FROM orders WHERE id = :id;\n"),
	RowExclusiveLock => script('update', "\\set id random(1, 1000)\nUPDATE orders SET status = 'seen' WHERE id = :id;\n"));

# How late this machine is with what is due at a moment.
my $late = script('late', <<'SQL');
DO $$
DECLARE
	worst float8 := 0;
	began timestamptz;
BEGIN
	LOOP
		began := clock_timestamp();
		PERFORM pg_sleep(0.02);
		worst := greatest(worst, extract(epoch FROM clock_timestamp() - began) * 1000 - 20);
		EXIT WHEN EXISTS (SELECT FROM enough);
	END LOOP;
	INSERT INTO lateness VALUES (worst);
END $$;
SQL

sub start
{
	my (@command) = @_;
	my %process = (out => '');
	$process{run} = IPC::Run::start([@command], '<', \undef, '>', \$process{out}, '2>&1');
	return \%process;
}

# Waits of the clients for locks on the table while body runs, by mode, in ms; and what may be added
# to a limit for the machine's sake.
sub waits_during
{
	my ($body) = @_;
	sql('SET safe_migrate.guard = off; TRUNCATE lateness, enough');
	my $log = -s $node->logfile;
	my @clients = map {
		start('pgbench', '-n', '-c', '2', '-R', '100', '-T', '3600', '-f', $client{$_},
			$node->connstr('postgres') . ' application_name=pgbench')
	} sort keys %client;
	my $sampler = start('psql', '-X', '-f', $late, $node->connstr('postgres'));
	wait_for($node, q{SELECT count(*) FILTER (WHERE query LIKE 'SELECT%') = 2 AND count(*) FILTER (WHERE query LIKE 'UPDATE%') = 2
		FROM pg_stat_activity WHERE application_name = 'pgbench'});
	$body->();
	sql('INSERT INTO enough DEFAULT VALUES');
	$sampler->{run}->finish;
	$_->{run}->kill_kill for @clients;
	wait_for($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench'");
	my $table = sql(q{SELECT 'orders'::regclass::oid});
	my %waits = map { $_ => [] } keys %client;
	my $text = slurp_file($node->logfile, $log);
	while ($text =~ /\[(\d+)\] pgbench LOG:  process \1 acquired (\w+) on relation $table of database \d+ after ([\d.]+) ms/g)
	{
		push @{ $waits{$2} }, $3;
	}
	return (\%waits, $margin + 4 * sql('SELECT max(ms) FROM lateness'));
}

sub longest { my ($waits) = @_; return max(0, map { @$_ } values %$waits); }

# The clients waited, for most of the limit, and not for longer.
sub are_within
{
	my ($limit, $what, $waits, $allowed) = @_;
	ok(scalar @{ $waits->{$_} }, "$what: waits of clients for $_ are counted") for sort keys %$waits;
	cmp_ok(longest($waits), '>', $limit / 2, "$what: they come near the limit");
	cmp_ok(longest($waits), '<', $limit + $allowed, "$what: none is longer")
	  or diag(map { "$_: @{ $waits->{$_} }\n" } sort keys %$waits);
	return;
}

# A client has waited for longer than the limit that held with the guard.
sub wait_for_long_wait
{
	my ($ms) = @_;
	wait_for($node, "SELECT count(DISTINCT mode) = 2 FROM pg_locks l JOIN pg_stat_activity USING (pid)
		WHERE application_name = 'pgbench' AND NOT granted AND clock_timestamp() - waitstart > interval '$ms ms'");
	return;
}

sub stays
{
	my ($log) = @_;
	return scalar(() = slurp_file($node->logfile, $log) =~ /\] ddl LOG:  process \d+ still waiting for /g);
}

my $number = 0;

# A schema change behind a report, to its end; until->(stays so far) says when the report may end.
sub meet_reader
{
	my ($guard, $until) = @_;
	my $log = -s $node->logfile;
	my $reader = $node->background_psql('postgres');
	$reader->query_safe('BEGIN; SELECT count(*) FROM orders');
	my $column = 'c' . ++$number;
	my $ddl = start('psql', '-X', '-c', "SET safe_migrate.guard = $guard", '-c', "ALTER TABLE orders ADD COLUMN $column int",
		$node->connstr('postgres') . ' application_name=ddl');
	$until->($log);
	$reader->query_safe('COMMIT');
	$reader->quit;
	$ddl->{run}->finish;
	is(sql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = '$column'"), '1',
		'the schema change is done when the reader has gone');
	return stays($log);
}

# ---------------------------------------------------------------- one stay in the queue

my ($waits, $allowed) = waits_during(sub {
	my $stays = 0;
	# Nobody queues behind a reader older than 5 s: where the machine is slow, another one comes.
	for (1 .. 20)
	{
		last if $stays >= 3;
		$stays += meet_reader('enforce', sub {
			my ($log) = @_;
			my $old = "SELECT now() - xact_start > interval '5 s' FROM pg_stat_activity WHERE state = 'idle in transaction'";
			for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
			{
				last if stays($log) >= 3 || sql($old) eq 't';
				select undef, undef, undef, 0.1;
			}
		});
	}
	cmp_ok($stays, '>=', 3, 'the schema change stood in the queue several times');
});
are_within($stay, 'behind a reader', $waits, $allowed);

my $limit = $stay + $allowed;
($waits) = waits_during(sub {
	meet_reader('off', sub { wait_for_long_wait(2 * $limit) });
});
cmp_ok(longest($waits), '>', $limit, 'without the guard they wait as long as the reader reads, and that is counted');

# ---------------------------------------------------------------- the budget

# Statements of a session, the last of which is not waited for; until->(pid) is when it has ended.
sub hold_lock
{
	my ($hold, $until, @statements) = @_;
	my $ddl = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $ddl->query('SELECT pg_backend_pid()');
	$ddl->query("SET safe_migrate.max_lock_hold = '$hold'");
	my $last = pop @statements;
	$ddl->query($_) for @statements;
	$ddl->query_until(qr/sent/, "\\echo sent\n$last;\n");
	$until->($pid);
	eval { $ddl->quit };
	return;
}

my $alter = 'ALTER TABLE orders ADD COLUMN held int';
for my $case ([ 'a transaction that goes on', 'BEGIN', $alter, 'SELECT pg_sleep(3600)' ],
	[ 'a session that idles', 'BEGIN', $alter, 'SELECT 1' ],
	[ 'a rewrite', 'ALTER TABLE orders ALTER status TYPE varchar USING slow(status)' ])
{
	my ($what, @statements) = @$case;
	my $log = -s $node->logfile;
	($waits, $allowed) = waits_during(sub {
		hold_lock("${budget}ms", sub { $node->wait_for_log(qr/because others wait/, $log) }, @statements);
	});
	are_within($budget, $what, $waits, $allowed);
}

$limit = $budget + $allowed;
($waits) = waits_during(sub {
	hold_lock('0', sub {
		my ($pid) = @_;
		wait_for_long_wait(2 * $limit);
		sql("SELECT pg_terminate_backend($pid)");
		wait_for($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
	}, 'BEGIN', $alter, 'SELECT pg_sleep(3600)');
});
cmp_ok(longest($waits), '>', $limit, 'without a budget they wait as long as the lock is held, and that is counted');

stays_clean($node);
done_testing();
