# Jobs that ended long ago: what goes, what stays, and that running a migration again is harmless.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('history', autovacuum => 'off', 'safe_migrate.inline' => 'never');

sub sql { return $node->safe_psql('postgres', @_); }

sub queue
{
	my ($name) = @_;
	my $job_name = $name =~ /^unnamed/ ? 'NULL' : "'$name'";
	return sql("SELECT safe_migrate.backfill('t', 'b = a', 'b IS DISTINCT FROM a', job_name => $job_name)");
}

sub age { my ($id, $days) = @_; return sql("UPDATE safe_migrate.job SET finished_at = now() - interval '$days days' WHERE id = $id"); }

sub restart_and_wait
{
	my ($until) = @_;
	$node->restart;
	wait_for($node, $until);
	return;
}

my $all = q{SELECT string_agg(coalesce(name, 'unnamed'), ' ' ORDER BY id) FROM safe_migrate.jobs};

sql('CREATE TABLE t (a int, b int); INSERT INTO t SELECT i FROM generate_series(1, 1000) i');
my %job = (named => queue('named'));
wait_for_state($node, $job{named}, 'succeeded');
# as a job leaves them that ended between two of its passes
sql("INSERT INTO safe_migrate.slice (job_id, step_no, slice_no, pass, relation, relfilenumber, first_block, end_block, cursor_block, done, rows_written)
	SELECT $job{named}, 1, n, 1, 't'::regclass, 0, 0, 0, 0, true, n FROM generate_series(11, 12) n");
is(sql("SELECT rows_written FROM safe_migrate.job_steps WHERE job_id = $job{named} AND step_no = 1"), '1023', 'slices say what was written, too');
for my $name (qw(unnamed_old unnamed_new))
{
	$job{$name} = queue($name);
	wait_for_state($node, $job{$name}, 'succeeded');
}
sql(q{ALTER SYSTEM SET safe_migrate.enabled = off; SELECT pg_reload_conf()});
for my $name (qw(cancelled unnamed_cancelled))
{
	$job{$name} = queue($name);
	sql("SELECT safe_migrate.cancel($job{$name})");
}
sql(q{ALTER SYSTEM RESET safe_migrate.enabled; SELECT pg_reload_conf()});
sql('INSERT INTO t VALUES (0)');
for my $name (qw(failed failed_long_ago))
{
	$job{$name} = sql("SELECT safe_migrate.backfill('t', 'b = 1 / a', 'b IS NULL', job_name => '$name')");
	wait_for_state($node, $job{$name}, 'failed');
}

# nothing is old enough but the one that is looked for
age($job{$_}, 89) for keys %job;
age($job{unnamed_old}, 91);
restart_and_wait("SELECT NOT EXISTS (SELECT FROM safe_migrate.jobs WHERE id = $job{unnamed_old})");
is(sql($all), 'named unnamed cancelled unnamed failed failed_long_ago', 'what is not old stays');
is(sql("SELECT count(*) > 0 FROM safe_migrate.slice WHERE job_id = $job{named}"), 't', '... with its slices');

# all but one are
age($job{$_}, 91) for qw(named unnamed_cancelled cancelled failed);
age($job{failed_long_ago}, 181);
restart_and_wait("SELECT NOT EXISTS (SELECT FROM safe_migrate.jobs WHERE id IN ($job{unnamed_cancelled}, $job{failed_long_ago}))
	AND NOT EXISTS (SELECT FROM safe_migrate.events WHERE job_id = $job{named})");
is(sql($all), 'named unnamed cancelled failed', 'what can be queued again stays for twice the time');
is(sql("SELECT count(*) FROM safe_migrate.slice WHERE job_id = $job{named}"), '0', 'of a named job the slices go');
is(sql("SELECT rows_written FROM safe_migrate.job_steps WHERE job_id = $job{named} AND kind = 'backfill'"),
	'1023', '... its step says what they wrote');
is(sql("SELECT rows, fraction FROM safe_migrate.progress WHERE job_id = $job{named}"), '1023|1', '... and so does progress');
is(sql("SELECT count(*) FROM safe_migrate.slice l WHERE NOT EXISTS (SELECT FROM safe_migrate.job WHERE id = l.job_id)"), '0', 'nothing is left of deleted jobs');
my ($id, $notice) = (undef, '');
$node->psql('postgres', q{SELECT safe_migrate.backfill('t', 'b = a', 'b IS DISTINCT FROM a', job_name => 'named')}, stdout => \$id, stderr => \$notice);
is($id, $job{named}, 'a migration that is run again finds its job');
like($notice, qr/job "named" exists already and is succeeded/, '... and is told so');
is(sql(q{SELECT safe_migrate.require('named')}), '', '... as is who requires it');

# for ever
age($job{$_}, 3650) for qw(named unnamed_new failed);
configure_server($node, 'safe_migrate.job_history' => '0');
my $running = queue('seen');
$node->restart;
wait_for_state($node, $running, 'succeeded');
is(sql($all), 'named unnamed cancelled failed seen', 'job_history = 0 keeps all');
$node->stop;
done_testing();
