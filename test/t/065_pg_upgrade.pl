# pg_upgrade: nothing of the extension starts while it works, and what comes over is whole.  The
# jobs come with it, but never start by themselves: they were queued in another cluster.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $old = new_server('old', 'safe_migrate.inline' => 'never', 'safe_migrate.enabled' => 'off');
make_orders($old, 2000);
my $job = $old->safe_psql('postgres',
	q{SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)', job_name => 'orders')});
$old->stop;

# A server as pg_upgrade starts it.
my $data = $old->data_dir;
my $processes = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'safe_migrate%'};
command_ok([ 'pg_ctl', '-w', '-D', $data, '-l', $old->logfile, '-o', '-b', 'start' ],
	'the server starts in binary upgrade mode with the library preloaded');
is($old->safe_psql('postgres', $processes), '0', 'no process of the extension runs in it');
command_ok([ 'pg_ctl', '-w', '-D', $data, 'stop' ], 'it stops');

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'safe_migrate'\nmax_worker_processes = 16\n");
my ($bindir) = run_command([ 'pg_config', '--bindir' ]);
chdir PostgreSQL::Test::Utils::tempdir;
command_ok([
		'pg_upgrade', '--old-datadir', $old->data_dir, '--new-datadir', $new->data_dir,
		'--old-bindir', $bindir, '--new-bindir', $bindir, '--socketdir', $new->host,
		'--old-port', $old->port, '--new-port', $new->port
	],
	'pg_upgrade runs');

$new->start;
wait_for($new, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'safe_migrate launcher'});
my $later = $new->safe_psql('postgres', 'CREATE TABLE later AS TABLE orders;'
	  . q{SET safe_migrate.inline = never; SELECT safe_migrate.backfill('later', 'status_v2 = upper(status)')});
wait_for_state($new, $later, 'succeeded');
is($new->safe_psql('postgres', 'SELECT count(*) FROM later WHERE status_v2 IS NULL'),
	'0', 'a new job runs in the new cluster');
is(state_of($new, $job), 'paused', 'the job that came along has not started');
is($new->safe_psql('postgres', 'SELECT count(*) FROM orders WHERE status_v2 IS NULL'),
	'1800', 'and has touched no row');
$new->safe_psql('postgres', q{SELECT safe_migrate.cancel('orders')});
is(state_of($new, $job), 'cancelled', 'it can be cancelled');

stays_clean($new);
done_testing();
