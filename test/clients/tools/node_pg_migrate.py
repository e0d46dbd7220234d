from cases import TRAP, TRAP_OF_TWO, TRAPPED

from .base import indented
from .node import NodeTool, node

FIRST = """
pgm.createTable('customers', {
  id: { type: 'bigserial', primaryKey: true },
  name: { type: 'text', notNull: true },
});
pgm.createTable('orders', {
  id: { type: 'bigserial', primaryKey: true },
  customer_no: { type: 'integer', notNull: true },
  status: { type: 'varchar(20)', notNull: true },
  amount: { type: 'integer', notNull: true },
  note: { type: 'text' },
  remark: { type: 'text' },
});
"""

COLUMNS = """
pgm.addColumns('orders', {
  comment: { type: 'text' },
  priority: { type: 'integer', notNull: true, default: 0 },
});
pgm.alterColumn('orders', 'status', { type: 'varchar(40)' });
"""

CONCURRENTLY = "pgm.createIndex('orders', 'customer_no', { name: 'order_customer_no', concurrently: true });"

UNSAFE = {
	'index': "pgm.createIndex('orders', 'status', { name: 'order_status' });",
	'not_null': "pgm.alterColumn('orders', 'note', { notNull: true });",
	'foreign_key': """
pgm.addColumns('orders', { customer_id: { type: 'bigint' } });
pgm.createIndex('orders', 'customer_id', { name: 'order_customer_id' });
pgm.addConstraint('orders', 'order_customer', {
  foreignKeys: { columns: 'customer_id', references: 'customers(id)' },
});
""",
	'check': "pgm.addConstraint('orders', 'order_amount', { check: 'amount >= 0' });",
	'unique': "pgm.addConstraint('orders', 'order_once', { unique: ['customer_no', 'amount'] });",
	'unique_column': """
pgm.addColumns('orders', { code: { type: 'varchar(20)' } });
pgm.addConstraint('orders', 'order_code', { unique: 'code' });
""",
	'type': "pgm.alterColumn('orders', 'amount', { type: 'bigint' });",
	'remove': "pgm.dropColumns('orders', 'remarks');",
	'update': "pgm.sql('UPDATE orders SET priority = 1');",
}


class NodePgMigrate(NodeTool):
	name = 'node-pg-migrate'
	migrate_as_one = node('node-pg-migrate/bin/node-pg-migrate.js', 'up')
	migrate = [*migrate_as_one, '--no-single-transaction']
	records = 'SELECT name FROM pgmigrations ORDER BY id'
	forget = "DELETE FROM pgmigrations WHERE name LIKE '%{name}'"
	call = 'pgm.sql'
	first, unsafe = FIRST, UNSAFE
	safe = [('columns', COLUMNS, True), ('concurrently', CONCURRENTLY, False),
		('rename', "pgm.renameColumn('orders', 'remark', 'remarks');", True)]
	traps = {
		'wait_in_transaction': (TRAP, True, [TRAPPED]),
		'two_statements': (TRAP_OF_TWO, False, [TRAPPED]),
	}

	def path(self, migration):
		return f'migrations/{1700000000000 + migration.number}_{migration.name}.js' # a time

	def text(self, migration):
		return ('exports.up = (pgm) => {\n'
			+ ('' if migration.atomic else '  pgm.noTransaction();\n')
			+ f'{indented(migration.body, "  ")}\n}};\n\nexports.down = false;\n')
