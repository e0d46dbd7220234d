# A row that a client moves from pages still to come to pages already read, while the last pass is
# between them: the closing check finds it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('closing',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off',
	max_prepared_transactions => 5,
	autovacuum => 'off');
my $patience = 10 * $PostgreSQL::Test::Utils::timeout_default;

sub sql { return $node->safe_psql('postgres', @_); }

# A hundred pages, of which the first is free; one row on the last is to do. The pass is held up at
# a row in the middle, until the advisory lock is free. What it declares of itself decides whether
# the check asks each row or only those written since the pass began.
sub make_table
{
	my ($name, $volatility, $persistence) = @_;
	sql(<<"SQL");
CREATE SEQUENCE ${name}_reached;
CREATE FUNCTION ${name}_gate(id int) RETURNS boolean LANGUAGE plpgsql $volatility COST 0.0001 AS \$\$
BEGIN
	IF id = 1500 AND NOT pg_try_advisory_xact_lock_shared(7) THEN
		PERFORM nextval('${name}_reached');
		LOOP
			PERFORM pg_sleep(0.01);
			EXIT WHEN pg_try_advisory_xact_lock_shared(7);
		END LOOP;
	END IF;
	RETURN true;
END \$\$;
CREATE $persistence TABLE $name (id int PRIMARY KEY, pad text, b text);
SQL
	return;
}

sub fill_table
{
	my ($name) = @_;
	sql(<<"SQL");
ALTER TABLE $name ALTER pad SET STORAGE PLAIN;
INSERT INTO $name SELECT i, repeat('p', 200), CASE WHEN i = 2990 THEN 'todo' ELSE 'done' END
	FROM generate_series(1, 3000) i;
DELETE FROM $name WHERE ctid < '(1,0)';
SQL
	sql("VACUUM $name");
	return;
}

# Client and job in one script: what is between the pass's arrival at the gate and its opening.
sub run_job
{
	my ($name, $meanwhile) = @_;
	my $said = sql(<<"SQL");
SELECT pg_advisory_lock(7);
SELECT 'job ' || safe_migrate.backfill('$name', \$\$b = 'done'\$\$, \$\$${name}_gate(id) AND b = 'todo'\$\$);
DO \$\$
BEGIN
	FOR i IN 1 .. $patience LOOP
		EXIT WHEN (SELECT is_called FROM ${name}_reached);
		PERFORM pg_sleep(0.1);
	END LOOP;
END \$\$;
$meanwhile;
SELECT 'now on ' || ctid FROM $name WHERE id = 2990;
SELECT pg_advisory_unlock(7);
SQL
	like($said, qr/now on \(0,/, "$name: the row was moved to the first page");
	my ($job) = $said =~ /^job (\d+)$/m;
	wait_for_state($node, $job, 'succeeded');
	is(sql("SELECT count(*) FROM $name WHERE b <> 'done'"), '0', "$name: no row is left");
	like(sql("SELECT string_agg(detail, ', ') FROM safe_migrate.events WHERE job_id = $job AND kind = 'notice'"),
		qr/another pass: row \(0,\d+\) of table "$name" matches, and pass 1 has not seen it/, "$name: an event tells");
	return;
}

my $move = q{UPDATE %s SET pad = repeat('q', 7000) WHERE id = 2990};
for my $kind ([ 'immutable', '' ], [ 'volatile', '' ], [ 'immutable', 'UNLOGGED' ])
{
	my $name = lc "by_$kind->[0]$kind->[1]";
	make_table($name, uc $kind->[0], $kind->[1]);
	fill_table($name);
	run_job($name, sprintf $move, $name);
}

# begun before the pass, committed under way: the version is older than the pass
make_table('begun_before', 'IMMUTABLE', '');
fill_table('begun_before');
sql('BEGIN; ' . sprintf($move, 'begun_before') . q{; PREPARE TRANSACTION 'move'});
run_job('begun_before', q{COMMIT PREPARED 'move'});

stays_clean($node);
done_testing();
