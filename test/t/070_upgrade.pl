# ALTER EXTENSION UPDATE: an upgraded database is what a fresh one is, and jobs live through it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
my $extensions = "$sharedir/extension";
plan skip_all => "can't write into $extensions" unless -w $extensions;

my $node = new_server('upgrade', 'safe_migrate.inline' => 'never');
my $current = $node->safe_psql('postgres',
	"SELECT default_version FROM pg_available_extensions WHERE name = 'safe_migrate'");

# Everything that the extension consists of, one line an object.
my $describe = q{
WITH member AS (
	SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, d.objsubid) AS name
	FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	WHERE e.extname = 'safe_migrate' AND d.deptype = 'e')
SELECT name || ': ' || concat_ws(' ',
	(SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
			pg_get_expr(adbin, adrelid)), ', ' ORDER BY attname)
		FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
		WHERE classid = 'pg_class'::regclass AND attrelid = objid AND attnum > 0 AND NOT attisdropped),
	(SELECT string_agg(pg_get_constraintdef(oid), ', ' ORDER BY conname) FROM pg_constraint
		WHERE classid = 'pg_class'::regclass AND conrelid = objid),
	(SELECT string_agg(pg_get_indexdef(indexrelid), ', ' ORDER BY indexrelid::regclass::text) FROM pg_index
		WHERE classid = 'pg_class'::regclass AND indrelid = objid),
	(SELECT relacl::text || coalesce(pg_get_viewdef(oid), '') FROM pg_class
		WHERE classid = 'pg_class'::regclass AND oid = objid),
	(SELECT pg_get_functiondef(oid) || coalesce(proacl::text, '') FROM pg_proc
		WHERE classid = 'pg_proc'::regclass AND oid = objid AND prokind <> 'a'),
	(SELECT string_agg(description, ' ' ORDER BY objsubid) FROM pg_description d
		WHERE d.classoid = classid AND d.objoid = objid),
	(SELECT string_agg(enumlabel, ', ' ORDER BY enumsortorder) FROM pg_enum
		WHERE classid = 'pg_type'::regclass AND enumtypid = objid))
FROM member ORDER BY 1};

# ---- every way to the current version leads to the same objects
my $fresh = $node->safe_psql('postgres', $describe);
my @released = split /\n/, $node->safe_psql('postgres', "SELECT source FROM pg_extension_update_paths('safe_migrate')
	JOIN pg_available_extension_versions v ON v.name = 'safe_migrate' AND v.version = source
	WHERE target = '$current' AND path IS NOT NULL ORDER BY 1");
sub updated_from
{
	my ($version) = @_;
	$node->safe_psql('postgres', 'CREATE DATABASE old TEMPLATE template0');
	$node->safe_psql('old', "CREATE EXTENSION safe_migrate VERSION '$version'");
	$node->safe_psql('old', 'ALTER EXTENSION safe_migrate UPDATE');
	my $objects = $node->safe_psql('old', $describe);
	$node->safe_psql('postgres', 'DROP DATABASE old');
	return $objects;
}
is(updated_from($_), $fresh, "an update from $_ gives what a fresh database has") for @released;

# The same with versions that never were: the objects of the current one but for a few, and the step that brings them, all of it or not.
my @scripts;
END { unlink @scripts }

sub add_script
{
	my ($name, $text) = @_;
	push @scripts, "$extensions/safe_migrate--$name.sql";
	append_to_file($scripts[-1], $text);
	return;
}
my $before_it = slurp_file("$extensions/safe_migrate--$current.sql");
my %brings = (
	'a column' => [ qr/^\tlocked_by +xid,[^\n]*\n/m, 'ALTER TABLE slice ADD COLUMN locked_by xid;' ],
	'an index' => [ qr/^CREATE INDEX event_job [^;]*;\n/m ],
	'a comment' => [ qr/^COMMENT ON FUNCTION reassign[^\n]*\n/m ],
	'a function' => [ qr/^(?:CREATE FUNCTION resume_all[^;]*;|COMMENT ON FUNCTION resume_all[^\n]*)\n/m ]);
for my $what (sort keys %brings)
{
	my ($pattern, $step) = @{ $brings{$what} };
	$step //= join '', $before_it =~ /($pattern)/g;
	$before_it =~ s/$pattern//g or die "no $what";
	$brings{$what} = $step;
}
add_script('before', $before_it);
add_script("before--$current", join "\n", values %brings);
is(updated_from('before'), $fresh, 'an update from a version before gives what a fresh database has');
for my $what (sort keys %brings)
{
	add_script("without $what", $before_it);
	add_script("without $what--$current", join "\n", map { $brings{$_} } grep { $_ ne $what } keys %brings);
	isnt(updated_from("without $what"), $fresh, "a step that forgets $what is found out");
}

# ---- a next version, as a step is to be written: it only adds
my $next = "$current.next";
my $script = "$extensions/safe_migrate--$current--$next.sql";
append_to_file($script, <<'SQL');
\echo Use "ALTER EXTENSION safe_migrate UPDATE" to load this file. \quit
ALTER TABLE job ADD COLUMN added_by_next text;
CREATE FUNCTION added_by_next() RETURNS text LANGUAGE sql SET search_path = pg_catalog RETURN 'next';
SQL
END { unlink $script if defined $script }

make_orders($node, 60000);
configure_server($node, 'safe_migrate.enabled' => 'off');
my $queue = q{SELECT safe_migrate.backfill('%s', 'status_v2 = upper(status)', job_name => '%s')};
my $queued = $node->safe_psql('postgres', sprintf($queue, 'orders', 'queued over an update'));
my $before = $node->safe_psql('postgres', "SELECT to_jsonb(j) FROM safe_migrate.job j WHERE id = $queued");

$node->safe_psql('postgres', "ALTER EXTENSION safe_migrate UPDATE TO '$next'");
is($node->safe_psql('postgres', "SELECT extversion FROM pg_extension WHERE extname = 'safe_migrate'"),
	$next, 'the extension is at the next version');
is($node->safe_psql('postgres', 'SELECT safe_migrate.added_by_next()'), 'next', 'with its new objects');
is($node->safe_psql('postgres', "SELECT to_jsonb(j) - 'added_by_next' FROM safe_migrate.job j WHERE id = $queued"),
	$before, 'a queued job is as it was');
configure_server($node, 'safe_migrate.enabled' => 'on');
wait_for_state($node, $queued, 'succeeded');
is($node->safe_psql('postgres', 'SELECT count(*) FROM (TABLE orders EXCEPT TABLE expected) d'),
	'0', 'and is carried out after the update');

# ---- the same under a job that runs
$node->safe_psql('postgres', 'CREATE DATABASE busy');
$node->safe_psql('busy', "CREATE EXTENSION safe_migrate VERSION '$current'");
make_orders($node, 60000, 'busy');
configure_server($node, 'safe_migrate.nice_ratio' => '5', 'safe_migrate.batch_time' => '5ms');
my $running = $node->safe_psql('busy', sprintf($queue, 'orders', 'running over an update'));
wait_for($node, "SELECT state = 'running' FROM safe_migrate.jobs WHERE id = $running", 'busy');
$node->safe_psql('busy', "ALTER EXTENSION safe_migrate UPDATE TO '$next'");
isnt(state_of($node, $running, 'busy'), 'failed', 'an update goes through while a job runs');
configure_server($node, 'safe_migrate.nice_ratio' => '0');
wait_for_state($node, $running, 'succeeded', 'busy');
is($node->safe_psql('busy', 'SELECT count(*) FROM (TABLE orders EXCEPT TABLE expected) d'),
	'0', 'the running job goes on to its end');

stays_clean($node);
done_testing();
