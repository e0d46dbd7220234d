# Statements that have transactions of their own, under enforce: judged where they may run, the server's error
# where they may not; nothing of the guard is left in the session.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

my $node = new_server('commit_inside', autovacuum => 'off', 'safe_migrate.guard' => 'enforce');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, a int);
CREATE INDEX t_a ON t (a);
INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i;
CREATE TABLE p (id int, a int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (1000) TO (3000);
CREATE INDEX p_a ON p (a);
INSERT INTO p SELECT i, i FROM generate_series(0, 2999) i;
CREATE SCHEMA s;
CREATE TABLE s.u (id int PRIMARY KEY);
INSERT INTO s.u SELECT generate_series(1, 1000);
SQL

# What it would break if the tables were large, and what undoes it.
my @statements = (
	[ 'VACUUM t', '' ],
	[ 'VACUUM FULL t', 'vacuum-full' ],
	[ 'VACUUM (FULL, ANALYZE) t, s.u', 'vacuum-full' ],
	[ 'VACUUM FULL p', 'vacuum-full' ],
	[ 'CLUSTER p USING p_a', 'cluster' ],
	[ 'REINDEX TABLE CONCURRENTLY t', '' ],
	[ 'REINDEX INDEX CONCURRENTLY t_a', '' ],
	[ 'REINDEX TABLE p', 'reindex' ],
	[ 'REINDEX INDEX p_a', 'reindex' ],
	[ 'REINDEX TABLE CONCURRENTLY p', '' ],
	[ 'REINDEX SCHEMA s', 'reindex' ],
	[ 'REINDEX SCHEMA CONCURRENTLY s', '' ],
	[ 'REINDEX DATABASE postgres', 'reindex' ],
	[ 'CREATE INDEX CONCURRENTLY t_new ON t (a, id)', '', 'DROP INDEX IF EXISTS t_new' ],
	[ 'DROP INDEX CONCURRENTLY t_new', '', 'CREATE INDEX IF NOT EXISTS t_new ON t (a, id)' ],
	[ 'ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY', '', 'ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (1000) TO (3000)' ]);

# Of the session that has run it: locks that it still holds, settings that it did not have.
my $left = q{SELECT 'left: ' || (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype IN ('relation', 'object') AND mode <> 'AccessShareLock')
	|| ' ' || current_setting('lock_timeout') || ' ' || current_setting('deadlock_timeout') || ' ' || (pg_current_xact_id_if_assigned() IS NULL)};

sub run
{
	my ($sql) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET client_min_messages = error;\n$sql;\nROLLBACK;\n$left;\n", on_error_stop => 0);
	like($out, qr/^left: 0 0 1s true$/m, 'nothing is left');
	return $err;
}

# As it was before, if it was not.
sub undo { $node->psql('postgres', "SET safe_migrate.guard = off; $_[0]") if $_[0]; return; }

sub files { return $node->safe_psql('postgres', "SELECT string_agg(oid || ' ' || relfilenode || ' ' || relispartition, ',' ORDER BY oid) FROM pg_class WHERE relkind IN ('r', 'i') AND oid > 16383"); }

for my $case (@statements)
{
	my ($statement, $rule, $again) = @$case;
	undo($again);
	is(run($statement), '', "$statement: small tables");
	undo($again);
	my $before = files();
	for my $large ('', 'SET safe_migrate.small_table_size = 0;')
	{
		like(run("$large BEGIN;\n$statement"), qr/ERROR:  (25001: .*cannot run inside a transaction block|SM001: )/, "$large $statement: in a transaction block");
		like(run("$large DO \$\$ BEGIN EXECUTE '$statement'; END \$\$"), qr/ERROR:  (25001: .*cannot be executed from a function|0A000: |SM001: )/, "$large $statement: in a function");
	}
	my $said = run("SET safe_migrate.small_table_size = 0;\n$statement");
	if ($rule)
	{
		like($said, qr/ERROR:  SM001: .*^CONSTRAINT NAME:  $rule$/ms, "$statement: large tables");
		is(files(), $before, 'nothing was done');
		is(run("SET safe_migrate.small_table_size = 0; SET safe_migrate.override = 'CHG-1';\n$statement"), '', 'by an override');
		is($node->safe_psql('postgres', q{SELECT rules[1] || ' ' || statement FROM safe_migrate.audit ORDER BY id DESC LIMIT 1}), "$rule $statement", 'which is written down');
	}
	else
	{
		is($said, '', "$statement: stops nobody, however large the tables are");
	}
	undo($again);
	$node->safe_psql('postgres', 'DROP INDEX CONCURRENTLY IF EXISTS t_new');
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_index WHERE NOT indisvalid'), '0', 'all indexes are valid');
stays_clean($node);
done_testing();
