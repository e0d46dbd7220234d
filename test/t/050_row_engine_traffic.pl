# The row engine beside clients that write the same rows: nothing they wrote is lost, no row
# is left or wrong, nobody waits for it long, tables and indexes stay sound.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

plan skip_all => 'test/modules/engine is not installed' unless is_installed('safe_migrate_engine');

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nfsync = off\nmax_prepared_transactions = 2\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION safe_migrate_engine; CREATE EXTENSION amcheck');

my $call = "CALL engine_run('t', 't', %s, ARRAY['b'], ARRAY['upper(target.a)'], '(target.b IS NULL)', sabotage => 7)";
my $all = '0, 4294967290';

sub fill {
	my ($rows, $extra) = @_;
	$node->safe_psql('postgres', <<~"SQL");
		DROP TABLE IF EXISTS t, log;
		CREATE TABLE t (id bigint PRIMARY KEY, k int, n int NOT NULL DEFAULT 0, a text, b text);
		CREATE TABLE log (id bigint);
		INSERT INTO t (id, k, a) SELECT g, g % 1000, 'v' || g FROM generate_series(1, $rows) g;
		CREATE INDEX ON t (k);
		CREATE INDEX ON t (n) WHERE n > 3;
		CREATE INDEX ON t (lower(a));
		$extra
		VACUUM ANALYZE t;
		SQL
}

sub backfill { # background session over a range of blocks
	my $range = shift;
	my $session = IPC::Run::start(
		[ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', sprintf($call, $range) ],
		'<' => \undef, '>' => \my $out, '2>' => \my $err);
	return { session => $session, err => \$err };
}

sub finish {
	my $backfill = shift;
	ok($backfill->{session}->finish, 'the backfill ends well') or diag(${ $backfill->{err} });
}

sub is_sound {
	my $name = shift;
	is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE b IS DISTINCT FROM upper(a)'), 0, "$name: every row is written, and right");
	is($node->safe_psql('postgres', "SELECT count(bt_index_check(indexrelid, true)::text) FROM pg_index WHERE indrelid = 't'::regclass"), 4, "$name: indexes are sound");
	is($node->safe_psql('postgres', "SELECT count(*) FROM verify_heapam('t')"), 0, "$name: the heap is sound");
}

# Clients count up rows in the middle of a backfill in two slices, some batches rolled back.
sub traffic {
	my ($name, $extra) = @_;
	fill(60_000, $extra);
	my $script = PostgreSQL::Test::Utils::tempdir() . '/traffic.sql';
	append_to_file($script, <<~'SQL');
		\set id random(1, 60000)
		\set hot random(1, 500)
		\set fresh random(1000000, 1000000000000)
		BEGIN;
		UPDATE t SET n = n + 1 WHERE id = :id;
		INSERT INTO log VALUES (:id);
		UPDATE t SET n = n + 1, k = k + 1 WHERE id = :hot;
		INSERT INTO log VALUES (:hot);
		INSERT INTO t (id, k, a) SELECT :fresh, 5, 'new' WHERE :hot < 20 ON CONFLICT DO NOTHING;
		END;
		SQL
	my $bench = IPC::Run::start(
		[ 'pgbench', '-n', '-c', '4', '-T', '6', '-R', '300', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
		'<' => \undef, '>' => \my $out, '2>' => \my $err);
	my $middle = $node->safe_psql('postgres', "SELECT pg_relation_size('t') / 8192 / 2");
	for my $pass (1 .. 3) {
		my @slices = map { backfill($_) } ("0, $middle", "$middle, 4294967290");
		finish($_) for @slices;
	}
	$bench->finish;
	unlike($err, qr/ERROR|aborted/, "$name: no client got an error");
	finish(backfill($all));
	is_sound($name);
	is($node->safe_psql('postgres', <<~'SQL'), 0, "$name: no client's update is lost");
		SELECT count(*) FROM t LEFT JOIN (SELECT id, count(*) AS n FROM log GROUP BY id) l USING (id)
		WHERE t.n <> coalesce(l.n, 0)
		SQL
}

traffic('direct', '');
traffic('with a trigger', <<~'SQL');
	CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.k := NEW.k; RETURN NEW; END';
	CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();
	SQL

# Rows that another transaction holds are left, at once; KEY SHARE does not hold one.
fill(5_000, '');
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; SELECT 1 FROM t WHERE id BETWEEN 11 AND 20 FOR UPDATE; SELECT 1 FROM t WHERE id BETWEEN 21 AND 30 FOR KEY SHARE');
$node->safe_psql('postgres', "CALL engine_run('t', 't', $all, ARRAY['b'], ARRAY['upper(target.a)'], '(target.b IS NULL)', page_filling => false)");
is($node->safe_psql('postgres', 'SELECT count(*), min(id), max(id) FROM t WHERE b IS NULL'), '10|11|20', 'locked rows are skipped, rows a foreign key looks at are not');
$holder->query_safe('COMMIT');
$holder->quit;
finish(backfill($all));
is_sound('after the lock');

# An old snapshot: pages wait for it, and go on when it is gone though nobody writes.
fill(20_000, '');
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM t LIMIT 1');
my $waiting = backfill($all);
$node->poll_query_until('postgres', 'SELECT count(*) FILTER (WHERE b IS NOT NULL) > 0 FROM t');
$reader->query_safe('COMMIT');
$reader->quit;
finish($waiting);
is_sound('after an old snapshot');

# The table gets another file while pages are open.
fill(100_000, '');
my $rewritten = backfill($all);
$node->poll_query_until('postgres', 'SELECT count(*) FILTER (WHERE b IS NOT NULL) > 0 FROM t');
$node->safe_psql('postgres', 'VACUUM FULL t');
finish($rewritten);
finish(backfill($all));
is_sound('after VACUUM FULL');

# Indexes that come and go meanwhile.
fill(100_000, '');
my $indexed = backfill($all);
$node->safe_psql('postgres', 'DROP INDEX CONCURRENTLY t_k_idx');
$node->safe_psql('postgres', 'CREATE UNIQUE INDEX CONCURRENTLY ON t (id, k)');
finish($indexed);
finish(backfill($all));
is_sound('after CREATE INDEX CONCURRENTLY');

done_testing();
