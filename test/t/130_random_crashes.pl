# Crashes at random moments, with clients that write the same rows: never a row wrong, never an
# increment of a client lost, never a job lost, and indexes that agree with the heap.
use strict;
use warnings;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use SafeMigrate;

my $rounds = $ENV{SAFE_MIGRATE_CRASHES} // 4;
my $seed = $ENV{SAFE_MIGRATE_SEED} // time;
srand($seed);
note "seed $seed (SAFE_MIGRATE_SEED)";

my $node = new_server('random_crashes',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '5ms',
	'safe_migrate.max_workers' => 4,
	'fsync' => 'off');
$node->safe_psql('postgres', 'CREATE EXTENSION amcheck');

my $traffic = PostgreSQL::Test::Utils::tempdir() . '/traffic.sql';
append_to_file($traffic, <<'SQL');
\set id random(1, 30000)
\set which random(1, 10)
BEGIN;
UPDATE orders SET hits = hits + 1 WHERE id = :id;
INSERT INTO hit_log VALUES (:id);
\if :which = 1
INSERT INTO orders (id, status) SELECT nextval('new_id'), 'new' ;
\elif :which = 2
UPDATE orders SET note = repeat('long ', :which * 40) WHERE id = :id;
\endif
COMMIT;
SQL

sub start_traffic
{
	my ($out, $err) = ('', '');
	return IPC::Run::start([ 'pgbench', '-n', '-c', '3', '-T', '600', '-f', $traffic,
			'-h', $node->host, '-p', $node->port, '-U', $ENV{USER} // 'postgres', 'postgres' ],
		'<', \undef, '>', \$out, '2>', \$err);
}

sub crash
{
	my ($how) = @_;
	if ($how eq 'stop')
	{
		$node->stop('immediate');
		$node->start;
		return;
	}
	my @pids = worker_pids($node);
	return unless @pids;
	kill_hard($node, $pids[ rand @pids ]);
	return;
}

for my $workers (1, 2)
{
	# where there are two, so many pages that they have more than one slice of the table
	my $fillfactor = $workers == 1 ? 100 : 10;
	$node->safe_psql('postgres', <<"SQL");
DROP TABLE IF EXISTS orders, hit_log;
DROP SEQUENCE IF EXISTS new_id;
CREATE SEQUENCE new_id START 1000000;
CREATE TABLE orders (id bigint PRIMARY KEY, status text NOT NULL, status_v2 text, hits int NOT NULL DEFAULT 0, note text,
	writes int NOT NULL DEFAULT 0) WITH (fillfactor = $fillfactor);
CREATE TABLE hit_log (id bigint);
INSERT INTO orders (id, status) SELECT i, 'status ' || i % 7 FROM generate_series(1, 30000) i;
CREATE INDEX ON orders (status, id);
CREATE INDEX ON orders (note) WHERE note IS NOT NULL;
VACUUM ANALYZE orders;
SQL
	# each written row counts how often: a row that is written twice shows
	my $slowly = $workers == 1 ? 15 : 100; # so that no worker is done before the other one has begun
	my $job = $node->safe_psql('postgres', qq{SELECT safe_migrate.backfill('orders',
		'status_v2 = upper(status), writes = writes + 1', 'status_v2 IS NULL',
		workers => $workers, settings => '{"nice_ratio": $slowly}')});
	if ($workers == 2)
	{
		wait_for($node, qq{SELECT count(DISTINCT pid) = 2 AND count(DISTINCT objsubid) = 2 AND count(*) = 2
			FROM pg_locks WHERE locktype = 'object' AND classid = 'safe_migrate.slice'::regclass AND objid = $job AND granted});
		pass('each of two workers has a slice of its own of the one table');
		$node->safe_psql('postgres', "SELECT safe_migrate.configure($job, 'nice_ratio', '15')");
	}
	for my $round (1 .. $rounds)
	{
		my $clients = start_traffic();
		usleep(200_000 + rand 900_000);
		crash(rand() < 0.5 ? 'stop' : 'kill');
		$clients->kill_kill;
		last if state_of($node, $job) eq 'succeeded';
		# so many crashes one upon another pause a job
		$node->safe_psql('postgres', "SELECT safe_migrate.resume($job)") if state_of($node, $job) eq 'paused';
	}
	my $clients = start_traffic();
	usleep(500_000);
	$clients->kill_kill;
	$node->safe_psql('postgres', "SELECT safe_migrate.configure($job, 'nice_ratio', NULL)")
	  unless state_of($node, $job) eq 'succeeded';
	wait_for_state($node, $job, 'succeeded');

	is($node->safe_psql('postgres', 'SELECT count(*) FROM orders WHERE id <= 30000 AND (status_v2 IS DISTINCT FROM upper(status) OR writes <> 1)'),
		'0', "$workers workers: every row is written, once, as one UPDATE would");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM orders LEFT JOIN (SELECT id, count(*) FROM hit_log GROUP BY 1) h
		USING (id) WHERE hits <> coalesce(h.count, 0)'),
		'0', "$workers workers: no increment of a client is lost");
	is($node->safe_psql('postgres', q{SELECT count(bt_index_check(indexrelid, true)), (SELECT count(*) FROM verify_heapam('orders'))
		FROM pg_index WHERE indrelid = 'orders'::regclass}), '3|0', "$workers workers: heap and indexes agree");
	is($node->safe_psql('postgres', "SELECT count(*) FROM safe_migrate.jobs WHERE state <> 'succeeded'"), '0',
		"$workers workers: no job is lost");
}

unlike(slurp_file($node->logfile), qr/PANIC:|TRAP:|signal 11|signal 6/, 'nothing crashed but what was killed');
done_testing();
