# Tables that are published and can't be written for lack of a replica identity, and servers whose
# transactions are serializable.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('published',
	'safe_migrate.inline' => 'never',
	'safe_migrate.vacuum_after' => 'off',
	'default_transaction_isolation' => 'serializable',
	'wal_level' => 'logical');
sub sql { return $node->safe_psql('postgres', @_); }

for my $trigger (0, 1)
{
	sql(q{DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, a text, b text);
		INSERT INTO t SELECT i, i FROM generate_series(1, 5000) i;
		ALTER TABLE t REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR TABLE t});
	sql(q{CREATE OR REPLACE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
		CREATE TRIGGER same BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION same()}) if $trigger;
	my $how = $trigger ? 'by the executor' : 'directly';
	my $job = sql(q{SELECT safe_migrate.backfill('t', 'b = a')});
	wait_for($node, "SELECT state IN ('failed', 'succeeded') FROM safe_migrate.jobs WHERE id = $job");
	is(sql("SELECT state, error_sqlstate, error_message FROM safe_migrate.jobs WHERE id = $job"),
		'failed|55000|cannot update table "t" because it does not have a replica identity and publishes updates', "$how: refused as an UPDATE is");
	is(sql('SELECT count(b) FROM t'), '0', "$how: nothing is written");
	sql("ALTER TABLE t REPLICA IDENTITY FULL; SELECT safe_migrate.retry($job)");
	wait_for_state($node, $job, 'succeeded');
	is(sql('SELECT count(*) FROM t WHERE b IS DISTINCT FROM a'), '0', "$how: with an identity it goes on to the end");
	sql('DROP PUBLICATION p');
}

stays_clean($node);
done_testing();
