"""A throwaway server, spoken to through psql (nothing but the standard library is needed)."""
import os
import platform
import subprocess


class SqlError(RuntimeError):
	pass


class Server:
	"""Where the server listens and where its programs are; `run` sends it SQL."""

	def __init__(self, bindir, socket_dir, data_dir, log_file):
		self.bindir = bindir
		self.socket_dir = socket_dir
		self.data_dir = data_dir
		self.log_file = log_file

	def program(self, name):
		return os.path.join(self.bindir, name)

	def psql(self, database, role):
		return [self.program('psql'), '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1',
				'-h', self.socket_dir, '-U', role, '-d', database]

	def run(self, database, *statements, variables=None, file=None, live=False, role='postgres'):
		"""Runs the statements one after the other, each in its own transaction, in one session.
		Returns the lines they print; with `live`, notices are shown as they come."""
		command = self.psql(database, role)
		for name, value in (variables or {}).items():
			command += ['-v', f'{name}={value}']
		if file:
			command += ['-f', file]
		for statement in statements:
			command += ['-c', statement]
		done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=None if live else subprocess.PIPE)
		if done.returncode != 0:
			raise SqlError(f'{database}: {(done.stderr or "see above").strip()}')
		return done.stdout.splitlines()

	def value(self, database, query):
		lines = self.run(database, query)
		return lines[0] if lines else ''

	def row(self, database, query):
		return self.value(database, query).split('|')

	def create_copy(self, template, database):
		"""A byte-for-byte copy of the template's files, so every method starts from the same pages."""
		self.drop(database)
		self.run('postgres', f'CREATE DATABASE {database} TEMPLATE {template} STRATEGY file_copy')

	def warm(self, database, table):
		"""Reads the table and its indexes into shared buffers, then makes a checkpoint."""
		self.run(database, 'CREATE EXTENSION pg_prewarm', f"""
			SELECT pg_prewarm(oid) FROM pg_class WHERE oid = '{table}'::regclass
				OR oid = (SELECT reltoastrelid FROM pg_class WHERE oid = '{table}'::regclass AND reltoastrelid <> 0)
			UNION ALL SELECT pg_prewarm(indexrelid) FROM pg_index WHERE indrelid = '{table}'::regclass""",
			'CHECKPOINT')

	def drop(self, database):
		self.run('postgres', f'DROP DATABASE IF EXISTS {database} WITH (FORCE)')

	def postmaster_pid(self):
		with open(os.path.join(self.data_dir, 'postmaster.pid')) as pid_file:
			return int(pid_file.readline())

	def has_backfill(self):
		"""Whether the installed extension is preloaded and has the function that is to be measured."""
		self.drop('bench_probe')
		self.run('postgres', 'CREATE DATABASE bench_probe')
		try:
			self.run('bench_probe', 'CREATE EXTENSION safe_migrate')
			return self.value('bench_probe', """
				SELECT count(*) > 0 AND current_setting('shared_preload_libraries') ~ 'safe_migrate'
				FROM pg_proc WHERE pronamespace = 'safe_migrate'::regnamespace AND proname = 'backfill'""") == 't'
		except SqlError:
			return False
		finally:
			self.drop('bench_probe')


def facts(server):
	"""The machine and the settings that the figures depend on."""
	return {
		'cpu': _first('/proc/cpuinfo', 'model name'),
		'cores': os.cpu_count(),
		'memory_mb': int(_first('/proc/meminfo', 'MemTotal').split()[0]) // 1024,
		'load_at_start': os.getloadavg()[0],
		'kernel': platform.release(),
		'postgresql': server.value('postgres', 'SHOW server_version'),
		'settings': dict(line.split('|', 1) for line in server.run('postgres', """
			SELECT name, current_setting(name) FROM pg_settings
			WHERE (source NOT IN ('default', 'client', 'override', 'environment variable')
				AND name !~ '(directory|_file|locale|lc_|log_|DateStyle|TimeZone|default_text|unix_socket|external_pid)')
				OR name ~ '^safe_migrate[.]'
			ORDER BY name""")),
	}


def _first(path, name):
	with open(path) as file:
		for line in file:
			key, _, value = line.partition(':')
			if key.strip() == name:
				return value.strip()
	return '0'
