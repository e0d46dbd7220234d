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

# What progress says to a session that was there in time.
sub says_no_connection
{
	my ($session, $name) = @_;
	my $condition = '';
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		$condition = $session->query_safe('SELECT condition FROM safe_migrate.progress');
		last if $condition eq 'no connection';
		select undef, undef, undef, 0.1;
	}
	is($condition, 'no connection', $name);
	return;
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
says_no_connection($session, 'a job in a database that was closed says so to who is there still');
$session->quit;
wait_for($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'closed'});

$job = $node->safe_psql('postgres',
	q{SELECT safe_migrate.backfill('orders', 'status_v2 = lower(status)', 'status_v2 <> lower(status)')});
wait_for_state($node, $job, 'succeeded');
cmp_ok(refusals(), '<=', 2, 'a database that takes no connections is not tried over and over');

$node->safe_psql('postgres', 'ALTER DATABASE closed ALLOW_CONNECTIONS true');
wait_for($node, q{SELECT state = 'succeeded' FROM safe_migrate.jobs}, 'closed');
pass('its job runs when it takes connections again');

# A database whose processes end when they start: one of its files is missing.
$node->safe_psql('postgres', 'CREATE DATABASE unwell');
$node->safe_psql('unwell', 'CREATE EXTENSION safe_migrate; CREATE TABLE t AS SELECT 1 AS id, NULL::int AS a');
wait_for($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'unwell'});
my $version = $node->data_dir . '/base/' . $node->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'unwell'}) . '/PG_VERSION';

# When each of its schedulers ended, in seconds.
sub ends
{
	my @ends;
	for (slurp_file($node->logfile) =~ /^\S+ (\S+) .*FATAL:  "base\/\d+" is not a valid data directory/mg)
	{
		my ($h, $m, $s) = split /:/;
		push @ends, 3600 * $h + 60 * $m + $s;
		$ends[-1] += 86400 if @ends > 1 && $ends[-1] < $ends[0];
	}
	return @ends;
}

# The pauses between n ends.
sub pauses
{
	my ($n) = @_;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		last if ends() >= $n;
		select undef, undef, undef, 0.1;
	}
	my @ends = ends();
	cmp_ok(scalar @ends, '>=', $n, "it has been tried $n times");
	return map { $ends[$_] - $ends[ $_ - 1 ] } 1 .. $n - 1;
}

$session = $node->background_psql('unwell');
rename $version, "$version.away" or die "$version: $!";
$session->query_safe(q{SELECT safe_migrate.backfill('t', 'a = id')});
says_no_connection($session, 'the same where a scheduler ends as it starts');
my @pauses = pauses(5);
cmp_ok($pauses[3], '>', 1.5 * $pauses[0], 'it is tried again after pauses that grow');
$session->query_safe(q{SELECT safe_migrate.configure(1, 'workers', '2')});
@pauses = pauses(6);
cmp_ok($pauses[4], '<', $pauses[3], 'and at once when there is something to do');
rename "$version.away", $version or die "$version: $!";
$session->query_safe(q{SELECT safe_migrate.configure(1, 'workers', '1')});
wait_for($node, q{SELECT state = 'succeeded' FROM safe_migrate.jobs}, 'unwell');
pass('its job runs when they do');
is($session->query_safe('SELECT condition FROM safe_migrate.progress'), '', 'and waits for nothing');
$session->quit;

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
