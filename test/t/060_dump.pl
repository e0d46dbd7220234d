# pg_dump and restore of a database with the extension; a job that comes to another database or
# another cluster never starts there by itself.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('dump', 'safe_migrate.inline' => 'never', 'safe_migrate.enabled' => 'off');
make_orders($node, 2000);
my $queue = "SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)', job_name => '%s')";
my $job = $node->safe_psql('postgres', sprintf($queue, 'orders'));
is(state_of($node, $job), 'queued', 'a job waits in the database that is dumped');

# ---- dump and restore
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump runs');
unlike(slurp_file($dump), qr/CREATE TABLE safe_migrate\./, "the dump holds none of the extension's tables");
$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-q', '-f', $dump, $node->connstr('restored') ],
	'the dump is restored without an error');
is($node->safe_psql('restored', 'SELECT count(*) FROM safe_migrate.jobs'),
	'0', 'no job came along');

# ---- a copy of the database that holds the job's row
$node->safe_psql('template1', 'CREATE DATABASE copy TEMPLATE postgres');
is($node->safe_psql('copy', 'SELECT count(*) FROM safe_migrate.jobs'),
	'1', 'a database made from it as template has the job in its table');

# ---- a job of another cluster, as a file-level copy or pg_upgrade brings it
my $foreign = $node->safe_psql('postgres', 'CREATE TABLE foreign_orders AS TABLE orders;'
	  . q{SELECT safe_migrate.backfill('foreign_orders', 'status_v2 = upper(status)')});
$node->safe_psql('postgres', "UPDATE safe_migrate.job SET system_identifier = 42 WHERE id = $foreign");

configure_server($node, 'safe_migrate.enabled' => 'on');
wait_for_state($node, $job, 'succeeded');
is($node->safe_psql('postgres', 'SELECT count(*) FROM (TABLE orders EXCEPT TABLE expected) d'),
	'0', 'the job ran where it was queued');

# In the copies new jobs run; when they are done the old ones have not moved.
for my $dbname ('copy', 'restored')
{
	my $new = $node->safe_psql($dbname, 'CREATE TABLE others AS TABLE orders;'
		  . q{SELECT safe_migrate.backfill('others', 'status_v2 = upper(status)')});
	wait_for_state($node, $new, 'succeeded', $dbname);
	is($node->safe_psql($dbname, 'SELECT count(*) FROM others WHERE status_v2 IS NULL'),
		'0', "a new job runs in database $dbname");
	is($node->safe_psql($dbname, 'SELECT count(*) FROM orders WHERE status_v2 IS NULL'),
		'1800', "the old one has not touched a row in database $dbname");
}
is(state_of($node, $job, 'copy'), 'paused', 'the copied job is paused');
like($node->safe_psql('copy', "SELECT to_jsonb(p) FROM safe_migrate.progress p WHERE job_id = $job"),
	qr/restored from elsewhere/, 'and progress says why');
is(state_of($node, $foreign), 'paused', 'a job of another cluster is paused');
is($node->safe_psql('postgres', 'SELECT count(*) FROM foreign_orders WHERE status_v2 IS NULL'),
	'1800', 'and has touched no row');

stays_clean($node);
done_testing();
