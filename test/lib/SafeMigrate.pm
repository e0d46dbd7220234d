# What the TAP tests share: servers that preload the library, and waiting for states.
package SafeMigrate;
use strict;
use warnings;
use Carp;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_server new_standby configure_server major_of wait_for wait_for_state state_of
  at_work full_speed worker_pids wait_for_workers make_orders schema_of stays_clean answer error_of
  kill_hard wait_for_server is_installed);

# Settings are those that a test gives: the sessions of make's other tests are told more.
delete $ENV{PGOPTIONS};

# A started server that preloads the library, with settings given as name => value, the extension
# created in database postgres.  allows_streaming => 1 makes it a primary, initdb => [...] are options
# of initdb.
sub new_server
{
	my ($name, %settings) = @_;
	my $streaming = delete $settings{allows_streaming};
	my $initdb = delete $settings{initdb};
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => $streaming, extra => $initdb // []);
	$node->append_conf('postgresql.conf', <<"CONF");
shared_preload_libraries = 'safe_migrate'
max_worker_processes = 16
restart_after_crash = on
autovacuum_naptime = 1min
CONF
	$node->append_conf('postgresql.conf', "$_ = '$settings{$_}'\n") for sort keys %settings;
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION safe_migrate');
	return $node;
}

# A standby of a server that allows streaming, started.
sub new_standby
{
	my ($primary, $name) = @_;
	$primary->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new($name);
	$standby->init_from_backup($primary, 'base', has_streaming => 1);
	$standby->start;
	return $standby;
}

sub major_of
{
	my ($node) = @_;
	return $node->safe_psql('postgres', "SELECT current_setting('server_version_num')::int / 10000");
}

# Settings changed on a running server, values as SHOW prints them; returns when sessions see them.
sub configure_server
{
	my ($node, %settings) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET $_ = '$settings{$_}'") for sort keys %settings;
	$node->reload;
	wait_for($node, "SELECT current_setting('$_') = '$settings{$_}'") for sort keys %settings;
	return;
}

# Waits until a query says t; croaks with the last state of the jobs when it never does.
sub wait_for
{
	my ($node, $query, $dbname) = @_;
	$dbname //= 'postgres';
	return if $node->poll_query_until($dbname, $query);
	my (undef, $jobs) = $node->psql($dbname, 'SELECT to_jsonb(p) FROM safe_migrate.progress p');
	croak("never true: $query\nprogress: $jobs");
}

sub state_of
{
	my ($node, $job, $dbname) = @_;
	return $node->safe_psql($dbname // 'postgres',
		"SELECT state FROM safe_migrate.jobs WHERE id = $job");
}

# Waits until the job is in a state; fails at once where it has come to another end.
sub wait_for_state
{
	my ($node, $job, $state, $dbname) = @_;
	wait_for($node, "SELECT state = '$state' OR state IN ('succeeded', 'failed', 'cancelled')
		FROM safe_migrate.jobs WHERE id = $job", $dbname);
	return if state_of($node, $job, $dbname) eq $state;
	croak("job $job is not $state: " . $node->safe_psql($dbname // 'postgres',
		"SELECT to_jsonb(j) FROM safe_migrate.jobs j WHERE id = $job"));
}

# Waits until the job runs and has written something.
sub at_work
{
	my ($node, $job) = @_;
	return wait_for($node, "SELECT rows > 0 AND state = 'running' FROM safe_migrate.progress WHERE job_id = $job");
}

# A job that was queued to go slowly hurries to its end.
sub full_speed
{
	my ($node, $job) = @_;
	$node->safe_psql('postgres', "SELECT safe_migrate.configure($job, 'nice_ratio', NULL)");
	return wait_for_state($node, $job, 'succeeded');
}

# kill -9 of a server process, until the server that restarts because of it takes connections again.
sub kill_hard
{
	my ($node, $pid) = @_;
	kill 'KILL', $pid;
	select undef, undef, undef, 0.02 while kill 0, $pid; # until the postmaster knows
	return wait_for_server($node);
}

# Not by psql, which may be gone before it is told what to ask.
sub wait_for_server
{
	my ($node) = @_;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if system_log('pg_isready', '-q', '-h', $node->host, '-p', $node->port) == 0;
		select undef, undef, undef, 0.1;
	}
	croak('the server takes no connections again');
}

# Whether CREATE EXTENSION finds it: the modules that scripts/test installs are not there under installcheck.
sub is_installed
{
	my ($extension) = @_;
	my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
	return -e "$sharedir/extension/$extension.control";
}

sub worker_pids
{
	my ($node) = @_;
	return split /\n/, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity
		WHERE backend_type = 'safe_migrate worker' ORDER BY pid");
}

sub wait_for_workers
{
	my ($node, $n) = @_;
	wait_for($node, "SELECT count(*) = $n FROM pg_stat_activity
		WHERE backend_type = 'safe_migrate worker'");
	return worker_pids($node);
}

# What psql says on its error channel, verbose: notices and errors.  as => role, db => database.
sub error_of
{
	my ($node, $sql, %where) = @_;
	my ($code, $out, $stderr) = $node->psql($where{db} // 'postgres', "\\set VERBOSITY verbose\n$sql",
		extra_params => $where{as} ? [ '-U', $where{as} ] : []);
	return $stderr;
}

# What a query answers a role: its output, or the error.
sub answer
{
	my ($node, $role, $sql) = @_;
	my ($code, $out, $stderr) = $node->psql('postgres', $sql, extra_params => [ '-U', $role ]);
	return $code == 0 ? $out : $stderr;
}

# Table orders(id, status, status_v2) with rows to fill, and its twin "expected" as one UPDATE
# would leave it.
sub make_orders
{
	my ($node, $rows, $dbname) = @_;
	$node->safe_psql($dbname // 'postgres', <<"SQL");
CREATE TABLE orders (id bigint PRIMARY KEY, status text NOT NULL, status_v2 text);
INSERT INTO orders SELECT i, 'status ' || i % 7, CASE WHEN i % 10 = 0 THEN 'kept' END
	FROM generate_series(1, $rows) i;
CREATE TABLE expected AS TABLE orders;
UPDATE expected SET status_v2 = upper(status) WHERE status_v2 IS NULL;
VACUUM ANALYZE orders;
SQL
	return;
}

# The lines of pg_dump's schema that define something; it writes random keys into newer ones.
sub schema_of
{
	my ($node, $dbname, @options) = @_;
	my ($dump) = run_command([ 'pg_dump', '--schema-only', '--no-owner', @options,
		'-h', $node->host, '-p', $node->port, $dbname ]);
	return grep { length && !/^--|^\\(un)?restrict / } split /\n/, $dump;
}

# Nothing in the server's log says that a process crashed (unless the test killed it).
sub stays_clean
{
	my ($node, $name) = @_;
	unlike(slurp_file($node->logfile),
		qr/PANIC:|was terminated by signal|TRAP:|unexpected exception/,
		$name // 'no process of the server crashed');
	return;
}

1;
