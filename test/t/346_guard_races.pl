# What is judged is what is done, whatever others do to the catalog meanwhile.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

my $node = new_server('races',
	autovacuum => 'off',
	deadlock_timeout => '10ms',
	'safe_migrate.guard' => 'enforce',
	'safe_migrate.small_table_size' => '0',
	'safe_migrate.max_lock_hold' => '0');

sub sql { return $node->safe_psql('postgres', "SET client_min_messages = error; SET safe_migrate.guard = off; @_"); }

# ---- a name that is given to another table while the statement waits for its lock
my $number = 0;

sub psql_under_way
{
	my ($sql, $name) = @_;
	my %session = (out => '', err => '');
	my $file = PostgreSQL::Test::Utils::tempdir() . "/$name.sql";
	append_to_file($file, $sql);
	$session{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres') . " application_name=$name" ],
		'<', $file, '>', \$session{out}, '2>', \$session{err},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%session;
}

sub waits_for_a_lock
{
	my ($name, $kind) = @_;
	wait_for($node, "SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE a.application_name = '$name' AND NOT l.granted AND l.locktype = '$kind'");
	return;
}

sub during_swap
{
	my ($prepare, $statement, $existing, $swapped, $late) = @_;
	$late //= 'SELECT 1';
	$swapped //= "ALTER TABLE target RENAME TO old_target;\nALTER TABLE large RENAME TO target";
	my $name = 'races_' . ++$number;
	sql('DROP SCHEMA IF EXISTS s, old_s, l CASCADE; DROP TABLE IF EXISTS target, old_target, large CASCADE;
		CREATE TABLE large AS SELECT i AS a, 1 AS b FROM generate_series(1, 1000) i');
	sql($existing) if defined $existing;
	my $gate = psql_under_way("SELECT pg_advisory_lock(1);\nSELECT pg_sleep(3600);\n", "${name}_gate");
	wait_for($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '${name}_gate' AND wait_event = 'PgSleep'");
	my $session = psql_under_way("SET client_min_messages = error;\n$prepare;\nSELECT pg_advisory_lock_shared(1);\n$statement;\n", $name);
	waits_for_a_lock($name, 'advisory');

	# The other one renames, and commits when the statement stands in the queue behind it.
	my $swap = psql_under_way(<<"SQL", "${name}_swap");
SET safe_migrate.guard = off;
SET client_min_messages = error;
BEGIN;
$swapped;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '${name}_gate';
DO \$\$ BEGIN
	WHILE NOT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE a.application_name = '$name' AND NOT l.granted AND l.locktype IN ('relation', 'object')) LOOP
		PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
	END LOOP;
END \$\$;
$late;
COMMIT;
SQL
	$_->{run}->finish for $swap, $session;
	$gate->{run}->finish;
	is($swap->{err}, '', 'the names are swapped');
	return $session->{err};
}

my $own = 'CREATE TABLE target (a int, b int)';

for my $case (
	[ 'TRUNCATE TABLE', 'TRUNCATE target' ],
	[ 'DROP TABLE', 'DROP TABLE target' ],
	[ 'ALTER TABLE', 'ALTER TABLE target ALTER a TYPE bigint' ],
	[ 'ALTER TABLE', 'ALTER TABLE target DROP COLUMN b' ],
	[ 'CREATE INDEX', 'CREATE INDEX ON target (a)' ])
{
	my ($command, $statement) = @$case;
	like(during_swap($own, $statement), qr/ERROR:  SM001: \Q$command\E is not safe/,
		"$statement: a table of its own, and the large one that has its name when the lock is there");
	is(sql("SELECT count(*) || ' ' || pg_typeof(max(a)) || ' ' || (SELECT count(*) FROM pg_indexes WHERE tablename = 'target')
		FROM target WHERE b = 1"), '1000 integer 0', 'which stays as it was');
}

# An empty or small one that is nobody's own.
for my $case (
	[ 'TRUNCATE TABLE', 'TRUNCATE target', 'an empty table', '' ],
	[ 'DROP TABLE', 'DROP TABLE target', 'an empty table', '' ],
	[ 'ALTER TABLE', 'ALTER TABLE target DROP COLUMN b', 'an empty table', '' ],
	[ 'ALTER TABLE', 'ALTER TABLE target ALTER a TYPE bigint', 'a small table', '; INSERT INTO target VALUES (1, 1)' ],
	[ 'ALTER TABLE', 'ALTER TABLE target ADD CHECK (a > 0)', 'a small table', '; INSERT INTO target VALUES (1, 1)' ],
	[ 'CREATE INDEX', 'CREATE INDEX ON target (a)', 'a small table', '; INSERT INTO target VALUES (1, 1)' ])
{
	my ($command, $statement, $what, $rows) = @$case;
	like(during_swap(q{SET safe_migrate.small_table_size = '36kB'}, $statement, "CREATE TABLE target (a int, b int)$rows"),
		qr/ERROR:  SM001: \Q$command\E is not safe/, "$statement: $what that is there, and the large one that has its name when the lock is there");
	is(sql("SELECT count(*) || ' ' || pg_typeof(max(a)) || ' ' || (SELECT count(*) FROM pg_indexes WHERE tablename = 'target')
		FROM target WHERE b = 1"), '1000 integer 0', 'which stays as it was');
}

# One that gets its rows while the statement waits for it: nothing of the catalog changes.
for my $case (
	[ 'DROP TABLE', 'DROP TABLE target', 'an empty table', '' ],
	[ 'TRUNCATE TABLE', 'TRUNCATE target', 'an empty table', '' ],
	[ 'ALTER TABLE', 'ALTER TABLE target DROP COLUMN b', 'an empty table', '' ],
	[ 'DROP SCHEMA', 'DROP SCHEMA s CASCADE', 'an empty table', '; CREATE SCHEMA s; ALTER TABLE target SET SCHEMA s', 's.target' ],
	[ 'ALTER TABLE', 'ALTER TABLE target ALTER a TYPE bigint', 'a small table', '; INSERT INTO target VALUES (1, 1)' ],
	[ 'CREATE INDEX', 'CREATE INDEX ON target (a)', 'a small table', '; INSERT INTO target VALUES (1, 1)' ])
{
	my ($command, $statement, $what, $rows, $name) = @$case;
	$name //= 'target';
	like(during_swap(q{SET safe_migrate.small_table_size = '36kB'}, $statement, "CREATE TABLE target (a int, b int)$rows",
			"INSERT INTO $name SELECT 1, 1 WHERE false", "INSERT INTO $name SELECT i, 1 FROM generate_series(2, 1000) i"),
		qr/ERROR:  SM001: \Q$command\E is not safe/, "$statement: $what that is filled while the lock is waited for");
	is(sql("SELECT max(a) || ' ' || pg_typeof(max(a)) || ' ' || (SELECT count(*) FROM pg_indexes WHERE tablename = 'target')
		FROM $name WHERE b = 1"), '1000 integer 0', 'which stays as it was');
}

# Names of which no table's lock keeps others from giving them away: the schema's, and one that comes
# first in the search path.
my $hold = 'LOCK TABLE s.target IN ACCESS SHARE MODE';
for my $case (
	[ 'TRUNCATE s.target', 'SELECT 1', "$hold;\nALTER SCHEMA s RENAME TO old_s;\nALTER SCHEMA l RENAME TO s", 's.target' ],
	[ 'DROP TABLE target', 'SET search_path = l, s', "$hold;\nALTER TABLE l.target_to_be RENAME TO target", 'l.target' ])
{
	my ($statement, $prepare, $swapped, $left) = @$case;
	my $made = $left eq 's.target' ? 'target' : 'target_to_be';
	like(during_swap($prepare, $statement, "CREATE SCHEMA s; CREATE SCHEMA l; CREATE TABLE s.target (a int, b int); CREATE TABLE l.$made AS TABLE large", $swapped),
		qr/ERROR:  SM001/, "$statement, when its name has come to mean another table: $swapped");
	is(sql("SELECT count(*) FROM $left"), '1000', 'which stays as it was');
}

# What stands in the way of a drop, for as long as it does; and what goes along, when it has come to that.
my $reads = 'CREATE FUNCTION reads() RETURNS int BEGIN ATOMIC SELECT max(b) FROM target; END';
for my $case (
	[ 'DROP TABLE target', 'CREATE FUNCTION reads() RETURNS SETOF target LANGUAGE sql AS $$ SELECT * FROM target $$', 'DROP FUNCTION reads()' ],
	[ 'ALTER TABLE target DROP COLUMN b', $reads, 'DROP FUNCTION reads()' ],
	# (from some major on the server refuses this one before it comes to wait)
	major_of($node) >= 17 ? () : [ 'ALTER TABLE target DROP COLUMN b', "$reads; CREATE FUNCTION also() RETURNS SETOF target LANGUAGE sql AS 'TABLE target'",
		"DROP FUNCTION also();\nCREATE OR REPLACE FUNCTION reads() RETURNS int BEGIN ATOMIC SELECT 1; END" ],
	[ 'DROP SCHEMA s CASCADE', 'CREATE SCHEMA s', 'ALTER TABLE target SET SCHEMA s', 's' ])
{
	my ($statement, $existing, $removed, $schema) = @$case;
	$existing = "ALTER TABLE large RENAME TO target; DROP FUNCTION IF EXISTS reads, also; $existing";
	if (!$schema)
	{
		like(during_swap('SELECT 1', $statement, $existing, $removed, "ROLLBACK;\nBEGIN"), qr/ERROR:  2BP01/,
			"$statement: the server refuses it when what is in its way has been there all along");
	}
	like(during_swap('SELECT 1', $statement, $existing, $removed), qr/ERROR:  SM001/, "$statement, during $removed");
	is(sql('SELECT count(b) FROM ' . ($schema // 'public') . '.target'), '1000', 'the rows are there');
}

# ---- explain() and the guard beside sessions that drop, create and change what is looked at
sql(<<'SQL');
CREATE TABLE seen (state text, message text);
CREATE TABLE watching (yes bool);
CREATE PROCEDURE change(i int) LANGUAGE plpgsql AS $$
DECLARE
	commands text[] := ARRAY['DROP TABLE IF EXISTS c%1$s CASCADE', 'CREATE TABLE c%1$s (a int PRIMARY KEY, b int, d int)',
		'CREATE TABLE c%1$s (a int PRIMARY KEY, b int, d int) PARTITION BY RANGE (a)',
		'CREATE TABLE c%1$s_1 PARTITION OF c%1$s DEFAULT', 'ALTER TABLE c%1$s DETACH PARTITION c%1$s_1',
		'ALTER TABLE c%1$s ADD COLUMN IF NOT EXISTS d int', 'ALTER TABLE c%1$s DROP COLUMN d',
		'ALTER TABLE c%1$s ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES c%2$s', 'ALTER TABLE c%1$s DROP CONSTRAINT f',
		'CREATE INDEX i%1$s ON c%1$s (b)', 'DROP INDEX i%1$s', 'ALTER TABLE c%1$s RENAME TO c%2$s', 'TRUNCATE c%1$s',
		'CREATE OR REPLACE VIEW v%1$s AS SELECT a FROM c%1$s', 'DROP VIEW IF EXISTS v%1$s',
		'CREATE FUNCTION f%1$s(int) RETURNS int LANGUAGE sql IMMUTABLE AS ''SELECT 1''', 'DROP FUNCTION f%1$s(int)'];
	command text := format(commands[1 + (random() * 1000)::int % array_length(commands, 1)], (random() * 100)::int % 2, (random() * 100)::int % 2);
BEGIN
	EXECUTE command;
EXCEPTION WHEN OTHERS THEN NULL; -- the server itself has internal errors for some of these races
END $$;
CREATE PROCEDURE watch() LANGUAGE plpgsql AS $$
DECLARE
	scripts text[] := ARRAY['DROP TABLE c0', 'DROP TABLE c0 CASCADE', 'ALTER TABLE c0 DROP COLUMN d', 'ALTER TABLE c0 ALTER b TYPE bigint',
		'ALTER TABLE c0 ADD FOREIGN KEY (b) REFERENCES c1', 'ALTER TABLE c0 DROP CONSTRAINT f', 'TRUNCATE c0, c1', 'CREATE INDEX ON c0 (b)',
		'DROP FUNCTION f0(int)', 'ALTER TABLE c0 DETACH PARTITION c0_1', 'ALTER TABLE c0 RENAME TO c2', 'DROP INDEX i0', 'UPDATE c0 SET b = 1',
		'ALTER TABLE c0 ADD x int; ALTER TABLE c0 ALTER b SET NOT NULL; DROP TABLE c1', 'REINDEX TABLE c0', 'VACUUM FULL c0', 'DROP VIEW v0'];
	script text;
	n int := 0;
BEGIN
	WHILE (SELECT yes FROM watching) OR n < 100 LOOP
		n := n + 1;
		script := scripts[1 + n % array_length(scripts, 1)];
		BEGIN
			PERFORM FROM safe_migrate.explain(script);
		EXCEPTION WHEN OTHERS THEN
			INSERT INTO seen VALUES (SQLSTATE, script || ': ' || SQLERRM);
		END;
		COMMIT;
	END LOOP;
END $$;
INSERT INTO watching VALUES (true);
SQL
my $script = PostgreSQL::Test::Utils::tempdir() . '/change.sql';
append_to_file($script, "SET client_min_messages = error;\nCALL change(1);\n");
my $watcher = psql_under_way("SET client_min_messages = error;\nCALL watch();\n", 'watcher');
$node->command_ok([ 'pgbench', '-n', '-c', '3', '-t', '600', '-f', $script, $node->connstr('postgres') ],
	'sessions change the catalog under guard');
sql('UPDATE watching SET yes = false');
$watcher->{run}->finish;
is($watcher->{err}, '', 'explain() went on beside them');
is(sql(q{SELECT string_agg(DISTINCT state || ' ' || message, E'\n') FROM seen WHERE state LIKE 'XX%'}), '', 'without an internal error');
unlike(slurp_file($node->logfile), qr/without having been judged[^\n]*\n[^\n]*XX000/, 'nor did the guard pass a statement by one');

# ---- another table's index
sql('CREATE TABLE one (a int NOT NULL); CREATE TABLE two (a int NOT NULL); CREATE UNIQUE INDEX two_a ON two (a);
	INSERT INTO one VALUES (1); INSERT INTO two VALUES (1)');
like(error_of($node, 'ALTER TABLE one ADD PRIMARY KEY USING INDEX two_a'), qr/ERROR:  55000: index "two_a" does not belong to table "one"/,
	"another table's index is the server's error");
stays_clean($node);
done_testing();
