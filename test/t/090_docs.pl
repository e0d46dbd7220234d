# README and docs say what is there, and nothing that is not: names, columns, settings, messages, links; and
# the README's examples run as they stand.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $source = $ENV{SAFE_MIGRATE_SOURCE} // '.';
my %page = map { s{^\Q$source\E/}{}r => slurp_file($_) } "$source/README.md", glob("$source/docs/*.md");
my $readme = $page{'README.md'};
my $all = join "\n", values %page;

my $node = new_server('docs', 'safe_migrate.inline' => 'never');

sub column
{
	my ($query) = @_;
	return split /\n/, $node->safe_psql('postgres', $query);
}

sub none
{
	my ($name, @wrong) = @_;
	is(join("\n", sort @wrong), '', $name);
	return;
}

# ---- functions
my $own = q{FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
	AND e.extname = 'safe_migrate' AND d.deptype = 'e'};
my %function = map { $_ => 1 }
  column("SELECT DISTINCT proname FROM pg_proc p WHERE p.oid IN (SELECT d.objid $own AND d.classid = 'pg_proc'::regclass)");
none('each function is in the README', grep { $readme !~ /\b$_\(/ } keys %function);
none('each function has a comment', column("SELECT objid::regprocedure $own AND classid = 'pg_proc'::regclass
	WHERE obj_description(objid, 'pg_proc') IS NULL"));
# The table's rows as the catalog writes signatures: what has two forms, or an optional end, is two.
my %result;
my ($functions) = $readme =~ /^## All functions\n(.*?)^## /ms;
for my $row (grep { /^\| `/ } split /\n/, $functions)
{
	my (undef, $names, $result) = split /(?<!\\)\|/, $row;
	for my $signature ($names =~ /`(?:CALL )?([^`]*)`/g)
	{
		my @form = $signature =~ /^(.*) ?\[(.*)\]\)$/ ? ("$1)", "$1$2)") : $signature;
		@form = map { my $form = $_; map { $form =~ s/job or job_name/$_/r } 'job bigint', 'job_name text' } @form
		  if $signature =~ /job or job_name/;
		$result{ s/ (?=[,)])//gr } = join ', ', $result =~ /`([^`]*)`/g for @form;
	}
}
my %catalog;
for (column(qq{SELECT proname, coalesce(pg_get_function_arguments(p.oid), ''), CASE WHEN prokind = 'p' THEN '' ELSE prorettype::regtype::text END
	FROM pg_proc p WHERE p.oid IN (SELECT d.objid $own AND d.classid = 'pg_proc'::regclass)}))
{
	my ($name, $arguments, $result) = split /\|/, s/::\w+(?:\[\])?//gr =~ s/\binteger\b/int/gr =~ s/double precision/float8/gr, -1;
	my @argument = map { s/^IN //r } split /, /, $arguments;
	my @column = map { /^OUT (.*)/ ? $1 : () } @argument;
	$catalog{"$name(" . join(', ', grep { !/^OUT / } @argument) . ')'} = @column ? join(', ', @column) : $result;
}
none('the README has the signature of each function, with its defaults', grep { !exists $result{$_} } keys %catalog);
none('and no other signatures', grep { !exists $catalog{$_} } keys %result);
none('and what it returns', map { "$_: $catalog{$_}" }
	  grep { $catalog{$_} ne $result{$_} && !/^(may_see|is_at_home|live_jobs|start_condition|lock_chains)\(/ } grep { exists $result{$_} } keys %catalog);

# ---- views and settings
my @column = column(q{SELECT attrelid::regclass || ' ' || attname FROM pg_attribute
	WHERE attnum > 0 AND attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'v' AND relnamespace = 'safe_migrate'::regnamespace)});
none('each view is in the README', grep { $readme !~ /`$_`/ } keys %{ { map { (split / /)[0] => 1 } @column } });
none('each column of a view is explained', grep {
	my ($view, $name) = split / /;
	my ($section) = ($page{'docs/jobs.md'} . $page{'docs/guard.md'}) =~ /^### \Q$view\E\n(.*?)(?=^##|\z)/ms;
	!defined $section || $section !~ /^\|[^|]*`$name`/m
} @column);
none('each column of a view has a comment', column(q{SELECT attrelid::regclass || '.' || attname FROM pg_attribute
	WHERE attnum > 0 AND col_description(attrelid, attnum) IS NULL AND attrelid IN
	(SELECT oid FROM pg_class WHERE relkind = 'v' AND relnamespace = 'safe_migrate'::regnamespace)}));
my %setting = map { $_ => 1 }
  column(q{SELECT substr(name, 14) FROM pg_settings WHERE name LIKE 'safe\_migrate.%'});
my ($settings) = $readme =~ /^## All settings\n(.*?)^## /ms;
none('each setting is in the README', grep { $settings !~ /`$_`/ } keys %setting);
none('the README has no other settings',
	grep { !$setting{$_} } map { /`([a-z_]+)`/g } $settings =~ /^\|([^|]*)\|/mg);
# A value in the setting's own unit, as it is booted with.
sub in_unit
{
	my ($value, $unit) = @_;
	my %factor = (ms => 1, s => 1000, min => 60_000, h => 3_600_000, d => 86_400_000, kB => 1, MB => 1024, GB => 1024 * 1024);
	return $1 * $factor{$2} / $factor{$unit} if $unit && $value =~ /^(\d+)(\D+)$/;
	return $value;
}
my @differs;
for (column(q{SELECT substr(name, 14), boot_val, unit, vartype FROM pg_settings WHERE name LIKE 'safe\_migrate.%'}))
{
	my ($name, $default, $unit, $type) = split /\|/, $_, -1;
	my ($names, $values) = $settings =~ /^\|([^|]*`$name`[^|]*)\|([^|]*)\|/m;
	my @name = $names =~ /`([a-z_]+)`/g;
	my @value = split /, */, $values =~ s/^ +| +$//gr;
	my ($place) = grep { $name[$_] eq $name } 0 .. $#name;
	my $value = $value[ @value > 1 ? $place : 0 ] // '';
	$value = 0 if $value eq 'off' && $type eq 'integer';
	push @differs, "$name $value, not $default" if in_unit($value, $unit) ne $default;
}
none('with their defaults (those of docs/settings.md: 020_settings.pl)', @differs);

# ---- nothing is named that does not exist
my %relation = map { $_ => 1 } column(q{SELECT relname FROM pg_class WHERE relnamespace = 'safe_migrate'::regnamespace});
my %named = map { $_ => 1 } $all =~ /\bsafe_migrate\.([a-z][a-z_]*)/g;
none('all that is named exists',
	grep { !$function{$_} && !$relation{$_} && !$setting{$_} && !/^(so|control)$/ } keys %named);

# ---- META.json, as PGXN's meta spec 1.0.0 has it, against the tree
my $meta = eval { decode_json(slurp_file("$source/META.json")) };
is($@, '', 'META.json is JSON');
my %control = slurp_file("$source/safe_migrate.control") =~ /^(\w+) = '?(.*?)'?$/mg;
my $semver = qr/^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[a-z][a-z0-9-]*)?$/i;
my %spec = map { $_ => 1 } qw(name version abstract description maintainer license provides meta-spec release_status
	generated_by tags no_index prereqs resources);
none('it has what the spec requires', grep { !$meta->{$_} } qw(name version abstract maintainer license provides meta-spec));
none('and no keys that the spec does not know', grep { !$spec{$_} && !/^x_/i } keys %$meta);
is($meta->{'meta-spec'}{version}, '1.0.0', 'it names the spec');
is($meta->{license}, 'postgresql', 'its license');
like(slurp_file("$source/LICENSE"), qr/^PostgreSQL License\n/, 'is that of LICENSE');
like($meta->{release_status}, qr/^(stable|testing|unstable)$/, 'its release status is one of the three');
none('tags are as the spec wants them', grep { ref || !m{^[^/\\[:cntrl:]]{1,256}$} } @{ $meta->{tags} });
my ($oldest) = $readme =~ /\bPostgreSQL\s+(\d+), /;
is_deeply($meta->{prereqs}, { runtime => { requires => { PostgreSQL => "$oldest.0.0" } } },
	'it needs the oldest PostgreSQL that the README says it runs on, and nothing else');
is($meta->{abstract}, ucfirst $control{comment}, 'its abstract is the comment of the control file');
is_deeply([ keys %{ $meta->{provides} } ], [ $meta->{name} ], 'it provides one extension');
my ($provided) = values %{ $meta->{provides} };
is("$meta->{name}.control", (map { s{.*/}{}r } glob("$source/*.control"))[0], 'named as its control file');
my $version = $control{default_version};
is($provided->{file}, "safe_migrate--$version.sql", 'whose file is the script of the default version');
is($provided->{docfile}, 'README.md', 'and whose documentation is the README');
none('all files that META.json names exist', grep { !-f "$source/$_" } @{$provided}{qw(file docfile)});
like($meta->{version}, $semver, 'its version is a semantic one');
is($meta->{version}, join('.', (split(/\./, $version), 0, 0)[ 0 .. 2 ]), 'that of the control file');
is($provided->{version}, $meta->{version}, 'and of what it provides');
like($readme, qr/\bversion \Q$version\E\./, 'and of the README');

# ---- messages, conditions and events as in the sources
sub messages_in
{
	my ($text) = @_;
	my %found;
	while ($text =~ /\berrmsg(?:_plural)?\(\s*((?:INT64_FORMAT|"(?:[^"\\]|\\.)*"|\s)+)/g)
	{
		my $message = join '', map { $_ eq 'INT64_FORMAT' ? '%s' : substr($_, 1, -1) }
		  $1 =~ /INT64_FORMAT|"(?:[^"\\]|\\.)*"/g;
		$message =~ s/\\"/"/g;
		$message =~ s/\(%u,%u\)|(?:%z?[a-z]+)+/…/g;
		$found{$message} = 1;
	}
	return keys %found;
}
my %message = map { $_ => 1 } map { messages_in(slurp_file($_)) } split /\0/, `find '$source/src' -name '*.cpp' -print0`;
my @messages = keys %message;
cmp_ok(scalar @messages, '>', 60, 'messages are found in the sources');
none('each message is in docs/errors.md', grep { index($page{'docs/errors.md'}, $_) < 0 } @messages);

# Each error with its SQLSTATE, where the two stand side by side in the source.
my $errcodes = slurp_file(`pg_config --includedir-server` =~ s/\n//r . '/utils/errcodes.h');
my %code = map { my ($name, $letters) = /^#define (\w+) MAKE_SQLSTATE\((.*)\)/; defined $name ? ($name => $letters =~ s/\W//gr) : () }
  split /\n/, $errcodes;
my @misplaced;
for my $file (split /\0/, `find '$source/src' -name '*.cpp' -print0`)
{
	for my $report (slurp_file($file) =~ /\bereport\(\s*ERROR,(.*?)\);/sg)
	{
		my @sqlstate = map { $code{$_} // () } $report =~ /\berrcode\((\w+)\)/g;
		my @message = messages_in($report);
		push @misplaced, "$file: @sqlstate @message"
		  if @sqlstate && @message && !grep { my $row = $_;
			$row =~ /^\|([^|]*)\|/ && (grep { index($1, $_) >= 0 } @sqlstate) && grep { index($row, $_) >= 0 } @message }
		  split /\n/, $page{'docs/errors.md'};
	}
}
none('each message stands there beside its SQLSTATE', @misplaced);

my ($conditions) = slurp_file("$source/src/jobs/job.hpp") =~ /condition_names\[\] = \{(.*?)\}/s;
none('each condition is explained', grep { $page{'docs/jobs.md'} !~ /^\| `\Q$_\E` \|/m } $conditions =~ /"([^"]+)"/g);
my %event;
for my $file (split /\0/, `find '$source/src' -name '*.cpp' -print0`)
{
	$event{$_} = 1 for slurp_file($file) =~ /\b(?:note_event|add_event)\((?:[^"();]*,)?\s*"([^"]+)"/g;
}
cmp_ok(scalar keys %event, '>', 4, 'kinds of events are found in the sources');
none('each kind of event is explained', grep { $page{'docs/jobs.md'} !~ /`\Q$_\E`/ } keys %event);

# ---- the two commands, and what else of scripts/ is named
my ($commands) = $readme =~ /^## Two commands\n.*?^```sh\n(.*?)^```/ms;
is(join(' ', $commands =~ /^(\S+) +# /mg), 'scripts/demo scripts/test', 'the README has its two commands');
none('which are there to be called', grep { !-x "$source/$_" || slurp_file("$source/$_") !~ /^#!/ } qw(scripts/demo scripts/test .ci/run));
my %usage;
for my $script (qw(demo test bench))
{
	my ($out, $err) = run_command([ "$source/scripts/$script", '--help' ]);
	$usage{$script} = { map { $_ => 1 } "$out\n$err" =~ /(--[a-z-]+)/g };
}
my @pages = (values %page, map { slurp_file($_) } glob("$source/test/*/README.md"));
my %option = map { my ($script, $line) = @$_; map { ("$script $_" => 1) } $line =~ /(--[a-z-]+)/g }
  map { my $page = $_; my @found; push @found, [ $1, $2 ] while $page =~ m{\bscripts/(demo|test|bench)\b([^`\n]*)}g; @found } @pages;
cmp_ok(scalar keys %option, '>', 5, 'options are found in the pages');
none('each is in the usage of its script', grep { my ($script, $name) = split / /; !$usage{$script}{$name} } keys %option);

my $script = slurp_file("$source/scripts/test");
my ($default) = $script =~ /^kinds=\((.*)\)$/m;
my ($more) = $script =~ /^\tfor kind in .*?case \$kind in\n\s+(.*?)\) ;;\n\s+lint\)/ms;
my $development = $page{'docs/development.md'};
my ($kinds) = $development =~ /^## Tests\n(.*?)\n\n/ms;
my @kind = $kinds =~ /^\| `([a-z-]+)`/mg;
is(join(' ', sort @kind), join(' ', sort('lint', split / \| /, $more)), 'docs/development.md lists the kinds of tests');
my @apart = grep { my $kind = $_; !grep { $kind eq $_ } split ' ', $default } @kind;
my %count = (three => 3, four => 4, five => 5, six => 6);
my ($last) = $development =~ /all kinds but the last (\w+)/;
is(join(' ', @apart), join(' ', @kind[ -$count{$last} .. -1 ]), 'the last of them are those that scripts/test runs only when asked');
my $ci = slurp_file("$source/.ci/run");
is(join(' ', sort map { split /,/ } $ci =~ /--(?:only|also) (\S+)/g), join(' ', sort @apart), 'and .ci/run asks for each of them');
my @tested = (15, $ci =~ /--pg (\d+)/g);
like($readme, qr/is tested on $tested[0], $tested[1] and $tested[2]\./, 'the README says on which majors .ci/run tests');

# ---- links
sub anchors
{
	my ($text) = @_;
	return map { lc s/[^\w\- ]//gr =~ s/ /-/gr } $text =~ /^#+ (.*)$/mg;
}
my @broken;
for my $name (keys %page)
{
	my ($folder) = $name =~ m{^(.*/)?};
	for my $link ($page{$name} =~ /\]\(([^)]+)\)/g)
	{
		my ($file, $anchor) = split /#/, $link, 2;
		my $target = $file eq '' ? $name : ($folder // '') . $file;
		push @broken, "$name: $link" unless -e "$source/$target";
		push @broken, "$name: $link"
		  if defined $anchor && $page{$target} && !grep { $_ eq $anchor } anchors($page{$target});
	}
}
none('all links lead somewhere', @broken);

# ---- the README's examples; a block that is followed by an ERROR has to raise it
my ($example) = $readme =~ /^## Five minutes\n(.*?)^## /ms;
$example =~ s/generate_series\(1, 1000000\)/generate_series(1, 100000)/;
$example =~ s/"nice_ratio": 5/"nice_ratio": 100/; # on any machine still at work when it is paused
my $n = 0;
while ($example =~ /^```sql\n(.*?)^```\n(?:```text\n(.*?)^```\n)?/msg)
{
	my ($sql, $output) = ($1, $2 // '');
	$n++;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $sql, on_error_stop => 1);
	my ($error) = $output =~ /^(ERROR:.*)$/m;
	if (defined $error) { like($stderr, qr/\Q$error\E/, "example $n raises its error") }
	else { is($status, 0, "example $n runs") || diag("$sql\n$stderr") }
}
cmp_ok($n, '>', 8, 'examples are found');
my ($operate) = $readme =~ /^## Operate it\n.*?^```sql\n(.*?)^```/ms;
is($node->psql('postgres', $operate, on_error_stop => 1), 0, 'the statements to operate it run');
my $number = 0;
while ($page{'docs/operations.md'} =~ /^```sql\n(.*?)^```/msg)
{
	is($node->psql('postgres', $1, on_error_stop => 1), 0, 'block ' . ++$number . ' of docs/operations.md runs');
}

while ($page{'docs/guard.md'} =~ /^ *```sql\n(.*?)^ *```/msg)
{
	is($node->psql('postgres', $1, on_error_stop => 1), 0, 'block ' . ++$number . ' of docs/guard.md runs');
}

done_testing();
