from cases import TRAP, TRAP_OF_TWO, TRAPPED

from .base import Tool, indented

FIRST = """
migrations.CreateModel(
    name='Customer',
    fields=[
        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
        ('name', models.TextField()),
    ],
    options={'db_table': 'customers'},
),
migrations.CreateModel(
    name='Order',
    fields=[
        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
        ('customer_no', models.IntegerField()),
        ('status', models.CharField(max_length=20)),
        ('amount', models.IntegerField()),
        ('note', models.TextField(null=True)),
        ('remark', models.TextField(null=True)),
    ],
    options={'db_table': 'orders'},
),
"""

COLUMNS = """
migrations.AddField(
    model_name='order',
    name='comment',
    field=models.TextField(null=True),
),
migrations.AddField(
    model_name='order',
    name='priority',
    field=models.IntegerField(default=0),
),
migrations.AlterField(
    model_name='order',
    name='status',
    field=models.CharField(max_length=40),
),
migrations.CreateModel(
    name='Refund',
    fields=[
        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
        ('amount', models.IntegerField()),
        ('order', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='shop.order')),
    ],
    options={'db_table': 'refunds'},
),
"""

CONCURRENTLY = """
AddIndexConcurrently(
    model_name='order',
    index=models.Index(fields=['customer_no'], name='order_customer_no'),
),
"""

RENAME = """
migrations.RenameField(
    model_name='order',
    old_name='remark',
    new_name='remarks',
),
"""

UNSAFE = {
	'index': """
migrations.AddIndex(
    model_name='order',
    index=models.Index(fields=['status'], name='order_status'),
),
""",
	'not_null': """
migrations.AlterField(
    model_name='order',
    name='note',
    field=models.TextField(default=''),
),
""",
	'foreign_key': """
migrations.AddField(
    model_name='order',
    name='customer',
    field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to='shop.customer'),
),
""",
	'check': """
migrations.AddConstraint(
    model_name='order',
    constraint=models.CheckConstraint(check=models.Q(('amount__gte', 0)), name='order_amount'),
),
""",
	'unique': """
migrations.AddConstraint(
    model_name='order',
    constraint=models.UniqueConstraint(fields=('customer_no', 'amount'), name='order_once'),
),
""",
	'unique_column': """
migrations.AddField(
    model_name='order',
    name='code',
    field=models.CharField(max_length=20, null=True, unique=True),
),
""",
	'type': """
migrations.AlterField(
    model_name='order',
    name='amount',
    field=models.BigIntegerField(),
),
""",
	'remove': """
migrations.RemoveField(
    model_name='order',
    name='remarks',
),
""",
	'update': """
migrations.RunPython(
    lambda apps, schema_editor: apps.get_model('shop', 'Order').objects.update(priority=1),
    migrations.RunPython.noop,
),
""",
}

# Django makes up names from hashes: manage.py sqlmigrate shows them.
OTHER = {
	'foreign_key': """
CALL safe_migrate.run($$
    ALTER TABLE orders ADD COLUMN customer_id bigint
        CONSTRAINT orders_customer_id_b7016332_fk_customers_id
        REFERENCES customers (id) DEFERRABLE INITIALLY DEFERRED;
    CREATE INDEX orders_customer_id_b7016332 ON orders (customer_id);
$$, job_name => 'order_customer')""",
	'unique_column': """
CALL safe_migrate.run($$
    ALTER TABLE orders ADD COLUMN code varchar(20) UNIQUE;
    CREATE INDEX orders_code_fecb6bd8_like ON orders (code varchar_pattern_ops);
$$, job_name => 'order_code')""",
}


class Django(Tool):
	name = 'django'
	migrate = ['/usr/bin/python3', '-B', 'manage.py', 'migrate']
	generate = ['/usr/bin/python3', '-B', 'manage.py', 'makemigrations', '--no-input', '--name', 'generated']
	generated = [name for name in UNSAFE if name != 'update']
	records = "SELECT name FROM django_migrations WHERE app = 'shop' ORDER BY id"
	forget = "DELETE FROM django_migrations WHERE app = 'shop' AND name = '{id}'"
	first, unsafe, other = FIRST, UNSAFE, OTHER
	safe = [('columns', COLUMNS, True), ('concurrently', CONCURRENTLY, False), ('rename', RENAME, True)]
	traps = {
		'wait_in_transaction': (TRAP, True, [TRAPPED]),
		'two_statements': (TRAP_OF_TWO, False, [TRAPPED]),
	}

	def sql(self, text):
		if '\n' not in text:
			return f'migrations.RunSQL("{text}"),'
		return f'migrations.RunSQL(\n    """\n{indented(text, "    ")}\n    """,\n),'

	# What the models are to be afterwards stands beside it: the operation that Django would have written.
	def instead(self, case):
		text = super().instead(case)
		if not case.sql or case.name == 'update':
			return text
		state = indented(self.unsafe[case.name], '        ')
		return text[:-len('),')] + f'    state_operations=[\n{state}\n    ],\n),'

	def path(self, migration):
		return f'shop/migrations/{migration.id}.py'

	def text(self, migration):
		imports = {
			'AddIndexConcurrently': 'from django.contrib.postgres.operations import AddIndexConcurrently\n',
			'migrations.': 'from django.db import migrations, models\n',
			'django.db.models': 'import django.db.models.deletion\n',
		}
		return (''.join(line for words, line in imports.items() if words in migration.body + 'migrations.')
			+ '\n\nclass Migration(migrations.Migration):\n\n'
			+ ('' if migration.atomic else '    atomic = False\n\n')
			+ '    dependencies = [\n'
			+ (f"        ('shop', '{migration.previous}'),\n" if migration.previous else '')
			+ '    ]\n\n    operations = [\n' + indented(migration.body, '        ') + '\n    ]\n')

	def see_schema(self, walk):
		outcome = walk.project.run(['/usr/bin/python3', '-B', 'manage.py', 'makemigrations', '--check', '--dry-run'])
		walk.report.check(outcome.status == 0 and outcome.has('No changes detected'),
			'the migrations with the safe ways lead to the models', outcome.output)
