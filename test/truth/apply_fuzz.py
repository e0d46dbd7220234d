#!/usr/bin/env python3
"""Statements that nobody wrote through apply(), for a bounded time; the same again with the same seed.

As apply_regress.py looks at the server's own: what the server carries out is taken, and steps of apply()'s own leave the same schema.
What the server refuses is refused when it is queued, but for some that are only told of here: "told late".  Mutations of the statements in cases/ on their own tables, and statements made from a
grammar on a catalog made at random."""
import argparse
import os
import random
import re
import sys
import time

import apply_regress
from apply_regress import NO_DDL, Run, judge
from fuzz import DANGEROUS, mutate
from observe import Catalog
from random_catalog import make_statement, random_family
from regress_sql import without_comments
from truth import HERE, Case, Family, read_family
from wire import Connection, identifier

apply_regress.ABOUT_ROWS += ('22001',)
# A sub-command about a column that another one drops: each is looked at by itself.
DROPPED = re.compile(r'\bDROP COLUMN\b.*,|, .*\bDROP COLUMN\b', re.I | re.S)


def is_excused(sql, problems):
	if problems[0] == 'another schema:' and all('REFERENCES' in line and line.endswith("|t')") for line in problems[1:]):
		return True # VALIDATE CONSTRAINT marks no copies for the partitions that a key refers to: apply_regress.py
	if '42P07' in problems[0] and re.match(r'CREATE (UNIQUE )?INDEX', sql):
		return True # an equal index is taken for it
	return '42703' in problems[0] and DROPPED.search(sql)


class OnDatabase(Run):
	"""The same two sessions, on the tables of one family."""

	def __init__(self, folder, family, totals):
		self.folder, self.counts = folder, totals
		self.number = self.bad = 0
		self.name = f'apply_{family.name}'
		one = Connection(folder, 'postgres')
		one.query(f'DROP DATABASE IF EXISTS {identifier(self.name)}')
		one.query(f'CREATE DATABASE {identifier(self.name)} TEMPLATE template0')
		one.close()
		self.plain = self.connect()
		self.plain.query('CREATE EXTENSION safe_migrate')
		for case in family.fixture:
			self.plain.attempt(case.sql)
		self.apply = self.connect()

	def connect(self):
		connection = Connection(self.folder, self.name, timeout=120, client_min_messages='error', statement_timeout='20s', lock_timeout='5s')
		for name, value in (('guard', 'off'), ('inline', 'never'), ('small_table_size', '0'), ('ddl_lock_try', '5s')):
			connection.query(f"SET safe_migrate.{name} = '{value}'")
		return connection


def one_family(options, family, make, until, totals):
	"""(statements, those that were judged wrongly)."""
	rng = random.Random(f'{options.seed} {family.name}')
	run = OnDatabase(options.socket_dir, family, totals)
	catalog = Catalog(run.plain)
	n, bad = 0, []
	while n < options.statements and time.monotonic() < until:
		try:
			sql = make(rng, catalog)
		except IndexError: # nothing is left
			break
		if not sql.strip() or ';' in sql or DANGEROUS.search(sql) or NO_DDL.match(without_comments(sql)):
			continue
		n += 1
		problems = judge(run, sql)
		if problems and not is_excused(sql, problems):
			bad.append((' '.join(sql.split()), problems))
		if run.plain.status != 'I':
			run.plain.query('ROLLBACK')
		if n % 10 == 0:
			catalog = Catalog(run.plain)
	run.plain.close()
	run.apply.close()
	return n, bad


def families_of(options, major):
	folder = os.path.join(HERE, 'cases')
	families = [read_family(os.path.join(folder, name)) for name in sorted(os.listdir(folder))
		if name.endswith('.sql') and not name.startswith(('top', 'rows', 'maintenance'))]
	for family in families:
		texts = [c.sql for c in family.cases if c.is_for(major)]
		yield family, lambda rng, catalog, t=texts: mutate(rng.choice(t), t,
			[r.quoted for r in catalog.relations.values() if r.schema != 'pg_toast'], rng)
	for i in range(len(families)):
		yield random_family(random.Random(f'{options.seed} catalog {i}'), i, Family, Case), make_statement


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument('--socket-dir', required=True)
	parser.add_argument('--seconds', type=float, default=120)
	parser.add_argument('--statements', type=int, default=40, help='of each family, where the time is enough')
	parser.add_argument('--seed', type=int, default=1)
	options = parser.parse_args()
	one = Connection(options.socket_dir, 'postgres')
	major = int(one.value('SHOW server_version_num')) // 10000
	one.close()
	pairs = list(families_of(options, major))
	totals, number, failed = {}, 0, 0
	for family, make in pairs:
		n, bad = one_family(options, family, make, time.monotonic() + options.seconds / len(pairs), totals)
		for sql, problems in bad:
			if problems[0].startswith('told late'):
				print(f'# {family.name}: {sql}: {problems[0]}')
				continue
			number += 1
			failed += 1
			print(f'not ok {number} - {family.name}: {sql}', *(f'#   {line}' for line in problems if line), sep='\n')
		number += 1
		print(f'ok {number} - {family.name}: {n} statements', flush=True)
	print(f'1..{number}')
	print(f'# PostgreSQL {major}: seed {options.seed}: ' + ', '.join(f'{n} {what}' for what, n in sorted(totals.items())))
	return 1 if failed else 0


if __name__ == '__main__':
	sys.exit(main())
