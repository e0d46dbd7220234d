from cases import TRAP, TRAP_OF_TWO, TRAPPED

from .base import indented
from .node import NodeTool, node

FIRST = """
await knex.schema.createTable('customers', (table) => {
  table.bigIncrements('id');
  table.text('name').notNullable();
});
await knex.schema.createTable('orders', (table) => {
  table.bigIncrements('id');
  table.integer('customer_no').notNullable();
  table.string('status', 20).notNullable();
  table.integer('amount').notNullable();
  table.text('note');
  table.text('remark');
});
"""

# alter() by itself drops NOT NULL and sets it again, which reads the table.
COLUMNS = [
	"table.text('comment')",
	"table.integer('priority').notNullable().defaultTo(0)",
	"table.string('status', 40).alter({ alterNullable: false })",
]

CONCURRENTLY = "await knex.raw('CREATE INDEX CONCURRENTLY order_customer_no ON orders (customer_no)');"


def altered(*lines):
	body = '\n'.join(f'  {line};' for line in lines)
	return f"await knex.schema.alterTable('orders', (table) => {{\n{body}\n}});"


UNSAFE = {
	'index': altered("table.index(['status'], 'order_status')"),
	'not_null': altered("table.dropNullable('note')"),
	'foreign_key': altered("table.bigInteger('customer_id').index('order_customer_id')"
		+ ".references('customers.id').withKeyName('order_customer')"),
	'check': altered("table.check('amount >= 0', [], 'order_amount')"),
	'unique': altered("table.unique(['customer_no', 'amount'], { indexName: 'order_once' })"),
	'unique_column': altered("table.string('code', 20).unique({ indexName: 'order_code' })"),
	'type': altered("table.bigInteger('amount').alter({ alterNullable: false })"),
	'remove': altered("table.dropColumn('remarks')"),
	'update': "await knex('orders').update({ priority: 1 });",
}


class Knex(NodeTool):
	name = 'knex'
	migrate = migrate_as_one = node('knex/bin/cli.js', 'migrate:latest')
	records = 'SELECT name FROM knex_migrations ORDER BY id'
	forget = "DELETE FROM knex_migrations WHERE name = '{id}.js'"
	call = 'await knex.raw'
	first, unsafe = FIRST, UNSAFE
	safe = [('columns', altered(*COLUMNS), True),
		('concurrently', CONCURRENTLY, False), ('rename', altered("table.renameColumn('remark', 'remarks')"), True)]
	traps = {
		'wait_in_transaction': (TRAP, True, [TRAPPED]),
		'two_statements': (TRAP_OF_TWO, False, [TRAPPED]),
	}

	def text(self, migration):
		return (f'exports.up = async (knex) => {{\n{indented(migration.body, "  ")}\n}};\n\n'
			+ 'exports.down = () => {\n  throw new Error("there is no way back");\n};\n'
			+ ('' if migration.atomic else '\nexports.config = { transaction: false };\n'))
