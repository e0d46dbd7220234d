# Schema changes that crash at each of their steps complete after the restart, with the schema that they
# have without a crash.  Every operation has a database of its own, and all of them run at once: each
# waits at the end of its step, its work done, its note of that not committed; then the server goes
# down under all of them, by kill -9 of a worker or by an immediate stop, in turn.  Those that commit
# by themselves (CREATE INDEX CONCURRENTLY …) go down in their midst as well: a prepared transaction
# holds a lock that they wait for.
#
# At the end of each step it is seen, too, that a lock which stops others was not held over a scan.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use OperationsWalk;
use SafeMigrate;

my $walk = OperationsWalk->new('ops_crash');
my $node = $walk->node;

# ---- without a crash
my $undo_sql = q{SELECT string_agg(coalesce(undo, 'none'), E'\n' ORDER BY step_no) FROM safe_migrate.job_steps};
my %expected = $walk->run_through;
my %undo = map { $_ => $walk->sql($_, $undo_sql) } $walk->names;
my %held = map { $_ => $walk->sql($_, q{SELECT count(*) FILTER (WHERE lock IS NULL AND rows_read >= 1000), count(lock),
	string_agg(step || ': ' || lock || ', ' || rows_read, '; ') FILTER (WHERE lock IS NOT NULL AND rows_read > 10) FROM walk.held}) } $walk->names;
like($held{$_}, qr/\|$/, "$_: a lock that stops others is not held over a scan") for $walk->names;
like($held{'check'}, qr/^1\|1\|/, 'a scan without one, and one without a scan, are seen');

# ---- with one at each step
my (%prepared, %in_midst);
$walk->begin(1);
for my $name ($walk->names)
{
	my ($table, @modes) = $walk->held($name);
	my $database = $walk->database($name);
	$walk->sql($name, "BEGIN; LOCK TABLE $table IN $_ MODE; PREPARE TRANSACTION '$_ $database'") for @modes;
	$prepared{$name} = [ map { "$_ $database" } @modes ];
	$in_midst{$name} = 0;
}
$walk->queue;
my $round = 0;
for (my %place; %place = $walk->places($round ? keys %place : $walk->names); $round++)
{
	for my $name (keys %place)
	{
		if ($place{$name} =~ /^gate/) { $walk->open_gate($name, $place{$name}); }
		else { $in_midst{$name}++; }
		$walk->sql($name, 'UPDATE safe_migrate.job SET starts = 0'); # crashes one upon another would pause it
	}
	if ($round % 2) { $node->stop('immediate'); $node->start; }
	else { kill_hard($node, (worker_pids($node))[0]); }
	for my $name (grep { $place{$_} eq 'held' } keys %place)
	{
		$walk->sql($name, "COMMIT PREPARED '" . shift(@{ $prepared{$name} }) . q{'});
	}
}
note "$round crashes";

for my $name ($walk->names)
{
	my (undef, @modes) = $walk->held($name);
	is($walk->state($name), 'succeeded', "$name: succeeds") or diag($walk->sql($name, 'SELECT to_jsonb(j) FROM safe_migrate.jobs j'));
	is(OperationsWalk::difference($walk->schema($name), $expected{$name}), '', "$name: the same schema as without crashes");
	is($walk->sql($name, $undo_sql), $undo{$name}, "$name: and the same way back");
	is($walk->sql($name, q{SELECT count(*) FROM safe_migrate.job_steps WHERE NOT EXISTS (SELECT FROM walk.passed
		WHERE step = concat_ws(' ', 'gate', step_no, kind, 'done'))}), 0, "$name: crashed at the end of each step");
	is($in_midst{$name}, @modes, "$name: and in the midst of what commits by itself");
	is($walk->sql($name, 'SELECT count(*) FROM pg_index WHERE NOT indisvalid'), 0, "$name: no wreck of an index");
}
is($walk->sql('not null, filled', 'SELECT count(*) FROM s.t WHERE a = 7'), 600, 'rows are filled, once');
is($walk->sql('column with values of its own', 'SELECT count(DISTINCT n) FROM s.t'), 3000, 'rows are numbered');
$node->stop;
done_testing();
