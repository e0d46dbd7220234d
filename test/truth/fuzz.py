#!/usr/bin/env python3
"""Statements that nobody wrote, under enforce, for a bounded time; the same
again with the same seed.

Mutations of the statements in cases/ on their own tables, and statements made from a grammar on a
catalog made at random.  No process crashes, judging leaves no memory behind, and nothing passes
that works long under a lock that stops others: what the gate lets pass is run for real and looked
at, and what fails there must fail without it."""
import argparse
import os
import random
import re
import sys
import time

from compare import Comparison, heavy_work
from observe import Catalog, observe
from random_catalog import make_statement, random_family
from truth import HERE, Case, Family, Run, read_family
from wire import Gone, SqlError

DANGEROUS = re.compile(r'\b(DATABASE|ROLE|TABLESPACE|SYSTEM|PROGRAM|TO PROGRAM|DISCARD|LISTEN|BEGIN|COMMIT|ROLLBACK|END|'
	r'PREPARE|guard|COPY|EXPLAIN|VACUUM|CONCURRENTLY|GENERATE_SERIES|pg_sleep)\b', re.I)
TOKEN = re.compile(r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'|\w+|\s+|.', re.S)
WAITS = ('55P03', '40P01', '57014')  # lock_timeout, a deadlock, statement_timeout
WORDS = ['CASCADE', 'ONLY', 'IF EXISTS', 'NOT NULL', 'NOT VALID', 'DEFAULT random()', 'UNIQUE', 'CHECK (true)', 'int',
	'text', 'bigint', 'varchar(7)', 'numeric(4,1)', 'timestamptz', 'NULL', '1', "'x'", 'USING', 'PRIMARY KEY', 'public', '*', ',', '(', ')']


def mutate(statement, others, names, rng):
	tokens = TOKEN.findall(statement)
	for _ in range(rng.randint(1, 3)):
		how = rng.random()
		at = rng.randrange(len(tokens))
		if how < 0.35 and names:
			places = [i for i, token in enumerate(tokens) if token in names]
			if places:
				tokens[rng.choice(places)] = rng.choice(names)
		elif how < 0.5:
			tokens[at] = rng.choice(WORDS)
		elif how < 0.6:
			tokens.insert(at, ' ' + rng.choice(WORDS) + ' ')
		elif how < 0.7 and len(tokens) > 3:
			del tokens[at]
		elif how < 0.8:
			tokens.insert(at, tokens[rng.randrange(len(tokens))])
		else:
			return merge(''.join(tokens), rng.choice(others))
	return ''.join(tokens)


def merge(one, other):
	"""The sub-commands of both, on the table of the first; else one after the other."""
	head = re.match(r'ALTER TABLE (?:IF EXISTS )?(?:ONLY )?("(?:[^"]|"")*"|[\w.]+) ', one)
	tail = re.match(r'ALTER TABLE (?:IF EXISTS )?(?:ONLY )?("(?:[^"]|"")*"|[\w.]+) (.*)', other, re.S)
	if head and tail:
		return f'{one}, {tail[2]}'
	return f'{one}; {other}'


# What the server itself raises without an SQLSTATE of its own.
WITHOUT_SQLSTATE = re.compile('cannot alter constraint .* on relation')


class Fuzz:
	def __init__(self, arguments):
		self.arguments = arguments
		self.rng = None
		self.run = Run(argparse.Namespace(socket_dir=arguments.socket_dir, port=arguments.port, observe=False, match=''))
		self.number = self.failed = 0
		self.counts = {}

	def line(self, fine, text, *more):
		self.number += 1
		self.failed += not fine
		print(f"{'ok' if fine else 'not ok'} {self.number} - {text}")
		for one in more:
			print(f'#   {one}')
		sys.stdout.flush()

	def statement(self, session, guarded, asker, catalog, sql):
		"""One statement three times: asked about, under enforce, and for real where enforce does not reject it."""
		said, error, complaint = self.run.ask(asker, Case(sql), catalog)
		guarded.query('BEGIN')
		refusal = guarded.attempt(sql)
		guarded.query('ROLLBACK')
		outcome = 'passed' if refusal is None else 'rejected' if refusal.sqlstate == 'SM001' else 'failed'
		self.counts[outcome] = self.counts.get(outcome, 0) + 1
		problems = [complaint] if complaint else []
		if outcome == 'failed' and refusal.sqlstate.startswith('XX') and not WITHOUT_SQLSTATE.search(str(refusal)):
			problems.append(f'internal error: {refusal}')
		if outcome != 'rejected':
			problems += self.for_real(session, catalog, sql, said, refusal)
		if problems:
			self.line(False, f'{" ".join(sql.split())}', *problems, *[f'said: {s}' for s in said or []])

	def for_real(self, session, catalog, sql, said, refusal):
		"""What it does where the guard is off, against what the gate made of it, whatever explain() said."""
		seen = observe(session, sql, catalog, "SET LOCAL statement_timeout = '5s'")
		if refusal is not None:
			fine = seen.error is not None or refusal.sqlstate in WAITS
			return [] if fine else [f'passes with the guard off, under enforce it fails: {refusal}']
		if seen.error is not None:
			return []
		heavy = heavy_work(catalog, seen)
		if said is not None and ';' not in sql:
			under = [u for u in Comparison(catalog, seen, said).under if not u.startswith('verdict')]
			if under and not heavy:
				print(f'# not said: {sql}: {"; ".join(under)}')
		return [f'passed under enforce: it {heavy}'] if heavy else []

	def family(self, family, make, until):
		"""Up to so many statements; in what order is the seed's and the family's alone."""
		self.rng = random.Random(f'{self.arguments.seed} {family.name}')
		session, asker = self.run.open_database(family)
		guarded = self.run.connect('truth')
		guarded.query("SET safe_migrate.guard = enforce; SET safe_migrate.small_table_size = 0; SET statement_timeout = '5s'")
		catalog = Catalog(session)
		n = 0
		sql = ''
		try:
			while n < self.arguments.statements and time.monotonic() < until:
				sql = make(catalog)
				if not sql.strip() or DANGEROUS.search(sql):
					continue
				n += 1
				self.statement(session, guarded, asker, catalog, sql)
		except (Gone, OSError) as error:
			self.line(False, f'fuzz {family.name}: the server went away at: {sql}', str(error))
			time.sleep(5)
			self.run.admin = self.run.connect('postgres')
			return
		for connection in (session, asker, guarded):
			connection.close()
		self.line(True, f'fuzz {family.name}: {n} statements')

	def leaks(self, family):
		"""The session's memory is what it was after thousands of judged statements."""
		session, asker = self.run.open_database(family)
		asker.close()
		session.query("SET safe_migrate.guard = enforce; SET safe_migrate.small_table_size = 0")
		statements = ['ALTER TABLE t ALTER a TYPE varchar(3)', 'ALTER TABLE t ADD COLUMN z int', 'CREATE INDEX z ON t (a)',
			'ALTER TABLE p ALTER v SET NOT NULL', 'DROP TABLE parent CASCADE', "SELECT count(*) FROM safe_migrate.explain('ALTER TABLE p ADD z serial')"]
		sizes = []
		for _ in range(3):
			for _ in range(150):
				for sql in statements:
					session.query('BEGIN')
					session.attempt(sql)
					session.query('ROLLBACK')
			sizes.append(int(session.value('SELECT sum(total_bytes) FROM pg_backend_memory_contexts')))
		session.close()
		self.line(sizes[2] - sizes[1] < 256 * 1024, 'fuzz: judging leaves no memory behind', f'bytes after 900, 1800, 2700 statements: {sizes}')

	def all(self):
		folder = os.path.join(HERE, 'cases')
		families = [read_family(os.path.join(folder, name)) for name in sorted(os.listdir(folder))
			if name.endswith('.sql') and not name.startswith('top')]
		self.leaks(next(f for f in families if f.name == 'add_column'))
		rounds = len(families) * 2
		share = self.arguments.seconds / rounds
		for family in families:
			texts = [c.sql for c in family.cases if c.is_for(self.run.major)]
			self.family(family, lambda catalog, t=texts: mutate(self.rng.choice(t), t,
				[r.quoted for r in catalog.relations.values() if r.schema != 'pg_toast'], self.rng), time.monotonic() + share)
		for i in range(len(families)):
			made = random_family(random.Random(f'{self.arguments.seed} catalog {i}'), i, Family, Case)
			self.family(made, lambda catalog: make_statement(self.rng, catalog), time.monotonic() + share)
		print(f'1..{self.number}')
		print(f'# PostgreSQL {self.run.major}: seed {self.arguments.seed}: {self.counts}')
		return 1 if self.failed else 0


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument('--socket-dir', required=True)
	parser.add_argument('--port', type=int, default=5432)
	parser.add_argument('--seconds', type=float, default=30)
	parser.add_argument('--statements', type=int, default=80, help='of each family, where the time is enough')
	parser.add_argument('--seed', type=int, default=1)
	return Fuzz(parser.parse_args()).all()


if __name__ == '__main__':
	sys.exit(main())
