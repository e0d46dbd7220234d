from cases import TRAP, TRAP_OF_TWO, TRAPPED

from .base import Tool, indented

FIRST = """
create_table :customers do |t|
  t.text :name, null: false
end
create_table :orders do |t|
  t.integer :customer_no, null: false
  t.string :status, limit: 20, null: false
  t.integer :amount, null: false
  t.text :note
  t.text :remark
end
"""

COLUMNS = """
add_column :orders, :comment, :text
add_column :orders, :priority, :integer, default: 0, null: false
change_column :orders, :status, :string, limit: 40
create_table :refunds do |t|
  t.references :order, foreign_key: true
end
"""

CONCURRENTLY = "add_index :orders, :customer_no, name: 'order_customer_no', algorithm: :concurrently"

UNSAFE = {
	'index': "add_index :orders, :status, name: 'order_status'",
	'not_null': 'change_column_null :orders, :note, false',
	'foreign_key': """
add_reference :orders, :customer, index: { name: 'order_customer_id' }, foreign_key: { name: 'order_customer' }
""",
	'check': "add_check_constraint :orders, 'amount >= 0', name: 'order_amount'",
	'unique': "add_index :orders, [:customer_no, :amount], unique: true, name: 'order_once'",
	'unique_column': """
add_column :orders, :code, :string, limit: 20
add_index :orders, :code, unique: true, name: 'order_code'
""",
	'type': 'change_column :orders, :amount, :bigint',
	'remove': 'remove_column :orders, :remarks, :text',
	'update': 'Class.new(ActiveRecord::Base) { self.table_name = :orders }.update_all(priority: 1)',
}

# Its unique is an index, not a constraint.
OTHER = {
	'unique': """
CALL safe_migrate.wait(safe_migrate.create_index_safely(
    'CREATE UNIQUE INDEX order_once ON orders (customer_no, amount)', job_name => 'order_once'))""",
	'unique_column': """
CALL safe_migrate.run($$
    ALTER TABLE orders ADD COLUMN code varchar(20);
    CREATE UNIQUE INDEX order_code ON orders (code);
$$, job_name => 'order_code')""",
}


class Rails(Tool):
	name = 'rails'
	migrate = ['/usr/bin/ruby', 'bin/rails', 'db:migrate']
	records = 'SELECT version FROM schema_migrations ORDER BY version::int'
	forget = "DELETE FROM schema_migrations WHERE version = '{number}'"
	shows_warnings = True
	first, unsafe, other = FIRST, UNSAFE, OTHER
	hints = {'unique': 'SELECT safe_migrate.create_index_safely('}
	safe = [('columns', COLUMNS, True), ('concurrently', CONCURRENTLY, False),
		('rename', 'rename_column :orders, :remark, :remarks', True)]
	traps = {
		'wait_in_transaction': (TRAP, True, [TRAPPED]),
		'two_statements': (TRAP_OF_TWO, False, [TRAPPED]),
	}

	def sql(self, text):
		return f'execute "{text}"' if '\n' not in text else f'execute <<~SQL\n{indented(text, "  ")}\nSQL'

	def path(self, migration):
		return f'db/migrate/{migration.id}.rb'

	def text(self, migration):
		name = ''.join(word.capitalize() for word in migration.name.split('_'))
		return (f'class {name} < ActiveRecord::Migration[6.1]\n'
			+ ('' if migration.atomic else '  disable_ddl_transaction!\n\n')
			+ f'  def change\n{indented(migration.body, "    ")}\n  end\nend\n')
