# The library preloads, survives a restart and leaves a clean log.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('preload');
is($node->safe_psql('postgres', "SELECT 1 FROM pg_extension WHERE extname = 'safe_migrate'"),
	'1', 'the extension is created on a server that preloads the library');
$node->restart;
is($node->safe_psql('postgres', 'SELECT 1'), '1', 'the server restarts with it');
$node->stop;
stays_clean($node);

done_testing();
