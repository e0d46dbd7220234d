# Tables of every shape: a job leaves behind what the plain statement leaves in a twin of the table.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('shapes',
	'safe_migrate.inline' => 'never',
	'safe_migrate.max_workers' => 4,
	'safe_migrate.batch_time' => '5ms');
$node->safe_psql('postgres', 'CREATE EXTENSION amcheck');

# name, table definition (run in schemas job and plain), assignments, predicate; an update unless
# assignments are undef
my $n = 5000;
my @shapes = (
	[ 'partitions of several levels', <<"SQL", 'b = a * 2', undef ],
CREATE TABLE t (region text NOT NULL, id int NOT NULL, a int, b int) PARTITION BY LIST (region);
CREATE TABLE t_eu PARTITION OF t FOR VALUES IN ('eu') PARTITION BY RANGE (id);
CREATE TABLE t_eu1 PARTITION OF t_eu FOR VALUES FROM (0) TO (2000);
CREATE TABLE t_eu2 (extra int, b int, id int NOT NULL, a int, region text NOT NULL);
ALTER TABLE t_eu2 DROP COLUMN extra;
ALTER TABLE t_eu ATTACH PARTITION t_eu2 FOR VALUES FROM (2000) TO (100000);
CREATE TABLE t_rest PARTITION OF t DEFAULT;
INSERT INTO t SELECT CASE i % 3 WHEN 0 THEN 'us' ELSE 'eu' END, i, i, NULL FROM generate_series(1, $n) i;
SQL
	[ 'inheritance children', <<"SQL", 'b = a + 1', undef ],
CREATE TABLE t (id int, a int, b int);
CREATE TABLE t_child (more text DEFAULT 'm') INHERITS (t);
INSERT INTO t SELECT i, i, NULL FROM generate_series(1, 1000) i;
INSERT INTO t_child SELECT i, i, NULL FROM generate_series(1001, $n) i;
SQL
	[ 'no primary key and duplicates', <<"SQL", 'b = a', undef ],
CREATE TABLE t (a int, b int);
INSERT INTO t SELECT i % 3, NULL FROM generate_series(1, $n) i;
SQL
	[ 'no rows', 'CREATE TABLE t (a int, b int);', 'b = a + 1', undef ],
	[ 'no pages full of dead rows', <<"SQL", 'b = a', undef ],
CREATE TABLE t (a int, b int);
INSERT INTO t SELECT i, NULL FROM generate_series(1, $n) i;
DELETE FROM t;
SQL
	[ 'wide rows out of line', <<"SQL", q{b = md5(a) || left(a, 10)}, undef ],
CREATE TABLE t (id int PRIMARY KEY, a text, b text, c jsonb);
ALTER TABLE t ALTER a SET STORAGE EXTERNAL;
INSERT INTO t SELECT i, repeat(md5(i::text), 150), NULL, jsonb_build_object('k', repeat(md5(i::text), i % 90)) FROM generate_series(1, 600) i;
SQL
	[ 'values that go out of line', <<"SQL", q{b = (SELECT string_agg(md5(i::text || id), '') FROM generate_series(1, 200) i)}, undef ],
CREATE TABLE t (id int PRIMARY KEY, b text);
INSERT INTO t SELECT i, NULL FROM generate_series(1, 300) i;
SQL
	[ 'unlogged', <<"SQL", 'b = a', undef ],
CREATE UNLOGGED TABLE t (a int PRIMARY KEY, b int);
INSERT INTO t SELECT i, NULL FROM generate_series(1, $n) i;
SQL
	[ 'a BEFORE trigger that changes the row', <<"SQL", 'b = a', undef ],
CREATE TABLE t (a int PRIMARY KEY, b int, touched int DEFAULT 0);
INSERT INTO t SELECT i, NULL FROM generate_series(1, $n) i;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.touched := OLD.touched + 1; RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();
SQL
	[ 'AFTER triggers, also with transition tables', <<"SQL", 'b = a', undef ],
CREATE TABLE t (a int PRIMARY KEY, b int);
CREATE TABLE log_of_t (a int, b int);
INSERT INTO t SELECT i, NULL FROM generate_series(1, $n) i;
CREATE FUNCTION log_t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log_of_t SELECT a, b FROM changed; RETURN NULL; END';
CREATE TRIGGER log AFTER UPDATE ON t REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION log_t();
SQL
	[ 'an UPDATE OF trigger of another column', <<"SQL", 'b = a', undef ],
CREATE TABLE t (a int PRIMARY KEY, b int, c int);
CREATE TABLE log_of_t (a int, what text);
INSERT INTO t SELECT i, NULL FROM generate_series(1, $n) i;
CREATE FUNCTION log_t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log_of_t VALUES (NEW.a, TG_NAME); RETURN NEW; END';
CREATE TRIGGER before_c BEFORE UPDATE OF c ON t FOR EACH ROW EXECUTE FUNCTION log_t();
CREATE TRIGGER after_c AFTER UPDATE OF c ON t FOR EACH ROW EXECUTE FUNCTION log_t();
SQL
	[ 'UPDATE OF triggers of the column and of one generated from it', <<"SQL", 'b = a', undef ],
CREATE TABLE t (a int PRIMARY KEY, b int, c int, twice int GENERATED ALWAYS AS (b * 2) STORED);
CREATE TABLE log_of_t (a int, what text);
INSERT INTO t SELECT i, NULL FROM generate_series(1, $n) i;
CREATE FUNCTION log_t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log_of_t VALUES (NEW.a, TG_NAME); RETURN NEW; END';
CREATE TRIGGER before_b BEFORE UPDATE OF b ON t FOR EACH ROW EXECUTE FUNCTION log_t();
CREATE TRIGGER after_twice AFTER UPDATE OF twice ON t FOR EACH ROW EXECUTE FUNCTION log_t();
CREATE TRIGGER after_c AFTER UPDATE OF c ON t FOR EACH ROW EXECUTE FUNCTION log_t();
SQL
	[ 'an UPDATE OF trigger of a column generated from it', <<"SQL", 'b = a', undef ],
CREATE TABLE t (a int PRIMARY KEY, b int, twice int GENERATED ALWAYS AS (b * 2) STORED);
CREATE TABLE log_of_t (a int, what text);
INSERT INTO t SELECT i, NULL FROM generate_series(1, $n) i;
CREATE FUNCTION log_t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log_of_t VALUES (NEW.a, TG_NAME); RETURN NEW; END';
CREATE TRIGGER after_twice AFTER UPDATE OF twice ON t FOR EACH ROW EXECUTE FUNCTION log_t();
SQL
	[ 'an UPDATE OF trigger of a leaf, whose columns have other numbers', <<"SQL", 'b = a', undef ],
CREATE TABLE t (a int, b int, c int) PARTITION BY RANGE (a);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (2000);
CREATE TABLE t2 (c int, b int, a int);
ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (2000) TO (100000);
CREATE TABLE log_of_t (a int, what text);
INSERT INTO t SELECT i, NULL FROM generate_series(1, $n) i;
CREATE FUNCTION log_t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log_of_t VALUES (NEW.a, TG_NAME); RETURN NEW; END';
CREATE TRIGGER after_b AFTER UPDATE OF b ON t2 FOR EACH ROW EXECUTE FUNCTION log_t();
CREATE TRIGGER after_c AFTER UPDATE OF c ON t1 FOR EACH ROW EXECUTE FUNCTION log_t();
SQL
	[ 'foreign keys both ways', <<"SQL", 'b = 1 + a % 10', undef ],
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent SELECT generate_series(1, 10);
CREATE TABLE t (a int PRIMARY KEY, b int REFERENCES parent, c int UNIQUE);
INSERT INTO t SELECT i, NULL, i FROM generate_series(1, $n) i;
CREATE TABLE child (t int REFERENCES t (a), tc int REFERENCES t (c));
INSERT INTO child SELECT i, i FROM generate_series(1, $n, 7) i;
SQL
	[ 'a key that others refer to', <<"SQL", 'c = a', undef ],
CREATE TABLE t (a int PRIMARY KEY, c int UNIQUE);
INSERT INTO t SELECT i, CASE WHEN i % 2 = 0 THEN i END FROM generate_series(1, $n) i;
CREATE TABLE child (tc int REFERENCES t (c) ON UPDATE CASCADE);
INSERT INTO child SELECT i FROM generate_series(2, $n, 2) i;
SQL
	[ 'generated columns', <<"SQL", 'a = id * 3', undef ],
CREATE TABLE t (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED);
CREATE INDEX ON t (twice);
INSERT INTO t SELECT i, NULL FROM generate_series(1, $n) i;
SQL
	[ 'an index on the target, partial, expression, hash, GIN and BRIN indexes', <<"SQL", 'b = a % 100', undef ],
CREATE TABLE t (a int PRIMARY KEY, b int, c text[], d text);
INSERT INTO t SELECT i, NULL, ARRAY[i::text, 'x'], 'd' || i FROM generate_series(1, $n) i;
CREATE INDEX ON t (b); CREATE INDEX ON t (a) WHERE b IS NULL; CREATE INDEX ON t ((a + coalesce(b, 0)));
CREATE INDEX ON t USING hash (d); CREATE INDEX ON t USING gin (c); CREATE INDEX ON t USING brin (a, b);
CREATE UNIQUE INDEX ON t (d) INCLUDE (b);
SQL
	[ 'exclusion and deferrable constraints', <<"SQL", 'b = a', undef ],
CREATE TABLE t (a int, b int, c int, r int4range, EXCLUDE USING gist (r WITH &&), UNIQUE (c) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO t SELECT i, NULL, i, int4range(i * 10, i * 10 + 5) FROM generate_series(1, 1000) i;
SQL
	[ 'dropped columns and a low fillfactor', <<"SQL", 'b = a', undef ],
CREATE TABLE t (gone int, a int PRIMARY KEY, gone2 text, b int) WITH (fillfactor = 50);
INSERT INTO t SELECT i, i, 'x', NULL FROM generate_series(1, $n) i;
ALTER TABLE t DROP COLUMN gone; ALTER TABLE t DROP COLUMN gone2;
ALTER TABLE t ADD COLUMN later int DEFAULT 7;
SQL
	[ 'several columns, each only where it is NULL', <<"SQL", q{b = a, c = 'c' || a}, undef ],
CREATE TABLE t (a int PRIMARY KEY, b int, c text);
INSERT INTO t SELECT i, CASE WHEN i % 2 = 0 THEN -1 END, CASE WHEN i % 3 = 0 THEN 'app' END FROM generate_series(1, $n) i;
SQL
	[ 'a sub-select per row', <<"SQL", 'b = (SELECT name FROM names WHERE names.id = t.a % 5)', 'b IS NULL' ],
CREATE TABLE names (id int PRIMARY KEY, name text);
INSERT INTO names SELECT i, 'name ' || i FROM generate_series(0, 4) i;
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT i, NULL FROM generate_series(1, $n) i;
SQL
	[ 'a purge', <<"SQL", undef, 'a % 3 = 0' ],
CREATE TABLE t (a int PRIMARY KEY, b int);
INSERT INTO t SELECT i, i FROM generate_series(1, $n) i;
SQL
	[ 'a purge that cascades, on partitions', <<"SQL", undef, 'a <= 2500' ],
CREATE TABLE t (a int PRIMARY KEY) PARTITION BY RANGE (a);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (2000);
CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (2000) TO (100000);
CREATE TABLE child (a int REFERENCES t ON DELETE CASCADE);
INSERT INTO t SELECT generate_series(1, $n);
INSERT INTO child SELECT generate_series(1, $n, 3);
CREATE INDEX ON child (a);
SQL
);

push @shapes, (
	[ 'virtual generated columns in expressions and the predicate', <<"SQL", 'b = twice + 1', 'b IS NULL AND twice > 1000' ],
CREATE TABLE t (id int PRIMARY KEY, a int, b int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL);
INSERT INTO t SELECT i, i FROM generate_series(1, $n) i;
SQL
	[ 'a virtual column generated from what is assigned', <<"SQL", 'a = id', 'twice IS NULL' ],
CREATE TABLE t (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL, CHECK (twice <> 7));
INSERT INTO t SELECT i FROM generate_series(1, $n) i;
SQL
	[ 'virtual generated columns, rows by statements', <<"SQL", 'a = coalesce(twice, 0) + id', 'twice IS NULL' ],
CREATE TABLE t (id int PRIMARY KEY, a int, seen int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL);
INSERT INTO t SELECT i FROM generate_series(1, $n) i;
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.seen := OLD.id; RETURN NEW; END';
CREATE TRIGGER see BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION see();
SQL
	[ 'virtual generated columns of partitions, each with its own expression', <<"SQL", 'b = twice', undef ],
CREATE TABLE t (id int, a int, b int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL) PARTITION BY RANGE (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (2000);
CREATE TABLE t2 (b int, twice int GENERATED ALWAYS AS (a * 3) VIRTUAL, id int, a int);
ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (2000) TO (100000);
INSERT INTO t SELECT i, i FROM generate_series(1, $n) i;
SQL
	[ 'a predicate on such columns that the assignment makes false', <<"SQL", 'a = id', 'twice IS DISTINCT FROM id * 2' ],
CREATE TABLE t (id int, a int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL) PARTITION BY RANGE (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (2000);
CREATE TABLE t2 (twice int GENERATED ALWAYS AS (a * 3) VIRTUAL, id int, a int);
ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (2000) TO (100000);
INSERT INTO t SELECT i, i % 7 FROM generate_series(1, $n) i;
SQL
	[ 'a purge by a virtual generated column', <<"SQL", undef, 'twice % 3 = 0' ],
CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL);
INSERT INTO t SELECT i FROM generate_series(1, $n) i;
SQL
) if major_of($node) >= 18;

sub plain_statement
{
	my ($assignments, $predicate) = @_;
	return "DELETE FROM t WHERE $predicate" unless defined $assignments;
	return "UPDATE t SET $assignments WHERE $predicate" if defined $predicate;
	my @columns = $assignments =~ /(?:^|, )(\w+) = /g;
	return join '; ', map { my ($set) = $assignments =~ /(?:^|, )($_ = .*?)(?=, \w+ = |$)/; "UPDATE t SET $set WHERE $_ IS NULL" } @columns;
}

# All rows of all tables of a schema, in order.
sub contents
{
	my ($schema) = @_;
	my @tables = split /\n/, $node->safe_psql('postgres', "SELECT relname FROM pg_class
		WHERE relnamespace = '$schema'::regnamespace AND relkind = 'r' ORDER BY 1");
	return join "\n", map { "$_: " . $node->safe_psql('postgres',
		qq{SELECT count(*), md5(string_agg(r, E'\\n' ORDER BY r)) FROM (SELECT to_jsonb(x)::text AS r FROM ONLY $schema."$_" x) x}) } @tables;
}

for my $shape (@shapes)
{
	my ($name, $definition, $assignments, $predicate) = @$shape;
	for my $schema ('job', 'plain')
	{
		$node->safe_psql('postgres', "DROP SCHEMA IF EXISTS $schema CASCADE; CREATE SCHEMA $schema;
			SET search_path = $schema, public; $definition");
	}
	$node->safe_psql('postgres', 'SET search_path = plain, public; ' . plain_statement($assignments, $predicate));
	my $call = defined $assignments
	  ? 'safe_migrate.backfill($q$t$q$, $q$' . $assignments . '$q$, ' . (defined $predicate ? "\$q\$$predicate\$q\$" : 'NULL') . ', workers => 2)'
	  : 'safe_migrate.delete_safely($q$t$q$, $q$' . $predicate . '$q$, workers => 2)';
	my ($rc, undef, $stderr) = $node->psql('postgres',
		"SET search_path = job, public; SET client_min_messages = error; CALL safe_migrate.wait($call)");
	is($stderr, '', "$name: the job succeeds");
	is(contents('job'), contents('plain'), "$name: the same rows as by the plain statement");
	is($node->safe_psql('postgres', q{SELECT string_agg(relname || ': ' || v.msg, ', ') FROM pg_class c,
		LATERAL verify_heapam(c.oid) v WHERE relnamespace = 'job'::regnamespace AND relkind = 'r'}), '', "$name: heaps are sound");
	is($node->safe_psql('postgres', q{SELECT count(bt_index_check(c.oid, true)) >= 0 FROM pg_class c JOIN pg_am a ON a.oid = relam
		WHERE relnamespace = 'job'::regnamespace AND relkind = 'i' AND amname = 'btree' AND relpersistence = 'p'}), 't', "$name: indexes are sound");
}

# ---- what an expression means depends on settings of the session: the worker has the caller's
is($node->safe_psql('postgres', q{
	CREATE TABLE public.zones (id int PRIMARY KEY, at timestamptz, day text);
	INSERT INTO public.zones VALUES (1, '2026-01-01 02:00+00');
	SET timezone = 'America/New_York'; SET datestyle = 'SQL, DMY'; SET client_min_messages = warning;
	CALL safe_migrate.wait(safe_migrate.backfill('public.zones', 'day = at::date::text'));
	SELECT day FROM public.zones}), '31/12/2025', "the caller's time zone and date style hold in the worker");

stays_clean($node);
done_testing();
