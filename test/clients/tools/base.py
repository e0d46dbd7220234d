"""What there is to say of a tool, and how its migrations come to be files of its project."""
import os
import textwrap
from dataclasses import dataclass

from cases import OVERRIDE


@dataclass
class Migration:
	number: int
	name: str
	body: str  # in the tool's own words
	previous: str = ''  # id of the one before it
	atomic: bool = True  # in a transaction of the tool's

	@property
	def id(self):
		return f'{self.number:04}_{self.name}'


def indented(text, by):
	return textwrap.indent(text.strip('\n'), by)


class Tool:
	name = ''
	environment = {}
	migrate = []
	migrate_as_one = None  # the same, where one transaction around all of them is the tool's default
	generate = None  # writes a migration from the models, if the tool can
	generated = ()  # the unsafe ones that are in it
	records = ''  # query: which migrations have been run
	forget = ''  # statement: the last one, {id}, has not; {previous} is the one before it
	shows_warnings = False
	waits = True  # can it leave out its transaction, so that a migration can wait for its job?
	first = ''
	safe = []  # (name, body, atomic)
	unsafe = {}  # case: body
	other = {}  # case: SQL that names or types things as the tool does
	hints = {}  # case: what the HINT says where the tool writes something else than others
	traps = {}  # name: (SQL, atomic, what is printed)

	def sql(self, text):
		"""A statement, in the tool's words."""
		raise NotImplementedError

	def instead(self, case):
		if not case.sql:
			return self.sql(OVERRIDE) + '\n' + self.unsafe[case.name].strip('\n')
		return self.sql(self.other.get(case.name, case.sql))

	def path(self, migration):
		"""Of its file in the project."""
		raise NotImplementedError

	def text(self, migration):
		"""Of that file."""
		raise NotImplementedError

	def place(self, folder, migration):
		path = os.path.join(folder, self.path(migration))
		os.makedirs(os.path.dirname(path), exist_ok=True)
		with open(path, 'w', encoding='utf-8') as file:
			file.write(self.text(migration))

	def remove(self, folder, migration):
		os.remove(os.path.join(folder, self.path(migration)))

	def write_from_models(self, project):
		return project.run(self.generate)

	def see_schema(self, walk):
		"""Does the tool find in the database what it expects?"""
