# The examples of docs/rules, run under guard = enforce on the tables that docs/rules/README.md has: what is
# to be used instead of is stopped, or warned about, by the page's rule and leaves nothing or what it says;
# what to use passes, each way of it on tables of its own, and brings about what the page's statement is for.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $source = $ENV{SAFE_MIGRATE_SOURCE} // '.';
my $node = new_server('rule_pages',
	'safe_migrate.small_table_size' => 0, 'safe_migrate.guard' => 'enforce', 'safe_migrate.inline' => 'never',
	'safe_migrate.max_workers' => 6, 'fsync' => 'off', 'wal_level' => 'logical', 'max_prepared_transactions' => 5,
	'allow_in_place_tablespaces' => 'on');
my $major = major_of($node);

sub blocks { return $_[0] =~ /^```sql\n(.*?)^```$/msg; }

# ---- the tables, with rows
my ($tables) = grep { /CREATE TABLE orders/ } blocks(slurp_file("$source/docs/rules/README.md"));
my $rows = <<'SQL';
INSERT INTO shops SELECT g, 'shop ' || g, CASE WHEN g % 2 = 0 THEN date '2020-01-01' END, 'red' FROM generate_series(1, 20) g;
INSERT INTO customers SELECT g, 'Name ' || g, g || '@example.org' FROM generate_series(1, 200) g;
INSERT INTO orders SELECT g, 1000 + g, 1 + g % 20, (ARRAY['new', 'sent', 'done']::order_state[])[1 + g % 3],
	date '2019-01-01' + g * 5, g, 9.90, 1 + g % 3, 'r' || g, 'c' || g FROM generate_series(1, 200) g;
INSERT INTO order_lines SELECT g, 1, 9.90, 2, 0.10 FROM generate_series(1, 200) g;
INSERT INTO bookings SELECT g, tstzrange(now(), now() + interval '1 day') FROM generate_series(1, 200) g;
REFRESH MATERIALIZED VIEW sales;
INSERT INTO visits SELECT g, '2026-04-02' FROM generate_series(1, 200) g;
INSERT INTO visits_may SELECT g, '2026-05-02' FROM generate_series(1, 200) g;
INSERT INTO events SELECT g, CASE WHEN g % 2 = 0 THEN date '2026-04-02' ELSE '2024-01-01' END FROM generate_series(1, 200) g;
INSERT INTO events_may SELECT g, '2026-05-02' FROM generate_series(1, 200) g;
INSERT INTO event_notes SELECT g, '2024-01-01' FROM generate_series(1, 200, 2) g;
INSERT INTO payments_may SELECT g, '2026-05-02', 1 + g % 20 FROM generate_series(1, 200) g;
INSERT INTO parcels_may SELECT g, '2026-05-02', 1 + g % 20 FROM generate_series(1, 200) g;
ANALYZE orders, shops, customers, order_lines;
SQL
$node->safe_psql('postgres', q{SET allow_in_place_tablespaces = on; CREATE TABLESPACE fast LOCATION ''});
$node->safe_psql('postgres', 'CREATE ACCESS METHOD columnar TYPE TABLE HANDLER heap_tableam_handler');
$node->safe_psql('postgres', 'CREATE ROLE mover; CREATE EXTENSION citext; CREATE EXTENSION btree_gist');

# ---- what a page takes besides: a rule that is allowed by default or a setting that is off, and what went before
my %settings = (
	'drop-index' => "SET safe_migrate.rule_levels = 'drop-index=reject';",
	'detach-partition' => "SET safe_migrate.rule_levels = 'detach-partition=reject';",
	'too-many-rows' => 'SET safe_migrate.max_rows_per_statement = 10;',
	'move-to-exempt' => 'SET ROLE mover;',
);
my %before = (
	'invalid-index-skipped' => q{UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_state'::regclass},
	'published-table' => 'CREATE PUBLICATION p FOR TABLE orders',
	'work-after-strong-lock' => 'INSERT INTO orders (id) SELECT generate_series(1001, 13000); ANALYZE orders',
	'move-to-exempt' => q{CREATE SCHEMA IF NOT EXISTS staging; SELECT safe_migrate.set_policy(schema_name => 'staging', mode => 'exempt');
		GRANT ALL ON SCHEMA staging TO mover; ALTER TABLE orders OWNER TO mover;
		DO $$BEGIN EXECUTE format('GRANT ALL ON SCHEMA %I TO mover', current_schema); END$$},
);
my %since = ('set-expression' => 17);

# ---- pages that differ, with the reason
my %use_warns = (
	'alter-type-prepared-statements' => 'the change is the same, what helps is done by the clients after it',
	'drop-constraint' => 'that no client relies on it is looked up outside of the server',
	'drop-other' => 'that no query uses it is looked up outside of the server',
	'published-table' => 'the publisher cannot know that the subscribers have the column',
);

# ---- what is there after what the page says to use: column, constraint, index …
sub column { return "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '$_[0]'::regclass AND attname = '$_[1]'"; }
sub none { return "SELECT NOT EXISTS ($_[0])"; }
sub constraint { return "SELECT convalidated FROM pg_constraint WHERE conrelid = '$_[0]'::regclass AND $_[1]"; }
sub index_of { return "SELECT count(*) FROM pg_index JOIN pg_attribute a ON attrelid = indrelid AND attnum = ANY (indkey)
	WHERE indrelid = '$_[0]'::regclass AND attname = '$_[1]' AND indisvalid AND $_[2]"; }
sub parent { return "SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = to_regclass('$_[0]')"; }

my %effect = (
	'strong-lock' => [ column('orders', 'note') => 'text' ],
	'add-column-volatile-default' => [ 'SELECT count(DISTINCT token) FROM orders' => 200, column('orders', 'token') => 'uuid' ],
	'add-column-serial' => [ 'SELECT count(DISTINCT ticket) FROM orders' => 200, column('orders', 'ticket') => 'integer' ],
	'add-column-identity' => [ 'SELECT count(DISTINCT ticket) FROM orders' => 200, column('orders', 'ticket') => 'bigint' ],
	'add-column-stored-generated' => [ 'SELECT count(*) FROM orders WHERE total = price * quantity' => 200,
		'INSERT INTO orders (id, price, quantity) VALUES (0, 2, 3) RETURNING total' => 6 ],
	'add-column-constrained-domain' => [ column('customers', 'bill_to') => 'text',
		constraint('customers', q{pg_get_constraintdef(oid) ~ 'bill_to <> '}) => 't' ],
	'add-column-not-null' => [ "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'channel'" => 't',
		q{SELECT count(*) FROM orders WHERE channel = 'web'} => 200 ],
	'add-column-check' => [ column('orders', 'weight') => 'integer',
		constraint('orders', q{pg_get_constraintdef(oid) ~ 'weight > 0'}) => 't' ],
	'add-column-unique' => [ column('orders', 'receipt') => 'bigint', constraint('orders', q{conname = 'orders_receipt_key' AND contype = 'u'}) => 't' ],
	'add-column-references' => [ 'SELECT count(*) FROM orders WHERE branch = 1' => 200, constraint('orders', q{contype = 'f'}) => 't' ],
	'set-expression' => [ 'SELECT count(*) FROM order_lines WHERE net_v2 = price * quantity - discount' => 200 ],
	'alter-type-rewrite' => [ 'SELECT count(*) FROM orders WHERE id_v2 = id' => 200, column('orders', 'id_v2') => 'bigint' ],
	'alter-type-index-rebuild' => [ column('customers', 'name') => 'citext', index_of('customers', 'name', 'indisready') => 1 ],
	'alter-type-constraint-scan' => [ column('orders', 'code') => 'text', constraint('orders', q{conname = 'code_ok'}) => 't' ],
	'alter-type-prepared-statements' => [ column('orders', 'reference') => 'text' ],
	'set-not-null' => [ "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'state'" => 't',
		none(q{SELECT FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype = 'c' AND pg_get_constraintdef(oid) ~ 'NOT NULL'}) => 't' ],
	'add-check' => [ constraint('orders', q{conname = 'amount_ok'}) => 't' ],
	'add-foreign-key' => [ constraint('orders', q{conname = 'orders_shop' AND confrelid = 'shops'::regclass}) => 't' ],
	'add-unique' => [ constraint('orders', q{conname = 'orders_number_key' AND contype = 'u'}) => 't' ],
	'add-primary-key' => [ constraint('order_lines', q{conname = 'order_lines_pkey' AND contype = 'p'}) => 't' ],
	'add-exclude' => [ constraint('bookings_v2', q{contype = 'x'}) => 't' ],
	'validate-constraint' => [ q{SELECT bool_or(convalidated) FROM pg_constraint
		WHERE conrelid = 'orders'::regclass AND conname IN ('amount_ok', 'quantity_ok')} => 't' ],
	'drop-constraint' => [ none(q{SELECT FROM pg_constraint WHERE conname = 'shops_name_key' AND conrelid = 'shops'::regclass}) => 't' ],
	'create-index' => [ index_of('orders', 'created', 'NOT indisunique') => 1 ],
	'drop-index' => [ "SELECT to_regclass('orders_state') IS NULL" => 't' ],
	'reindex' => [ q{SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass AND indisvalid
		AND pg_relation_filenode(indexrelid) NOT IN (TABLE was)} => 2 ],
	'attach-partition' => [ parent('visits_may') => 'visits' ],
	'attach-partition-default' => [ parent('events_may') => 'events' ],
	'attach-partition-index' => [ parent('payments_may') => 'payments', index_of('payments_may', 'shop', 'indisready') => 1 ],
	'attach-partition-foreign-key' => [ parent('parcels_may') => 'parcels', constraint('parcels_may', q{contype = 'f' AND conparentid <> 0}) => 't' ],
	'create-partition-default' => [ parent('events_june') => 'events' ],
	'detach-partition' => [ none("SELECT FROM pg_inherits WHERE inhrelid = 'visits_april'::regclass") => 't' ],
	'detach-partition-foreign-key' => [ none("SELECT FROM pg_inherits WHERE inhrelid = 'events_april'::regclass") => 't',
		constraint('event_notes', q{conname = 'event_notes_event_fkey'}) => 't' ],
	'vacuum-full' => [ q{SELECT pg_relation_filenode('orders') IN (TABLE was)} => 't' ],
	'cluster' => [ q{SELECT pg_relation_filenode('orders') NOT IN (TABLE was)} => 't' ],
	'set-logged' => [ q{SELECT relpersistence FROM pg_class WHERE oid = 'orders'::regclass} => 'u' ],
	'set-access-method' => [ q{SELECT amname FROM pg_am a JOIN pg_class c ON relam = a.oid WHERE c.oid = 'orders'::regclass} => 'columnar' ],
	'set-tablespace' => [ q{SELECT spcname FROM pg_tablespace t JOIN pg_class ON reltablespace = t.oid
		WHERE pg_class.oid = 'orders'::regclass} => 'fast' ],
	'refresh-materialized-view' => [ 'SELECT count(*) FROM sales' => 200 ],
	'truncate' => [ 'SELECT count(*) FROM orders' => 0 ],
	'drop-table' => [ q{SELECT to_regclass('orders') IS NULL AND to_regclass('orders_to_drop') IS NULL} => 't' ],
	'drop-column' => [ none("SELECT FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'state'") => 't' ],
	'drop-cascade' => [ q{SELECT to_regtype('color') IS NULL} => 't', none("SELECT FROM pg_attribute WHERE attrelid = 'shops'::regclass AND attname = 'color'") => 't' ],
	'rename-table' => [ 'SELECT count(*) FROM orders' => 200, 'SELECT count(*) FROM purchases' => 200 ],
	'rename-column' => [ 'SELECT count(*) FROM orders WHERE status = state' => 200,
		q{INSERT INTO orders (id, state) VALUES (0, 'done') RETURNING status} => 'done' ],
	'rename-other' => [ 'SELECT price_of(2) = price(2)' => 't' ],
	'drop-other' => [ q{SELECT to_regclass('open_shops') IS NULL} => 't' ],
	'domain-constraint' => [ constraint('customers', q{conname = 'mail_ok'}) => 't' ],
	'domain-validate' => [ constraint('customers', q{conname = 'mail_short'}) => 't' ],
	'enum-rename-value' => [ q{SELECT count(*) FILTER (WHERE state = 'shipped'), count(*) FILTER (WHERE state = 'sent') FROM orders} => '67|0' ],
	'update-without-where' => [ q{SELECT count(*) FROM orders WHERE state = 'new'} => 200 ],
	'delete-without-where' => [ 'SELECT count(*) FROM orders' => 0 ],
	'too-many-rows' => [ q{SELECT count(*) > 0, count(*) FILTER (WHERE created < '2020-01-01') FROM orders} => 't|0' ],
	'invalid-index-skipped' => [ index_of('orders', 'state', 'indisready') => 1 ],
	'published-table' => [ column('orders', 'note') => 'text' ],
	'several-strong-locks' => [ column('orders', 'note') => 'text', column('shops', 'note') => 'text' ],
	'work-after-strong-lock' => [ column('shops', 'note') => 'text', q{SELECT count(*) FROM orders WHERE quantity IS NULL} => 0 ],
	'validate-in-same-transaction' => [ constraint('orders', q{conname = 'amount_ok'}) => 't' ],
	'prepare-with-strong-lock' => [ column('orders', 'note') => 'text', 'SELECT count(*) FROM pg_prepared_xacts' => 0 ],
	'depends-on-earlier-statement' => [ q{SELECT to_regtype('points') IS NOT NULL} => 't' ],
	'move-to-exempt' => [ 'SELECT count(*) FROM staging.orders' => 200, 'SELECT count(*) FROM orders' => 200 ],
);

my %level = map { split /\|/ } split /\n/, $node->safe_psql('postgres', 'SELECT rule, default_level FROM safe_migrate.rules()');
is(join(' ', sort keys %effect), join(' ', sort keys %level), 'each page is run');

my $schemas = 0;
sub fresh_tables
{
	my ($rule) = @_;
	my $schema = 's' . ++$schemas;
	$node->safe_psql('postgres', "SET safe_migrate.guard = off; CREATE SCHEMA $schema; SET search_path = $schema, public; $tables $rows
		CREATE TABLE was AS SELECT pg_relation_filenode(oid) AS was FROM pg_class WHERE relnamespace = '$schema'::regnamespace AND relkind IN ('r', 'i');
		" . ($before{$rule} // ''));
	return $schema;
}

# Runs it statement by statement, as a user of psql does; says what it printed and what was raised.
sub in_psql
{
	my ($schema, $settings, $sql) = @_;
	my (undef, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSET search_path = $schema, public;\n$settings\n$sql", on_error_stop => 0);
	return ($out, $err);
}

sub told_by { return join ' ', $_[0] =~ /^CONSTRAINT NAME:  (\S+)/mg; }

my @to_look_at;
for my $rule (sort keys %effect)
{
	next if $major < ($since{$rule} // 0);
	my ($instead, $use) = blocks(slurp_file("$source/docs/rules/$rule.md"));

	# ---- instead of
	my $schema = fresh_tables($rule);
	my $settings = $settings{$rule} // '';
	my ($out, $err) = in_psql($schema, $settings, $instead);
	if ($rule eq 'depends-on-earlier-statement')
	{
		like($out, qr/^2\|.*\|warn\|\Q$rule\E\|/m, "$rule: so says explain()");
	}
	elsif ($level{$rule} eq 'warn')
	{
		like($err, qr/^psql:.*WARNING:  SM001: .*^CONSTRAINT NAME:  \Q$rule\E$/ms, "$rule: warned about");
		unlike($err, qr/ERROR: /, "$rule: and done");
	}
	else
	{
		my ($error) = $err =~ /(ERROR:  SM001: .*)/s;
		is((split / /, told_by($error // ''))[0], $rule, "$rule: rejected by that rule") or diag($err);
	}
	$node->safe_psql('postgres', 'DROP PUBLICATION p') if $rule eq 'published-table';

	# ---- use, one way after the other
	my $way = 0;
	for (split /^-- or\b.*\n/m, $use)
	{
		$way++;
		$schema = fresh_tables($rule);
		# one server can't be both publisher and subscriber of a table
		my @sessions = $rule eq 'published-table' ? (split /^(?=.*then on the publisher)/m) : $_;
		for my $session (@sessions)
		{
			my $where = $schema;
			if ($rule eq 'published-table' && $session !~ /publisher/)
			{
				$node->safe_psql('postgres', 'DROP PUBLICATION p');
				$where = fresh_tables('subscriber');
				$node->safe_psql('postgres', "CREATE PUBLICATION p FOR TABLE $schema.orders");
			}
			($out, $err) = in_psql($where, $settings, $session);
			unlike($err, qr/ERROR: /, "$rule, way $way: passes");
			my $told = grep { $_ eq $rule } split / /, told_by($err);
			is($told, $use_warns{$rule} && $session !~ /each subscriber/ ? 1 : 0,
				"$rule, way $way: " . ($use_warns{$rule} // 'without a warning of it'));
		}
		unlike($out, qr/\|\Q$rule\E\|/, "$rule, way $way: nor from explain()") if $rule eq 'depends-on-earlier-statement';
		push @to_look_at, [ "$rule, way $way", $schema, @{ $effect{$rule} } ];
	}
}

wait_for($node, q{SELECT NOT EXISTS (SELECT FROM safe_migrate.jobs WHERE state IN ('queued', 'running'))});
is($node->safe_psql('postgres', q{SELECT name, relation, error_message, error_detail FROM safe_migrate.jobs WHERE state <> 'succeeded'}), '', 'all jobs succeed');
for (@to_look_at)
{
	my ($name, $schema, @effect) = @$_;
	while (my ($query, $expected) = splice @effect, 0, 2)
	{
		is((in_psql($schema, '', $query))[0], $expected, "$name: its effect");
	}
}

stays_clean($node);
$node->stop;
done_testing();
