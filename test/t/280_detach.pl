# A partition that is detached while its rows are worked on is left as it is from the next batch on; leaves that
# come while a job runs are filled as well before it ends.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('detach',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off');
my $rows = 30_000;
sub sql { return $node->safe_psql('postgres', @_); }

# Two leaves of so many rows, the first below a partition of its own.
my %make = (
	partitions => q{CREATE TABLE t (id int, a text, b text) PARTITION BY RANGE (id);
		CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (100000) PARTITION BY RANGE (id);
		CREATE TABLE first PARTITION OF low FOR VALUES FROM (0) TO (100000);
		CREATE TABLE second PARTITION OF t FOR VALUES FROM (100000) TO (200000)},
	children => q{CREATE TABLE t (id int, a text, b text);
		CREATE TABLE first () INHERITS (t); CREATE TABLE second () INHERITS (t)});

sub under_way
{
	my ($kind, $ddl, $workers, $attach_again) = @_;
	my $name = "$ddl, $workers workers" =~ s{\s+}{ }gr;
	sql("DROP TABLE IF EXISTS t, first, second, low CASCADE; $make{$kind};
		INSERT INTO first SELECT i, 'row ' || i FROM generate_series(1, $rows) i;
		INSERT INTO second SELECT 100000 + i, 'row ' || i FROM generate_series(1, $rows) i");
	my $job = sql(qq{SELECT safe_migrate.backfill('t', 'b = upper(a)', workers => $workers, settings => '{"nice_ratio": 100}')});
	wait_for($node, "SELECT rows > 0 FROM safe_migrate.progress WHERE job_id = $job");
	wait_for($node, 'SELECT count(b) > 0 FROM first');
	sql($ddl);
	my $written = sql('SELECT count(b) FROM first');
	if ($attach_again)
	{
		wait_for($node, "SELECT count(*) = 1 FROM safe_migrate.events WHERE job_id = $job AND kind = 'notice'");
		sql($attach_again);
		is(state_of($node, $job), 'running', "$name, $attach_again: in the midst of the job");
	}
	full_speed($node, $job);
	is(sql('SELECT count(*) - count(b) FROM second'), '0', "$name: the other leaf is complete");
	if (!$attach_again)
	{
		is(sql('SELECT count(b) FROM first'), $written, "$name: nothing is written there any more");
		cmp_ok($written, '<', $rows, "$name: in the midst of it");
		is(sql("SELECT detail FROM safe_migrate.events WHERE job_id = $job AND kind = 'notice'"),
			'table "first" was detached and is left as it is now', "$name: an event tells, once");
	}
	else
	{
		is(sql('SELECT count(*) - count(b) FROM first'), '0', "$name: complete");
	}
	return;
}

for my $workers (1, 2)
{
	under_way('partitions', 'ALTER TABLE low DETACH PARTITION first', $workers);
	under_way('partitions', 'ALTER TABLE t DETACH PARTITION low', $workers);
	under_way('children', 'ALTER TABLE first NO INHERIT t', $workers);
	under_way('partitions', 'ALTER TABLE low DETACH PARTITION first', $workers,
		'ALTER TABLE low ATTACH PARTITION first FOR VALUES FROM (0) TO (100000)');
}

# ---- leaves that were not there when the job was queued
my $new_leaf = "CREATE TABLE new AS SELECT 200000 + i AS id, 'row ' || i AS a, NULL AS b FROM generate_series(1, 1000) i";
my $fill_new = "INSERT INTO new SELECT 200000 + i, 'row ' || i FROM generate_series(1, 1000) i";
sub comes
{
	my ($kind, $ddl, $workers) = @_;
	my $name = "$ddl, $workers workers" =~ s{\s+}{ }gr;
	sql("DROP TABLE IF EXISTS t, first, second, low, new CASCADE; $make{$kind};
		INSERT INTO first SELECT i, 'row ' || i FROM generate_series(1, $rows) i");
	my $job = sql(qq{SELECT safe_migrate.backfill('t', 'b = upper(a)', workers => $workers, settings => '{"nice_ratio": 100}')});
	at_work($node, $job);
	sql("BEGIN; $ddl; COMMIT");
	is(state_of($node, $job), 'running', "$name: in the midst of the job");
	is(sql('SELECT count(b) FROM new'), '0', "$name: nothing is written there yet");
	full_speed($node, $job);
	is(sql('SELECT count(*), count(*) FILTER (WHERE b = upper(a)) FROM t'), ($rows + 1000) . '|' . ($rows + 1000), "$name: all is filled");
	return;
}
for my $workers (1, 2)
{
	comes('partitions', "$new_leaf; ALTER TABLE t ATTACH PARTITION new FOR VALUES FROM (200000) TO (300000)", $workers);
	comes('partitions', "CREATE TABLE new PARTITION OF t FOR VALUES FROM (200000) TO (300000); $fill_new", $workers);
	comes('partitions', "CREATE TABLE new PARTITION OF t FOR VALUES FROM (200000) TO (300000) PARTITION BY RANGE (id);
		CREATE TABLE new_low PARTITION OF new FOR VALUES FROM (200000) TO (200500);
		CREATE TABLE new_high PARTITION OF new FOR VALUES FROM (200500) TO (300000); $fill_new", $workers);
	comes('children', "CREATE TABLE new () INHERITS (t); $fill_new", $workers);
	comes('children', "$new_leaf; ALTER TABLE new INHERIT t", $workers);
}

# ---- at the very end, while the closing check reads another leaf
sql(<<'SQL');
CREATE SEQUENCE reached;
CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
	IF NOT pg_try_advisory_xact_lock_shared(7) AND EXISTS (SELECT FROM safe_migrate.progress WHERE phase LIKE '%closing check') THEN
		PERFORM nextval('public.reached');
		LOOP
			EXIT WHEN pg_try_advisory_xact_lock_shared(7);
			PERFORM pg_sleep(0.01);
		END LOOP;
	END IF;
	RETURN true;
END $$;
SQL
sql("DROP TABLE IF EXISTS t, first, second, low, new CASCADE; $make{partitions}; INSERT INTO first VALUES (1, 'row 1'); $new_leaf");
my $patience = 10 * $PostgreSQL::Test::Utils::timeout_default;
my $job = sql(<<"SQL");
SELECT pg_advisory_lock(7);
SELECT safe_migrate.backfill('t', 'b = upper(a)', \$\$gate() AND coalesce(b, '') = ''\$\$) AS job \\gset
DO \$\$
BEGIN
	FOR i IN 1 .. $patience LOOP
		EXIT WHEN (SELECT is_called FROM reached);
		PERFORM pg_sleep(0.1);
	END LOOP;
END \$\$;
ALTER TABLE t ATTACH PARTITION new FOR VALUES FROM (200000) TO (300000);
SELECT pg_advisory_unlock(7);
SELECT :job;
SQL
($job) = $job =~ /(\d+)$/;
wait_for_state($node, $job, 'succeeded');
is(sql('SELECT is_called FROM reached'), 't', 'in the closing check');
is(sql('SELECT count(*), count(b) FROM t'), '1001|1001', 'a leaf attached during the closing check is filled');

stays_clean($node);
done_testing();
