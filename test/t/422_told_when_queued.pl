# Where the locks of a statement are not free, so that it can't be tried when it is queued, apply() knows from the catalog
# what the server would refuse it for, and says it in the server's words: each statement of folder told/ is run as it
# stands, for the server's SQLSTATE and message, and given to apply() while others use all the tables.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

my $node = new_server('told', 'safe_migrate.guard' => 'off', 'safe_migrate.inline' => 'never',
	'safe_migrate.ddl_lock_try' => '20ms');
my $session = "SET client_min_messages = warning; SET search_path = told;\n";

# The error of each statement, by its number.
sub errors_of
{
	my ($statements, $wrap) = @_;
	my $script = "\\set VERBOSITY verbose\n\\o /dev/null\n$session";
	$script .= "\\warn \@\@ $_\nBEGIN;\n" . $wrap->($statements->[$_]) . ";\nROLLBACK;\n" for 0 .. $#$statements;
	my %error;
	my $number;
	$node->psql('postgres', $script, stderr => \my $stderr, on_error_stop => 0);
	unlike($stderr, qr/leak/, 'and nothing is left open');
	foreach (split /\n/, $stderr)
	{
		$number = $1 if /\@\@ (\d+)$/;
		$error{$number} //= $1 if /ERROR:\s+(\w{5}: .*)/;
	}
	return map { $error{$_} // 'none' } 0 .. $#$statements;
}

# A file: how the schema is made, a line of dashes, the statements, one a line.
foreach my $file (sort glob "$FindBin::RealBin/told/*.sql")
{
	my ($name) = $file =~ m{([^/]+)\.sql$};
	next if $name =~ /until_(\d+)/ && major_of($node) > $1;
	my ($made, $rest) = split /^----\n/m, slurp_file($file);
	my @statements = grep { /\S/ && !/^--/ } split /\n/, $rest;
	$node->safe_psql('postgres', "SET client_min_messages = error; DROP SCHEMA IF EXISTS told, other CASCADE; CREATE SCHEMA told; CREATE SCHEMA other;\n$session$made");
	my @plain = errors_of(\@statements, sub { $_[0] });
	my $others = $node->background_psql('postgres');
	$others->query_safe(q{BEGIN});
	$others->query_safe($_) foreach split /\n/, $node->safe_psql('postgres',
		q{SELECT format('LOCK TABLE %s IN ROW EXCLUSIVE MODE', oid::regclass) FROM pg_class WHERE relnamespace IN ('told'::regnamespace, 'other'::regnamespace) AND relkind IN ('r', 'p', 'v')});
	my @told = errors_of(\@statements, sub { "SELECT safe_migrate.apply(\$apply\$$_[0]\$apply\$)" });
	$others->query_safe('COMMIT');
	$others->quit;
	my ($refused, $fine) = (0, 0);
	foreach (0 .. $#statements)
	{
		is($told[$_], $plain[$_], "$name: $statements[$_]");
		$plain[$_] eq 'none' ? $fine++ : $refused++;
	}
	ok($refused > 0 && $fine > 0, "$name: of $refused that the server refuses and of $fine that it doesn't");
}

done_testing();
