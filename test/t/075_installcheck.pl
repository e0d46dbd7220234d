# make installcheck, on a running server that is set up as the README says, the guard enforcing, its databases of
# an encoding without letters: regress and isolation whole, of TAP one test.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $source = $ENV{SAFE_MIGRATE_SOURCE} // '.';
my $node = new_server('installcheck', initdb => [ '--encoding=SQL_ASCII', '--no-locale' ]);
my ($settings) = slurp_file("$source/README.md") =~ /^In `postgresql\.conf`.*?^```\n(.*?)^```/ms;
$node->append_conf('postgresql.conf', $settings);
$node->restart;
configure_server($node, 'safe_migrate.guard' => 'enforce');
my ($bindir) = run_command([ 'pg_config', '--bindir' ]);

# What it takes of a checkout, in a folder of its own: others run here too, and it leaves its results there.
my $checkout = PostgreSQL::Test::Utils::tempdir;
mkdir "$checkout/$_" for qw(src test);
system_or_bail('cp', '-R', (map { "$source/$_" } qw(Makefile safe_migrate.control sql expected)), $checkout);
system_or_bail('cp', '-R', (map { "$source/test/$_" } qw(preload.conf lib specs expected t)), "$checkout/test");

# (this one may run under a make itself)
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES TESTDIR TESTDATADIR TESTLOGDIR PG_REGRESS)};
local @ENV{qw(PGHOST PGPORT PGUSER)} = ($node->host, $node->port, 'postgres');
my $before = $node->safe_psql('postgres', 'SELECT * FROM pg_file_settings ORDER BY seqno');
my $log = "$checkout/installcheck.log";
my $status = system("make -C '$checkout' PG_CONFIG='$bindir/pg_config' installcheck"
	  . " PROVE_TESTS=test/t/001_preload.pl >'$log' 2>&1");
my $said = slurp_file($log);
is($status, 0, 'make installcheck passes') || diag($said, map { slurp_file($_) } grep { -e } glob("$checkout/{,output_iso/}regression.diffs"));

# ---- and it ran what there is
sub names
{
	my ($files, $suffix) = @_;
	return map { s{.*/}{}r =~ s/\Q$suffix\E$//r } glob("$source/$files");
}
my @ran = $said =~ /^(?:test |ok \d+ +- )(\w+)/mg;
is(join(' ', sort @ran), join(' ', sort(names('sql/*.sql', '.sql'), names('test/specs/*.spec', '.spec'))),
	'with every test of regress and isolation');
like($said, qr{^test/t/001_preload\.pl \.+ ok$}m, 'and those of TAP');
is($node->safe_psql('postgres', 'SELECT * FROM pg_file_settings ORDER BY seqno'), $before, "the server's settings are as they were");

stays_clean($node);
done_testing();
