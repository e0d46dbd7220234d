"""The HINT of each statement that the guard rejects, pasted: what it calls is accepted.

Everything is taken back, so that a call gets as far as queuing its job.  Lines with something to
fill in, and names that stand for others, are none to paste."""
import re

CALL = re.compile(r'^SELECT safe_migrate\..*?;(?= -- |$)', re.M | re.S)
SETTINGS = """SET safe_migrate.guard = enforce; SET safe_migrate.small_table_size = 0; SET safe_migrate.inline = never;
	SET client_min_messages = warning; SET statement_timeout = '20s'"""
OVERRIDE = "SET LOCAL safe_migrate.override = 'it is a test'"


def calls_of(error):
	hint = (error.fields.get('H') or '').split('\nTo do it all the same')[0]
	if 'Instead:\n' not in hint or '…' in hint:
		return []
	return [call for call in CALL.findall(hint.split('Instead:\n', 1)[1]) if "'new_column = " not in call]


class HintTest:
	"""One family; the guard is off in plain, where one sees what the server refuses anyway."""

	def __init__(self, plain, guarded):
		self.plain, self.guarded = plain, guarded
		guarded.query(SETTINGS)

	def attempt(self, session, case, statements):
		"""The first error, in a transaction that is rolled back; (statement, error)."""
		session.query('BEGIN')
		for setting in case.settings:
			session.query(setting.replace('set ', 'SET LOCAL ', 1))
		found = next(((one, error) for one, error in ((s, session.attempt(s)) for s in statements) if error), (None, None))
		session.query('ROLLBACK')
		return found

	def check(self, case):
		"""None where there is nothing to paste, else problems."""
		_, rejected = self.attempt(self.guarded, case, [case.sql])
		calls = calls_of(rejected) if rejected is not None and rejected.sqlstate == 'SM001' else []
		if not calls:
			return None
		call, error = self.attempt(self.guarded, case, [OVERRIDE] + calls)
		if error is None or self.attempt(self.plain, case, [case.sql])[1] is not None:
			return []
		return [f"{rejected.fields.get('n')}: {call}", f'fails: {error}']
