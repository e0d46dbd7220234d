# estimate_backfill() beside transactions that hold what it would wait for.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

my $node = new_server('estimate', autovacuum => 'off');

sub sql { return $node->safe_psql('postgres', @_); }

sql(q{CREATE TABLE wide (id int PRIMARY KEY, a text, b text, other int);
	INSERT INTO wide SELECT i, 'row ' || i FROM generate_series(1, 20000) i;
	CREATE TABLE others (id int PRIMARY KEY); INSERT INTO others VALUES (1);
	CREATE FUNCTION new_key() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.id := - NEW.id; RETURN NEW; END$$;
	CREATE TABLE parts (id int, part int, a text, b text) PARTITION BY LIST (part)});
sql("CREATE TABLE part_$_ PARTITION OF parts FOR VALUES IN ($_)") for 1 .. 4;
sql(q{INSERT INTO parts SELECT i, i % 4 + 1, 'a' FROM generate_series(1, 4000) i; ANALYZE});

sub estimate
{
	my ($table, $assignments, $what, $predicate) = @_;
	return "SELECT $what FROM safe_migrate.estimate_backfill('$table', '$assignments', "
	  . (defined $predicate ? "'$predicate'" : 'NULL') . ', 1)';
}

# What it answers, errors included, while another session has done something that it has not ended.
sub beside
{
	my ($held, @estimate) = @_;
	my $session = $node->background_psql('postgres');
	$session->query_safe("BEGIN; $held");
	my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n" . estimate(@estimate));
	$session->query_safe('ROLLBACK');
	$session->quit;
	return $out . $err;
}

my $alone = sql(estimate('wide', 'b = upper(a)', 'wal_bytes'));
is(beside('UPDATE wide SET a = a WHERE id <= 10000', 'wide', 'b = upper(a)', 'rows'), '20000', 'rows that others hold are counted');
my $beside = beside('UPDATE wide SET a = a WHERE id % 2 = 0', 'wide', 'b = upper(a)', 'wal_bytes');
cmp_ok(abs($beside - $alone), '<', $alone / 2, 'and what they take is reckoned in')
  or diag("alone $alone, beside $beside");

# ---- all of a table whose first half is full, where writing it takes longer than there is time: counted
sql(q{CREATE TABLE halved (id int, a text, b text);
	INSERT INTO halved SELECT i, repeat('a', 1000) FROM generate_series(1, 6000) i;
	DELETE FROM halved WHERE id > 3000 AND id % 50 <> 0;
	CREATE FUNCTION slowly(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.005); RETURN $1; END $$});
is(sql(estimate('halved', 'b = slowly(left(a, 1))', 'rows')), '3060', 'a sample of everything counts all rows');

# ---- keys that others look at
my $look = 'SELECT count(*) FROM (SELECT FROM wide WHERE id % 2 = 0 FOR KEY SHARE) x';
my $what = q{rows || CASE WHEN duration > '0' THEN ' in time' ELSE ' at once' END};
is(beside($look, 'wide', 'b = upper(a)', $what), '20000 in time', 'who looks at keys is no obstacle');
is(beside($look, 'wide', 'id = -id', $what, 'id > 0'), '20000 in time', 'nor where keys change: others show what it takes');
sql('CREATE TRIGGER new_key BEFORE UPDATE ON wide FOR EACH ROW EXECUTE FUNCTION new_key()');
is(beside($look, 'wide', 'b = upper(a)', $what), '20000 in time', 'nor where a trigger changes them');
sql('DROP TRIGGER new_key ON wide');

# ---- nothing to be learned
my $nothing = qr/^psql:\S+ ERROR:  55P03: no row of the sample of table "(wide|parts)" could be written\nDETAIL:  What kept the last part of the sample back: /;
like(beside('LOCK wide IN SHARE MODE', 'wide', 'b = upper(a)', 'rows'),
	qr/${nothing}canceling statement due to lock timeout\.\nHINT:  Try again /, 'a table that is locked: says so');
like(beside('SELECT FROM wide FOR UPDATE', 'wide', 'b = upper(a)', 'rows'), qr/${nothing}all rows that match are locked\./, 'as do rows that are all held');
sql('ALTER TABLE wide ADD FOREIGN KEY (other) REFERENCES others');
like(beside('SELECT FROM others FOR UPDATE', 'wide', 'other = 1', 'rows'),
	qr/${nothing}canceling statement due to lock timeout\./, 'and foreign keys that are waited for');
is(beside('SELECT FROM others FOR UPDATE', 'wide', 'other = 1', 'rows', 'other < 0'), '0', 'where nothing matches it is nothing');
like(beside('LOCK parts IN SHARE MODE', 'parts', 'b = upper(a)', 'rows'), $nothing, 'in all partitions');

# ---- nothing to be learned of some of the tables
my $some = qr/psql:\S+ NOTICE:  00000: the estimate is without a sample of 2 of 4 tables\nDETAIL:  They are taken to be like the others. What kept the last part of the sample back: /;
like(beside('LOCK part_1, part_3 IN SHARE MODE', 'parts', 'b = upper(a)', $what),
	qr/^4000 in time$some/, 'partitions that are locked are taken to be like the others');
like(beside('SELECT FROM part_1 FOR UPDATE; SELECT FROM part_2 FOR UPDATE', 'parts', 'b = upper(a)', $what),
	qr/^4000 in time$some/, 'as are those whose rows are all held');

# ---- what it says is about what the job then takes, and it has written nothing
sql(q{CREATE TABLE orders (id int PRIMARY KEY, a text, n int, b text);
	INSERT INTO orders SELECT i, 'order number ' || i, i % 100 FROM generate_series(1, 60000) i;
	CREATE INDEX ON orders (n); CREATE INDEX ON orders (a); VACUUM ANALYZE orders; CHECKPOINT});
my $size = q{pg_table_size('orders') + pg_indexes_size('orders')};
my ($said_rows, $said_bytes, $said_wal, $said_growth) = split /\|/,
  sql(q{SELECT rows, bytes, wal_bytes, growth_bytes FROM safe_migrate.estimate_backfill('orders', 'b = upper(a)', 'b IS NULL AND n < 50', 0.2)});
is(sql('SELECT count(b) FROM orders'), '0', 'no row is written by a sample');
cmp_ok(abs($said_rows - 30000), '<', 3000, "rows: $said_rows");
cmp_ok(abs($said_bytes - sql(q{SELECT pg_table_size('orders')})), '<', 1e6, 'bytes of the table');
my ($size_before, $wal_before) = split /\|/, sql("VACUUM orders; SELECT $size, pg_current_wal_insert_lsn() - '0/0'") =~ s/^VACUUM\n//r;
sql(q{SET client_min_messages = error; SET safe_migrate.inline = never;
	CALL safe_migrate.wait(safe_migrate.backfill('orders', 'b = upper(a)', 'b IS NULL AND n < 50', settings => '{"vacuum_after": "off"}'))});
my ($grown, $wal) = split /\|/, sql("SELECT $size - $size_before, pg_current_wal_insert_lsn() - '0/0' - $wal_before");
ok($said_wal > $wal / 2 && $said_wal < $wal * 2, "WAL: $said_wal, and it was $wal");
# on indexes without room every page that gets an entry is split: a rough figure
ok($said_growth > $grown / 5 && $said_growth < $grown * 5, "growth: $said_growth, and it was $grown");

# ---- virtual generated columns of partitions are what the table named in the call says
if (major_of($node) >= 18)
{
	sql(q{CREATE TABLE virtual (id int, a int, b int, times int GENERATED ALWAYS AS (a * 2) VIRTUAL) PARTITION BY RANGE (id);
		CREATE TABLE virtual_1 PARTITION OF virtual FOR VALUES FROM (0) TO (2000);
		CREATE TABLE virtual_2 (b int, times int GENERATED ALWAYS AS (a * 3) VIRTUAL, id int, a int);
		ALTER TABLE virtual ATTACH PARTITION virtual_2 FOR VALUES FROM (2000) TO (100000);
		INSERT INTO virtual SELECT i, i FROM generate_series(1, 4000) i});
	is(sql(estimate('virtual', 'b = 1 + times % 3', 'rows', 'b IS NULL AND times % 3 = 0')), sql('SELECT count(*) FROM virtual WHERE times % 3 = 0'),
		'virtual generated columns of partitions: as many rows as the statement writes');
}

stays_clean($node);
done_testing();
