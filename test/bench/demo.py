#!/usr/bin/env python3
"""A backfill under live traffic, and a plain UPDATE under the same, to be watched.  scripts/demo starts
the server for it."""
import argparse
import os
import sys
import threading
import time

import measure
import script
from incident import Incident
from methods import METHODS
from report import MB, grid
from schema_changes import SchemaChanges
from server import SqlError
from tables import TABLES
from traffic import Traffic

TABLE = TABLES['orders']
TEMPLATE, SHOP = 'shop_template', 'shop'
WARM_UP = 3.0


def say(text=''):
	print(text, flush=True)


class ClientLines(threading.Thread):
	"""Every two seconds a line: how the clients fare right now."""

	def __init__(self, traffic):
		super().__init__(daemon=True)
		self.traffic = traffic
		self.finished = threading.Event()

	def run(self):
		began = time.time()
		while not self.finished.wait(2.0):
			felt = self.traffic.lately(2.0)
			fare = (f'{felt["per_second"]:.0f} transactions/s, p99 {felt["p99_ms"]:.1f} ms, slowest {felt["max_ms"]:.0f} ms'
					if felt['transactions'] else 'not one transaction got through')
			say(f'   {time.time() - began:3.0f} s  clients, last 2 s: {fare}')

	def stop(self):
		self.finished.set()
		self.join()


class Demo:
	def __init__(self, server, options):
		self.server = server
		self.options = options
		self.traffic = None

	def end_traffic(self):
		if self.traffic:
			self.traffic.kill()

	def load(self):
		say(f'Loading "orders": {self.options.rows:,} rows, a primary key and three more indexes …')
		self.server.run('postgres', f'CREATE DATABASE {TEMPLATE}')
		self.server.run(TEMPLATE, file=TABLE.load_file(), variables={'rows': self.options.rows, 'fillfactor': 100})
		before = measure.sizes(self.server, TEMPLATE, TABLE)
		say(f'   heap {before["heap"] / MB:,.0f} MB, indexes {before["indexes"] / MB:,.0f} MB; '
			f'status_v2 is NULL in all of them')

	def fresh(self):
		self.server.create_copy(TEMPLATE, SHOP)
		self.server.run(SHOP, 'CREATE EXTENSION safe_migrate')
		self.server.warm(SHOP, TABLE.name)
		self.traffic = Traffic(self.server, SHOP, TABLE.traffic_files(), {'rows': self.options.rows},
							   self.options.clients, self.options.rate, os.path.join(self.options.work_dir, 'traffic'))
		time.sleep(WARM_UP)

	def felt_by_clients(self, begin, end):
		"""Ends the traffic in order."""
		traffic, self.traffic = self.traffic, None
		try:
			traffic.settle(1.0)
		finally:
			traffic.stop()
		return traffic.felt(begin, end)

	def quiet(self):
		say(f'\nOnly the application: {self.options.clients} clients read, update and insert orders, '
			f'{self.options.rate} transactions/s …')
		self.fresh()
		lines = ClientLines(self.traffic)
		lines.start()
		begin = time.time()
		time.sleep(self.options.quiet_seconds)
		end = time.time()
		lines.stop()
		return {'felt': self.felt_by_clients(begin, end)}

	def migrate(self, title, method):
		work = method.work(TABLE, 0)
		shown = work.replace(TABLE.value(), "CASE status WHEN 'new' THEN 'opened' WHEN 'paid' THEN … END")
		say(f'\n{title}, the same clients beside it:\n   {shown};')
		self.fresh()
		before = measure.sizes(self.server, SHOP, TABLE)
		updated, hot = measure.updates(self.server, SHOP, TABLE)
		lines = ClientLines(self.traffic)
		lines.start()
		# a small table would be done at once, in the caller's transaction: not what is to be seen
		session = ['SET safe_migrate.inline = never'] if method.ours else []
		try:
			begin, end, wal = measure.timed(self.server, SHOP, session, work, live=True)
		finally:
			lines.stop()
		felt = self.felt_by_clients(begin, end)
		after = measure.sizes(self.server, SHOP, TABLE)
		updated_after, hot_after = measure.updates(self.server, SHOP, TABLE, updated + before['unfilled'])
		wrong = int(self.server.value(SHOP, f'SELECT count(*) FROM orders WHERE {TABLE.wrong}'))
		if wrong:
			raise SqlError(f'{wrong} rows have a wrong status_v2')
		say('   done; every row has the right value')
		return {'felt': felt, 'rows': before['unfilled'], 'seconds': end - begin, 'wal': wal,
				'heap': after['heap'] - before['heap'], 'indexes': after['indexes'] - before['indexes'],
				'hot': (hot_after - hot) / max(1, updated_after - updated), 'before': before}


def growth(run, part):
	return f'{run[part] / MB:+,.0f} MB ({run[part] / run["before"][part]:+.0%})'


def table(quiet, ours, plain):
	def both(name, show):
		return [name, '', show(ours), show(plain)]

	def felt(name, key):
		return [name] + [f'{run["felt"][key]:,.1f} ms' for run in (quiet, ours, plain)]
	return grid(['', 'no migration', 'safe_migrate.backfill', 'one plain UPDATE'], [
		both('rows', lambda run: f'{run["rows"]:,}'),
		both('time', lambda run: f'{run["seconds"]:.1f} s'),
		both('rows/s', lambda run: f'{run["rows"] / run["seconds"]:,.0f}'),
		both('WAL (clients\' too)', lambda run: f'{run["wal"] / MB:,.0f} MB'),
		both('heap', lambda run: growth(run, 'heap')),
		both('indexes', lambda run: growth(run, 'indexes')),
		both('HOT updates', lambda run: f'{run["hot"]:.0%}'),
		felt('clients: p50', 'p50_ms'),
		felt('clients: p99', 'p99_ms'),
		felt('clients: slowest', 'max_ms'),
	])


def incident(server, options):
	say('\nThe incident: an ALTER TABLE of some milliseconds that has to wait for a report, with clients beside it:')
	Incident(server, say, os.path.join(options.work_dir, 'incident'), 6.0 if options.quick or options.incident else 8.0).show()


def parse(arguments):
	parser = argparse.ArgumentParser(prog='scripts/demo')
	parser.add_argument('--rows', type=int, default=1_500_000)
	parser.add_argument('--clients', type=int, default=8)
	parser.add_argument('--rate', type=int, default=400)
	parser.add_argument('--quick', action='store_true')
	parser.add_argument('--incident', action='store_true')
	parser.add_argument('--method', default='backfill_1', choices=list(METHODS))
	script.add_arguments(parser)
	options = parser.parse_args(arguments)
	options.quiet_seconds = 2.5 if options.quick else 10.0
	if options.quick:
		options.rows = min(options.rows, 50_000)
	if options.rows < 1000:
		parser.error('--rows must be at least 1000')
	return options


def show(demo):
	options, server = demo.options, demo.server
	if options.incident:
		return incident(server, options)
	measure.create_role(server)
	if METHODS[options.method].ours and not server.has_backfill():
		say('This version of safe_migrate has no backfill() yet.')
		return 2
	demo.load()
	quiet = demo.quiet()
	ours = demo.migrate('safe_migrate.backfill', METHODS[options.method])
	plain = demo.migrate('One plain UPDATE', METHODS['update'])
	say(f'\nMeasured just now, PostgreSQL {server.value("postgres", "SHOW server_version")}, {os.cpu_count()} cores:\n')
	say(table(quiet, ours, plain))
	SchemaChanges(server, say, os.path.join(options.work_dir, 'schema'), max(20_000, options.rows // 10)).run()
	incident(server, options)
	say('\nMore: README.md for using it on your own cluster, scripts/bench for a longer comparison.')
	return 0


def main():
	options = parse(sys.argv[1:])
	demo = Demo(script.server_of(options), options)
	return script.run(lambda: show(demo), demo.end_traffic, say)


if __name__ == '__main__':
	sys.exit(main())
