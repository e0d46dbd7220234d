# A schema change that is cancelled after any of its steps says what it leaves; the SQL of undo, the last step's first,
# takes it back; and retry() completes it, with the schema that it has when nobody stops it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use OperationsWalk;
use SafeMigrate;

my $walk = OperationsWalk->new('ops_half_way');
my $node = $walk->node;
my %expected = $walk->run_through;

$walk->begin(1);
my %before = map { $_ => $walk->schema($_) } $walk->names;
$walk->queue;
my (%stops, %undone);
my @at_work = $walk->names;
while (my %place = $walk->places(@at_work))
{
	@at_work = sort keys %place;
	sleep 6 unless %stops; # a batch that lasts so long is rolled back, and not waited for
	for my $name (@at_work)
	{
		$walk->sql($name, 'SELECT safe_migrate.cancel(id) FROM safe_migrate.jobs');
		$walk->open_gate($name, $place{$name}, who_waits_too => 1); # what has committed by itself is noted first
	}
	for my $name (@at_work)
	{
		$stops{$name}++;
		wait_for($node, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'safe_migrate worker' AND datname = current_database())},
			$walk->database($name));
		looks_right($name, "$name, cancelled at $place{$name}");
	}
	$walk->sql($_, 'SELECT safe_migrate.retry(id) FROM safe_migrate.jobs') for @at_work;
}

for my $name ($walk->names)
{
	is($walk->state($name), 'succeeded', "$name: retry() completes it") or diag($walk->sql($name, 'SELECT to_jsonb(j) FROM safe_migrate.jobs j'));
	is(OperationsWalk::difference($walk->schema($name), $expected{$name}), '', "$name: the same schema as without a stop");
	cmp_ok($stops{$name}, '>=', $walk->sql($name, 'SELECT count(*) FROM safe_migrate.job_steps'), "$name: stopped after each step");
}
stays_clean($node);
$node->stop;
done_testing();

sub looks_right
{
	my ($name, $where) = @_;
	my $now = $walk->schema($name);
	is($walk->state($name), 'cancelled', "$where: cancelled");
	# (what ends after the cancel is told by a second one)
	my $told = $walk->sql($name, q{SELECT count(*) FROM safe_migrate.events WHERE kind = 'left'
		AND id > (SELECT max(id) FROM safe_migrate.events WHERE kind = 'queued')});
	ok($told > 0 || $now eq $before{$name}, "$where: what is left is told");
	return if $name eq 'script'; # nothing takes DROP COLUMN back
	# in a copy: what is done goes on here
	my $undo = $walk->sql($name, q{SELECT string_agg(undo, E'\n' ORDER BY step_no DESC) FROM safe_migrate.job_steps WHERE state = 'done'});
	$node->safe_psql('postgres', 'CREATE DATABASE undone TEMPLATE ' . $walk->database($name));
	$node->safe_psql('undone', 'DROP TRIGGER gate ON safe_migrate.step; DROP TRIGGER gate_of_planned ON safe_migrate.step');
	for my $sql (split /\n/, $undo)
	{
		$node->safe_psql('undone', "SET client_min_messages = error;\n$sql");
	}
	is(OperationsWalk::difference($walk->schema($name, 'undone'), $before{$name}), '', "$where: undo takes it back");
	$node->safe_psql('postgres', 'DROP DATABASE undone');
	return;
}
