# The library preloads, and says so where it isn't.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('preload');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'safe_migrate'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION safe_migrate');
is($node->safe_psql('postgres', "SELECT 1 FROM pg_extension WHERE extname = 'safe_migrate'"),
	'1', 'the extension is created on a server that preloads the library');
$node->restart;
is($node->safe_psql('postgres', 'SELECT 1'), '1', 'the server restarts with it');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|FATAL|terminated by signal/,
	'nothing in the log of the server hints at a crash');

done_testing();
