# The table of settings, pg_settings and docs/settings.md say the same.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

my $node = new_server('settings');

# documented: name => [default, set by]
my %documented;
for (split /\n/, slurp_file("$FindBin::RealBin/../../docs/settings.md"))
{
	my ($name, $default, $set_by, $per_job, @rest) = /^\| `(\w+)` \|(.*?)\|(.*?)\|(.*?)\|(.*)\|(.*)\|$/
	  or next;
	s/^\s+|\s+$//g for $default, $set_by;
	ok(!$documented{$name}, "$name is documented once");
	$documented{$name} = [ $default, $set_by ];
}

my %set_by = (user => 'anyone', superuser => 'DBA', sighup => 'server');
my %defined;
for (split /\n/, $node->safe_psql('postgres', "SELECT substr(name, 14), current_setting(name), context,
	short_desc, setting = boot_val FROM pg_settings WHERE name LIKE 'safe\\_migrate.%'"))
{
	my ($name, $value, $context, $description, $is_default) = split /\|/;
	$defined{$name} = [ $value, $set_by{$context} ];
	ok($description =~ /^[A-Z].*\.$/, "$name is described by a sentence");
	is($is_default, 't', "$name starts with its default");
}
cmp_ok(scalar keys %defined, '>', 20, 'settings are defined');
is_deeply(\%documented, \%defined, 'docs/settings.md and pg_settings agree on names, defaults and who sets them');

# values
my ($code, $out, $error);
for my $case ([ "inline = 'sometimes'", qr/Available values: never, small, always/ ],
	[ "batch_time = '0'", qr/outside the valid range/ ],
	[ "max_replica_lag = '5 parsecs'", qr/Valid units/ ],
	[ "no_such_thing = 1", qr/reserved prefix/ ])
{
	($code, $out, $error) = $node->psql('postgres', "SET safe_migrate.$case->[0]");
	like($error, $case->[1], "SET safe_migrate.$case->[0]");
}
for my $bad ('a,,b', 'a, "b')
{
	($code, $out, $error) = $node->psql('postgres', "ALTER SYSTEM SET safe_migrate.replica_lag_ignore = '$bad'");
	like($error, qr/List syntax is invalid/, "replica_lag_ignore = '$bad' is refused");
}
is($node->psql('postgres', q{ALTER SYSTEM SET safe_migrate.replica_lag_ignore = '"my standby", slot_1, *'}),
	0, 'replica_lag_ignore takes a list of names');

# who may set
$node->safe_psql('postgres', 'CREATE ROLE app');
($code, $out, $error) = $node->psql('postgres', "SET ROLE app; SET safe_migrate.batch_time = '10ms'");
like($error, qr/permission denied to set parameter "safe_migrate.batch_time"/, 'a plain role sets no limit');
is($node->psql('postgres', "SET ROLE app; SET safe_migrate.inline = never"), 0, 'anyone sets inline');
($code, $out, $error) = $node->psql('postgres', "SET safe_migrate.enabled = off");
like($error, qr/cannot be changed now/, 'enabled is not for one session');
$node->safe_psql('postgres', 'GRANT SET ON PARAMETER safe_migrate.batch_time TO app');
is($node->psql('postgres', "SET ROLE app; SET safe_migrate.batch_time = '10ms'"), 0,
	'a role that was granted SET may');

# a job's own
$node->safe_psql('postgres', 'CREATE TABLE t (a int, b int)');
sub queue
{
	my ($settings) = @_;
	return $node->psql('postgres', "SELECT safe_migrate.backfill('t', 'b = a', settings => '$settings')");
}
for my $case ([ '{"no_such_thing": 1}', qr/unrecognized job setting "no_such_thing".*A job's own settings are: batch_time,/s ],
	[ '{"max_workers": 1}', qr/"max_workers" can't be set for a single job/ ],
	[ '{"batch_time": "5 parsecs"}', qr/invalid value for job setting "batch_time": "5 parsecs".*Valid units/s ],
	[ '{"batch_time": 0}', qr/The value lies between 1ms and 1min/ ],
	[ '{"max_wal_rate": {"override": "1kB"}}', qr/must be a string, number or boolean/ ],
	[ '{"unknown_signal": "maybe"}', qr/Available values: stop, go/ ],
	[ '["batch_time"]', qr/must be a JSON object/ ],
	[ '{"throttle_query": "SELECT 1"}', qr/must return one boolean column/ ],
	[ '{"throttle_query": "SELECT true; SELECT false"}', qr/must be one SELECT statement/ ],
	[ '{"throttle_query": "SELECT nope FROM t"}', qr/column "nope" does not exist.*QUERY:  SELECT nope FROM t/s ],
	[ '{"throttle_query": "SELECT a > 1 FROM t FOR UPDATE"}', qr/must only read/ ],
	[ '{"throttle_query": "WITH d AS (DELETE FROM t RETURNING true AS x) SELECT x FROM d"}', qr/must only read/ ])
{
	($code, $out, $error) = queue($case->[0]);
	like($error, $case->[1], "settings $case->[0] are refused");
}
($code, $out, $error) = queue('{"max_replica_lag": "5000ms", "safe_migrate.nice_ratio": 0.5, "vacuum_after": false,
	"max_wal_rate": "off", "throttle_query": "SELECT a > 1 AS stop FROM t"}');
is($error, '', 'settings by name with or without prefix, in any unit');
is($node->safe_psql('postgres', q{SELECT settings #- '{throttle_query,objects}' FROM safe_migrate.jobs ORDER BY id DESC LIMIT 1}),
	'{"nice_ratio": "0.5", "max_wal_rate": "off", "vacuum_after": "off", "throttle_query": {"query": "SELECT (a > 1) AS stop\\n   FROM public.t"}, "max_replica_lag": "5s"}',
	'are stored in one spelling, the query resolved');
($code, $out, $error) = queue('{"max_replica_lag": "1h"}');
is($node->safe_psql('postgres', q{SELECT settings FROM safe_migrate.jobs ORDER BY id DESC LIMIT 1}),
	'{"max_replica_lag": {"override": "1h"}}', 'what is less strict by right is marked');

stays_clean($node);
$node->stop;
done_testing();
