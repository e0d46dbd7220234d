"""The gate beside explain(): both say the same of a statement, and while others hold tables
explain() waits for none of them."""

AT_COMMIT = ('rename-table', 'rename-column')  # an exchange of names in one transaction is none
ORDER = ('allow', 'warn', 'reject')


class Gate:
	"""Two more sessions of a family's database: one under enforce, one that holds every table."""

	def __init__(self, connect, catalog):
		self.guarded, self.holder = connect('truth'), connect('truth')
		self.guarded.query("SET safe_migrate.guard = enforce; SET safe_migrate.small_table_size = 0; SET statement_timeout = '20s'")
		tables = ', '.join(f'ONLY {r.qualified}' for r in catalog.relations.values() if r.kind in 'rp')
		self.hold = 'BEGIN' + (f'; LOCK TABLE {tables} IN EXCLUSIVE MODE' if tables else '')

	def held(self, ask):
		"""ask() while whatever is stronger than ACCESS SHARE would wait (and give up)."""
		self.holder.query(self.hold)
		try:
			return ask()
		finally:
			self.holder.query('ROLLBACK')

	def judge(self, case):
		"""(verdict, rule, the error that is not the guard's)"""
		self.guarded.query(';'.join(['BEGIN'] + [s.replace('set ', 'SET LOCAL ', 1) for s in case.settings]))
		error = self.guarded.attempt(case.sql)
		warned = any(n.get('C') == 'SM001' for n in self.guarded.notices)
		self.guarded.query('ROLLBACK')
		if error is None:
			return 'warn' if warned else 'allow', None, None
		return ('reject', error.fields.get('n'), None) if error.sqlstate == 'SM001' else (None, None, error)

	def against(self, case, said, seen):
		"""How the gate differs from what explain() said and from what the server did."""
		verdict, rule, error = self.judge(case)
		if error is not None:
			return [] if seen.error else [f'under enforce it fails: {error}']
		if said is None:
			return []
		rules = {s.rule for s in said if s.verdict == 'reject'}
		wanted = max((s.verdict for s in said if s.verdict in ORDER and (s.verdict == 'reject' or s.rule not in AT_COMMIT)),
			key=ORDER.index, default='allow')
		if verdict != wanted or (rule and rule not in rules):
			return [f'the gate: {verdict} {rule or ""}, explain(): {wanted} {", ".join(sorted(rules))}']
		return []

	def close(self):
		self.guarded.close()
		self.holder.close()
