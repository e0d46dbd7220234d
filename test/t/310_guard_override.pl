# Overrides: who may, for how long, what is written down; and no way round the guard for who may not.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('guard_override', 'safe_migrate.guard' => 'enforce', listen_addresses => '127.0.0.1');
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE app LOGIN;
CREATE ROLE release LOGIN;
GRANT SET ON PARAMETER safe_migrate.override TO release;
GRANT app TO release;
GRANT CREATE ON SCHEMA public TO app, release;
GRANT ALL ON DATABASE postgres TO app;
SQL
my $rejected = qr/ERROR:  SM001: DROP TABLE is not safe/;

# A populated table of app's, made by another session than the one that drops it.
my $made = 0;
sub make_table
{
	my ($name) = @_;
	$name //= 't' . ++$made;
	$node->safe_psql('postgres', "CREATE TABLE $name AS SELECT generate_series(1, 1000) AS a; ALTER TABLE $name OWNER TO app");
	return $name;
}

sub exists_table
{
	my ($name) = @_;
	return $node->safe_psql('postgres', "SELECT to_regclass('$name') IS NOT NULL") eq 't';
}

sub last_audit
{
	return $node->safe_psql('postgres',
		'SELECT role, session_role, command, rules, relations, reason FROM safe_migrate.audit ORDER BY id DESC LIMIT 1');
}

# ---- for how long
my $t = make_table();
like(error_of($node, "DROP TABLE $t", as => 'app'), $rejected, 'a populated table is not dropped');
like(error_of($node, "DROP TABLE $t"), $rejected, 'nor by a superuser');
like(error_of($node, "BEGIN; SET LOCAL safe_migrate.override = ' \t\n'; DROP TABLE $t; COMMIT;", as => 'release'),
	$rejected, 'a blank reason does not count');
is(error_of($node, "BEGIN; SET LOCAL safe_migrate.override = 'CHG-1'; DROP TABLE $t; COMMIT;", as => 'release'),
	'', 'with a reason it is');
ok(!exists_table($t), 'it is gone');
is(last_audit(), "release|release|DROP TABLE|{drop-table}|{public.$t}|CHG-1", 'the audit has it');

# when, by which program, from where
for my $from ([ $node->host, '' ], [ '127.0.0.1', '127.0.0.1' ])
{
	my ($host, $client) = @$from;
	$t = make_table();
	my $before = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
	$node->command_ok([ 'psql', '-XAtq', '-d', 'host=' . $host . ' port=' . $node->port . " dbname=postgres user=release application_name='the deploy tool'",
		'-c', "BEGIN; SET LOCAL safe_migrate.override = 'CHG-1a'", '-c', 'SELECT pg_sleep(0.1)', '-c', "DROP TABLE $t", '-c', 'COMMIT' ], "by way of $host");
	is($node->safe_psql('postgres', "SELECT application, coalesce(client, ''), at BETWEEN '$before' AND now(), statement FROM safe_migrate.audit ORDER BY id DESC LIMIT 1"),
		"the deploy tool|$client|t|DROP TABLE $t", 'the audit says when, by which program and from where');
}

$t = make_table();
is(error_of($node, "SET safe_migrate.override = 'CHG-2';\nDROP TABLE $t;", as => 'release'),
	'', 'set outside a block it counts for the next statement');
my ($a, $b) = (make_table(), make_table());
like(error_of($node, "SET safe_migrate.override = 'CHG-3';\nDROP TABLE $a;\nDROP TABLE $b;", as => 'release'),
	$rejected, 'but not for the one after');
ok(!exists_table($a) && exists_table($b), 'the first is gone, the second is there');
like(error_of($node, "SET safe_migrate.override = 'CHG-4';\nSELECT 1;\nDROP TABLE $b;", as => 'release'),
	$rejected, 'whatever the next statement was');
for my $failed ('SELEC', 'SELECT 1/0', 'SELECT * FROM nowhere')
{
	like(error_of($node, "\\set ON_ERROR_STOP 0\nSET safe_migrate.override = 'CHG-4a';\n$failed;\nDROP TABLE $b;", as => 'release'),
		$rejected, "nor if it failed: $failed");
}
like(error_of($node, "SET safe_migrate.override = 'CHG-5';\nBEGIN;\nDROP TABLE $b;\nCOMMIT;", as => 'release'),
	$rejected, 'be it BEGIN');
like(error_of($node, "BEGIN;\nSET safe_migrate.override = 'CHG-6';\nCOMMIT;\nDROP TABLE $b;", as => 'release'),
	$rejected, 'set in a block it ends with the block');
like(error_of($node, "BEGIN;\nSET LOCAL safe_migrate.override = 'CHG-7';\nCOMMIT;\nBEGIN;\nDROP TABLE $b;\nCOMMIT;", as => 'release'),
	$rejected, 'it does not reach into the next block');
like(error_of($node, "BEGIN;\nSAVEPOINT s;\nSET LOCAL safe_migrate.override = 'CHG-8';\nROLLBACK TO s;\nDROP TABLE $b;\nCOMMIT;", as => 'release'),
	$rejected, 'it goes with the savepoint');
like(error_of($node, "SET safe_migrate.override = 'CHG-9';\nRESET safe_migrate.override;\nDROP TABLE $b;", as => 'release'),
	$rejected, 'and by RESET');
ok(exists_table($b), 'none of these dropped it');
is(error_of($node, "SELECT set_config('safe_migrate.override', 'CHG-10', false);\nDROP TABLE $b;", as => 'release'),
	'', 'set_config() does as well');

# ---- what is written down
$t = make_table();
my $log = -s $node->logfile;
is(error_of($node, "BEGIN; SET LOCAL safe_migrate.override = 'CHG-11'; DROP TABLE $t; ROLLBACK;", as => 'release'), '',
	'an overridden statement is rolled back');
unlike(last_audit(), qr/CHG-11/, 'the audit does not have it');
like(slurp_file($node->logfile, $log),
	qr/LOG:  safe_migrate: DROP TABLE of role "release" passes by an override: CHG-11\n.*Rules: drop-table\. Session user: "release"/,
	'the server log does');
$node->safe_psql('postgres', 'CREATE TABLE wide AS SELECT i, repeat(\'x\', 1000) AS x FROM generate_series(1, 20000) i; ALTER TABLE wide OWNER TO app');
like(error_of($node, 'VACUUM FULL wide', as => 'app'), qr/SM001: VACUUM is not safe/, 'VACUUM FULL of a large table is rejected');
is(error_of($node, "SET safe_migrate.override = 'CHG-12';\nVACUUM FULL wide;", as => 'postgres'), '', 'and overridden');
is(last_audit(), 'postgres|postgres|VACUUM|{vacuum-full}|{public.wide}|CHG-12', 'which is in the audit too');
is(error_of($node, "SET default_transaction_read_only = on;\nSET safe_migrate.override = 'CHG-12a';\nVACUUM FULL wide;", as => 'postgres'), '',
	'in a session that is read only');
is(last_audit(), 'postgres|postgres|VACUUM|{vacuum-full}|{public.wide}|CHG-12a', '… too');
$node->safe_psql('postgres', 'SET safe_migrate.guard = off; CREATE INDEX ON wide (i)');
is(error_of($node, "BEGIN READ ONLY;\nSET LOCAL safe_migrate.override = 'CHG-12b';\nREINDEX TABLE wide;\nCOMMIT;", as => 'postgres'), '',
	'and in a transaction that is');
is(last_audit(), 'postgres|postgres|REINDEX|{reindex}|{public.wide,public.wide_i_idx}|CHG-12b', '… which goes on being so');
is(error_of($node, "SET ROLE app; SET safe_migrate.override = 'CHG-13';") =~ /permission denied to set parameter/ ? 1 : 0, 1,
	'the rights are those of the current role');
is($node->safe_psql('postgres', 'SET ROLE app; SELECT count(*) FROM safe_migrate.audit'), '0',
	"who is no member of the role doesn't see what it overrode");
is($node->safe_psql('postgres', q{SET ROLE release; SELECT count(*) > 3, bool_and("role" = 'release') FROM safe_migrate.audit}), 't|t',
	'the role itself does');

# A statement that waits, and is written down once it has ended.
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; SELECT FROM wide LIMIT 1');
my $vacuum = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . ' application_name=vacuum', '-c', "SET safe_migrate.override = 'CHG-12a'",
		'-c', 'VACUUM FULL wide' ], '>', \my $ignored, '2>', \my $ignored_too);
wait_for($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'vacuum' AND wait_event_type = 'Lock'");
my $then = $node->safe_psql('postgres', 'SELECT now()');
$holder->query_safe('COMMIT');
$holder->quit;
$vacuum->finish;
is($node->safe_psql('postgres', "SELECT reason, at < '$then' FROM safe_migrate.audit ORDER BY id DESC LIMIT 1"), 'CHG-12a|t', 'the audit says when it began, not when it ended');

# ---- audit_history
sub ids_before { return $node->safe_psql('postgres', "SELECT count(*) FROM safe_migrate.audit WHERE at < now() - interval '$_[0]'"); }
sub override_again
{
	my $again = make_table();
	is(error_of($node, "BEGIN; SET LOCAL safe_migrate.override = 'CHG-14'; DROP TABLE $again; COMMIT", as => 'release'), '', 'an override');
	return;
}
$node->safe_psql('postgres', q{UPDATE safe_migrate.override_log SET at = at - interval '40 days' WHERE reason = 'CHG-12';
	UPDATE safe_migrate.override_log SET at = at - interval '20 days' WHERE reason = 'CHG-1'});
override_again();
is(ids_before('30 days'), '1', 'overrides are kept for ever');
$node->safe_psql('postgres', q{ALTER SYSTEM SET safe_migrate.audit_history = '30d'});
$node->reload;
wait_for($node, q{SELECT current_setting('safe_migrate.audit_history') = '30d'});
override_again();
is(ids_before('30 days') . ids_before('10 days'), '01', 'what is older than audit_history goes when the next one is written, and only that');
like(last_audit(), qr/CHG-14/, 'which is kept');

# ---- a function that was trusted with it
$t = make_table();
my $other = make_table();
$node->safe_psql('postgres', <<'SQL');
SET ROLE release;
CREATE FUNCTION drop_for_app(doomed text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
	PERFORM set_config('safe_migrate.override', 'CHG-15', true);
	EXECUTE format('DROP TABLE %I', doomed);
END $$;
SQL
like(error_of($node, "BEGIN;\nSELECT drop_for_app('$t');\nDROP TABLE $other;\nCOMMIT;", as => 'app'), $rejected,
	'what a SECURITY DEFINER function sets is not its caller\'s');
ok(exists_table($other), 'whose table is there');
is(error_of($node, "SELECT drop_for_app('$t')", as => 'app'), '', 'though its own statements pass');
ok(!exists_table($t), 'as it wants');

# ---- hints
$t = make_table();
like(error_of($node, "DROP TABLE $t", as => 'app'), qr/HINT: .*ask "release" or a superuser for an override/s,
	'who may not override is told whom to ask');
like(error_of($node, "DROP TABLE $t", as => 'release'), qr/HINT: .*SET LOCAL safe_migrate\.override = /s, 'who may is told how');

# ---- never for good
for my $case ([ 'ALTER ROLE release SET' => "ALTER ROLE release SET safe_migrate.override = 'always'" ],
	[ 'ALTER DATABASE SET' => "ALTER DATABASE postgres SET safe_migrate.override = 'always'" ],
	[ 'ALTER SYSTEM' => "ALTER SYSTEM SET safe_migrate.override = 'always'" ],
	[ 'a function that sets it' => "CREATE FUNCTION f() RETURNS void LANGUAGE sql SET safe_migrate.override = 'always' AS ''" ])
{
	for my $role ('postgres', 'release')
	{
		my $error = error_of($node, $case->[1], as => $role);
		like($error, qr/ERROR:.*(invalid value for parameter "safe_migrate.override".*can only be set by SET|permission denied|must be owner)/s,
			"no $case->[0], by $role");
	}
}
my ($code, $out, $error);
{
	local $ENV{PGOPTIONS} = "-c safe_migrate.override=always";
	$node->command_fails_like([ 'psql', '-X', '-U', 'release', '-c', 'SELECT 1', $node->connstr('postgres') ], qr/invalid value for parameter "safe_migrate.override"/, 'no PGOPTIONS, by release');
}

# ---- no way round it for app
my %way = (
	'SET of the override' => "SET safe_migrate.override = 'mine'; DROP TABLE %s",
	'SET LOCAL of the override' => "BEGIN; SET LOCAL safe_migrate.override = 'mine'; DROP TABLE %s; COMMIT",
	'set_config()' => "SELECT set_config('safe_migrate.override', 'mine', true); DROP TABLE %s",
	'guard = off' => "SET safe_migrate.guard = off; DROP TABLE %s",
	'rule_levels' => "SET safe_migrate.rule_levels = 'drop-table=allow'; DROP TABLE %s",
	'small_table_size' => "SET safe_migrate.small_table_size = '1TB'; DROP TABLE %s",
	'ALTER ROLE SET guard' => "ALTER ROLE app SET safe_migrate.guard = off; DROP TABLE %s",
	'ALTER DATABASE SET guard' => "ALTER DATABASE postgres SET safe_migrate.guard = off; DROP TABLE %s",
	'UPDATE of pg_settings' => "UPDATE pg_settings SET setting = 'off' WHERE name = 'safe_migrate.guard'; DROP TABLE %s",
	'a function of its own' => "CREATE OR REPLACE FUNCTION mine() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS \$f\$ BEGIN EXECUTE 'SET LOCAL safe_migrate.override = ''mine'''; EXECUTE 'DROP TABLE %s'; END \$f\$; SELECT mine()",
	'a function with SET' => "CREATE OR REPLACE FUNCTION mine2() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET safe_migrate.guard = off AS \$f\$ BEGIN EXECUTE 'DROP TABLE %s'; END \$f\$; SELECT mine2()",
	'a DO block' => "DO \$d\$ BEGIN EXECUTE 'DROP TABLE %s'; EXCEPTION WHEN division_by_zero THEN NULL; END \$d\$",
	'a policy of its own' => "SELECT safe_migrate.set_policy('%s', mode => 'exempt'); DROP TABLE %s",
	'INSERT of a policy' => "INSERT INTO safe_migrate.policy (relation, mode) VALUES ('%s', 'exempt'); DROP TABLE %s",
	'deleting from the tables' => "DELETE FROM safe_migrate.override_log; DROP TABLE %s",
	'a recent column made up' => "INSERT INTO safe_migrate.recent_column VALUES ('%s'::regclass, 1); DROP TABLE %s",
	'a function of the extension replaced' => "CREATE OR REPLACE FUNCTION safe_migrate.may_see(owner oid) RETURNS boolean LANGUAGE sql AS 'SELECT true'; DROP TABLE %s",
	'DROP EXTENSION' => "DROP EXTENSION safe_migrate; DROP TABLE %s",
	'ALTER EXTENSION DROP' => "ALTER EXTENSION safe_migrate DROP TABLE safe_migrate.policy; DROP TABLE %s",
	'DROP SCHEMA of the extension' => "DROP SCHEMA safe_migrate CASCADE; DROP TABLE %s",
	'another search_path' => "CREATE SCHEMA IF NOT EXISTS mine; SET search_path = mine, public; DROP TABLE %s",
	'session_replication_role' => "SET session_replication_role = replica; DROP TABLE %s",
	'a schema dropped' => "CREATE SCHEMA away; ALTER TABLE %s SET SCHEMA away; DROP SCHEMA away CASCADE",
	'DROP OWNED' => "DROP OWNED BY app",
	'a prepared statement' => "PREPARE p AS SELECT 1; EXECUTE p; DROP TABLE %s",
);
for my $name (sort keys %way)
{
	$t = make_table();
	my $sql = $way{$name} =~ s/%s/$t/gr;
	$error = error_of($node, "\\set ON_ERROR_STOP 0\n" . $sql =~ s/; (?!.*\$[df]\$)/;\n/gr, as => 'app');
	ok(exists_table($t) || exists_table("away.$t"), "no way round it: $name") || diag($error);
	like($error, qr/SM001|permission denied/, "it was refused: $name");
	$node->safe_psql('postgres', "SET safe_migrate.guard = off; DROP TABLE IF EXISTS $t; DROP SCHEMA IF EXISTS away CASCADE");
}
$t = make_table();
for my $options ('-c safe_migrate.guard=off', '-c safe_migrate.override=mine', '-c safe_migrate.rule_levels=drop-table=allow')
{
	local $ENV{PGOPTIONS} = $options;
	$node->command_fails([ 'psql', '-X', '-U', 'app', '-c', "DROP TABLE $t", $node->connstr('postgres') ],
		"no way round it: PGOPTIONS='$options'");
}
ok(exists_table($t), 'the table is there after PGOPTIONS');
is($node->safe_psql('postgres', "SELECT extname FROM pg_extension WHERE extname = 'safe_migrate'"), 'safe_migrate',
	'and the extension is there');

# ---- a restore that was allowed
$node->safe_psql('postgres', 'GRANT SET ON PARAMETER safe_migrate.guard TO release');
{
	local $ENV{PGOPTIONS} = '-c safe_migrate.guard=off';
	($code, $out, $error) = $node->psql('postgres', "DROP TABLE $t", extra_params => [ '-U', 'release' ]);
	is($error, '', 'who was granted SET on guard turns it off for a restore');
}

stays_clean($node);
done_testing();
