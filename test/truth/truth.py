#!/usr/bin/env python3
"""Runs DDL for real, and holds what was observed against safe_migrate.explain().

One line a statement: 'ok N - family: statement' or 'not ok …' with what explain() missed.  It may
over-estimate where the file `differences` says why; it may never under-estimate."""
import argparse
import os
import re
import sys
import time

from compare import Comparison, read_explain
from differences import Differences
from gate import Gate
from hints import HintTest
from observe import MODES, Catalog, observe
from pairs import pair_families
from rows import RowTest
from top_level import observe_top_level
from wire import Connection, Gone, SqlError, literal

HERE = os.path.dirname(os.path.abspath(__file__))
EXPLAIN = 'SELECT relation::text, lock::text, effect::text, bytes, verdict::text, rule::text, reason FROM safe_migrate.explain({})'


class Case:
	"""A statement, with what the line before it says: --@ pg >= 17, fails, top level, apart (its strong
	locks are given back before it does its work), set x = 'y'; of rows: inside (what it writes is written by what it calls), indirect (also), inexact (the planner's
	estimate is off)."""

	def __init__(self, sql, directives=''):
		self.sql = sql
		self.fails = False
		self.top_level = False
		self.inside = self.indirect = self.inexact = self.apart = False
		self.settings = []
		self.versions = []
		for one in filter(None, (d.strip() for d in directives.split(','))):
			version = re.fullmatch(r'pg (>=|<) (\d+)', one)
			if version:
				self.versions.append((version[1], int(version[2])))
			elif one == 'fails':
				self.fails = True
			elif one == 'top level':
				self.top_level = True
			elif one in ('inside', 'indirect', 'inexact', 'apart'):
				setattr(self, one, True)
			elif one.startswith('set '):
				self.settings.append(one)
			else:
				raise ValueError(f'unknown directive: {one}')

	def is_for(self, major):
		return all(major >= n if how == '>=' else major < n for how, n in self.versions)

	@property
	def text(self):
		return ' '.join([f'[{s}]' for s in self.settings] + [' '.join(self.sql.split())])


class Family:
	def __init__(self, name, fixture, cases):
		self.name, self.fixture, self.cases = name, fixture, cases


def read_family(path):
	parts, current, directives, sql = ([], []), 0, '', []
	with open(path, encoding='utf-8') as file:
		for line in file:
			if line.startswith('--@'):
				directives = line[3:].strip()
			elif line.startswith('-- statements'):
				current = 1
			elif line.startswith('--') or (not line.strip() and not sql):
				continue
			else:
				sql.append(line)
				if line.rstrip().endswith(';'):
					parts[current].append(Case(''.join(sql).strip().rstrip(';'), directives))
					directives, sql = '', []
	return Family(os.path.basename(path)[:-4], *parts)


def is_held_against(said):
	return any(s.verdict != 'allow' for s in said)


def is_said_to_fail(said):
	return any(s.reason.startswith('would fail: ') for s in said)


def is_refusal_to_drop(error):
	return error.sqlstate == '2BP01' or 'cannot drop inherited column' in str(error)


class Run:
	def __init__(self, arguments):
		self.arguments = arguments
		self.admin = self.connect('postgres')
		self.major = int(self.admin.value('SHOW server_version_num')) // 10000
		self.explains = None
		self.differences = Differences(os.path.join(HERE, 'differences'), self.major)
		self.number = self.failed = self.overs = self.unders = self.compared = self.refused = 0

	def connect(self, database, **settings):
		return Connection(self.arguments.socket_dir, database, port=self.arguments.port, **settings)

	def open_database(self, family):
		"""A database with the family's tables; a session in which the guard is off."""
		self.admin.query('DROP DATABASE IF EXISTS truth WITH (FORCE)')
		self.admin.query("CREATE DATABASE truth TEMPLATE template0 ENCODING 'UTF8'")
		for role, in self.admin.rows("SELECT quote_ident(rolname) FROM pg_roles WHERE rolname LIKE 'truth%'"):
			self.admin.query(f'DROP ROLE {role}')
		session = self.connect('truth')
		session.query('CREATE EXTENSION safe_migrate')
		session.query("SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'safe_migrate.guard'")
		session.query("SET vacuum_cost_delay = 0; SET max_parallel_maintenance_workers = 0")
		for case in family.fixture:
			if case.is_for(self.major):
				try:
					session.query(case.sql)
				except SqlError as error:
					raise SystemExit(f'fixture of {family.name}: {error}\n{case.sql}') from error
		self.explains = session.value("SELECT count(*) > 0 FROM pg_proc WHERE proname = 'explain' AND pronamespace = 'safe_migrate'::regnamespace") == 't'
		asker = self.connect('truth')
		if self.explains:
			# What is small passes for that; here everything is as large as it gets.
			asker.query("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'safe_migrate.small_table_size'")
		return session, asker

	def fresh(self, family):
		session, asker = self.open_database(family)
		catalog = Catalog(session)
		session.close()
		asker.close()
		return catalog

	def ask(self, asker, case, catalog):
		"""What explain() says, and what it left behind: (said, error, complaint)."""
		asker.query('BEGIN')
		for setting in case.settings:
			asker.query(setting.replace('set ', 'SET LOCAL ', 1))
		said, error, complaint = None, None, None
		try:
			said = read_explain(asker.rows(EXPLAIN.format(literal(case.sql))), catalog)
			left = asker.rows("""SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid()
				AND locktype = 'relation' AND relation >= 16384 AND mode <> 'AccessShareLock'""")
			if left:
				complaint = f'explain() left locks: {left}'
		except SqlError as problem:
			error = problem
		asker.query('ROLLBACK')
		return said, error, complaint

	def run_rows(self, family):
		session, asker = self.open_database(family)
		asker.query("SET lock_timeout = '1s'")
		catalog = Catalog(session)
		gate = Gate(self.connect, catalog)
		test = RowTest(session, asker, gate, catalog)
		for case in family.cases:
			if not case.is_for(self.major) or not re.search(self.arguments.match, case.text, re.I):
				continue
			refused, found = test.check(case)
			self.refused += refused
			self.compared += not refused
			problems, notes = [], []
			for one in found:
				self.unders += one.startswith('under')
				self.overs += one.startswith('over')
				reason = self.differences.reason(family.name, case.text, one[6:]) if one.startswith('over: ') else None
				(notes if reason else problems).append(one + (f' -- {reason}' if reason else ''))
			self.report(family, case, problems, notes, None)
		for connection in (session, asker, gate):
			connection.close()

	def run_family(self, family):
		if family.name.startswith('rows'):
			return self.run_rows(family)
		if any(case.top_level for case in family.cases):
			return self.run_top_level(family)
		session, asker = self.open_database(family)
		asker.query("SET lock_timeout = '1s'")
		catalog = Catalog(session)
		gate = Gate(self.connect, catalog) if self.explains else None
		for case in family.cases:
			if not case.is_for(self.major) or not re.search(self.arguments.match, case.text, re.I):
				continue
			said, error, complaint, problems = None, None, None, []
			if gate:
				said, error, complaint = gate.held(lambda c=case: self.ask(asker, c, catalog))
			seen = observe(session, case.sql, catalog, ';'.join(s.replace('set ', 'SET LOCAL ', 1) for s in case.settings))
			if complaint:
				problems.append(complaint)
			if gate:
				problems += gate.against(case, said, seen)
			self.judge(family, case, catalog, seen, said, error, problems)
		for connection in (session, asker, gate):
			if connection:
				connection.close()

	def run_top_level(self, family):
		"""Each on tables of its own; the gate is not asked, as what passes there can't be taken back."""
		for case in family.cases:
			if not case.is_for(self.major) or not re.search(self.arguments.match, case.text, re.I):
				continue
			session, asker = self.open_database(family)
			catalog = Catalog(session)
			asker.query("SET lock_timeout = '1s'")
			said, error, complaint = None, None, None
			if self.explains:
				gate = Gate(self.connect, catalog)
				said, error, complaint = gate.held(lambda c=case, a=asker, t=catalog: self.ask(a, c, t))
				gate.close()
			seen = observe_top_level(self.connect, lambda: self.fresh(family), session, case.sql, catalog)
			self.judge(family, case, catalog, seen, said, error, [complaint] if complaint else [])
			session.close()
			asker.close()

	def run_hints(self, families):
		pasted = 0
		for family in families:
			session, asker = self.open_database(family)
			test = HintTest(session, asker)
			for case in family.cases:
				if case.top_level or not case.is_for(self.major) or not re.search(self.arguments.match, case.text, re.I):
					continue
				problems = test.check(case)
				pasted += problems is not None
				if problems:
					self.report(Family(f'hints of {family.name}', [], []), case, problems, [], None)
			session.close()
			asker.close()
		self.number += 1
		print(f'ok {self.number} - hints: {pasted} were pasted')

	def judge(self, family, case, catalog, seen, said, error, problems):
		notes = []
		if case.fails is not None and bool(seen.error) != case.fails:
			problems.append(f'the statement itself: {seen.error}' if seen.error else 'it was to fail, and did not')
		if self.arguments.observe or (problems and not self.explains):
			self.show(seen, catalog)
		if seen.error:
			self.refused += 1
			if said and is_refusal_to_drop(seen.error) and is_held_against(said) and not is_said_to_fail(said):
				problems.append('over: something is held against what the server refuses')
		elif self.explains:
			self.compared += 1
			if error:
				problems.append(f'under: explain() raised {error}')
				self.unders += 1
			else:
				found = Comparison(catalog, seen, said, case.apart)
				self.unders += len(found.under)
				self.overs += len(found.over)
				problems += [f'under: {one}' for one in found.under]
				for one in found.over:
					reason = self.differences.reason(family.name, case.text, one)
					(notes if reason else problems).append(f'over: {one}' + (f' -- {reason}' if reason else ''))
		self.report(family, case, problems, notes, said)

	def report(self, family, case, problems, notes, said):
		self.number += 1
		self.failed += bool(problems)
		print(f"{'not ok' if problems else 'ok'} {self.number} - {family.name}: {case.text}")
		for note in notes:
			print(f'#   excused {note}')
		for problem in problems:
			print(f'#   {problem}')
		if problems and said is not None:
			for one in said:
				print(f'#      said: {one.name} | {MODES[one.lock]} | {one.effect} | {one.bytes} | {one.verdict} | {one.rule}')
		sys.stdout.flush()

	def show(self, seen, catalog):
		def names(oids):
			return ', '.join(sorted(catalog.relations[o].qualified for o in oids))
		if seen.error:
			print(f'# failed: {seen.error}')
			return
		for oid, mode in sorted(seen.locks.items()):
			if mode > 1 and catalog.relations[oid].kind != 't':
				print(f'# {MODES[mode]} on {catalog.relations[oid].qualified} ({catalog.relations[oid].kind})')
		for what in ('rewritten', 'emptied', 'scanned', 'maybe_scanned', 'gone', 'renamed', 'columns_gone', 'retyped'):
			if getattr(seen, what):
				print(f'# {what}: {names(getattr(seen, what))}')
		for oid, indexes in seen.built.items():
			print(f'# built on {catalog.relations[oid].qualified}: {", ".join(sorted(indexes))}')

	def finish(self, whole):
		for unused in self.differences.unused() if whole else []:
			self.number += 1
			self.failed += 1
			print(f'not ok {self.number} - difference that is none any more: {unused}')
		self.admin.query('DROP DATABASE IF EXISTS truth WITH (FORCE)')
		print(f'1..{self.number}')
		print(f'# PostgreSQL {self.major}: {self.number} statements, {self.compared} compared, {self.refused} refused by the server, '
			f'{self.unders} under-estimates, {self.overs} over-estimates ({self.differences.used} excused)')
		return 1 if self.failed else 0


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument('--socket-dir', required=True)
	parser.add_argument('--port', type=int, default=5432)
	parser.add_argument('--observe', action='store_true', help='print what was observed')
	parser.add_argument('--match', default='', help='only statements that match this regular expression')
	parser.add_argument('families', nargs='*')
	run = Run(parser.parse_args())
	wanted = run.arguments.families
	folder = os.path.join(HERE, 'cases')
	families = [read_family(os.path.join(folder, name)) for name in sorted(os.listdir(folder)) if name.endswith('.sql')]
	written = list(families)
	families += pair_families(run, Family, Case)
	for family in families:
		if not wanted or any(name in family.name for name in wanted):
			start = time.monotonic()
			try:
				run.run_family(family)
			except (Gone, OSError) as error:
				run.failed += 1
				run.number += 1
				print(f'not ok {run.number} - {family.name}: the server went away: {error}')
				time.sleep(3)
				run.admin = run.connect('postgres')
			print(f'# {family.name}: {time.monotonic() - start:.1f} s')
	if not wanted or 'hints' in wanted:
		start = time.monotonic()
		run.run_hints(written)
		print(f'# hints: {time.monotonic() - start:.1f} s')
	return run.finish(not wanted and not run.arguments.match)


if __name__ == '__main__':
	sys.exit(main())
