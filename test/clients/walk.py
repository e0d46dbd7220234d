"""What each tool's project is led through; README.md has it in words."""
import os
import re
import shutil
import subprocess
import time
import traceback

from cases import CASES, QUEUE, REQUIRE, ROWS_AFTER, SAFE_LEAVES
from documented import plain
from tools.base import Migration
from wire import Connection

HERE = os.path.dirname(os.path.abspath(__file__))
ALL_THE_SAME = 'To do it all the same, first in the same transaction: SET LOCAL safe_migrate.override' # each HINT's end
SUCCEEDED = "SELECT bool_and(state = 'succeeded') IS NOT FALSE FROM safe_migrate.jobs"
PATIENCE = 180  # seconds, for what takes less than one


class Report:
	def __init__(self, tool):
		self.tool = tool
		self.checks = []
		self.outputs = {}  # of each run
		self.files = {}  # text of each migration
		self.seconds = 0

	def check(self, good, text, diagnostics=''):
		self.checks.append((bool(good), f'{self.tool}: {text}', diagnostics))
		return good


class Broken(Exception):
	"""What comes after it makes no sense."""


class World:
	"""The server, and where things are."""

	def __init__(self, arguments):
		self.socket_dir = arguments.socket_dir
		self.bindir = arguments.bindir
		self.work = arguments.work

	def connect(self, database='postgres', user='postgres', **settings):
		return Connection(self.socket_dir, database, user, timeout=PATIENCE, **settings)

	def prepare(self):
		os.makedirs(self.work, exist_ok=True)
		connection = self.connect()
		if connection.value("SELECT to_regrole('migrations') IS NULL") == 't':
			connection.query('CREATE ROLE migrations LOGIN')
		connection.query('GRANT SET ON PARAMETER safe_migrate.override TO migrations')
		connection.close()

	def query(self, sql):
		connection = self.connect()
		connection.query(sql)
		connection.close()

	def create_database(self, name, how=''):
		self.query(f'DROP DATABASE IF EXISTS {name} WITH (FORCE)')
		self.query(f'CREATE DATABASE {name} OWNER migrations {how}')

	def dump(self, database):
		"""The schema as pg_dump has it."""
		text = subprocess.run(
			[os.path.join(self.bindir, 'pg_dump'), '-h', self.socket_dir, '-U', 'postgres', '--schema-only',
				'--exclude-schema=safe_migrate', database],
			check=True, stdout=subprocess.PIPE, timeout=PATIENCE).stdout.decode()
		return re.sub(r'^\\(un)?restrict .*\n', '', text, flags=re.M) # a word made up for each dump


class Outcome:
	def __init__(self, status, output):
		self.status = status
		self.output = output
		self.text = '\n'.join(plain(output))

	def has(self, words):
		"""Are these words there, however they were broken into lines and quoted?"""
		def squeezed(text):
			return re.sub(r"\\n|\\'|[\s'\"+\\`]", '', text)
		return squeezed(words) in squeezed(self.text)


class Project:
	"""A copy of a tool's project that works on a database of its own."""

	def __init__(self, tool, world, database, source=None, folder=None):
		self.tool = tool
		self.world = world
		self.database = database
		self.folder = os.path.join(world.work, folder or database)
		shutil.copytree(source or os.path.join(HERE, 'projects', tool.name), self.folder)

	def files(self):
		"""What it has beside its migrations: text by name."""
		found = {}
		for folder, _, names in os.walk(self.folder):
			for name in names:
				path = os.path.join(folder, name)
				with open(path, encoding='utf-8') as file:
					found[f'{self.tool.name}/project/{os.path.relpath(path, self.folder)}'] = file.read()
		return found

	def place(self, *migrations):
		for migration in migrations:
			self.tool.place(self.folder, migration)

	def remove(self, *migrations):
		for migration in reversed(migrations):
			self.tool.remove(self.folder, migration)

	def run(self, command):
		environment = {
			'PATH': '/usr/local/bin:/usr/bin:/bin', 'HOME': self.world.work, 'LANG': 'C.UTF-8', 'LC_ALL': 'C.UTF-8',
			'PGHOST': self.world.socket_dir, 'PGPORT': '5432', 'PGUSER': 'migrations', 'PGDATABASE': self.database,
			**self.tool.environment}
		try:
			done = subprocess.run(command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
				stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False)
		except subprocess.TimeoutExpired as late:
			return Outcome(-1, f"{(late.stdout or b'').decode('utf-8', 'replace')}\nkilled after {PATIENCE} s")
		return Outcome(done.returncode, done.stdout.decode('utf-8', 'replace'))


class Walk:
	def __init__(self, tool, world, report):
		self.tool, self.world, self.report = tool, world, report
		self.name = tool.name.replace('-', '_')
		self.placed = []  # what the project has, in order

	def all(self):
		self.begin()
		self.safe_ones_pass()
		self.generated_one_fails()
		self.make_plain()
		cases = [case for case in CASES if case.name in self.tool.unsafe]
		written = [self.case(case) for case in cases]
		self.plain_leaves_the_same(written)
		self.tool.see_schema(self)
		self.gate()
		for name, trap in self.tool.traps.items():
			self.trap(name, *trap)

	# ------------------------------------------------------------ migrations

	def migration(self, kind, name, body, atomic=True, after=()):
		"""The next one; it stays in the project only if it is kept."""
		before = [*self.placed, *after]
		migration = Migration(len(before) + 1, name, body, before[-1].id if before else '', atomic)
		self.report.files[f'{self.tool.name}/{kind}/{name}'] = self.tool.text(migration)
		return migration

	def keep(self, *migrations):
		self.project.place(*migrations)
		self.placed += migrations

	def run(self, name, command=None):
		outcome = self.project.run(command or self.tool.migrate)
		self.report.outputs[f'{self.tool.name}/{name}'] = outcome.output
		return outcome

	def passes(self, name, text):
		outcome = self.run(name)
		if not self.report.check(outcome.status == 0, text, outcome.output):
			raise Broken
		return outcome

	def fails(self, name, text, *wanted, command=None):
		outcome = self.run(name, command)
		missing = [words for words in wanted if not outcome.has(words)]
		self.report.check(outcome.status != 0 and not missing, text,
			f'status {outcome.status}, not printed: {missing}\n{outcome.output}')

	def state(self):
		return self.world.dump(self.name), self.db.rows(self.tool.records)

	# ------------------------------------------------------------ what the database says

	def is_true(self, text, sql, db=None):
		try:
			value = (db or self.db).value(sql)
		except Exception as error:  # pylint: disable=broad-except
			value = str(error)
		self.report.check(value == 't', text, f'{sql}: {value}')

	def wait_for(self, sql):
		until = time.monotonic() + PATIENCE
		while self.db.value(sql) != 't':
			if time.monotonic() > until:
				raise TimeoutError(f"never true: {sql}; {self.db.rows('SELECT to_jsonb(p) FROM safe_migrate.progress p')}")
			time.sleep(0.05)

	# ------------------------------------------------------------ what is safe

	def begin(self):
		self.world.create_database(self.name)
		self.db = self.world.connect(self.name)
		self.db.query('CREATE EXTENSION safe_migrate')
		self.project = Project(self.tool, self.world, self.name)
		self.report.files.update(self.project.files())
		self.keep(self.migration('first', 'first', self.tool.first))
		self.passes('first', 'the first migration, which makes the tables, passes')
		self.db.query("""INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 1000) n;
			INSERT INTO orders (customer_no, status, amount)
			SELECT 1 + n % 1000, (ARRAY['new', 'paid', 'shipped'])[1 + n % 3], n FROM generate_series(1, 30000) n;
			ANALYZE""")

	def safe_ones_pass(self):
		for name, body, atomic in self.tool.safe:
			self.keep(self.migration('safe', name, body, atomic))
		outcome = self.passes('safe', 'what is safe passes unchanged')
		self.wait_for(SUCCEEDED)
		for text, sql in SAFE_LEAVES:
			self.is_true(text, sql)
		shows = self.tool.shows_warnings
		self.report.check(outcome.has('clients that use the old name fail from the commit on') == shows,
			f"a renamed column's WARNING is {'' if shows else 'not '}printed", outcome.output)

	# What the tool itself writes for all that the models have and the tables have not.
	def generated_one_fails(self):
		if not self.tool.generate:
			return
		project = Project(self.tool, self.world, self.name, self.project.folder, f'{self.name}_generated')
		known = project.files()
		outcome = self.tool.write_from_models(project)
		self.report.outputs[f'{self.tool.name}/generate'] = outcome.output
		written = {name: text for name, text in project.files().items() if name not in known}
		self.report.files.update({name.replace('/project/', '/generated/'): text for name, text in written.items()})
		words = ''.join(''.join(written.values()).split())
		missing = [line for name in self.tool.generated for line in self.tool.unsafe[name].splitlines()
			if ''.join(line.split()) not in words]
		self.report.check(outcome.status == 0 and written and not missing,
			'from the models it writes what is run here', f'not written: {missing}\n{outcome.output}{written}')
		before = self.state()
		outcome = project.run(self.tool.migrate)
		self.report.outputs[f'{self.tool.name}/generated'] = outcome.output
		self.report.check(outcome.status != 0 and outcome.has('Instead:') and outcome.has(ALL_THE_SAME),
			'what it writes from the models is rejected, its HINT printed', outcome.output)
		self.report.check(self.state() == before, 'nothing of that is left')

	# The same rows, where the guard looks away.
	def make_plain(self):
		self.db.close()
		self.world.create_database(f'{self.name}_plain', f'TEMPLATE {self.name}')
		self.world.query(f'ALTER DATABASE {self.name}_plain SET safe_migrate.guard = off')
		plain_db = self.world.connect(f'{self.name}_plain')
		plain_db.query("UPDATE orders SET note = '' WHERE note IS NULL") # what a plain SET NOT NULL wants done before
		plain_db.close()
		self.db = self.world.connect(self.name)

	# ------------------------------------------------------------ what is not

	def case(self, case):
		unsafe = self.migration('unsafe', case.name, self.tool.unsafe[case.name])
		self.unsafe_one_fails(case, unsafe)
		self.safe_way_works(case)
		return unsafe

	def unsafe_one_fails(self, case, migration):
		before = self.state()
		self.project.place(migration)
		self.fails(f'unsafe/{case.name}', f'{case.name} as the tool writes it is rejected, its HINT printed', self.tool.hints.get(case.name, case.hint),
			ALL_THE_SAME)
		self.report.check(self.state() == before, f'{case.name}: nothing is half done')
		self.project.remove(migration)

	def safe_way_works(self, case):
		waits = bool(case.sql) and self.tool.waits
		self.keep(self.migration('instead', case.name, self.tool.instead(case), not waits))
		self.passes(f'instead/{case.name}', f'{case.name} by the safe way passes')
		if not waits:
			self.wait_for(SUCCEEDED)
		self.is_true(f'{case.name}: its jobs have succeeded', SUCCEEDED)
		if case.again:
			self.again(case)

	# As if the tool had died before it wrote down that the migration was done.
	def again(self, case):
		jobs = 'SELECT array_agg(id ORDER BY id) FROM safe_migrate.jobs'
		before = (self.world.dump(self.name), self.db.value(jobs))
		self.db.query(self.tool.forget.format(**vars(self.placed[-1]), id=self.placed[-1].id))
		self.passes(f'again/{case.name}', f'{case.name} once more passes')
		self.report.check((self.world.dump(self.name), self.db.value(jobs)) == before,
			f'{case.name} once more queues nothing and changes nothing')

	def plain_leaves_the_same(self, written):
		project = Project(self.tool, self.world, f'{self.name}_plain')
		project.place(*self.placed[:len(self.placed) - len(written)], *written)
		outcome = project.run(self.tool.migrate)
		self.report.check(outcome.status == 0, 'with the guard off the unsafe ones pass', outcome.output)
		plain_dump, ours = self.world.dump(project.database), self.world.dump(self.name)
		self.report.check(plain_dump == ours, 'the safe ways leave the schema that the unsafe ones leave',
			difference(plain_dump, ours))
		db = self.world.connect(project.database)
		for text, sql in ROWS_AFTER:
			self.is_true(text, sql)
			self.is_true(f'{text}, with the guard off', sql, db)
		db.close()

	# ------------------------------------------------------------ require() and open transactions

	# The first of two migrations queues a job, the second wants it done.
	def gate(self):
		queue = self.migration('gate', 'queue_job', self.tool.sql(QUEUE))
		gate = self.migration('gate', 'require', self.tool.sql(REQUIRE), after=[queue])
		blocker = self.world.connect(self.name, 'migrations')
		pid = blocker.value('SELECT pg_backend_pid()')
		blocker.query('BEGIN; LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE')
		if self.tool.migrate_as_one:
			self.one_transaction_is_told(queue, gate)
		if self.tool.migrate_as_one == self.tool.migrate: # it has no other way
			self.keep(queue)
			self.passes('gate/queue', 'a migration queues a job')
			self.keep(gate)
		else:
			self.keep(queue, gate)
		self.fails('gate/too early', 'require() in the next migration fails while the job is not done',
			'has not succeeded: it is')
		self.wait_for("SELECT count(*) = 1 FROM safe_migrate.progress WHERE condition = 'waiting for a lock'")
		self.fails('gate/waiting', 'what require() says names who is in the way',
			f'waiting for a lock: process {pid} holds a lock on the table')
		blocker.close()
		self.wait_for("SELECT bool_and(state = 'succeeded') FROM safe_migrate.jobs")
		self.passes('gate/done', 'require() lets the next migration pass once the job is done')

	# As the tool comes, where it has one transaction around all that is to be done.
	def one_transaction_is_told(self, queue, gate):
		before = self.state()
		self.project.place(queue, gate)
		self.fails('gate/one transaction', 'require() in the transaction that queued the job says what is wrong',
			'Let the migration tool commit each migration by itself', command=self.tool.migrate_as_one)
		self.report.check(self.state() == before, 'nothing of that is left')
		self.project.remove(queue, gate)

	def trap(self, name, sql, atomic, wanted):
		before = self.state()
		migration = self.migration('trap', name, self.tool.sql(sql), atomic)
		self.project.place(migration)
		self.fails(f'trap/{name}', f'trap {name}: the error says what is wrong', *wanted)
		self.report.check(self.state() == before, f'trap {name}: nothing is half done')
		self.project.remove(migration)


def difference(one, other):
	ones, others = one.splitlines(), other.splitlines()
	return '\n'.join([f'- {line}' for line in ones if line not in others] + [f'+ {line}' for line in others if line not in ones]
		or ['the same lines in another order'])


def walk(tool, world):
	report = Report(tool.name)
	start = time.monotonic()
	try:
		Walk(tool, world, report).all()
	except Broken:
		report.check(False, 'the test runs to its end')
	except Exception:  # pylint: disable=broad-except
		report.check(False, 'the test runs to its end', traceback.format_exc())
	report.seconds = time.monotonic() - start
	return report
