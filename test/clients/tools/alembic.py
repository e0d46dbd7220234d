from cases import TRAP, TRAP_OF_TWO, TRAPPED

from .base import Tool, indented

FIRST = """
op.create_table(
    'customers',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('id'),
)
op.create_table(
    'orders',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('customer_no', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(length=20), nullable=False),
    sa.Column('amount', sa.Integer(), nullable=False),
    sa.Column('note', sa.Text(), nullable=True),
    sa.Column('remark', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('id'),
)
"""

COLUMNS = """
op.add_column('orders', sa.Column('comment', sa.Text(), nullable=True))
op.add_column('orders', sa.Column('priority', sa.Integer(), server_default='0', nullable=False))
op.alter_column('orders', 'status', existing_type=sa.String(length=20), type_=sa.String(length=40))
"""

CONCURRENTLY = """
op.create_index('order_customer_no', 'orders', ['customer_no'], postgresql_concurrently=True)
"""

RENAME = "op.alter_column('orders', 'remark', new_column_name='remarks')"

UNSAFE = {
	'index': "op.create_index('order_status', 'orders', ['status'], unique=False)",
	'not_null': """
op.alter_column('orders', 'note',
           existing_type=sa.TEXT(),
           nullable=False)
""",
	'foreign_key': """
op.add_column('orders', sa.Column('customer_id', sa.BigInteger(), nullable=True))
op.create_index('order_customer_id', 'orders', ['customer_id'], unique=False)
op.create_foreign_key('order_customer', 'orders', 'customers', ['customer_id'], ['id'])
""",
	'check': "op.create_check_constraint('order_amount', 'orders', 'amount >= 0')",
	'unique': "op.create_unique_constraint('order_once', 'orders', ['customer_no', 'amount'])",
	'unique_column': """
op.add_column('orders', sa.Column('code', sa.String(length=20), nullable=True))
op.create_unique_constraint('order_code', 'orders', ['code'])
""",
	'type': """
op.alter_column('orders', 'amount',
           existing_type=sa.INTEGER(),
           type_=sa.BigInteger(),
           existing_nullable=False)
""",
	'remove': "op.drop_column('orders', 'remarks')",
	'update': "op.execute('UPDATE orders SET priority = 1')",
}


class Alembic(Tool):
	name = 'alembic'
	migrate = ['/usr/bin/python3', '-B', '/usr/bin/alembic', 'upgrade', 'head']
	migrate_as_one = ['/usr/bin/python3', '-B', '/usr/bin/alembic', '-x', 'as_one=yes', 'upgrade', 'head']
	generate = ['/usr/bin/python3', '-B', '/usr/bin/alembic', 'revision', '--autogenerate', '-m', 'generated']
	generated = ['index', 'not_null', 'foreign_key', 'unique', 'unique_column', 'type', 'remove']
	records = 'SELECT version_num FROM alembic_version'
	forget = "UPDATE alembic_version SET version_num = '{previous}'"
	first, unsafe = FIRST, UNSAFE
	safe = [('columns', COLUMNS, True), ('concurrently', CONCURRENTLY, False), ('rename', RENAME, True)]
	traps = {
		'wait_in_transaction': (TRAP, True, [TRAPPED]),
		'two_statements': (TRAP_OF_TWO, False, [TRAPPED]),
	}

	def sql(self, text):
		return f'op.execute("{text}")' if '\n' not in text else f'op.execute("""\n{indented(text, "    ")}\n""")'

	def path(self, migration):
		return f'migrations/versions/{migration.id}.py'

	def text(self, migration):
		body = indented(migration.body, '    ')
		if not migration.atomic:
			body = '    with op.get_context().autocommit_block():\n' + indented(body, '    ')
		return f"""import sqlalchemy as sa
from alembic import op

revision = '{migration.id}'
down_revision = {repr(migration.previous) if migration.previous else None}


def upgrade():
{body}
"""
