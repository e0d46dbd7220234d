# Policies: the nearest wins; sessions see them at once; a dump has them, and nothing else of the extension's.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('guard_policy', 'safe_migrate.guard' => 'enforce');
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA hot;
CREATE TABLE hot.orders AS SELECT i AS a FROM generate_series(1, 1000) i;
CREATE TABLE small AS SELECT i AS a FROM generate_series(1, 1000) i;
CREATE TABLE large AS SELECT i AS a, repeat('x', 1000) AS x FROM generate_series(1, 20000) i;
CREATE TABLE parent (a int) PARTITION BY RANGE (a);
CREATE TABLE child PARTITION OF parent FOR VALUES FROM (1) TO (2000);
INSERT INTO parent SELECT i FROM generate_series(1, 1000) i;
CREATE ROLE app;
SQL

# The rule that rejects, or 'passes'; nothing is carried out.
sub verdict
{
	my ($sql) = @_;
	my $error = error_of($node, "BEGIN;\n$sql;\nROLLBACK;");
	my ($rule) = $error =~ /CONSTRAINT NAME:  (\S+)/;
	return $error eq '' ? 'passes' : $error =~ /ERROR:  SM001/ ? $rule : $error =~ /WARNING:  SM001/ ? "warns: $rule" : $error;
}
sub policy { return $node->safe_psql('postgres', "SELECT safe_migrate.set_policy($_[0])") }

is(verdict('CREATE INDEX ON small (a)'), 'passes', 'what is small passes');
policy(q{'small', mode => 'strict'});
is(verdict('CREATE INDEX ON small (a)'), 'create-index', 'not on a strict table');
policy(q{'small'});
is(verdict('CREATE INDEX ON small (a)'), 'passes', 'without a policy it is as before');
policy(q{'small', small_table_size => '8kB'});
is(verdict('CREATE INDEX ON small (a)'), 'create-index', 'small is what the policy says');
policy(q{'small', small_table_size => '120kB'});
is(verdict('CREATE INDEX ON small (a)'), 'warns: create-index', 'from a quarter of it on there is a warning');
policy(q{'small'});

is(verdict('CREATE INDEX ON large (a)'), 'create-index', 'what is large is rejected');
policy(q{'large', rule_levels => 'create-index=allow'});
is(verdict('CREATE INDEX ON large (a)'), 'passes', 'not where its policy allows it');
is(verdict('DROP TABLE large'), 'drop-table', 'which says nothing of other rules');
policy(q{'large', mode => 'exempt'});
is(verdict('DROP TABLE large'), 'passes', 'on an exempt table all passes');
policy(q{'large'});

is(verdict('CREATE INDEX ON child (a)'), 'passes', 'a small partition passes');
policy(q{'parent', mode => 'strict'});
is(verdict('CREATE INDEX ON child (a)'), 'create-index', "not under its parent's policy");
policy(q{'child', mode => 'normal'});
is(verdict('CREATE INDEX ON child (a)'), 'passes', 'its own policy is nearer');
policy(q{'child', rule_levels => 'drop-table=warn'});
is(verdict('CREATE INDEX ON child (a)'), 'create-index', 'where it says something');

policy(q{schema_name => 'hot', mode => 'strict'});
is(verdict('CREATE INDEX ON hot.orders (a)'), 'create-index', "a schema's policy holds for its tables");
policy(q{'hot.orders', mode => 'normal'});
is(verdict('CREATE INDEX ON hot.orders (a)'), 'passes', "the table's own is nearer");
policy(q{'hot.orders'});

# ---- a schema's goes with the schema, not with its name
$node->safe_psql('postgres', q{CREATE SCHEMA brief; CREATE SCHEMA apps; CREATE TABLE apps.ledger AS SELECT 1 AS a;
	CREATE SCHEMA archive; CREATE TABLE archive.old AS SELECT 1 AS a});
policy(q{schema_name => 'brief', mode => 'exempt'});
policy(q{schema_name => 'archive', mode => 'exempt'});
$node->safe_psql('postgres', 'DROP SCHEMA brief; ALTER SCHEMA apps RENAME TO brief; ALTER SCHEMA archive RENAME TO attic');
is(verdict('DROP TABLE brief.ledger'), 'drop-table', 'another schema of that name has none');
is(verdict('DROP TABLE attic.old'), 'passes', 'under another name it has its own');
is($node->safe_psql('postgres', q{SELECT string_agg(schema_name, ' ' ORDER BY schema_name) FROM safe_migrate.policies WHERE mode = 'exempt'}),
	'attic', 'policies shows that');
is($node->safe_psql('postgres', q{CREATE SCHEMA later; SELECT safe_migrate.set_policy(schema_name => 'later', mode => 'strict');
	SELECT count(*) FROM safe_migrate.policy WHERE mode = 'exempt' AND schema_name IN ('archive', 'brief')}), "\n1", 'set_policy() takes away what is left');
policy(q{schema_name => 'later'});

# ---- nobody moves a table out of the guard who could not exempt it
$node->safe_psql('postgres', q{CREATE ROLE mover; GRANT USAGE, CREATE ON SCHEMA public, attic, later TO mover;
	CREATE TABLE ledger AS SELECT i AS a FROM generate_series(1, 100) i; CREATE TABLE bare (a int); CREATE TABLE leaf AS SELECT 5001 AS a;
	CREATE MATERIALIZED VIEW totals AS SELECT 1 AS a; CREATE VIEW shown AS SELECT 1 AS a; CREATE TABLE roomy (a int) PARTITION BY RANGE (a);
	CREATE TABLE roomy_1 PARTITION OF roomy FOR VALUES FROM (0) TO (10); INSERT INTO roomy VALUES (1);
	CREATE TABLE strict_one (a int) PARTITION BY RANGE (a); CREATE TABLE attic.strict_part PARTITION OF strict_one FOR VALUES FROM (0) TO (10);
	INSERT INTO strict_one VALUES (1); ALTER TABLE strict_one OWNER TO mover; ALTER TABLE attic.strict_part OWNER TO mover;
	ALTER TABLE ledger OWNER TO mover; ALTER TABLE bare OWNER TO mover; ALTER TABLE leaf OWNER TO mover; ALTER TABLE roomy OWNER TO mover;
	ALTER MATERIALIZED VIEW totals OWNER TO mover; ALTER VIEW shown OWNER TO mover});
policy(q{'roomy', mode => 'exempt'});
sub moves { return verdict("SET LOCAL ROLE mover; $_[0]") }
my $attach = 'ALTER TABLE roomy ATTACH PARTITION leaf FOR VALUES FROM (5000) TO (6000)';
is(moves('ALTER TABLE ledger SET SCHEMA attic'), 'move-to-exempt', 'not to an exempt schema');
is(moves('ALTER MATERIALIZED VIEW totals SET SCHEMA attic'), 'move-to-exempt', 'nor a materialized view');
is(moves($attach), 'move-to-exempt', 'nor under an exempt parent');
policy(q{'strict_one', mode => 'strict'});
is(moves("ALTER TABLE strict_one DETACH PARTITION attic.strict_part$_"), 'move-to-exempt', "nor away from a parent that keeps it in$_") for '', ' CONCURRENTLY';
is(moves("SELECT safe_migrate.attach_partition_safely('roomy', 'leaf', 'FOR VALUES FROM (5000) TO (6000)')"), 'move-to-exempt', 'nor by a job');
is(moves("SELECT safe_migrate.apply('ALTER TABLE ledger SET SCHEMA attic')"), 'move-to-exempt', 'nor by apply()');
is(moves('ALTER TABLE ledger SET SCHEMA later'), 'passes', 'to another schema');
is(moves("$_ SET SCHEMA attic"), 'passes', "what has no rows: $_") for 'ALTER TABLE bare', 'ALTER VIEW shown';
is(moves('ALTER TABLE roomy SET SCHEMA attic'), 'passes', 'what is exempt already');
is(moves('CREATE TABLE made AS SELECT 1; ALTER TABLE made SET SCHEMA attic'), 'passes', 'what is new');
is(verdict($_), 'passes', 'but who may call set_policy()')
	for $attach, 'ALTER TABLE ledger SET SCHEMA attic';
policy(q{'ledger', mode => 'normal'});
is(moves('ALTER TABLE ledger SET SCHEMA attic'), 'passes', 'what has a policy of its own takes it along');
policy(q{'ledger'});
is($node->safe_psql('postgres', "SET ROLE mover; SELECT verdict, rule, reason FROM safe_migrate.explain('ALTER TABLE ledger SET SCHEMA attic; $attach') WHERE rule = 'move-to-exempt'"),
	"reject|move-to-exempt|It is about public.ledger; schema attic is exempt.\nreject|move-to-exempt|It is about public.leaf; public.roomy is exempt.", 'explain() says so');
my $moved = error_of($node, 'GRANT SET ON PARAMETER safe_migrate.override TO mover;
	SET ROLE mover; BEGIN; SET LOCAL safe_migrate.override = \'the archive\'; ALTER TABLE ledger SET SCHEMA attic; ROLLBACK');
unlike($moved, qr/ERROR/, 'an override lets it pass');

# ---- a session that has read them sees changes of others
like(error_of($node, <<'SQL'), qr/WARNING:  01000: rejected, passed$/m, 'a policy holds from the next statement on, and goes when it is rolled back');
DO $$
DECLARE
	seen text[];
BEGIN
	FOR i IN 1 .. 2 LOOP
		BEGIN
			CREATE INDEX ON large (a);
			seen := seen || 'passed'::text;
		EXCEPTION WHEN SQLSTATE 'SM001' THEN
			seen := seen || 'rejected'::text;
		END;
		PERFORM safe_migrate.set_policy('large', mode => 'exempt');
	END LOOP;
	RAISE EXCEPTION '%', array_to_string(seen, ', ');
EXCEPTION WHEN raise_exception THEN
	RAISE WARNING '%', SQLERRM;
END $$;
SQL
is(verdict('CREATE INDEX ON large (a)'), 'create-index', 'a policy that was rolled back is gone');

# ---- who may, and what is refused
like(error_of($node, "SET ROLE app; SELECT safe_migrate.set_policy('small', mode => 'exempt')"),
	qr/permission denied for function set_policy/, 'not everybody sets policies');
like(error_of($node, "SET ROLE app; INSERT INTO safe_migrate.policy (relation, mode) VALUES ('small', 'exempt')"),
	qr/permission denied for table policy/, 'nor writes the table');
for my $case ([ q{}, qr/either relation or schema_name/ ],
	[ q{'small', 'public', 'strict'}, qr/either relation or schema_name/ ],
	[ q{'small', mode => 'lax'}, qr/Available modes: normal, strict, exempt/ ],
	[ q{'small', small_table_size => 'much'}, qr/invalid value for small_table_size: "much"/ ],
	[ q{'small', max_lock_hold => '-1'}, qr/invalid value for max_lock_hold: "-1"/ ],
	[ q{schema_name => 'nowhere', mode => 'strict'}, qr/schema "nowhere" does not exist/ ],
	[ q{'nowhere', mode => 'strict'}, qr/relation "nowhere" does not exist/ ],
	[ q{'pg_class_oid_index', mode => 'strict'}, qr/has no policy of its own/ ])
{
	like(error_of($node, "SELECT safe_migrate.set_policy($case->[0])"), $case->[1], "set_policy($case->[0]) is refused");
}

# ---- dump and restore
policy(q{schema_name => 'attic', mode => 'exempt'}); # under its present name
policy(q{'large', mode => 'exempt', max_lock_hold => '1s', ddl_lock_try => '50ms', comment => 'it''s the archive'});
$node->safe_psql('postgres', q{CREATE TABLE dropped (a int); SELECT safe_migrate.set_policy('dropped', mode => 'strict'); DROP TABLE dropped});
my $query = 'SELECT relation, schema_name, mode, rule_levels, ddl_lock_try, max_lock_hold, comment, set_by FROM safe_migrate.policies ORDER BY relation::text, schema_name';
my $before = $node->safe_psql('postgres', $query);
like($before, qr/^large\|\|exempt\|\|00:00:00.05\|00:00:01\|it's the archive\|postgres$/m, 'policies shows them');
unlike($before, qr/dropped|\d{5}/, 'not that of a dropped table');
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump runs');
$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-q', '-f', $dump, $node->connstr('restored') ],
	'the dump is restored without an error, under enforce');
is($node->safe_psql('restored', $query), $before, 'the policies came along');
unlike(error_of($node, 'DROP TABLE large', db => 'restored'), qr/SM001/, 'and hold');
like(error_of($node, 'CREATE INDEX ON hot.orders (a)', db => 'restored'), qr/SM001/, 'all of them');
unlike(error_of($node, 'DROP TABLE attic.old', db => 'restored'), qr/SM001/, 'those of schemas go by the name there');

stays_clean($node);
done_testing();
