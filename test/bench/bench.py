#!/usr/bin/env python3
"""Compares safe_migrate.backfill with the other ways to fill a column.  scripts/bench starts the server
for it; test/bench/README.md says how to read what it prints."""
import argparse
import json
import os
import sys
import time
from statistics import median

import measure
import report
import script
from methods import METHODS
from server import SqlError, facts
from tables import TABLES
from traffic import Traffic, lock_waits

RUN, REFERENCE = 'bench_run', 'bench_reference'
LOOP_LIMIT = 3		# a bounded method is stopped after this many times the plain UPDATE's time
WITH_TRAFFIC = ['update', 'backfill_1', 'backfill_2', 'pk_ranges', 'skip_locked', 'pk_keyset']
WARM_UP = 3.0		# seconds of traffic before a method starts


def say(text):
	print(text, file=sys.stderr, flush=True)


class Bench:
	def __init__(self, server, options):
		self.server = server
		self.options = options
		self.differences = []	# every way in which a method's result was not what it must be
		self.traffic = None

	# ---------------------------------------------------------------- starting state

	def load(self, table, rows, fillfactor=100):
		template = f'bench_{table.name}_{rows}_{fillfactor}'
		say(f'loading {table.name}: {rows} rows' + (f', fillfactor {fillfactor}' if fillfactor != 100 else ''))
		self.server.drop(template)
		self.server.run('postgres', f'CREATE DATABASE {template}')
		self.server.run(template, file=table.load_file(), variables={'rows': rows, 'fillfactor': fillfactor})
		return template

	def fresh(self, template, table, method, with_traffic):
		"""A new copy of the template, its pages in shared buffers, a checkpoint behind it."""
		server = self.server
		server.create_copy(template, RUN)
		statements = ['CREATE EXTENSION amcheck'] + method.prepare(table)
		if method.ours:
			statements.append('CREATE EXTENSION safe_migrate')
			if not with_traffic:	# the other methods leave the vacuuming to others, too
				statements.append(f'ALTER DATABASE {RUN} SET safe_migrate.vacuum_after = off')
		server.run(RUN, *statements)
		server.warm(RUN, table.name)

	# ---------------------------------------------------------------- one measurement

	def measure(self, table, template, method, limit, with_traffic=False):
		server = self.server
		self.fresh(template, table, method, with_traffic)
		before = measure.sizes(server, RUN, table)
		updated, hot = measure.updates(server, RUN, table)
		log = measure.log_position(server)
		workers = measure.Workers(server)
		workers.start()
		if with_traffic:
			self.start_traffic(table, before['rows'])
			time.sleep(self.options.warm_up)
			alone = time.time()
			time.sleep(self.options.baseline_seconds)
		session = ['SET safe_migrate.inline = never'] if method.ours else []
		begin, end, wal = measure.timed(server, RUN, session, method.work(table, limit))
		felt, felt_before = self.stop_traffic((begin, end), (alone, alone + self.options.baseline_seconds)) if with_traffic else (None, None)
		memory = workers.stop()
		after = measure.sizes(server, RUN, table)
		written = before['unfilled'] - after['unfilled']
		updated_after, hot_after = measure.updates(server, RUN, table, updated + written)
		result = {
			'method': method.name, 'with_traffic': with_traffic, 'seconds': end - begin,
			'rows': before['unfilled'], 'written': written, 'finished': after['unfilled'] == 0,
			'rows_per_second': written / (end - begin), 'wal_bytes': wal,
			'before': before, 'after': after,
			'heap_growth': after['heap'] / before['heap'] - 1,
			'index_growth': after['indexes'] / before['indexes'] - 1,
			'updated': updated_after - updated, 'updated_hot': hot_after - hot,
			'hot_share': (hot_after - hot) / max(1, updated_after - updated),
		}
		result['processor_seconds'] = memory.pop('processor_seconds')
		if method.ours:
			result['memory'] = memory
		if felt:
			result['felt'], result['felt_before'] = felt, felt_before
			result['lock_waits'] = lock_waits(measure.log_since(server, log), set(memory['pids']))
		say(report.one_line(result))
		return result

	def attempt(self, table, template, method, limit, with_traffic=False):
		"""Measures a method and checks its result.  One that fails is noted, and the others go on."""
		try:
			result = self.measure(table, template, method, limit, with_traffic)
			self.check(table, method, result)
			return result
		except RuntimeError as error:
			if method.name == 'update':
				raise
			self.differ(f'{table.name}, {method.name}: failed: {error}')
			return None
		finally:
			self.end_traffic()

	def start_traffic(self, table, rows):
		self.traffic = Traffic(self.server, RUN, table.traffic_files(), {'rows': rows},
							   self.options.clients, self.options.rate, os.path.join(self.options.work_dir, 'traffic'))

	def stop_traffic(self, *spans):
		"""What the clients felt in each of the spans (begin, end)."""
		traffic, self.traffic = self.traffic, None
		try:
			traffic.settle(1.0)
		finally:
			traffic.stop()
		return [traffic.felt(begin, end) for begin, end in spans]

	def end_traffic(self):
		if self.traffic:
			self.traffic.kill()
			self.traffic = None

	# ---------------------------------------------------------------- is the result right?

	def check(self, table, method, result):
		"""Every row as the plain UPDATE leaves it; for our own method indexes and heap are sound, too."""
		server = self.server
		wrong = int(server.value(RUN, f'SELECT count(*) FROM {table.name} WHERE NOT ({table.unfilled}) AND {table.wrong}'))
		if wrong:
			self.differ(f'{table.name}, {method.name}: {wrong} rows with a wrong value')
		if not result['finished'] and not method.bounded:
			self.differ(f'{table.name}, {method.name}: {result["after"]["unfilled"]} rows left without a value')
		if not result['with_traffic'] and result['finished']:
			self.compare(table, method)
		if method.ours:
			self.check_structure(table, method)

	def compare(self, table, method):
		query = (f'SELECT count(*), sum(hashtextextended(ROW({table.compared})::text, 0)::numeric) FROM {table.name}')
		if method.name == 'update':
			self.expected = self.server.value(RUN, query)
			self.server.drop(REFERENCE)
			self.server.run('postgres', f'ALTER DATABASE {RUN} RENAME TO {REFERENCE}')
		elif self.server.value(RUN, query) != self.expected:
			self.differ(f'{table.name}, {method.name}: not the rows that a plain UPDATE leaves: '
						+ self.first_difference(table))

	def first_difference(self, table):
		query = f'SELECT id, ROW({table.compared})::text FROM {table.name} ORDER BY id'
		want, got = (self.server.run(database, query) for database in (REFERENCE, RUN))
		for one, other in zip(want, got):
			if one != other:
				return f'{one} became {other}'
		return f'{len(want)} rows became {len(got)}'

	def check_structure(self, table, method):
		try:
			self.server.run(RUN, f"""SELECT bt_index_check(i.indexrelid, true)
				FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
				WHERE i.indrelid = '{table.name}'::regclass AND a.amname = 'btree'""")
			damage = self.server.run(RUN, f"SELECT * FROM verify_heapam('{table.name}')")
		except SqlError as error:
			damage = [str(error)]
		if damage:
			self.differ(f'{table.name}, {method.name}: {damage[0]}')

	def differ(self, text):
		say('WRONG: ' + text)
		self.differences.append(text)

	# ---------------------------------------------------------------- a table, all methods

	def one_table(self, table):
		options = self.options
		rows = max(1000, options.rows // table.divisor)
		methods = options.methods
		if options.quick and table.name != options.tables[0]:
			methods = [name for name in methods if name == 'update' or METHODS[name].ours]
		templates = {fillfactor: self.load(table, rows, fillfactor)
					 for fillfactor in sorted({METHODS[name].fillfactor for name in methods}, reverse=True)}
		runs = []
		for repeat in range(options.repeat):
			limit = 1e6
			for name in methods:
				method = METHODS[name]
				result = self.attempt(table, templates[method.fillfactor], method, limit)
				if result:
					runs.append(result | {'repeat': repeat})
				if name == 'update':
					limit = max(2.0, LOOP_LIMIT * result['seconds'])
			if table.name in options.traffic:
				runs += self.under_traffic(table, templates[100], limit, repeat)
		scaling = self.scaling(table, rows, runs) if table.name in options.scaling else None
		for database in list(templates.values()) + [RUN, REFERENCE]:
			self.server.drop(database)
		return {'table': table.name, 'what': table.what, 'statement': table.assignment, 'rows': rows,
				'runs': runs, 'scaling': scaling}

	def under_traffic(self, table, template, limit, repeat):
		runs = []
		for name in (name for name in self.options.methods if name in self.options.traffic_methods):
			result = self.attempt(table, template, METHODS[name], limit, with_traffic=True)
			if result:
				runs.append(result)
		for run in runs:
			run['repeat'] = repeat
		return runs

	def scaling(self, table, rows, runs):
		"""The time for a tenth of the rows against that for all of them."""
		small = rows // 10
		template = self.load(table, small)
		found = {}
		for name in ('update', 'backfill_1'):
			large = [run for run in runs if run['method'] == name and not run['with_traffic']]
			if large and small >= 1000:
				result = self.measure(table, template, METHODS[name], 1e6)
				found[name] = {'rows': rows, 'small_rows': small}
				for key in ('seconds', 'processor_seconds'):
					found[name][key] = median(run[key] for run in large)
					found[name]['small_' + key] = result[key]
				if METHODS[name].ours:
					found[name]['small_memory'] = result['memory']
		self.server.drop(template)
		return found


def parse(arguments):
	parser = argparse.ArgumentParser(prog='scripts/bench', description=__doc__)
	parser.add_argument('--rows', type=int, default=3_000_000, help='rows of the first table (default: %(default)s)')
	parser.add_argument('--only', metavar='TABLE', action='append', choices=list(TABLES), help='this table only (may be repeated): ' + ', '.join(TABLES))
	parser.add_argument('--methods', default=','.join(METHODS), help='comma-separated, of: %(default)s; the plain UPDATE always runs, first')
	parser.add_argument('--repeat', type=int, default=1, help='rounds; figures are medians over them (default: %(default)s)')
	parser.add_argument('--no-traffic', action='store_true', help='leave out the runs with clients beside them')
	parser.add_argument('--clients', type=int, default=8, help='pgbench clients (default: %(default)s)')
	parser.add_argument('--rate', type=int, default=500, help='their transactions per second, all together (default: %(default)s)')
	parser.add_argument('--quick', action='store_true', help='small sizes, under a minute: does it work, not how fast')
	script.add_arguments(parser)
	options = parser.parse_args(arguments)

	names = [name for name in options.methods.split(',') if name]
	for name in names:
		if name not in METHODS:
			parser.error(f'unknown method "{name}" (there are: {", ".join(METHODS)})')
	options.methods = [name for name in METHODS if name in names or name == 'update']
	options.tables = options.only or list(TABLES)
	options.traffic = [] if options.no_traffic else options.tables
	options.traffic_methods = WITH_TRAFFIC
	options.scaling = ['orders']
	options.warm_up, options.baseline_seconds = WARM_UP, 10.0
	if options.quick:
		options.rows = min(options.rows, 30_000)
		options.traffic = options.traffic[:1]
		options.traffic_methods = ['update', 'backfill_1']
		options.warm_up, options.baseline_seconds = 0.5, 1.0
	if options.rows < 1000:
		parser.error('--rows must be at least 1000')
	return options


def main():
	options = parse(sys.argv[1:])
	server = script.server_of(options)
	bench = Bench(server, options)
	found = {'facts': facts(server), 'arguments': sys.argv[1:], 'clients': options.clients, 'rate': options.rate,
			 'quick': options.quick, 'tables': []}

	def compare():
		measure.create_role(server)
		if not server.has_backfill():
			say('safe_migrate.backfill is not there: its runs are left out')
			options.methods = [name for name in options.methods if not METHODS[name].ours]
		for name in options.tables:
			found['tables'].append(bench.one_table(TABLES[name]))

	def write():
		bench.end_traffic()
		found['differences'] = bench.differences
		text = report.text(found)
		with open(options.output + '.json', 'w') as file:
			json.dump(found, file, indent='\t')
		with open(options.output + '.txt', 'w') as file:
			file.write(text)
		print(text, end='')

	status = script.run(compare, write, say)
	return status or (1 if bench.differences else 0)


if __name__ == '__main__':
	sys.exit(main())
