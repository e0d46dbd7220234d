# An autovacuum in the way of a guarded statement or a job goes within one stay in the queue, however long
# deadlock_timeout is; one that prevents wraparound stays, and is named.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

my $node = new_server('autovacuum',
	autovacuum => 'off',
	autovacuum_naptime => '1s',
	synchronous_commit => 'off',
	deadlock_timeout => '10min',
	log_autovacuum_min_duration => '0',
	'safe_migrate.guard' => 'enforce',
	'safe_migrate.ddl_lock_try' => '2s');

sub sql { return $node->safe_psql('postgres', @_); }

sql('CREATE ROLE owner LOGIN'); # who may not set deadlock_timeout

# A vacuum of it takes for ever: it sleeps after each page.
sub make_slow
{
	my ($table, $option) = @_;
	sql("CREATE TABLE $table (id int, filler text)
			WITH (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, $option)");
	sql("ALTER TABLE $table OWNER TO owner");
	sql("INSERT INTO $table SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i");
	return;
}

# (the next one may be at it already)
sub leave_alone
{
	my ($table) = @_;
	return sql("SET deadlock_timeout = '10ms'; ALTER TABLE $table SET (autovacuum_enabled = off)");
}

sub wait_for_autovacuum
{
	my ($table, $like) = @_;
	wait_for($node, "SELECT count(*) = 1 FROM pg_stat_progress_vacuum p JOIN pg_stat_activity a USING (pid)
		WHERE relid = '$table'::regclass AND backend_type = 'autovacuum worker' AND query LIKE '$like'");
	return sql("SELECT pid FROM pg_stat_progress_vacuum WHERE relid = '$table'::regclass");
}

make_slow('orders', 'autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0');
sql('DELETE FROM orders WHERE id % 10 = 0');
configure_server($node, autovacuum => 'on');
my $pid = wait_for_autovacuum('orders', 'autovacuum: VACUUM %');
is(error_of($node, 'ALTER TABLE orders ADD COLUMN note text', as => 'owner'), '', 'a statement behind an autovacuum gets its lock');
like(slurp_file($node->logfile), qr/\[$pid\] .*canceling autovacuum task/, 'since the server cancels the autovacuum');
is(sql('SHOW deadlock_timeout'), '10min', 'deadlock_timeout is what it was');
leave_alone('orders');

make_slow('invoices', 'autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0');
sql('DELETE FROM invoices WHERE id % 10 = 0');
$pid = wait_for_autovacuum('invoices', 'autovacuum: VACUUM %');
is(error_of($node, q{SET client_min_messages = warning; SET safe_migrate.inline = never; CALL safe_migrate.wait(safe_migrate.add_constraint_safely('invoices', 'CHECK (id > 0)'))},
	as => 'owner'), '', 'a job behind an autovacuum gets its locks');
like(slurp_file($node->logfile), qr/\[$pid\] .*canceling autovacuum task/, 'by the same way');
leave_alone('invoices');

make_slow('ledger', 'autovacuum_enabled = off, autovacuum_freeze_max_age = 100000');
sql('DO $$ BEGIN FOR i IN 1 .. 100100 LOOP PERFORM txid_current(); COMMIT; END LOOP; END $$');
$pid = wait_for_autovacuum('ledger', '%(to prevent wraparound)');
my $said = error_of($node, "SET safe_migrate.ddl_lock_retry = '1s'; ALTER TABLE ledger ADD COLUMN note text");
like($said, qr/ERROR:  55P03: no ACCESS EXCLUSIVE lock on "public.ledger"/, 'one that prevents wraparound does not yield');
like($said, qr/DETAIL:  Process $pid is an autovacuum that prevents transaction ID wraparound: it does not yield to anybody\./, 'which the error says');
like($said, qr/HINT:  .*pg_stat_progress_vacuum/, 'and where to look');

stays_clean($node);
done_testing();
