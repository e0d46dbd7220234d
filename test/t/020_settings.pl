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

stays_clean($node);
$node->stop;
done_testing();
