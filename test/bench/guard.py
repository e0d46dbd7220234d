#!/usr/bin/env python3
"""What the guard costs: a server that preloads the extension and enforces, against one without it.

Pairs of short runs in turn on both servers, and the median of the pairs' ratios: what else the
machine does falls on both.  scripts/bench --only guard starts the first server; this program the
other one beside it."""
import argparse
import json
import os
import re
import subprocess
import sys
import time
from statistics import median

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'truth'))
from wire import Connection  # noqa: E402  pylint: disable=wrong-import-position

def say(text):
	print(text, file=sys.stderr, flush=True)


def cpu_of(pid):
	"""Seconds that a process has had on a processor: what others do beside it hardly counts."""
	with open(f'/proc/{pid}/schedstat', encoding='ascii') as file:
		return int(file.read().split()[0]) / 1e9


def cpu_of_ended_backends(folder):
	"""Seconds of processor time of the postmaster's children that have ended."""
	with open(f'{folder}/data/postmaster.pid', encoding='utf-8') as file:
		pid = int(file.readline())
	with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
		fields = file.read().rsplit(')', 1)[1].split()
	return (int(fields[13]) + int(fields[14])) / os.sysconf('SC_CLK_TCK')


class Plain:
	"""A server like the other, without the extension."""

	def __init__(self, options):
		self.folder = os.path.join(options.work_dir, 'plain')
		self.bindir = options.bindir
		os.mkdir(self.folder)
		self.run('initdb', '--no-sync', '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '-D', f'{self.folder}/data')
		with open(f'{options.data_dir}/postgresql.conf', encoding='utf-8') as file:
			lines = [line for line in file if not re.match(r'(shared_preload_libraries|unix_socket_directories|safe_migrate)', line)]
		with open(f'{self.folder}/data/postgresql.conf', 'w', encoding='utf-8') as file:
			file.writelines(lines + [f"unix_socket_directories = '{self.folder}'\n"])
		self.run('pg_ctl', '-D', f'{self.folder}/data', '-l', f'{self.folder}/server.log', '-w', '-s', 'start')

	def run(self, program, *arguments):
		subprocess.run([os.path.join(self.bindir, program), *arguments], check=True, stdout=subprocess.DEVNULL)

	def stop(self):
		self.run('pg_ctl', '-D', f'{self.folder}/data', '-m', 'fast', '-w', '-s', 'stop')


class Bench:
	def __init__(self, options):
		self.options = options
		self.guarded = options.socket_dir
		self.plain = Plain(options)
		self.rows = []
		admin = Connection(self.guarded, 'postgres')
		admin.query("ALTER SYSTEM SET safe_migrate.guard = 'enforce'")
		admin.query('SELECT pg_reload_conf()')
		for folder in (self.guarded, self.plain.folder):
			connection = Connection(folder, 'postgres')
			connection.query('CREATE DATABASE cost')
			connection.close()
		Connection(self.guarded, 'cost').query('CREATE EXTENSION safe_migrate')
		while admin.value('SHOW safe_migrate.guard') != 'enforce':
			time.sleep(0.05)
			admin = Connection(self.guarded, 'postgres')

	def add(self, what, target, met, **figures):
		self.rows.append({'what': what, 'target': target, 'met': met, **figures})
		text = ', '.join(f'{name} {value:.4g}' for name, value in figures.items())
		say(f'{what}: {text}  (target: {target}; {"met" if met else "MISSED"})')

	# ---------------------------------------------------------------- pgbench

	def pgbench(self, folder, arguments):
		before = cpu_of_ended_backends(folder)
		done = subprocess.run([os.path.join(self.options.bindir, 'pgbench'), '-h', folder, '-U', 'postgres', '-n', *arguments, 'cost'],
			check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
		count = int(re.search(r'actually processed: (\d+)', done.stdout)[1])
		time.sleep(0.3)  # until the backend is gone and counted
		cpu = cpu_of_ended_backends(folder) - before
		return float(re.search(r'tps = ([\d.]+) \(without', done.stdout)[1]), cpu, count

	def without_disk(self):
		"""Waits for the disk would hide what the guard costs, and their noise what it does not."""
		for folder in (self.plain.folder, self.guarded):
			admin = Connection(folder, 'postgres')
			for setting in ("fsync = off", "full_page_writes = off", "autovacuum = off", "checkpoint_timeout = '1h'"):
				admin.query(f'ALTER SYSTEM SET {setting}')
			admin.query('SELECT pg_reload_conf()')
			admin.query('CHECKPOINT')
			admin.close()

	def throughput(self, name, *arguments):
		ratios, cpu, count = [], {}, {}
		for pair in range(self.options.pairs):
			order = [self.plain.folder, self.guarded]
			if pair % 2:
				order.reverse()
			tps = {}
			for folder in order:
				tps[folder], more_cpu, more = self.pgbench(folder, ['-T', str(self.options.seconds), '-M', 'prepared', *arguments])
				cpu[folder] = cpu.get(folder, 0) + more_cpu
				count[folder] = count.get(folder, 0) + more
			ratios.append(tps[self.guarded] / tps[self.plain.folder])
		ratios.sort()
		by_cpu = cpu[self.guarded] / count[self.guarded] / (cpu[self.plain.folder] / count[self.plain.folder])
		spread = ratios[3 * len(ratios) // 4] - ratios[len(ratios) // 4]
		self.add(f'pgbench {name}, with the guard / without', 'cpu_per_transaction <= 1.01; what else the machine does moves throughput',
			by_cpu <= 1.01, cpu_per_transaction=by_cpu, throughput=median(ratios), quartile_distance=spread)

	# ---------------------------------------------------------------- utility statements

	def utility(self):
		"""Inside the server, so that the way to the client does not count."""
		loop = 'DO $$ BEGIN FOR i IN 1 .. {n} LOOP EXECUTE $q${statement}$q$; END LOOP; END $$'
		for statement in ('SELECT 1', "SET LOCAL work_mem = '5MB'", 'SHOW work_mem', "COMMENT ON ROLE postgres IS 'x'"):
			sessions = {folder: Connection(folder, 'cost') for folder in (self.plain.folder, self.guarded)}
			differences, plain, n = [], [], 3000
			for pair in range(self.options.pairs):
				us = {}
				for folder in (list(sessions) if pair % 2 else reversed(list(sessions))):
					pid = sessions[folder].value('SELECT pg_backend_pid()')
					start = cpu_of(pid)
					sessions[folder].query(loop.format(n=n, statement=statement))
					us[folder] = (cpu_of(pid) - start) / n * 1e6
				differences.append(us[self.guarded] - us[self.plain.folder])
				plain.append(us[self.plain.folder])
			for session in sessions.values():
				session.close()
			self.add(f'{statement}: microseconds more', '< 5', median(differences) < 5, more=median(differences), without=median(plain))

	# ---------------------------------------------------------------- judging

	def catalog(self):
		session = Connection(self.guarded, 'cost', timeout=600)
		session.query('SET safe_migrate.guard = off')
		step = 500
		say(f'making {self.options.tables} tables and {self.options.partitions} partitions')
		for first in range(0, self.options.tables, step):
			session.query(''.join(f'CREATE TABLE t{i} (id int PRIMARY KEY, a varchar(10), b int);' for i in range(first, min(first + step, self.options.tables))))
		session.query('CREATE TABLE p (id int, a varchar(10), b int) PARTITION BY RANGE (id); CREATE INDEX ON p (b)')
		for first in range(0, self.options.partitions, step):
			session.query(''.join(f'CREATE TABLE p{i} PARTITION OF p FOR VALUES FROM ({i}) TO ({i + 1});' for i in range(first, min(first + step, self.options.partitions))))
		session.query('INSERT INTO p SELECT i, i, i FROM generate_series(0, %d) i' % (self.options.partitions - 1))
		session.query('INSERT INTO t7 SELECT i, i, i FROM generate_series(1, 1000) i; ANALYZE t7; ANALYZE p')
		session.close()

	def judging(self, name, statement, target, repeat):
		"""The statement with the guard off and enforcing, in turn in one session, rolled back."""
		session = Connection(self.guarded, 'cost', timeout=600)
		pid = session.value('SELECT pg_backend_pid()')
		took = {'off': [], 'enforce': []}
		for _ in range(repeat):
			for guard, times in took.items():
				session.query(f'SET safe_migrate.guard = {guard}; BEGIN')
				start = cpu_of(pid)
				session.query(statement)
				times.append((cpu_of(pid) - start) * 1000)
				session.query('ROLLBACK')
		session.close()
		more = median([b - a for a, b in zip(took['off'], took['enforce'])])
		self.add(f'{name}: milliseconds more', f'< {target}', more < target, more=more, off=median(took['off']), enforce=median(took['enforce']))

	def all(self):
		for folder in (self.plain.folder, self.guarded):
			subprocess.run([os.path.join(self.options.bindir, 'pgbench'), '-h', folder, '-U', 'postgres', '-i', '-q', '-s', '10', 'cost'],
				check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
		self.utility()
		self.without_disk()
		self.throughput('select-only', '-S', '-c', '1')
		self.throughput('TPC-B', '-c', '1')
		self.catalog()
		self.judging(f'ADD COLUMN among {self.options.tables} tables', 'ALTER TABLE t7 ADD COLUMN x int', 1, self.options.repeat)
		self.judging(f'ALTER TYPE among {self.options.tables} tables', 'ALTER TABLE t7 ALTER a TYPE varchar(20)', 1, self.options.repeat)
		self.judging(f'ADD COLUMN to {self.options.partitions} partitions', 'ALTER TABLE p ADD COLUMN x int', 20, self.options.repeat // 5)
		self.judging(f'ALTER TYPE of {self.options.partitions} partitions', 'ALTER TABLE p ALTER a TYPE varchar(20)', 20, self.options.repeat // 5)
		self.judging(f'SET NOT NULL of {self.options.partitions} partitions', 'ALTER TABLE p ALTER b SET NOT NULL', 20, self.options.repeat // 5)


def main():
	parser = argparse.ArgumentParser()
	for name in ('bindir', 'socket-dir', 'data-dir', 'server-log', 'work-dir', 'output'):
		parser.add_argument('--' + name, required=name not in ('server-log',))
	parser.add_argument('--quick', action='store_true')
	parser.add_argument('--repeat', type=int, default=50)
	options, _ = parser.parse_known_args()
	options.pairs, options.seconds = (3, 1) if options.quick else (25, 2)
	options.tables, options.partitions = (500, 50) if options.quick else (10000, 1000)
	bench = Bench(options)
	try:
		bench.all()
	finally:
		bench.plain.stop()
	with open(options.output + '.json', 'w', encoding='utf-8') as file:
		json.dump(bench.rows, file, indent=1)
	with open(options.output + '.txt', 'w', encoding='utf-8') as file:
		for row in bench.rows:
			file.write('\t'.join(f'{key}={value}' for key, value in row.items()) + '\n')
	missed = [row['what'] for row in bench.rows if not row['met']]
	if missed:
		say(f'missed: {"; ".join(missed)}')
	return 1 if missed else 0


if __name__ == '__main__':
	sys.exit(main())
