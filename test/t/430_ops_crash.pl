# Schema changes that crash at each of their steps complete after the restart, with the schema that they
# have without a crash.  Every operation has a database of its own, and all of them run at once: each
# waits at the end of its step, its work done, its note of that not committed; then the server goes
# down under all of them, by kill -9 of a worker or by an immediate stop, in turn.  Those that commit
# by themselves (CREATE INDEX CONCURRENTLY …) go down in their midst as well: a prepared transaction
# holds a lock that they wait for.
#
# At the end of each step it is seen, too, that a lock which stops others was not held over a scan.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('ops_crash',
	'safe_migrate.inline' => 'never',
	'safe_migrate.small_table_size' => 0,
	'safe_migrate.guard' => 'warn',
	'safe_migrate.max_workers' => 60,
	'safe_migrate.ddl_lock_retry' => '1h',
	'safe_migrate.horizon_patience' => '100ms', # those that wait at a gate have snapshots
	'max_worker_processes' => 200,
	'max_connections' => 100,
	'max_prepared_transactions' => 30,
	'fsync' => 'off');

$node->safe_psql('postgres', 'CREATE DATABASE walk');
$node->safe_psql('walk', q{
SET client_min_messages = error;
CREATE EXTENSION safe_migrate;
CREATE SCHEMA walk;
CREATE TABLE walk.passed (step text);
CREATE TABLE walk.held (step text, lock text, rows_read bigint);
-- until it is passed: inside of the transaction that notes a step as done, or plans one
CREATE FUNCTION walk.gate() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	gate text := concat_ws(' ', 'gate', OLD.step_no, OLD.kind, NEW.state);
	lock text := (SELECT max(mode) FROM pg_locks l JOIN pg_class c ON c.oid = relation WHERE pid = pg_backend_pid() AND relnamespace = 's'::regnamespace
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'));
	rows_read bigint := (SELECT coalesce(max(seq_tup_read), 0) FROM pg_stat_xact_all_tables WHERE schemaname = 's');
BEGIN
	INSERT INTO walk.held VALUES (gate, lock, rows_read);
	IF NOT EXISTS (SELECT FROM walk.passed WHERE step = gate) AND EXISTS (SELECT FROM walk.passed) THEN
		PERFORM set_config('application_name', gate, true), pg_sleep(3600);
	END IF;
	RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER gate BEFORE UPDATE ON safe_migrate.step FOR EACH ROW WHEN (NEW.state = 'done' AND OLD.state <> 'done') EXECUTE FUNCTION walk.gate();
CREATE TRIGGER gate_of_planned BEFORE DELETE ON safe_migrate.step FOR EACH ROW WHEN (OLD.kind = 'apply') EXECUTE FUNCTION walk.gate();
CREATE SCHEMA s;
SET search_path = s;
CREATE TABLE ref (id int PRIMARY KEY);
INSERT INTO ref SELECT generate_series(1, 100);
CREATE TABLE t (id bigint PRIMARY KEY, a int, b text, ref_id int, old_ref int REFERENCES ref, CONSTRAINT later CHECK (id > 0) NOT VALID);
INSERT INTO t SELECT g, nullif(g % 5, 0), 'b' || g, 1 + g % 100 FROM generate_series(1, 3000) g;
CREATE INDEX t_old ON t (a, id);
CREATE TABLE p (id int, a int, ref_id int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000) PARTITION BY RANGE (id);
CREATE TABLE p1a PARTITION OF p1 FOR VALUES FROM (0) TO (1000);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (2000);
INSERT INTO p SELECT g, g, 1 + g % 100 FROM generate_series(0, 1999) g;
CREATE INDEX p_ref ON p (ref_id);
CREATE TABLE q (id int, a int NOT NULL, ref_id int REFERENCES ref, CHECK (a > -1)) PARTITION BY RANGE (id);
CREATE INDEX ON q (a);
CREATE TABLE q0 PARTITION OF q DEFAULT;
INSERT INTO q VALUES (1, 1, 1);
CREATE TABLE q1 (id int, a int, ref_id int);
INSERT INTO q1 SELECT g, g, 1 + g % 100 FROM generate_series(1000, 1999) g;
});

# call, and what is held so that it stops in its midst: in each mode until it has crashed there
my %operation = (
	'index' => [ q{create_index_safely('CREATE INDEX ON s.t (a, lower(b))')}, 's.t', 'ROW EXCLUSIVE' ],
	'unique index' => [ q{create_index_safely('CREATE UNIQUE INDEX ON s.t (b)')} ],
	'index of a partitioned table' => [ q{create_index_safely('CREATE INDEX ON s.p (a)')}, 's.p2', 'ROW EXCLUSIVE' ],
	'drop index' => [ q{drop_index_safely('s.t_old')}, 's.t', 'ACCESS SHARE' ],
	'drop index of a partitioned table' => [ q{drop_index_safely('s.p_ref')} ],
	'reindex' => [ q{reindex_safely('s.t')}, 's.t', 'ROW EXCLUSIVE', 'ACCESS SHARE' ],
	'reindex of a partitioned table' => [ q{reindex_safely('s.p')} ],
	'not null, filled' => [ q{add_not_null_safely('s.t', 'a', '7')} ],
	'not null of a partitioned table' => [ q{add_not_null_safely('s.p', 'a')} ],
	'column' => [ q{add_column_safely('s.t', 'n int DEFAULT 3 NOT NULL CHECK (n > 0) REFERENCES s.ref')} ],
	'column with values of its own' => [ q{add_column_safely('s.t', 'n int GENERATED ALWAYS AS IDENTITY CHECK (n > 0)')} ],
	'check' => [ q{add_constraint_safely('s.t', 'CHECK (id > 0)')} ],
	'foreign key' => [ q{add_constraint_safely('s.t', 'FOREIGN KEY (ref_id) REFERENCES s.ref')} ],
	'foreign key of a partitioned table' => [ q{add_constraint_safely('s.p', 'FOREIGN KEY (ref_id) REFERENCES s.ref')} ],
	'primary key of a partitioned table' => [ q{add_constraint_safely('s.p', 'PRIMARY KEY (id)')} ],
	'unique' => [ q{add_constraint_safely('s.t', 'UNIQUE (b)')}, 's.t', 'ROW EXCLUSIVE' ],
	'validate' => [ q{validate_constraint_safely('s.t', 'later')} ],
	'drop constraint' => [ q{drop_constraint_safely('s.t', 'later')} ],
	'drop column' => [ q{drop_column_safely('s.t', 'old_ref')} ],
	'drop table' => [ q{drop_table_safely('s.t')} ],
	'drop partition' => [ q{drop_table_safely('s.p2')} ],
	'attach' => [ q{attach_partition_safely('s.q', 's.q1', 'FOR VALUES FROM (1000) TO (2000)')} ],
	'detach' => [ q{detach_partition_safely('s.p', 's.p2')}, 'ONLY s.p', 'ACCESS SHARE' ],
	'detach beside a default partition' => [ q{detach_partition_safely('s.q', 's.q0')} ],
	'script' => [
		q{apply('CREATE TABLE s.n (id int PRIMARY KEY, t_id bigint REFERENCES s.t); ALTER TABLE s.n ADD z int NOT NULL, ADD UNIQUE (z);
		ALTER TABLE s.t ADD COLUMN n int, ADD CHECK (id > 0), DROP COLUMN old_ref; CREATE INDEX ON s.t (n); DROP INDEX s.t_old')}
	],
);
my @names = sort keys %operation;
my %database = map { $names[$_] => "walk_$_" } 0 .. $#names;
my (%job, %expected, %prepared);

sub in_all
{
	my ($sql, @of) = @_;
	return map { $_ => $node->safe_psql($database{$_}, "SET client_min_messages = error; $sql") } @of ? @of : @names;
}
sub begin_all
{
	for (@names)
	{
		$node->safe_psql('postgres', "DROP DATABASE IF EXISTS $database{$_}");
		$node->safe_psql('postgres', "CREATE DATABASE $database{$_} TEMPLATE walk");
	}
	return;
}
sub queue_all
{
	$job{$_} = $node->safe_psql($database{$_}, "SET client_min_messages = error; SELECT safe_migrate.$operation{$_}[0]") for @names;
	return;
}
sub schema_now { return join "\n", schema_of($node, $database{ $_[0] }, '--schema=s'); }

# ---- without a crash
begin_all();
queue_all();
for my $name (@names)
{
	wait_for_state($node, $job{$name}, 'succeeded', $database{$name});
	$expected{$name} = schema_now($name);
}

my %held = map { $_ => $node->safe_psql($database{$_}, q{SELECT count(*) FILTER (WHERE lock IS NULL AND rows_read >= 1000), count(lock),
	string_agg(step || ': ' || lock || ', ' || rows_read, '; ') FILTER (WHERE lock IS NOT NULL AND rows_read > 10) FROM walk.held}) } @names;
like($held{$_}, qr/\|$/, "$_: a lock that stops others is not held over a scan") for @names;
like($held{'check'}, qr/^1\|1\|/, 'a scan without one, and one without a scan, are seen');

# ---- with one at each step
begin_all();
in_all(q{INSERT INTO walk.passed VALUES ('begun')});
for my $name (@names)
{
	my (undef, $table, @modes) = @{ $operation{$name} };
	$node->safe_psql($database{$name}, "BEGIN; LOCK TABLE $table IN $_ MODE; PREPARE TRANSACTION '$_ $database{$name}'") for @modes;
	$prepared{$name} = [ map { "$_ $database{$name}" } @modes ];
}
queue_all();
my %left = map { $database{$_} => $_ } @names;
my %crashes = map { $_ => 0 } @names;
my $round = 0;
while (%left)
{
	# each of them waits at a gate, or for what is held, or has come to its end
	my %place;
	my $stands = sub {
		%place = map { split /\|/, $_, 2 } split /\n/, $node->safe_psql('postgres', q{SELECT datname, CASE WHEN wait_event = 'PgSleep' THEN application_name ELSE 'held' END
			FROM pg_stat_activity a WHERE backend_type = 'safe_migrate worker' AND (wait_event = 'PgSleep' AND application_name LIKE 'gate %'
			-- by the lock: wait_event may still name a transaction that has ended meanwhile
			OR EXISTS (SELECT FROM pg_locks l JOIN pg_prepared_xacts x ON x.transaction = l.transactionid WHERE l.pid = a.pid AND NOT l.granted))});
		my @ended = grep { state_of($node, $job{ $left{$_} }, $_) =~ /succeeded|failed|paused/ } grep { !exists $place{$_} } keys %left;
		delete @left{@ended};
		return !grep { !exists $place{$_} } keys %left;
	};
	my $patience = 10 * $PostgreSQL::Test::Utils::timeout_default;
	select undef, undef, undef, 0.1 until $stands->() || !$patience--;
	last unless %left;
	my @lost = grep { !exists $place{$_} } keys %left;
	die join "\n", map { "$left{$_} does not go on: " . $node->safe_psql($_, 'SELECT to_jsonb(p) FROM safe_migrate.progress p') } @lost if @lost;

	my @names_left = @left{ sort keys %left };
	for my $name (@names_left)
	{
		my $place = $place{ $database{$name} };
		my $sql = $place =~ /^gate/ ? "INSERT INTO walk.passed VALUES ('$place')" : '';
		$crashes{$name}++ if $place !~ /^gate/;
		# crashes one upon another would pause it
		$node->safe_psql($database{$name}, "UPDATE safe_migrate.job SET starts = 0; $sql");
	}
	if ($round++ % 2) { $node->stop('immediate'); $node->start; }
	else { kill_hard($node, (worker_pids($node))[0]); }
	for my $name (@names_left)
	{
		next if $place{ $database{$name} } =~ /^gate/ || !@{ $prepared{$name} };
		$node->safe_psql($database{$name}, "COMMIT PREPARED '" . shift(@{ $prepared{$name} }) . q{'});
	}
}
note "$round crashes";

for my $name (@names)
{
	my $db = $database{$name};
	is(state_of($node, $job{$name}, $db), 'succeeded', "$name: succeeds")
	  or diag($node->safe_psql($db, "SELECT to_jsonb(j) FROM safe_migrate.jobs j"));
	is(schema_now($name), $expected{$name}, "$name: the same schema as without crashes");
	is($node->safe_psql($db, q{SELECT count(*) FROM safe_migrate.job_steps WHERE NOT EXISTS (SELECT FROM walk.passed
		WHERE step = concat_ws(' ', 'gate', step_no, kind, 'done'))}), 0, "$name: crashed at the end of each step");
	is($crashes{$name}, @{ $operation{$name} } > 2 ? @{ $operation{$name} } - 2 : 0, "$name: and in the midst of what commits by itself");
	is($node->safe_psql($db, 'SELECT count(*) FROM pg_index WHERE NOT indisvalid'), 0, "$name: no wreck of an index");
}
is($node->safe_psql($database{'not null, filled'}, 'SELECT count(*) FROM s.t WHERE a = 7'), 600, 'rows are filled, once');
is($node->safe_psql($database{'column with values of its own'}, 'SELECT count(DISTINCT n) FROM s.t'), 3000, 'rows are numbered');
$node->stop;
done_testing();
