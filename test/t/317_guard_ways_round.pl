# What somebody without the grant might try, in what he owns, to get an unsafe statement past the guard.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SafeMigrate;
use Test::More;

my $node = new_server('guard_ways_round',
	autovacuum => 'off',
	max_prepared_transactions => 5,
	'safe_migrate.guard' => 'enforce',
	'safe_migrate.small_table_size' => '0');
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN CREATEROLE CREATEDB; GRANT ALL ON DATABASE postgres TO app; GRANT ALL ON SCHEMA public TO app');

sub sql { return $node->safe_psql('postgres', join "\n", 'SET client_min_messages = error;', 'SET safe_migrate.guard = off;', @_); }

# App's statements in a session of its own, which goes on after errors, with a table of 1000 rows that
# another session made; what it was told.
sub as_app
{
	my ($before, @statements) = @_;
	sql("ROLLBACK PREPARED '$_'") for split /\n/, sql('SELECT gid FROM pg_prepared_xacts');
	sql('DROP OWNED BY app CASCADE; GRANT ALL ON DATABASE postgres TO app; GRANT ALL ON SCHEMA public TO app');
	sql("SET ROLE app; CREATE TABLE big AS SELECT i AS id, 'x' || i AS x FROM generate_series(1, 1000) i; $before");
	return error_of($node, join("\n", '\set ON_ERROR_STOP 0', map { "$_;" } @statements), as => 'app');
}

sub columns_of_big
{
	return sql(q{SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = to_regclass('big') AND attnum > 0 AND NOT attisdropped});
}

# ---- one statement about a table alone and about its children too
my $children = 'CREATE TABLE parent (LIKE big); ALTER TABLE big INHERIT parent';
like(as_app($children, 'WITH others AS (DELETE FROM parent RETURNING 1) DELETE FROM ONLY parent'),
	qr/SM001: DELETE is not safe.*delete-without-where/s, "a parent's own rows, of which there are none, beside its children's");
is(sql('SELECT count(*) FROM big'), '1000', 'which are there');
is(as_app($children, 'DELETE FROM ONLY parent'), '', 'without the children it passes');

# ---- a partition whose DETACH CONCURRENTLY is pending: it has no parent any more that would answer for it
as_app('CREATE TABLE halves (id int, x int) PARTITION BY RANGE (id); CREATE TABLE half PARTITION OF halves FOR VALUES FROM (0) TO (10); INSERT INTO halves SELECT 1, g FROM generate_series(1, 1000) g');
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN; SELECT count(*) FROM halves');
like(error_of($node, q{SET statement_timeout = '1s'; ALTER TABLE halves DETACH PARTITION half CONCURRENTLY}, as => 'app'), qr/canceling statement/, 'a DETACH CONCURRENTLY is left half way');
$reader->quit;
is(sql(q{SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = 'half'::regclass}), 't', 'it is pending');
is($node->safe_psql('postgres', q{SELECT rule FROM safe_migrate.explain('SELECT 1; ALTER TABLE half DROP COLUMN x') WHERE verdict = 'reject'}), 'drop-column', 'explain() knows what it loses');
like(error_of($node, 'ALTER TABLE half DROP COLUMN x', as => 'app'), qr/55000: cannot alter partition/, 'which the server refuses');
like(error_of($node, 'DROP TABLE half', as => 'app'), qr/SM001.*drop-table/s, 'the gate knows what is lost with it');

# ---- a DELETE with conditions is not answered by one of all rows
my $conditions = as_app('CREATE TABLE switch AS SELECT false AS is_on', 'DELETE FROM big USING switch WHERE is_on');
like($conditions, qr/SM001.*delete-without-where/s, 'a condition that is not about its rows lets all of them pass, or none');
unlike($conditions, qr/'true'/, 'the HINT does not offer to delete all of them');
like(as_app('', 'DELETE FROM big'), qr/delete_safely\('public.big', 'true'\)/, 'where there is none it does');

# ---- PREPARE TRANSACTION
my $prepared = qr/SM001: PREPARE TRANSACTION is not safe/;
like(as_app('CREATE TABLE queue (id int)', 'BEGIN', 'ALTER TABLE queue ADD COLUMN a int', "PREPARE TRANSACTION 'one'"), $prepared,
	'a strong lock on a table that happens to be empty is held for good as well');
my $late = <<'SQL';
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN LOCK TABLE big; RETURN NULL; END $$;
CREATE TABLE own (id int);
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON own DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()
SQL
like(as_app('', $late, 'BEGIN', 'INSERT INTO own VALUES (1)', "PREPARE TRANSACTION 'two'"), $prepared,
	'so is one that a deferred trigger takes, of the transaction that is prepared');
is(sql('SELECT count(*) FROM pg_prepared_xacts'), '0', 'there is no prepared transaction');
like(as_app('', $late =~ s/LOCK TABLE big/SET LOCAL safe_migrate.guard = off; LOCK TABLE big/r, 'BEGIN', 'INSERT INTO own VALUES (1)', "PREPARE TRANSACTION 'three'"),
	qr/permission denied to set parameter "safe_migrate.guard"/, 'who may not turn the guard off may not do it there');
sql("ALTER ROLE app SET safe_migrate.rule_levels = 'rename-table=reject'");
like(as_app('', $late =~ s/LOCK TABLE big/ALTER TABLE big RENAME TO gone/r, 'BEGIN', 'INSERT INTO own VALUES (1)', "PREPARE TRANSACTION 'four'"),
	qr/SM001: ALTER TABLE is not safe: clients that use the old name fail/, 'a rename by such a trigger is judged');
sql('ALTER ROLE app RESET ALL');
is(as_app('CREATE TABLE queue (id int)', 'BEGIN', 'SAVEPOINT s', 'ALTER TABLE queue ADD COLUMN a int', 'ROLLBACK TO s', 'CREATE TABLE new (id int)',
		'ALTER TABLE new ADD COLUMN a int', "PREPARE TRANSACTION 'five'", "ROLLBACK PREPARED 'five'"),
	'', "what is rolled back, and the transaction's own tables, are no lock on others");

# ---- what the end of the session drops, by CASCADE and without a statement
my %tie = (
	'a column of a temporary domain' => [ '', 'CREATE DOMAIN pg_temp.d AS text', 'ALTER TABLE big ALTER x TYPE pg_temp.d' ],
	'a column of a domain over one' => [ '', 'CREATE DOMAIN pg_temp.d AS text', 'CREATE DOMAIN over AS pg_temp.d', 'ALTER TABLE big ALTER x TYPE over' ],
	'a column of a temporary collation' => [ '', 'CREATE COLLATION pg_temp.c FROM "C"', 'ALTER TABLE big ALTER x TYPE text COLLATE pg_temp.c' ],
	'a table of a temporary type' => [ '', 'CREATE TYPE pg_temp.c AS (id int, x text)', 'ALTER TABLE big OF pg_temp.c' ],
	'a child of such a table' => [ '', 'CREATE TYPE pg_temp.c AS (id int, x text)', 'CREATE TABLE parent OF pg_temp.c', 'ALTER TABLE big INHERIT parent' ],
	'a partition of a table with a temporary key' => [
		'ALTER TABLE big ADD CHECK (id IS NOT NULL AND id >= 1 AND id < 2000)',
		'CREATE FUNCTION pg_temp.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS \'SELECT $1\'',
		'CREATE TABLE parent (id int, x text) PARTITION BY LIST (pg_temp.f(id))', 'ALTER TABLE parent ATTACH PARTITION big DEFAULT' ]);
for my $name (sort keys %tie)
{
	for my $end ('DISCARD TEMP', 'SELECT 1')
	{
		my ($before, @statements) = @{ $tie{$name} };
		like(as_app($before, @statements, $end), qr/SM001: ALTER TABLE is not safe: CASCADE takes along .*the end of the session drops/s, "$name, up to $end");
		is(columns_of_big() . sql('; SELECT count(*) FROM big'), 'id x1000', 'which is there, with its columns and rows');
	}
}
is(as_app('CREATE DOMAIN d AS text', 'ALTER TABLE big ALTER x TYPE d', 'CREATE TYPE t AS (id int, x d)', 'ALTER TABLE big OF t') =~ /ERROR/ ? 1 : 0, 0,
	'types that stay are no matter');

# ---- an attribute of a type that tables store
my $stored = "CREATE TYPE c AS (a int, b text); CREATE DOMAIN over AS c; CREATE TYPE around AS (c over[]);
	CREATE TABLE %s AS SELECT %s AS v FROM generate_series(1, 10) i";
for my $value ("row(i, 'x')::c", "row(i, 'x')::c::over", "ARRAY[row(i, 'x')::c]", "row(ARRAY[row(i, 'x')::c::over])::around")
{
	like(as_app(sprintf($stored, 'holds', $value), 'ALTER TYPE c DROP ATTRIBUTE b'),
		qr/SM001: ALTER TYPE is not safe.*take attribute b out of the values of column v of public\.holds/s, "stored as $value");
	like(sql('SELECT v FROM holds LIMIT 1'), qr/x/, 'and still there');
}
unlike(as_app(sprintf($stored, 'holds', "row(i, 'x')::c") . '; TRUNCATE holds', 'ALTER TYPE c DROP ATTRIBUTE b'), qr/ERROR/, 'without rows it passes');

#MORE
stays_clean($node);
done_testing();
