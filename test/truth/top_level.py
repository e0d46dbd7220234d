"""Statements that can't run in a transaction block, on a throwaway copy of the family's tables.

Their locks are seen while they wait for one: another session holds SHARE UPDATE EXCLUSIVE on one
table after the other, which stops whatever is stronger than ROW EXCLUSIVE there.  Only the first
lock that a statement asks of each table is seen so; what it did to files is looked at in the end."""
import re
import time

from observe import MODES, Catalog, Observation, compare_catalogs, read_messages
from wire import SqlError

WAITING = """SELECT locktype, mode, relation FROM pg_locks WHERE pid = {} AND NOT granted
	ORDER BY locktype = 'relation' DESC LIMIT 1"""
DONE = "SELECT state = 'idle' AND query <> 'SELECT pg_backend_pid()' FROM pg_stat_activity WHERE pid = {}"


def first_lock(connect, statement, relation, settings):
	"""Mode that the statement asks of the relation while another session keeps it from getting it;
	0 where it needs nothing that would wait."""
	holder, watcher, runner = connect('truth'), connect('truth'), connect('truth')
	mode = 0
	try:
		runner.query(settings)
		pid = runner.value('SELECT pg_backend_pid()')
		holder.query(f'BEGIN; LOCK TABLE ONLY {relation.qualified} IN SHARE UPDATE EXCLUSIVE MODE')
		runner.send(statement)
		while True:
			rows = watcher.rows(WAITING.format(pid))
			if rows and rows[0][0] == 'relation':
				mode = MODES.index(rows[0][1]) if int(rows[0][2]) == relation.oid else 0
				break
			# Anything else that it waits for is the holder's transaction.
			if rows or watcher.value(DONE.format(pid)) == 't':
				break
			time.sleep(0.002)
		watcher.query(f'SELECT pg_cancel_backend({pid})')
		holder.query('ROLLBACK')
		try:
			runner.finish()
		except SqlError:
			pass
	finally:
		for connection in (holder, watcher, runner):
			connection.close()
	return mode


def near(statement, catalog):
	"""What the statement names, by itself or by an index, with parents and partitions; all of it
	where it names nothing."""
	words = set(re.findall(r'"[^"]+"|\w+', statement))
	named = {r.owner if r.kind in 'iI' else r.oid for r in catalog.relations.values() if r.quoted in words}
	found = {oid for one in named for oid in catalog.ancestors(one) | catalog.descendants(one)}
	return [r for r in catalog.relations.values() if r.oid in found or not found]


def observe_top_level(connect, fresh, session, statement, before, settings=''):
	"""fresh() makes the tables anew, with the same oids or others: relations are known by name."""
	seen = Observation()
	session.query("SET client_min_messages = debug1")
	seen.error = session.attempt(statement)
	notices = session.notices
	session.query('RESET client_min_messages')
	if seen.error is None:
		after = Catalog(session)
		seen.partial = True
		for name in [r.qualified for r in near(statement, before) if r.kind in 'rpm']:
			catalog = fresh()
			relation = next(r for r in catalog.relations.values() if r.qualified == name)
			mode = 0 if relation.kind == 'm' else first_lock(connect, statement, relation, settings)
			if mode:
				seen.locks[next(r.oid for r in before.relations.values() if r.qualified == name)] = mode
		compare_catalogs(seen, before, after)
		read_messages(seen, notices, before, after)
		seen.scanned -= seen.rewritten | set(seen.built)
	return seen
