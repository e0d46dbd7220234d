# What a statement does to others by the transaction it is in; renames at commit; columns taken back.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('guard_transactions', 'safe_migrate.guard' => 'enforce', 'max_prepared_transactions' => 5,
	'wal_level' => 'logical');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE a AS SELECT i AS id, repeat('x', 1000) AS x FROM generate_series(1, 20000) i;
CREATE TABLE b AS TABLE a;
CREATE TABLE c AS SELECT 1 AS id;
ANALYZE a, b, c;
SQL

# Rules that warn or reject, in their order.
sub rules_of
{
	my ($sql) = @_;
	my $error = error_of($node, "\\set ON_ERROR_STOP 0\n$sql");
	my @told = $error =~ /(?:(?:ERROR|WARNING):  (?!SM001|25P02)\S+.*|CONSTRAINT NAME:  \S+)/g;
	return join ' ', map { s/CONSTRAINT NAME:  //r } @told;
}

# ---- several strong locks, work after them
is(rules_of("BEGIN;\nALTER TABLE a ADD COLUMN n1 int;\nALTER TABLE a ADD COLUMN n2 int;\nROLLBACK;"),
	'', 'two brief statements on one table');
is(rules_of("BEGIN;\nALTER TABLE a ADD COLUMN n1 int;\nALTER TABLE b ADD COLUMN n1 int;\nROLLBACK;"),
	'several-strong-locks', 'strong locks on two tables');
is(rules_of("BEGIN;\nSAVEPOINT s;\nALTER TABLE a ADD COLUMN n1 int;\nROLLBACK TO s;\nALTER TABLE b ADD COLUMN n1 int;\nROLLBACK;"),
	'', 'the first one is gone with its savepoint');
is(rules_of("BEGIN;\nSAVEPOINT s;\nALTER TABLE a ADD COLUMN n1 int;\nRELEASE s;\nALTER TABLE b ADD COLUMN n1 int;\nROLLBACK;"),
	'several-strong-locks', 'and there after RELEASE');
is(rules_of("BEGIN;\nCREATE TABLE new (id int);\nALTER TABLE new ADD COLUMN n1 int;\nALTER TABLE b ADD COLUMN n1 int;\nROLLBACK;"),
	'', 'a table of the transaction itself does not count');
is(rules_of("ALTER TABLE a ADD COLUMN m1 int;\nALTER TABLE b ADD COLUMN m1 int;"), '', 'nor do two transactions');
is(rules_of("DO \$\$ BEGIN ALTER TABLE a ADD COLUMN n1 int; ALTER TABLE b ADD COLUMN n1 int; RAISE division_by_zero; END \$\$"),
	'several-strong-locks ERROR:  22012: division_by_zero', 'in a DO block too');
is(rules_of("BEGIN;\nALTER TABLE c ADD COLUMN n1 int;\nUPDATE a SET x = 'y' WHERE id > 0;\nUPDATE b SET x = 'y' WHERE id > 0;\nROLLBACK;"),
	'work-after-strong-lock', 'many rows written while a strong lock is held: told once');
is(rules_of("BEGIN;\nALTER TABLE c ADD COLUMN n1 int;\nUPDATE c SET id = 2;\nROLLBACK;"), '', 'a few rows are no work');

$node->safe_psql('postgres', 'CREATE TABLE vacant (id int, x text); CREATE FUNCTION fill() RETURNS void LANGUAGE sql AS $$ INSERT INTO vacant SELECT id, x FROM a $$');
my $new = 'CREATE TABLE new AS TABLE a; ANALYZE new';
for my $case (
	[ 'an index on a table of its own', $new, 'CREATE INDEX ON new (id)' ],
	[ 'a rewrite of it', $new, 'ALTER TABLE new ALTER id TYPE bigint' ],
	[ 'rows of it', $new, 'UPDATE new SET id = id + 0 WHERE id > 0' ],
	[ 'rows for it', 'CREATE TABLE new (id int, x text)', 'INSERT INTO new SELECT id, x FROM a' ],
	[ 'an index on a temporary one', 'CREATE TEMP TABLE new AS TABLE a', 'CREATE INDEX ON new (id)' ],
	[ 'rows for one that is empty', 'SELECT 1', 'INSERT INTO vacant SELECT id, x FROM a' ],
	[ 'by a function', 'SELECT 1', 'SELECT fill()' ],
	[ 'a new one with rows', 'SELECT 1', 'CREATE TABLE new AS TABLE a' ],
	[ 'in another way', 'SELECT 1', 'SELECT * INTO TEMP new FROM a' ],
	[ 'in a block', 'SELECT 1', 'DO $$ BEGIN CREATE TABLE new AS TABLE a; END $$' ],
	[ 'a materialized view', 'SELECT 1', 'CREATE MATERIALIZED VIEW new AS TABLE a' ],
	[ 'its rows again', 'CREATE MATERIALIZED VIEW new AS TABLE a', 'REFRESH MATERIALIZED VIEW new' ])
{
	my ($what, $before, $work) = @$case;
	my $drop = $before =~ /MATER/ ? 'DROP MATERIALIZED VIEW new' : $before =~ /CREATE/ ? 'DROP TABLE new' : 'SELECT 1';
	is(rules_of("$before;\nBEGIN;\nALTER TABLE c ADD COLUMN n1 int;\n$work;\nROLLBACK;\n$drop;"), 'work-after-strong-lock',
		"$what, while others wait for another table");
	is(rules_of("$before;\nBEGIN;\n$work;\nALTER TABLE c ADD COLUMN n1 int;\nROLLBACK;\n$drop;"), '', 'not before they do');
}
is(rules_of("BEGIN;\nALTER TABLE c ADD COLUMN n1 int;\nCREATE TABLE new AS TABLE c;\nCREATE INDEX ON new (id);\nUPDATE new SET id = 2;\nROLLBACK;"), '',
	'what is small is no work');
like(error_of($node, "BEGIN;\nALTER TABLE c ADD COLUMN n1 int;\nCREATE TABLE new AS TABLE a;\nROLLBACK;"),
	qr/WARNING:  SM001: CREATE TABLE AS is not safe.*DETAIL:  It would fill a new table; about \d+ rows, while this transaction holds a strong lock on public.c\.\n/s,
	'what it is');

# ---- validation
is(rules_of("BEGIN;\nALTER TABLE a ADD CONSTRAINT ok CHECK (id > 0) NOT VALID;\nALTER TABLE a VALIDATE CONSTRAINT ok;\nROLLBACK;"),
	'validate-in-same-transaction', 'VALIDATE in the transaction that added');
is(rules_of("ALTER TABLE a ADD CONSTRAINT ok CHECK (id > 0) NOT VALID;\nALTER TABLE a VALIDATE CONSTRAINT ok;\nALTER TABLE a DROP CONSTRAINT ok;"),
	'drop-constraint', 'VALIDATE in a transaction of its own');
is(rules_of("BEGIN;\nALTER TABLE c ADD CONSTRAINT ok CHECK (id > 0) NOT VALID;\nALTER TABLE c VALIDATE CONSTRAINT ok;\nROLLBACK;"),
	'', 'of a small table');

# ---- PREPARE TRANSACTION
is(rules_of("BEGIN;\nALTER TABLE a ADD COLUMN n1 int;\nPREPARE TRANSACTION 'one';"), 'prepare-with-strong-lock',
	'a prepared transaction with a strong lock');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '0', 'there is none');
is(rules_of("BEGIN;\nINSERT INTO c VALUES (3);\nPREPARE TRANSACTION 'two';\nCOMMIT PREPARED 'two';"), '', 'without one it is nothing to the guard');
is(rules_of("BEGIN;\nALTER TABLE a ADD COLUMN n1 int;\nSET LOCAL safe_migrate.override = 'x';\nPREPARE TRANSACTION 'three';\nROLLBACK PREPARED 'three';"),
	'', 'it can be overridden');

# ---- renames
is(rules_of('ALTER TABLE a RENAME TO a_old'), 'rename-table', 'a rename is a warning');
is($node->safe_psql('postgres', "SELECT to_regclass('a_old') IS NOT NULL"), 't', 'and takes place');
is(rules_of("BEGIN;\nALTER TABLE a_old RENAME TO tmp;\nALTER TABLE b RENAME TO a_old;\nALTER TABLE tmp RENAME TO b;\nCOMMIT;"),
	'several-strong-locks', 'a swap of two tables breaks nobody');
is(rules_of("BEGIN;\nALTER TABLE a_old RENAME TO gone;\nCREATE VIEW a_old AS TABLE gone;\nCOMMIT;"), '', 'nor with a view in its place');
is(rules_of("BEGIN;\nALTER TABLE b RENAME TO b_old;\nALTER TABLE b_old RENAME TO b;\nCOMMIT;"), '', 'nor there and back');
is(rules_of("BEGIN;\nALTER TABLE b RENAME TO b_old;\nCREATE SEQUENCE b;\nCOMMIT;\nDROP SEQUENCE b;\nALTER TABLE b_old RENAME TO b;"),
	'rename-table rename-table', 'a sequence does not take its place');
is(rules_of("BEGIN;\nALTER TABLE b RENAME id TO n;\nALTER TABLE b RENAME TO b_old;\nCREATE INDEX b ON c (id);\nCOMMIT;\n"
	. "DROP INDEX b;\nBEGIN;\nALTER TABLE b_old RENAME TO b;\nALTER TABLE b RENAME n TO id;\nCOMMIT;"),
	'several-strong-locks rename-table rename-column rename-column rename-table', 'nor an index that of a table, or of its column');
is(rules_of("BEGIN;\nALTER TABLE b RENAME TO b_old;\nROLLBACK;"), '', 'a rename that is rolled back is none');
is(rules_of("BEGIN;\nSAVEPOINT s;\nALTER TABLE b RENAME TO b_old;\nROLLBACK TO s;\nCOMMIT;"), '', 'nor one of a savepoint');
is(rules_of('ALTER TABLE b RENAME COLUMN x TO y'), 'rename-column', 'a column');
is(rules_of("BEGIN;\nALTER TABLE b RENAME COLUMN y TO z;\nALTER TABLE b ADD COLUMN y text;\nCOMMIT;"), '', 'whose name is there again');
is(rules_of("BEGIN;\nALTER TABLE b RENAME COLUMN id TO t;\nALTER TABLE b RENAME COLUMN z TO id;\nALTER TABLE b RENAME COLUMN t TO z;\nCOMMIT;"),
	'', 'columns swapped');
my $levels = "SET safe_migrate.rule_levels = 'rename-table=reject, rename-column=reject';";
like(error_of($node, "$levels\nBEGIN;\nALTER TABLE b RENAME TO b_old;\nCOMMIT;"),
	qr/ERROR:  SM001: ALTER TABLE is not safe: clients that use the old name fail.*HINT:.*CREATE VIEW public\.b AS/s,
	'where the rule rejects, COMMIT fails');
is($node->safe_psql('postgres', "SELECT to_regclass('b') IS NOT NULL"), 't', 'and the old name is there');
is(rules_of("$levels\nBEGIN;\nSET LOCAL safe_migrate.override = 'x';\nALTER TABLE b RENAME TO b_old;\nCOMMIT;"), '', 'it can be overridden');
is($node->safe_psql('postgres', 'SELECT rules, relations FROM safe_migrate.audit ORDER BY id DESC LIMIT 1'),
	'{rename-table}|{public.b}', 'which the audit has');

# ---- columns taken back
$node->safe_psql('postgres', 'ALTER TABLE gone ADD COLUMN fresh int; UPDATE gone SET fresh = 1 WHERE id < 10');
is(rules_of('ALTER TABLE gone DROP COLUMN fresh'), '', 'a column of this week may be dropped again');
$node->safe_psql('postgres', 'DROP VIEW a_old; ALTER TABLE gone ADD COLUMN fresh int');
is(rules_of('ALTER TABLE gone DROP COLUMN x'), 'drop-column', 'not one that was there');
$node->safe_psql('postgres', "UPDATE safe_migrate.recent_column SET added_at = now() - interval '8 days'");
is(rules_of('ALTER TABLE gone DROP COLUMN fresh'), 'drop-column', 'nor one of last week');
is(rules_of('ALTER TABLE gone ADD COLUMN fresh2 int'), '', 'another one is added');
is($node->safe_psql('postgres', 'SELECT count(*) FROM safe_migrate.recent_column'), '1', 'what is older is forgotten');

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE parent (id int, x text) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parent FOR VALUES FROM (1) TO (100);
INSERT INTO parent VALUES (1, 'x');
SQL
$node->safe_psql('postgres', 'ALTER TABLE parent ADD COLUMN fresh int');
is(rules_of('ALTER TABLE parent DROP COLUMN fresh'), '', 'a fresh column of a partitioned table');
is(rules_of('ALTER TABLE parent DROP COLUMN x'), 'drop-column', 'and one that is not');

# ---- publications
$node->safe_psql('postgres', 'CREATE TABLE pub (id int PRIMARY KEY, x text); INSERT INTO pub VALUES (1); CREATE TABLE unpub (LIKE pub); INSERT INTO unpub VALUES (1)');
is(rules_of('ALTER TABLE pub ADD COLUMN n1 int'), '', 'a column of a table that is in no publication');
$node->safe_psql('postgres', 'CREATE PUBLICATION p FOR TABLE pub');
is(rules_of('ALTER TABLE pub ADD COLUMN n2 int'), 'published-table', 'of one that is');
is(rules_of('ALTER TABLE unpub ADD COLUMN n2 int'), '', 'another table');
is(rules_of('ALTER TABLE pub ADD COLUMN IF NOT EXISTS n2 int'), '', 'a column that is there already');
$node->safe_psql('postgres', 'ALTER PUBLICATION p SET TABLE pub (id)');
is(rules_of('ALTER TABLE pub ADD COLUMN n3 int'), '', 'a publication with a column list');
$node->safe_psql('postgres', 'DROP PUBLICATION p; CREATE PUBLICATION p FOR TABLES IN SCHEMA public');
is(rules_of('ALTER TABLE unpub ADD COLUMN n3 int'), 'published-table', 'a publication of the schema');
$node->safe_psql('postgres', 'DROP PUBLICATION p; CREATE PUBLICATION p FOR ALL TABLES');
is(rules_of('ALTER TABLE unpub ADD COLUMN n4 int'), 'published-table', 'a publication of all tables');

# ---- invalid indexes
$node->safe_psql('postgres', q{CREATE INDEX wreck ON unpub (x); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'wreck'::regclass});
is(rules_of('CREATE INDEX CONCURRENTLY IF NOT EXISTS wreck ON unpub (x)'), 'invalid-index-skipped', 'IF NOT EXISTS over the wreck of an index');
$node->safe_psql('postgres', q{UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'wreck'::regclass});
is(rules_of('CREATE INDEX CONCURRENTLY IF NOT EXISTS wreck ON unpub (x)'), '', 'over a valid one');

stays_clean($node);
done_testing();
