import json
import os

from cases import CASES, OVERRIDE, TRAP, TRAPPED

from .node import NodeTool, node

BREAK = '\n--> statement-breakpoint\n'


# One after the other; Drizzle takes a file apart at the lines between them.
def statements(*texts):
	return BREAK.join(f'{text};' for text in texts)


FIRST = statements('''CREATE TABLE "customers" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"name" text NOT NULL
)''', '''CREATE TABLE "orders" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"customer_no" integer NOT NULL,
	"status" varchar(20) NOT NULL,
	"amount" integer NOT NULL,
	"note" text,
	"remark" text
)''')

COLUMNS = statements(
	'ALTER TABLE "orders" ADD COLUMN "comment" text',
	'ALTER TABLE "orders" ADD COLUMN "priority" integer DEFAULT 0 NOT NULL',
	'ALTER TABLE "orders" ALTER COLUMN "status" SET DATA TYPE varchar(40)')

UNSAFE = {
	'index': statements('CREATE INDEX "order_status" ON "orders" USING btree ("status")'),
	'not_null': statements('ALTER TABLE "orders" ALTER COLUMN "note" SET NOT NULL'),
	'foreign_key': statements(
		'ALTER TABLE "orders" ADD COLUMN "customer_id" bigint',
		'ALTER TABLE "orders" ADD CONSTRAINT "order_customer" FOREIGN KEY ("customer_id") '
		'REFERENCES "public"."customers"("id") ON DELETE no action ON UPDATE no action',
		'CREATE INDEX "order_customer_id" ON "orders" USING btree ("customer_id")'),
	'check': statements('ALTER TABLE "orders" ADD CONSTRAINT "order_amount" CHECK (amount >= 0)'),
	'unique': statements('ALTER TABLE "orders" ADD CONSTRAINT "order_once" UNIQUE("customer_no","amount")'),
	'unique_column': statements(
		'ALTER TABLE "orders" ADD COLUMN "code" varchar(20)',
		'ALTER TABLE "orders" ADD CONSTRAINT "order_code" UNIQUE("code")'),
	'type': statements('ALTER TABLE "orders" ALTER COLUMN "amount" SET DATA TYPE bigint'),
	'remove': statements('ALTER TABLE "orders" DROP COLUMN "remarks"'),
	'update': statements('UPDATE "orders" SET "priority" = 1'),
}


def queued(sql):
	"""The job is queued in the migration's transaction, since it has one whatever it does."""
	if 'safe_migrate.run(' in sql:
		return sql.replace('CALL safe_migrate.run(', 'SELECT safe_migrate.apply(')
	return sql.replace('CALL safe_migrate.wait(', 'SELECT ')[:-1]


class Drizzle(NodeTool):
	name = 'drizzle'
	migrate = migrate_as_one = node('drizzle-kit/bin.cjs', 'migrate')
	generate = node('drizzle-kit/bin.cjs', 'generate', '--name', 'generated')
	generated = [name for name in UNSAFE if name not in ('remove', 'update')] # a drop is asked for: is it a rename?
	records = 'SELECT created_at FROM drizzle.__drizzle_migrations ORDER BY id'
	forget = 'DELETE FROM drizzle.__drizzle_migrations WHERE created_at = {number}'
	waits = False
	first, unsafe = FIRST, UNSAFE
	other = {case.name: queued(case.sql) for case in CASES if case.sql}
	safe = [('columns', COLUMNS, True),
		('concurrently', statements("SELECT safe_migrate.create_index_safely("
			"'CREATE INDEX order_customer_no ON orders (customer_no)')"), True),
		('rename', statements('ALTER TABLE "orders" RENAME COLUMN "remark" TO "remarks"'), True)]
	traps = {'wait_in_transaction': (TRAP, True, [TRAPPED])}

	def sql(self, text):
		return statements(text.strip('\n'))

	def instead(self, case):
		if case.sql:
			return self.sql(self.other[case.name])
		return statements(OVERRIDE) + BREAK + self.unsafe[case.name]

	def path(self, migration):
		return f'migrations/{migration.id}.sql'

	def text(self, migration):
		return migration.body.strip('\n') + '\n'

	# It compares the models with those of its last migration, not with the tables.
	def write_from_models(self, project):
		path = os.path.join(project.folder, 'schema.js')
		with open(path, encoding='utf-8') as file:
			schema = file.read()
		os.rename(os.path.join(project.folder, 'schema_before.js'), path)
		outcome = project.run([*self.generate[:-1], 'before'])
		if outcome.status != 0:
			return outcome
		# what that would make is there
		self.journal(project.folder, lambda entries: [{**entry, 'when': min(entry['when'], 1)} for entry in entries])
		with open(path, 'w', encoding='utf-8') as file:
			file.write(schema)
		return project.run(self.generate)

	# Which there are, and in which order, is written down beside them.
	def journal(self, folder, change):
		path = os.path.join(folder, 'migrations/meta/_journal.json')
		with open(path, encoding='utf-8') as file:
			journal = json.load(file)
		journal['entries'] = change(journal['entries'])
		with open(path, 'w', encoding='utf-8') as file:
			json.dump(journal, file, indent=2)

	def place(self, folder, migration):
		super().place(folder, migration)
		self.journal(folder, lambda entries: [*entries, {
			'idx': migration.number, 'version': '7', 'when': migration.number, 'tag': migration.id, 'breakpoints': True}])

	def remove(self, folder, migration):
		super().remove(folder, migration)
		self.journal(folder, lambda entries: [entry for entry in entries if entry['tag'] != migration.id])
