"""UPDATE, DELETE and MERGE: what was written, against what explain() says and what the gate does.

Rows that were updated or deleted are counted by the server (pg_stat_xact_user_tables).  The tables
of cases/rows*.sql are made so that every condition leaves some row out: a statement writes all rows
of a table where nothing in it keeps them out, and nowhere else."""
from compare import read_explain
from observe import LOCKS, MODES, strongest
from wire import SqlError, literal

EXPLAIN = 'SELECT relation::text, lock::text, effect::text, bytes, verdict::text, rule::text, reason FROM safe_migrate.explain({})'
WRITTEN = 'SELECT relid, n_tup_upd + n_tup_del FROM pg_stat_xact_user_tables WHERE n_tup_upd + n_tup_del > 0'
ALL_ROWS = ('update-without-where', 'delete-without-where')
ESTIMATES = "SET LOCAL safe_migrate.rule_levels = 'update-without-where=allow, delete-without-where=allow'; " \
	'SET LOCAL safe_migrate.max_rows_per_statement = {}'
ROW_EXCLUSIVE = MODES.index('RowExclusiveLock')


class Written:
	"""A statement was run, and taken back."""

	def __init__(self, session, sql, catalog, counts):
		session.query('BEGIN')
		before = dict(session.rows(WRITTEN))
		self.error = session.attempt(sql)
		if self.error is None:
			self.rows = {int(oid): int(n) - int(before.get(oid, 0)) for oid, n in session.rows(WRITTEN)}
			self.all = {oid for oid, n in self.rows.items() if counts.get(oid, 0) and n >= counts[oid]}
			self.locks = strongest(session.rows(LOCKS), catalog)
		session.query('ROLLBACK')

	def total(self):
		"""By all parts of it together."""
		return sum(self.rows.values())


class RowTest:
	"""One family; the guard is off in session, as large as it gets is every table in the others."""

	def __init__(self, session, asker, gate, catalog):
		self.session, self.asker, self.gate, self.guarded, self.catalog = session, asker, gate, gate.guarded, catalog
		self.counts = {oid: int(session.value(f'SELECT count(*) FROM ONLY {r.qualified}'))
			for oid, r in catalog.relations.items() if r.kind == 'r'}
		self.tidy = 'VACUUM ' + ', '.join(r.qualified for r in catalog.relations.values() if r.kind == 'r')

	def said(self, case, settings=''):
		self.asker.query('BEGIN;' + settings)
		try:
			return read_explain(self.gate.held(lambda: self.asker.rows(EXPLAIN.format(literal(case.sql)))), self.catalog)
		finally:
			self.asker.query('ROLLBACK')

	def refused(self, case, settings=''):
		"""Name of the rule by which the gate rejects it; an error of its own as it is; else None."""
		self.guarded.query('BEGIN;' + settings)
		error = self.guarded.attempt(case.sql)
		self.guarded.query('ROLLBACK')
		return None if error is None else error.fields.get('n') if error.sqlstate == 'SM001' else error

	def check(self, case):
		"""(refused by the server, problems)"""
		seen = Written(self.session, case.sql, self.catalog, self.counts)
		self.session.query(self.tidy) # what was written and taken back would be estimated, too
		if seen.error:
			return True, [] if case.fails else [f'the statement itself: {seen.error}']
		problems = ['it was to fail, and did not'] if case.fails else []
		try:
			if not case.inside:
				problems += self.explained(case, seen, self.said(case))
			problems += self.judged(case, seen)
			if not case.inside and not case.indirect and not case.inexact:
				problems += self.counted(case, seen)
		except SqlError as error:
			problems.append(f'under: explain() raised {error}')
		return False, problems

	def name(self, oid):
		return self.catalog.relations[oid].qualified

	def explained(self, case, seen, said):
		told = {s.relation.oid: s for s in said if s.relation and s.rule in ALL_ROWS}
		problems = [f'under: all rows of {self.name(oid)} are written, which is not said' for oid in seen.all
			if not case.indirect and not self.catalog.ancestors(oid) & set(told)]
		if seen.all and 'reject' not in {s.verdict for s in said}:
			problems.append('under: all rows of a table are written, and it is not rejected')
		for oid, one in told.items():
			full = {leaf for leaf in self.catalog.descendants(oid) if self.counts.get(leaf)}
			if full and oid not in seen.all and not full <= seen.all:
				problems.append(f'over: {one.rule} on {self.name(oid)}, of which rows are left out')
		for s in said:
			if s.relation and s.relation.kind != 'v' and s.lock != ROW_EXCLUSIVE:
				problems.append(f'lock of {s.name}: said {MODES[s.lock]}')
			elif s.relation and s.relation.kind in 'rp' and seen.locks.get(s.relation.oid) != ROW_EXCLUSIVE:
				problems.append(f'over: lock of {s.name}: seen {MODES[seen.locks.get(s.relation.oid, 0)]}')
		return problems

	def judged(self, case, seen):
		rule = self.refused(case)
		if isinstance(rule, SqlError):
			return [f'under enforce it fails: {rule}']
		if seen.all and rule not in ALL_ROWS:
			return ['under: all rows of ' + ', '.join(map(self.name, seen.all)) + f' are written, and the gate says {rule}']
		return [f'over: the gate rejects it by {rule}'] if rule and not seen.all else []

	def counted(self, case, seen):
		"""max_rows_per_statement at half and at twice what was written."""
		rows = seen.total()
		problems = []
		for limit, too_many in ((rows // 2, True), (max(2 * rows, 10), False)):
			if limit < 1:
				continue
			rules = {s.rule for s in self.said(case, ESTIMATES.format(limit))}
			rule = self.refused(case, ESTIMATES.format(limit))
			for who, found in (('the gate', rule == 'too-many-rows'), ('explain()', 'too-many-rows' in rules)):
				if found != too_many:
					problems.append(f"{'under' if too_many else 'over'}: {rows} rows are written, the limit is {limit}: {who} says "
						+ ('too many' if found else 'nothing'))
		return problems
