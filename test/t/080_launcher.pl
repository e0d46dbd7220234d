# Databases that no scheduler can connect to do not keep the launcher busy.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('databases', 'safe_migrate.inline' => 'never');
make_orders($node, 500);

sub refusals
{
	my @found = slurp_file($node->logfile) =~ /is not currently accepting connections/g;
	return scalar @found;
}

$node->safe_psql('postgres', 'CREATE DATABASE plain TEMPLATE template0');
my $job = $node->safe_psql('postgres', q{SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)')});
wait_for_state($node, $job, 'succeeded');
is(refusals(), 0, 'template0 is left alone when a database is made from it');

# A job that is queued by a session which was there when its database was closed.
$node->safe_psql('postgres', 'CREATE DATABASE closed');
$node->safe_psql('closed', 'CREATE EXTENSION safe_migrate; CREATE TABLE t AS SELECT 1 AS id, NULL::int AS a');
my $session = $node->background_psql('closed');
$node->safe_psql('postgres', 'ALTER DATABASE closed ALLOW_CONNECTIONS false');
$session->query_safe(q{SELECT safe_migrate.backfill('t', 'a = id')});
$session->quit;
wait_for($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'closed'});

$job = $node->safe_psql('postgres',
	q{SELECT safe_migrate.backfill('orders', 'status_v2 = lower(status)', 'status_v2 <> lower(status)')});
wait_for_state($node, $job, 'succeeded');
cmp_ok(refusals(), '<=', 2, 'a database that takes no connections is not tried over and over');

$node->safe_psql('postgres', 'ALTER DATABASE closed ALLOW_CONNECTIONS true');
$node->safe_psql('closed', q{SELECT safe_migrate.configure(1, 'workers', '2')});
wait_for($node, q{SELECT state = 'succeeded' FROM safe_migrate.jobs}, 'closed');
pass('its job runs when it takes connections again');

# More databases that can't be looked at than there are schedulers at a time.
$node->append_conf('postgresql.conf', "max_worker_processes = 10\n");
$node->safe_psql('postgres', 'CREATE DATABASE broken');
$node->safe_psql('broken', 'CREATE EXTENSION safe_migrate; ALTER TABLE safe_migrate.job RENAME COLUMN attempts TO tries');
$node->safe_psql('postgres', "CREATE DATABASE broken_$_ TEMPLATE broken") for 1 .. 5;
$node->restart;
wait_for($node, q{SELECT count(DISTINCT datname) >= 3 FROM pg_stat_activity
	WHERE backend_type = 'safe_migrate scheduler' AND datname LIKE 'broken%'});
$job = $node->safe_psql('postgres',
	q{SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)', 'status_v2 <> upper(status)')});
wait_for_state($node, $job, 'succeeded');
pass('databases that can not be looked at do not keep others from having their turn');

stays_clean($node);
done_testing();
