# Every operation at work in a database of its own, all of them at once: each waits at a gate at the end of
# each of its steps, its work done, its note of that not committed.
package OperationsWalk;
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use SafeMigrate;

my $template = q{
SET client_min_messages = error;
CREATE EXTENSION safe_migrate;
CREATE SCHEMA walk;
CREATE TABLE walk.passed (step text, who_waits_too bool DEFAULT false);
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
		PERFORM set_config('application_name', gate, true);
		WHILE NOT EXISTS (SELECT FROM walk.passed WHERE step = gate AND who_waits_too) LOOP
			PERFORM pg_sleep(0.05);
		END LOOP;
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
};

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
	'statements as they stand' => [
		q{apply('CREATE SEQUENCE s.seq; CREATE TYPE s.kind AS ENUM (); CREATE TABLE s.n (id int, k s.kind); CREATE VIEW s.v AS SELECT a FROM s.t;
		ALTER TABLE s.t ADD n int, ALTER b SET DEFAULT lower(''X''); ALTER TABLE s.t ALTER b DROP DEFAULT; ALTER TABLE s.t RENAME b TO "B b";
		ALTER TABLE s.t RENAME CONSTRAINT later TO "Later"; ALTER TABLE s.t RENAME TO "T t"')}
	],
);

sub new
{
	my ($class, $server) = @_;
	my $node = new_server($server,
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
	my @names = grep { !$ENV{WALK} || $_ =~ $ENV{WALK} } sort keys %operation;
	my $self = bless {
		node => $node,
		names => \@names,
		database => { map { $names[$_] => "walk_$_" } 0 .. $#names },
	}, $class;
	$node->safe_psql('postgres', 'CREATE DATABASE walk');
	$node->safe_psql('walk', $template);
	return $self;
}

sub node { my ($self) = @_; return $self->{node}; }
sub names { my ($self) = @_; return @{ $self->{names} }; }
sub database { my ($self, $name) = @_; return $self->{database}{$name}; }
sub job { my ($self, $name) = @_; return $self->{job}{$name}; }

# what is held so that it stops in its midst: table, modes
sub held { my ($self, $name) = @_; my (undef, @held) = @{ $operation{$name} }; return @held; }

sub sql { my ($self, $name, $sql) = @_; return $self->{node}->safe_psql($self->{database}{$name}, "SET client_min_messages = error; $sql"); }
sub state { my ($self, $name) = @_; return state_of($self->{node}, $self->{job}{$name}, $self->{database}{$name}); }
sub schema { my ($self, $name, $database) = @_; return join "\n", schema_of($self->{node}, $database // $self->{database}{$name}, '--schema=s'); }

# New databases, nothing done in them yet.
sub begin
{
	my ($self, $gates) = @_;
	for my $database (map { $self->{database}{$_} } $self->names)
	{
		$self->{node}->safe_psql('postgres', $_) for "DROP DATABASE IF EXISTS $database", "CREATE DATABASE $database TEMPLATE walk";
		$self->{node}->safe_psql($database, q{INSERT INTO walk.passed VALUES ('begun')}) if $gates;
	}
	return;
}

sub queue
{
	my ($self) = @_;
	$self->{job}{$_} = $self->sql($_, "SELECT safe_migrate.$operation{$_}[0]") for $self->names;
	return;
}

# Without gates: the schema that each of them leaves.
sub run_through
{
	my ($self) = @_;
	my %schema;
	$self->begin(0);
	$self->queue;
	for my $name ($self->names)
	{
		wait_for_state($self->{node}, $self->{job}{$name}, 'succeeded', $self->{database}{$name});
		$schema{$name} = $self->schema($name);
	}
	return %schema;
}

# Waits until each of them stands at a gate, or waits for what is held, or has ended: name → gate, 'held'; none
# where it has ended.
sub places
{
	my ($self, @names) = @_;
	my %place;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		my %of_database = map { split /\|/, $_, 2 } split /\n/, $self->{node}->safe_psql('postgres', q{SELECT datname, CASE WHEN application_name LIKE 'gate %' THEN application_name ELSE 'held' END
			FROM pg_stat_activity a WHERE backend_type = 'safe_migrate worker' AND (application_name LIKE 'gate %'
			-- by the lock: wait_event may still name a transaction that has ended meanwhile
			OR EXISTS (SELECT FROM pg_locks l JOIN pg_prepared_xacts x ON x.transaction = l.transactionid WHERE l.pid = a.pid AND NOT l.granted))});
		%place = map { $_ => $of_database{ $self->{database}{$_} } } @names;
		my @moving = grep { !$place{$_} && $self->state($_) !~ /succeeded|failed|paused/ } @names;
		return map { $place{$_} ? ($_ => $place{$_}) : () } @names unless @moving;
		select undef, undef, undef, 0.1;
	}
	die join "\n", map { "$_ does not go on: " . $self->sql($_, 'SELECT to_jsonb(p) FROM safe_migrate.progress p') } grep { !$place{$_} } @names;
}

# Lines of one and not of the other.
sub difference
{
	my ($got, $expected) = @_;
	my %count;
	$count{$_}++ for split /\n/, $got;
	$count{$_}-- for split /\n/, $expected;
	my @lines = map { ($count{$_} > 0 ? '+' : '-') . $_ } grep { $count{$_} } sort keys %count;
	return join "\n", @lines ? @lines : $got eq $expected ? () : 'the order';
}

# It doesn't wait there again; who waits there now goes on only where that is said.
sub open_gate
{
	my ($self, $name, $gate, %how) = @_;
	$self->sql($name, "INSERT INTO walk.passed VALUES ('$gate', " . ($how{who_waits_too} ? 'true' : 'false') . ')');
	return;
}

1;
