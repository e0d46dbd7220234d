#!/usr/bin/env python3
"""The server's own regression SQL through apply(): each statement of DDL is queued first, and taken back, and then run plainly.
What the server refuses is refused at once; what it carries out apply() takes, or says why not; and where apply() has steps of its
own for it they are run by a worker, and leave the same schema.  Nothing fails late, but for rows that are in the way."""
import argparse
import os
import re
import sys

from regress_sql import statements, without_comments
from wire import Connection, identifier, literal

# In this order: the first makes the tables that others use.
TESTS = ('alter_table constraints create_index create_table domain enum foreign_key generated generated_stored generated_virtual '
	'identity index_including indexing inherit matview replica_identity triggers typed_table').split()
NO_DDL = re.compile(r'(?i)(abort|begin|call|checkpoint|close|commit|copy|deallocate|declare|delete|discard|do|end|execute|explain|'
	r'fetch|insert|listen|load|lock|merge|move|notify|prepare|release|reset|rollback|savepoint|select|set|show|start|table|truncate|'
	r'unlisten|update|vacuum|analyze|values|with)\b|\(')
# What only the rows say, which the job's own steps look for; and what only the session's own transaction.
ABOUT_ROWS = ('21000', '22012', '23502', '23503', '23505', '23514', '23P01', '25001', '55006')
# apply()'s own refusals, which docs/schema_changes.md has.
DOCUMENTED = re.compile(r'no safe way|is no DDL that can be applied|temporary (table|relation)|can.t be (rebuilt concurrently|added without)')

# Where apply() and the statement differ, and why.
DIFFERENCES = (
	('alter_table', r'DETACH PARTITION part_rpd? CONCURRENTLY$',
		'there is a default partition: apply() detaches with brief locks what the server refuses to do concurrently'),
	('indexing', r'create index concurrently on idxpart \(a\)$|drop index concurrently idxpart_a_idx$',
		'of a partitioned table: apply() builds leaf by leaf, and drops with brief locks'),
	('create_table', r'CREATE TABLE as_select1 AS EXECUTE select1$', "a worker has none of the session's prepared statements"),
	('matview', r'REFRESH MATERIALIZED VIEW CONCURRENTLY drop_idx_matview$', 'its query drops the index'),
	('foreign_key', r'ALTER TABLE fkpart11.fk ADD CONSTRAINT fkey FOREIGN KEY \(a\) REFERENCES fkpart11.pk1 \(a\) ON UPDATE CASCADE',
		'VALIDATE CONSTRAINT marks the key alone, none of its copies for the partitions that it refers to (before 18); pg_dump shows none'),
)

SNAPSHOT = """
SELECT 'relation', c.oid::regclass::text, concat_ws('|', relkind, relowner::regrole, relacl, reloptions, relpersistence, relreplident,
	relispartition, pg_get_expr(relpartbound, c.oid), reloftype::regtype)
FROM pg_class c WHERE c.oid >= 16384 AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^(pg_|safe_migrate)')
UNION ALL SELECT 'column', attrelid::regclass || '.' || attname, concat_ws('|', format_type(atttypid, atttypmod), attnotnull, attidentity,
	attgenerated, attstorage, attcompression,
	(SELECT array_agg(o) FROM unnest(attoptions) o WHERE o !~ '^pg_'), attislocal, attinhcount, attcollation, pg_get_expr(adbin, adrelid))
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
	LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid >= 16384 AND NOT attisdropped AND attnum > 0 AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^(pg_|safe_migrate)')
UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, concat_ws('|', pg_get_constraintdef(oid), convalidated, conislocal,
	coninhcount, connoinherit AND contype NOT IN ('p', 'u', 'f'), conparentid <> 0)
FROM pg_constraint WHERE oid >= 16384 AND conrelid <> 0
UNION ALL SELECT 'index', indexrelid::regclass::text, concat_ws('|', pg_get_indexdef(indexrelid), indisvalid, indisclustered, indisreplident)
FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indexrelid >= 16384 AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^(pg_|safe_migrate)')
UNION ALL SELECT 'trigger', tgrelid::regclass || '.' || tgname, concat_ws('|', pg_get_triggerdef(oid), tgenabled, tgparentid <> 0)
FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'child', inhrelid::regclass::text, inhparent::regclass || '|' || inhdetachpending FROM pg_inherits
UNION ALL SELECT 'comment', classoid::regclass || '.' || CASE WHEN classoid = 'pg_class'::regclass THEN objoid::regclass::text ELSE '' END || objsubid, description
FROM pg_description WHERE objoid >= 16384"""


class Run:
	"""Two sessions: statements run as they stand in one; apply() is called in the other, for which nothing is new."""

	def __init__(self, folder, regress):
		self.folder, self.regress = folder, regress
		self.number = self.bad = 0
		self.counts = {}
		one = Connection(folder, 'postgres')
		one.query('CREATE DATABASE regression TEMPLATE template0')
		one.close()
		self.plain = self.connect()
		self.plain.query('CREATE EXTENSION safe_migrate')
		self.apply = self.connect()
		for sql in statements(regress, 'test_setup'):
			self.plain.attempt(sql)

	def connect(self):
		connection = Connection(self.folder, 'regression', timeout=120, client_min_messages='error', statement_timeout='60s', lock_timeout='10s')
		for name, value in (('guard', 'off'), ('inline', 'never'), ('small_table_size', '0'), ('ddl_lock_try', '5s')):
			connection.query(f"SET safe_migrate.{name} = '{value}'")
		return connection

	def count(self, what):
		self.counts[what] = self.counts.get(what, 0) + 1

	def report(self, fine, name, *lines):
		self.number += 1
		self.bad += not fine
		print(f"{'ok' if fine else 'not ok'} {self.number} - {name}", *(f'#   {line}' for line in lines), sep='\n', flush=True)

	def follow(self, sql):
		"""The session that calls apply() is what the other one has become: user, role, schemas.  False: it can't be, as the other
		is in a transaction, or the statement is about a temporary table."""
		if self.plain.status != 'I':
			return False
		path, user, role, temporary = self.plain.rows("SELECT current_setting('search_path'), session_user, current_setting('role'), "
			"(SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = pg_my_temp_schema())")[0]
		self.apply.query(f'RESET SESSION AUTHORIZATION; SET SESSION AUTHORIZATION {identifier(user)}; '
			f'SET ROLE {identifier(role) if role != "none" else "none"}; SET search_path = {path}')
		return not set((temporary or '').split()) & set(re.findall(r'\w+', sql.lower()))


def snapshot(connection):
	return {tuple(row) for row in connection.rows(SNAPSHOT)}


def queue_and_undo(connection, sql, *settings):
	"""(error of apply(), whether its steps are others than the statement itself)."""
	in_block = connection.status == 'T'
	connection.query('SAVEPOINT told' if in_block else 'BEGIN; SAVEPOINT told')
	own_steps = False
	error = next(filter(None, map(connection.attempt, settings)), None) or connection.attempt(f'SELECT safe_migrate.apply({literal(sql)})')
	if not error:
		error = connection.attempt(f'SELECT kind FROM safe_migrate.plan({literal(sql)})')
		own_steps = not error and [row[0] for row in connection.results[-1].rows] != ['statement']
	connection.query('ROLLBACK TO told; RELEASE told' if in_block else 'ROLLBACK')
	return error, own_steps


def plainly(connection, sql):
	"""(error, schema) of the statement run as it stands, and taken back."""
	if re.match(r'(?i)(create|drop|reindex)\b', without_comments(sql)):
		sql = re.sub(r'(?i)\(\s*concurrently\s*\)|\bconcurrently\b', '', sql, count=1) # which no transaction block allows
	connection.query('BEGIN')
	error = connection.attempt(sql)
	after = snapshot(connection) if not error else None
	connection.query('ROLLBACK')
	return error, after


def differences(wanted, got):
	return [f'only plain: {row}' for row in sorted(wanted - got)[:5]] + [f'only apply(): {row}' for row in sorted(got - wanted)[:5]]


def by_worker(run, sql, wanted):
	"""What is wrong with what the job's steps make of it."""
	run.count('by a worker')
	late = run.apply.attempt(f'CALL safe_migrate.run({literal(sql)})')
	if late:
		return [f'fails late: {late}', late.fields.get('D', '')]
	now = snapshot(run.plain)
	return ['another schema:'] + differences(wanted, now) if now != wanted else []


def judge(run, sql):
	"""What is wrong with how apply() takes it; nothing: [].  Afterwards it has been run."""
	follows = run.follow(sql)
	told, own_steps = queue_and_undo(run.apply if follows else run.plain, sql)
	if not told and own_steps and follows:
		error, after = plainly(run.plain, sql)
		if not error:
			return by_worker(run, sql, after)
		if error.sqlstate not in ABOUT_ROWS:
			return [f'told late: {error}']
	elif not told and follows and run.plain.value("SELECT current_setting('is_superuser')") == 'on':
		told, _ = queue_and_undo(run.plain, sql, "SET LOCAL safe_migrate.small_table_size = '1GB'")
	plain = run.plain.attempt(sql)
	if not told and plain and plain.sqlstate not in ABOUT_ROWS:
		return [f'told late: {plain}']
	if told and not plain and not DOCUMENTED.search(told.message):
		return [f'refused wrongly: {told}', told.fields.get('D', '')]
	if told and plain:
		run.count('refused' if told.sqlstate == plain.sqlstate else 'refused in other words')
		if os.environ.get('WORDS') and told.message != plain.message:
			print('WORDS', without_comments(sql)[:150], '||', plain, '||', told)
	else:
		run.count('not by apply()' if told else 'taken')
	return []


def one_test(run, test):
	excused = set()
	for sql in statements(run.regress, test):
		bare = without_comments(sql)
		if NO_DDL.match(bare) or run.plain.status == 'E':
			run.plain.attempt(sql)
			continue
		problems = judge(run, sql)
		excuse = next((one for one in DIFFERENCES if one[0] == test and re.search(one[1], bare)), None) if problems else None
		if excuse:
			excused.add(excuse)
		elif problems:
			run.report(False, f'{test}: {" ".join(bare.split())[:200]}', *filter(None, problems))
		new_role = re.match(r'(?i)create\s+(role|user|group)\s+(\w+)', bare)
		if new_role: # a job of one that may not log in has no worker
			run.plain.attempt(f'ALTER ROLE {new_role[2]} LOGIN')
	for excuse in DIFFERENCES:
		if excuse[0] == test and excuse not in excused:
			print(f'# {test}: no longer different: {excuse[1]}')
	if run.plain.status != 'I':
		run.plain.query('ROLLBACK')
	run.plain.attempt('RESET SESSION AUTHORIZATION')


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument('--socket-dir', required=True)
	parser.add_argument('--regress', required=True, help="the source's src/test/regress")
	parser.add_argument('tests', nargs='*')
	options = parser.parse_args()
	run = Run(options.socket_dir, options.regress)
	for test in options.tests or TESTS:
		if os.path.exists(os.path.join(options.regress, 'sql', test + '.sql')):
			before = run.bad
			one_test(run, test)
			run.report(run.bad == before, test)
	print('# PostgreSQL: ' + ', '.join(f'{n} {what}' for what, n in sorted(run.counts.items())))
	return 1 if run.bad else 0


if __name__ == '__main__':
	sys.exit(main())
