# The same gate for every way a statement comes in; what is not judged; warn changes nothing.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use IPC::Run;
use Test::More;
use SafeMigrate;

my $node = new_server('guard_ways_in', 'safe_migrate.guard' => 'enforce', 'max_prepared_transactions' => 5);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t AS SELECT i AS a, repeat('x', 1000) AS x FROM generate_series(1, 20000) i;
CREATE TABLE log (a int);
INSERT INTO log VALUES (1);
CREATE TABLE grows (a int);
CREATE INDEX ON grows (a);
SQL
my $index = 'CREATE INDEX i ON t (a)';
my $rejected = qr/ERROR:  SM001: CREATE INDEX is not safe/;
sub no_index { return $node->safe_psql('postgres', q{SELECT count(*) FROM pg_indexes WHERE tablename = 't'}) eq '0' }

my %way = (
	'simple protocol' => $index,
	'a transaction block' => "BEGIN;\n$index;\nCOMMIT;",
	'a multi-statement string' => "SELECT 1\\;$index\\;SELECT 2;",
	'a DO block' => "DO \$\$ BEGIN $index; END \$\$",
	'EXECUTE' => "DO \$\$ BEGIN EXECUTE '$index'; END \$\$",
	'a function' => "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN $index; END \$\$;\nSELECT f()",
	'an SQL function' => "CREATE FUNCTION g() RETURNS void LANGUAGE sql AS '$index';\nSELECT g()",
	'a procedure' => "CREATE PROCEDURE p() LANGUAGE plpgsql AS \$\$ BEGIN COMMIT; $index; END \$\$;\nCALL p()",
	'a savepoint' => "BEGIN;\nSAVEPOINT s;\n$index;\nCOMMIT;",
);
for my $name (sort keys %way)
{
	like(error_of($node, $way{$name}), $rejected, "rejected: $name");
	ok(no_index(), "no index is there: $name");
}
like(error_of($node, 'CREATE SCHEMA s CREATE TABLE part (a int, b int REFERENCES t (a))', db => 'postgres'),
	qr/ERROR:  42830/, "an element of CREATE SCHEMA that fails by itself has the server's error");
$node->safe_psql('postgres', q{CREATE TABLE par (a int, x text) PARTITION BY RANGE (a); CREATE TABLE par_rest PARTITION OF par DEFAULT;
	INSERT INTO par SELECT a, x FROM t});
like(error_of($node, 'CREATE SCHEMA s1 CREATE TABLE q PARTITION OF public.par FOR VALUES FROM (100000) TO (100001)'),
	qr/ERROR:  SM001: CREATE SCHEMA is not safe.*TABLE NAME:  par_rest.*create-partition-default/s, 'rejected: an element of CREATE SCHEMA');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_namespace WHERE nspname = 's1'}), '0', 'the schema is not there');
$node->safe_psql('postgres', 'ALTER TABLE t ADD COLUMN k int');

# ---- extended protocol, prepared once, judged at each execution
my $pgbench = $node->basedir . '/ddl.sql';
append_to_file($pgbench, "$index;\n");
for my $mode ('extended', 'prepared')
{
	$node->command_fails_like(
		[ 'pgbench', '-n', '-M', $mode, '-t', '1', '-f', $pgbench, $node->connstr('postgres') ],
		qr/CREATE INDEX is not safe/, "rejected: $mode protocol");
	ok(no_index(), "no index is there: $mode protocol");
}
$node->safe_psql('postgres', 'CREATE TABLE refilled (a int, x text)');
my $refill = $node->basedir . '/refill.sql';
append_to_file($refill, "DELETE FROM refilled;\nINSERT INTO refilled SELECT a, x FROM t;\n");
$node->command_fails_like([ 'pgbench', '-n', '-M', 'prepared', '-t', '3', '-f', $refill, $node->connstr('postgres') ],
	qr/client 0 .*command 0 .*DELETE is not safe/s, 'a DELETE that was prepared while its table was empty');
is($node->safe_psql('postgres', 'SELECT count(*) FROM refilled'), '20000', 'passed then, and is rejected when the table has grown');
like(error_of($node, <<'SQL'), qr/^psql:\S+:5: ERROR:  SM001: DELETE is not safe/, 'PREPARE and EXECUTE');
SET safe_migrate.small_table_size = '100MB'; PREPARE d AS DELETE FROM refilled; BEGIN; EXECUTE d; ROLLBACK;
SET safe_migrate.small_table_size = '1MB';
BEGIN;
EXECUTE d;
SQL
is(error_of($node, <<'SQL'), '', 'a statement in a function is judged at each execution (here: while the table is empty)');
CREATE FUNCTION rebuild() RETURNS void LANGUAGE plpgsql AS $$ BEGIN REINDEX TABLE grows; END $$;
SELECT rebuild();
SQL
$node->safe_psql('postgres', q{ALTER TABLE grows ADD COLUMN x text;
	INSERT INTO grows SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i});
like(error_of($node, 'SELECT rebuild()'), qr/ERROR:  SM001: REINDEX is not safe/, 'and when it has grown');

# ---- catching the error does not carry the statement out
is($node->safe_psql('postgres', <<"SQL"), 'SM001|create-index|public|t', 'a program reads rule and names from the fields');
CREATE TABLE caught (state text, rule text, schema text, tab text);
DO \$\$
DECLARE s text; r text; n text; o text;
BEGIN
	$index;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS s = RETURNED_SQLSTATE, r = CONSTRAINT_NAME, n = SCHEMA_NAME, o = TABLE_NAME;
	INSERT INTO caught VALUES (s, r, n, o);
END \$\$;
SELECT * FROM caught;
SQL
ok(no_index(), 'and there is no index');

# ---- a job's worker: what the job's own rows set off is judged like anybody's
sub job
{
	my ($call, $meanwhile, $before) = @_;
	return error_of($node, "SET safe_migrate.inline = never;\nBEGIN;\n" . ($before // '') . "SELECT safe_migrate.$call AS job \\gset\n"
			. ($meanwhile ? "SELECT safe_migrate.pause(:job);\nCOMMIT;\n$meanwhile;\nSELECT safe_migrate.resume(:job);\n" : "COMMIT;\n")
			. 'CALL safe_migrate.wait(:job);');
}
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE few (id int PRIMARY KEY, a int);
INSERT INTO few VALUES (1, NULL);
CREATE FUNCTION deletes(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM public.t; RETURN 1; END $$;
CREATE FUNCTION empties(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN TRUNCATE public.t; RETURN 1; END $$;
CREATE FUNCTION updates() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE public.t SET a = -1; RETURN new; END $$;
SQL
like(job(q{backfill('few', 'a = public.deletes(id)')}), qr/ERROR:  SM001: DELETE is not safe/, 'DELETE in a function of a job');
like(job(q{backfill('few', 'a = public.empties(id)')}), qr/ERROR:  SM001: TRUNCATE TABLE is not safe/, 'TRUNCATE');
$node->safe_psql('postgres', 'CREATE TRIGGER updates BEFORE UPDATE ON few FOR EACH ROW EXECUTE FUNCTION updates()');
like(job(q{backfill('few', 'a = id')}), qr/ERROR:  SM001: UPDATE is not safe/, 'UPDATE in a trigger of its table');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE a > 0'), '20000', 'all rows are there');
$node->safe_psql('postgres', 'DROP TRIGGER updates ON few');
is(error_of($node, "SET safe_migrate.max_rows_per_statement = 1;\nSET safe_migrate.small_table_size = 0;\nALTER TABLE few ADD COLUMN later int;\n"
		. "SELECT safe_migrate.backfill('few', 'a = id, later = 1') AS job \\gset\nSELECT safe_migrate.pause(:job);\nSELECT safe_migrate.resume(:job);\nCALL safe_migrate.wait(:job);"),
	'', 'the extension\'s own rows are not');
$node->safe_psql('postgres', 'SET safe_migrate.guard = off; DROP TABLE few');

# ---- and what a job would lose is judged when it is queued: of rows that have come since, when it runs
$node->safe_psql('postgres', q{CREATE TABLE vacant (id int NOT NULL, a int) PARTITION BY RANGE (id);
	CREATE TABLE full_part AS SELECT i AS id, i AS a FROM generate_series(1, 1000) i;
	ALTER TABLE full_part ALTER COLUMN id SET NOT NULL});
for my $call (q{drop_column_safely('vacant', 'a')}, q{drop_table_safely('vacant')})
{
	like(job($call, 'ALTER TABLE vacant ATTACH PARTITION full_part DEFAULT'), qr/ERROR:  SM001: \S+ TABLE is not safe/, "rows that came after it was queued: $call");
	is($node->safe_psql('postgres', 'SELECT sum(a) FROM vacant'), '500500', 'they are there');
	$node->safe_psql('postgres', 'ALTER TABLE vacant DETACH PARTITION full_part');
}
is(job(q{drop_column_safely('vacant', 'a')}, 'SELECT 1'), '', 'without new rows it is carried out');
like(job(q{drop_table_safely('vacant')}, 'CREATE TABLE part PARTITION OF vacant DEFAULT; INSERT INTO vacant SELECT 1'),
	qr/ERROR:  SM001: DROP TABLE is not safe/, 'nor is a new partition with rows dropped');
unlike(job(q{drop_table_safely('vacant')}, 'INSERT INTO vacant SELECT 2', "SET LOCAL safe_migrate.override = 'CHG-1';\n"), qr/ERROR/, 'an override holds for the job');

# ---- what is not judged
like(error_of($node, 'CREATE TABLE pooled AS SELECT a FROM t; DISCARD ALL; SET safe_migrate.small_table_size = 0; CREATE INDEX ON pooled (a)'),
	qr/ERROR:  SM001: CREATE INDEX is not safe/, "after DISCARD ALL a pooler's next client is not the one that made a table");
$node->safe_psql('postgres', q{SET safe_migrate.guard = off; DROP TABLE IF EXISTS pooled});
is(error_of($node, <<'SQL'), '', "a session's own tables, temporary ones, and SELECT INTO");
CREATE TABLE own AS SELECT a, x FROM t;
CREATE INDEX ON own (a);
ALTER TABLE own ALTER COLUMN a TYPE bigint;
CREATE TEMP TABLE temporary AS SELECT a, x FROM t;
ALTER TABLE temporary ALTER COLUMN a TYPE bigint;
DROP TABLE own;
SQL
$node->safe_psql('postgres', 'CREATE TABLE adopted AS TABLE t; ALTER TABLE adopted ADD CHECK (a IS NOT NULL AND a >= 1 AND a < 100000); ALTER TABLE adopted ALTER COLUMN a SET NOT NULL');
like(error_of($node, <<'SQL'), qr/ERROR:  SM001: DROP TABLE is not safe.*TABLE NAME:  /s, 'but not what others use and a new table has adopted');
CREATE TABLE own (LIKE adopted) PARTITION BY RANGE (a);
ALTER TABLE own ATTACH PARTITION adopted FOR VALUES FROM (1) TO (100000);
DROP TABLE own;
SQL
is($node->safe_psql('postgres', "SELECT count(*) FROM adopted"), '20000', 'its rows are there');
$node->safe_psql('postgres', q{CREATE TABLE keyed (a int PRIMARY KEY); CREATE TABLE parts (a int, x text) PARTITION BY RANGE (a);
	CREATE TABLE rest PARTITION OF parts DEFAULT});
like(error_of($node, "CREATE TABLE large AS SELECT a, x FROM t;\nALTER TABLE large ADD FOREIGN KEY (a) REFERENCES keyed"),
	qr/SM001: ALTER TABLE is not safe.*It would scan public\.large .*SHARE ROW EXCLUSIVE.*public\.keyed is locked meanwhile.*add-foreign-key/s,
	'nor work on an own table while others wait for another one: a foreign key');
like(error_of($node, "CREATE TABLE part AS SELECT a, x FROM t;\nALTER TABLE parts ATTACH PARTITION part FOR VALUES FROM (1) TO (100000)"),
	qr/SM001: ALTER TABLE is not safe.*It would scan public\.part .*public\.rest is locked meanwhile.*attach-partition/s,
	'a partition while the default one is locked');
$node->safe_psql('postgres', 'INSERT INTO keyed SELECT a FROM t; CREATE TABLE keyed_parts (a int REFERENCES keyed, x text) PARTITION BY RANGE (a)');

sub with_new_partition
{
	my ($name, $sql) = @_;
	return error_of($node, "CREATE TABLE $name AS SELECT a, x FROM t;\nALTER TABLE $name ADD CONSTRAINT key FOREIGN KEY (a) REFERENCES keyed NOT VALID;
		ALTER TABLE $name VALIDATE CONSTRAINT key;\n$sql");
}

my $attach = 'FOR VALUES FROM (1) TO (100000)';
like(with_new_partition('part_1', "ALTER TABLE keyed_parts ATTACH PARTITION part_1 $attach"),
	qr/SM001: ALTER TABLE is not safe.*It would scan public\.part_1 .*public\.keyed is locked meanwhile.*attach-partition/s,
	'a partition while the table that both refer to is locked');
is(with_new_partition('part_2', "ALTER TABLE part_2 ADD CHECK (a IS NOT NULL AND a >= 1 AND a < 100000);
	ALTER TABLE keyed_parts ATTACH PARTITION part_2 $attach"), '', 'which is attached where nothing is left to scan');
like(with_new_partition('part_3', 'ALTER TABLE part_3 ALTER a TYPE bigint'),
	qr/SM001: ALTER TABLE is not safe.*It would rewrite public\.part_3 .*public\.keyed is locked meanwhile.*alter-type-rewrite/s,
	'nor a rewrite during which the referenced table is');
is(error_of($node, "CREATE TABLE few AS SELECT 1 AS a;\nALTER TABLE few ADD FOREIGN KEY (a) REFERENCES keyed NOT VALID"), '', 'what is short passes');
is(error_of($node, 'CREATE INDEX CONCURRENTLY ok ON t (a)'), '', 'the safe way passes');
is(error_of($node, 'DROP INDEX CONCURRENTLY ok'), '', 'and back');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', q{CREATE TABLE t AS SELECT i AS a, repeat('x', 1000) AS x FROM generate_series(1, 20000) i});
is(error_of($node, $index, db => 'other'), '', 'a database without the extension is not judged');
is(error_of($node, "CREATE EXTENSION safe_migrate;\nDROP TABLE t;", db => 'other') =~ /SM001/ ? 1 : 0, 1,
	'from CREATE EXTENSION on it is, in the same session');
is(error_of($node, "DROP EXTENSION safe_migrate;\nDROP TABLE t;", db => 'other'), '', 'up to DROP EXTENSION');
is(error_of($node, "SET safe_migrate.guard = off;\n$index;\nDROP INDEX i;"), '', 'off judges nothing');

# ---- warn
configure_server($node, 'safe_migrate.guard' => 'warn');
like(error_of($node, $index), qr/^psql:\S+ WARNING:  SM001: CREATE INDEX is not safe: .*guard = enforce would reject it/s,
	'warn says what enforce would do');
ok(!no_index(), 'and lets it pass');
$node->safe_psql('postgres', 'DROP INDEX i');
is($node->safe_psql('postgres', "BEGIN ISOLATION LEVEL SERIALIZABLE; $index; COMMIT; SELECT count(*) FROM pg_indexes WHERE indexname = 'i'"),
	'1', 'in a serializable transaction too');
$node->safe_psql('postgres', 'DROP INDEX i');
$node->safe_psql('postgres', "SET safe_migrate.override = 'CHG-1';\n$index");
is($node->safe_psql('postgres', 'SELECT rules FROM safe_migrate.audit'), '{drop-table}', 'where nothing is rejected nothing is overridden');

# ---- who wants it to stop is heard while it is judged
my $holder = IPC::Run::start([ 'psql', '-X', '-q', '-c', 'BEGIN', '-c', 'LOCK TABLE safe_migrate.policy', '-c', 'SELECT pg_sleep(3600)',
		$node->connstr('postgres') ], '>', \my $ignored, '2>', \my $ignored_too);
wait_for($node, q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 'safe_migrate.policy'::regclass AND granted AND mode = 'AccessExclusiveLock'});
like(error_of($node, "SET statement_timeout = '100ms';\n$index"), qr/ERROR:  57014: canceling statement due to statement timeout/,
	'a cancel while judging is passed on');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_locks
	WHERE relation = 'safe_migrate.policy'::regclass AND mode = 'AccessExclusiveLock'});
$holder->finish;

# ---- judging that fails: the statement passes, and the log says so
$node->safe_psql('postgres', <<'SQL');
ALTER EXTENSION safe_migrate DROP VIEW safe_migrate.policies;
DROP VIEW safe_migrate.policies;
ALTER TABLE safe_migrate.policy ALTER COLUMN max_lock_hold TYPE text USING NULL;
SQL
configure_server($node, 'safe_migrate.guard' => 'enforce');
my $log = -s $node->logfile;
$node->safe_psql('postgres', 'DROP INDEX i');
$log = -s $node->logfile;
is(error_of($node, $index), '', 'what can not be judged passes');
like(slurp_file($node->logfile, $log),
	qr/LOG:  safe_migrate: a statement passed without having been judged: safe_migrate\.policy is not as this version/,
	'and the log says so');
$log = -s $node->logfile;
like(error_of($node, 'CREATE INDEX i ON t (a)'), qr/42P07/, 'what fails by itself has its own error');
unlike(slurp_file($node->logfile, $log), qr/passed without having been judged/, 'and did not pass');
$node->safe_psql('postgres', 'DROP INDEX i');
my $not_judged = qr/LOG:  safe_migrate: a statement passed without having been judged: safe_migrate\.policy is not as this version/;
for my $level ('enforce', 'warn')
{
	for my $statement ('DELETE FROM t', 'UPDATE t SET a = 1', $index)
	{
		$log = -s $node->logfile;
		is(error_of($node, "SET safe_migrate.guard = $level;\nBEGIN;\n$statement;\nROLLBACK;"), '', "$level: nobody is told: $statement");
		like(slurp_file($node->logfile, $log), $not_judged, 'but the log');
	}
}

stays_clean($node);
done_testing();
