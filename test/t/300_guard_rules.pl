# The table of rules, rules() and docs/rules say the same; rule_levels takes what is in it and nothing else.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $source = $ENV{SAFE_MIGRATE_SOURCE} // '.';
my $node = new_server('guard_rules');

# ---- docs
my %rule;
for (split /\n/, $node->safe_psql('postgres', 'SELECT rule, default_level, level, problem FROM safe_migrate.rules()'))
{
	my ($name, $default, $level, $problem) = split /\|/;
	$rule{$name} = { default => $default, problem => ucfirst("$problem.") };
	is($level, $default, "$name has its default level");
}
cmp_ok(scalar keys %rule, '>', 50, 'there are rules');

my %page = map { m{([^/]+)\.md$}; $1 => slurp_file($_) } glob "$source/docs/rules/*.md";
my $index = delete $page{README};
is(join(' ', sort keys %page), join(' ', sort keys %rule), 'each rule has its page, and each page its rule');
for my $name (sort keys %rule)
{
	my $page = $page{$name} // '';
	like($page, qr/\A# \Q$name\E\nLevel: $rule{$name}{default}\n/, "the page of $name begins with name and level");
	like($page, qr/^\*\*Problem\.\*\* \Q$rule{$name}{problem}\E/m, "the page of $name states the problem");
	like($page, qr/^\*\*Safe when\*\* .*^\*\*Instead of\*\*\n\n```sql\n.*^\*\*Use\*\*.*^```sql\n/ms,
		"the page of $name says when it is safe, and what to use instead");
	like($index, qr/^\| \[\Q$name\E\]\(\Q$name\E\.md\) \| $rule{$name}{default} \| /m, "$name is in the index");
}

# ---- causes and rules
my $effects = slurp_file("$source/src/statement/effects.hpp");
my ($causes) = $effects =~ /enum class Cause : uint8_t \{(.*?)\bn_causes/s;
$causes =~ s{//.*}{}mg;
my @cause = map { tr/_/-/r } $causes =~ /(\w+)/g;
s/^lock$/strong-lock/ for @cause;
is(join(' ', @cause),
	$node->safe_psql('postgres', q{SELECT string_agg(rule, ' ') FROM safe_migrate.rules()}),
	'rules have the names of their causes, in their order');

# ---- the setting
is($node->safe_psql('postgres', q{SET safe_migrate.rule_levels = 'rename-column=reject,  drop-table = allow';
		SELECT rule, level FROM safe_migrate.rules() WHERE level <> default_level ORDER BY rule}),
	"drop-table|allow\nrename-column|reject", 'rule_levels changes the rules that it names');
for my $case ([ 'no-such-rule=warn', qr/There is no rule "no-such-rule"/ ],
	[ 'drop-table=maybe', qr/There is no level "maybe"/ ],
	[ 'drop-table', qr/It is a list of rule=level/ ],
	[ 'drop-table=warn,', qr/It is a list of rule=level/ ])
{
	like(error_of($node, "SET safe_migrate.rule_levels = '$case->[0]'"),
		qr/ERROR:  22023: invalid value for parameter "safe_migrate.rule_levels".*$case->[1]/s,
		"rule_levels = '$case->[0]' is refused");
}
like(error_of($node, "SELECT safe_migrate.set_policy(schema_name => 'public', rule_levels => 'nothing=warn')"),
	qr/22023: invalid list of rule levels: "nothing=warn".*There is no rule "nothing"/s, 'so is that of a policy');
$node->append_conf('postgresql.conf', "safe_migrate.rule_levels = 'truncate=warn'");
$node->reload;
wait_for($node, q{SELECT level = 'warn' FROM safe_migrate.rules() WHERE rule = 'truncate'});
ok(1, 'rule_levels is read from the configuration');

stays_clean($node);
done_testing();
