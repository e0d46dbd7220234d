# Changes of the table while a job is at work on it: each is seen from the next batch on, and indexes
# agree with the heap.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('ddl_under_way',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off');
sub sql { return $node->safe_psql('postgres', @_); }
sql('CREATE EXTENSION amcheck');

my $rows = 12_000;

# The statement runs when the job is in its midst; then the job goes on at full speed.
sub under_way
{
	my ($ddl, $name, %expect) = @_;
	sql(qq{DROP TABLE IF EXISTS orders CASCADE;
		CREATE TABLE orders (id int PRIMARY KEY, status text NOT NULL, status_v2 text, note text, gone int, amount int DEFAULT 7)
			WITH (fillfactor = $expect{fillfactor});
		INSERT INTO orders SELECT i, 'status ' || i % 7, NULL, 'note ' || i FROM generate_series(1, $rows) i;
		CREATE INDEX ON orders (status); CREATE INDEX orders_note ON orders (note); VACUUM ANALYZE orders});
	my $job = sql(qq{SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)', workers => $expect{workers},
		settings => '{"nice_ratio": 50}')});
	wait_for($node, "SELECT rows > 500 FROM safe_migrate.progress WHERE job_id = $job");
	is(state_of($node, $job), 'running', "$name: in the midst of the job");
	$node->safe_psql('postgres', $ddl);
	$node->psql('postgres', "SELECT safe_migrate.configure($job, 'nice_ratio', NULL)"); # it may have ended
	wait_for($node, "SELECT state NOT IN ('queued', 'running') FROM safe_migrate.jobs WHERE id = $job");
	is(sql("SELECT state, error_sqlstate, error_message FROM safe_migrate.jobs WHERE id = $job"),
		$expect{outcome} // 'succeeded||', "$name: outcome");
	is(sql($expect{query} // 'SELECT count(*), count(*) FILTER (WHERE status_v2 = upper(status)) FROM orders'),
		$expect{answer} // "$rows|$rows", "$name: rows") unless $expect{outcome} && !$expect{query};
	is(sql(q{SELECT count(*) FROM (SELECT bt_index_check(indexrelid, true) FROM pg_index
		WHERE indrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r' AND relname LIKE 'orders%')) c}) > 0,
		1, "$name: indexes agree with the heap");
	is(sql(q{SELECT sum((SELECT count(*) FROM verify_heapam(oid))) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'orders%'}), '0',
		"$name: heap is sound");
	return;
}

my @cases = (
	[ 'CREATE INDEX CONCURRENTLY ON orders (status_v2)', 'index on the assigned column' ],
	[ 'CREATE INDEX ON orders (note, id)', 'index on another column' ],
	[ 'CREATE INDEX ON orders ((upper(note))) WHERE amount = 7', 'index on an expression, partial' ],
	[ 'CREATE INDEX ON orders (id) WHERE status_v2 IS NULL', 'index whose predicate reads the assigned column' ],
	[ 'DROP INDEX orders_note', 'index dropped' ],
	[ 'REINDEX TABLE orders', 'reindexed' ],
	[ q{ALTER TABLE orders ADD COLUMN more text DEFAULT 'more'}, 'column added with a default',
		query => q{SELECT count(*), count(*) FILTER (WHERE status_v2 = upper(status) AND more = 'more') FROM orders} ],
	[ q{ALTER TABLE orders ADD COLUMN more text NOT NULL DEFAULT clock_timestamp()::text}, 'column added by a rewrite',
		query => q{SELECT count(*), count(*) FILTER (WHERE status_v2 = upper(status) AND more <> '') FROM orders} ],
	[ 'ALTER TABLE orders DROP COLUMN gone', 'another column dropped' ],
	[ 'ALTER TABLE orders ALTER amount TYPE numeric', 'type of another column changed',
		query => q{SELECT count(*), count(*) FILTER (WHERE status_v2 = upper(status) AND amount = 7) FROM orders} ],
	[ 'ALTER TABLE orders ALTER status_v2 TYPE varchar(200)', 'length of the assigned column changed' ],
	[ 'ALTER TABLE orders ADD COLUMN twice text GENERATED ALWAYS AS (status_v2 || status_v2) STORED', 'generated column added',
		query => q{SELECT count(*), count(*) FILTER (WHERE status_v2 = upper(status) AND twice = status_v2 || status_v2) FROM orders} ],
	[ q{CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.note := 'marked'; RETURN new; END $$;
		CREATE TRIGGER mark BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION mark()}, 'trigger created',
		query => q{SELECT count(*), count(*) FILTER (WHERE status_v2 = upper(status)) FROM orders HAVING bool_or(note = 'marked') AND bool_or(note <> 'marked')} ],
	[ q{ALTER TABLE orders ADD CHECK (status_v2 <> 'STATUS 3') NOT VALID}, 'check constraint added',
		outcome => 'failed|23514|new row for relation "orders" violates check constraint "orders_status_v2_check"' ],
	[ q{ALTER TABLE orders ADD CHECK (amount IS NOT NULL)}, 'check constraint that holds added' ],
	[ 'ALTER TABLE orders SET (fillfactor = 50)', 'fillfactor changed' ],
	[ 'ALTER TABLE orders DROP CONSTRAINT orders_pkey; ALTER TABLE orders ADD PRIMARY KEY (id, status)', 'primary key changed' ],
	[ 'ALTER TABLE orders SET UNLOGGED', 'made unlogged' ],
	[ 'DELETE FROM orders WHERE id % 2 = 0; VACUUM orders', 'half of the rows deleted and vacuumed away',
		answer => $rows / 2 . '|' . $rows / 2 ],
	[ "INSERT INTO orders SELECT i, 'late' FROM generate_series($rows + 1, $rows + 3000) i", 'rows inserted behind it',
		answer => $rows + 3000 . '|' . ($rows + 3000) ],
	[ 'ALTER TABLE orders ALTER status_v2 TYPE int USING length(status_v2)', 'assigned column of another type', 
		outcome => 'failed|42804|column "status_v2" is of type integer but expression is of type text' ],
);
my $n = 0;
for my $case (@cases)
{
	my ($ddl, $name, %more) = @$case;
	under_way($ddl, $name, workers => 1 + $n % 2, fillfactor => $n % 3 ? 100 : 70, %more);
	sql('DROP FUNCTION IF EXISTS mark() CASCADE');
	$n++;
}

stays_clean($node);
done_testing();
