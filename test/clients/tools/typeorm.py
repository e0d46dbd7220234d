from cases import TRAP, TRAP_OF_TWO, TRAPPED

from .base import indented
from .node import NodeTool, node


def queries(*statements):
	return '\n'.join(f'await queryRunner.query(`{statement}`);' for statement in statements)


# As migration:generate writes them.
FIRST = queries(
	'CREATE TABLE "customers" ("id" BIGSERIAL NOT NULL, "name" text NOT NULL,'
		' CONSTRAINT "PK_133ec679a801fab5e070f73d3ea" PRIMARY KEY ("id"))',
	'CREATE TABLE "orders" ("id" BIGSERIAL NOT NULL, "customer_no" integer NOT NULL,'
		' "status" character varying(20) NOT NULL, "amount" integer NOT NULL, "note" text, "remark" text,'
		' CONSTRAINT "PK_710e2d4957aa5878dfe94e4ac2f" PRIMARY KEY ("id"))')

# For a longer varchar it would drop the column and add another one.
COLUMNS = queries(
	'ALTER TABLE "orders" ADD "comment" text',
	'ALTER TABLE "orders" ADD "priority" integer NOT NULL DEFAULT \'0\'',
	'ALTER TABLE "orders" ALTER COLUMN "status" TYPE character varying(40)')

CONCURRENTLY = queries('CREATE INDEX CONCURRENTLY "order_customer_no" ON "orders" ("customer_no")')

UNSAFE = {
	'index': queries('CREATE INDEX "order_status" ON "orders" ("status") '),
	'not_null': queries('ALTER TABLE "orders" ALTER COLUMN "note" SET NOT NULL'),
	'foreign_key': queries(
		'ALTER TABLE "orders" ADD "customer_id" bigint',
		'CREATE INDEX "order_customer_id" ON "orders" ("customer_id") ',
		'ALTER TABLE "orders" ADD CONSTRAINT "order_customer" FOREIGN KEY ("customer_id")'
			' REFERENCES "customers"("id") ON DELETE NO ACTION ON UPDATE NO ACTION'),
	'check': queries('ALTER TABLE "orders" ADD CONSTRAINT "order_amount" CHECK (amount >= 0)'),
	'unique': queries('ALTER TABLE "orders" ADD CONSTRAINT "order_once" UNIQUE ("customer_no", "amount")'),
	'unique_column': queries(
		'ALTER TABLE "orders" ADD "code" character varying(20)',
		'ALTER TABLE "orders" ADD CONSTRAINT "order_code" UNIQUE ("code")'),
	'type': queries('ALTER TABLE "orders" ALTER COLUMN "amount" TYPE bigint'),
	'remove': queries('ALTER TABLE "orders" DROP COLUMN "remarks"'),
	'update': "await queryRunner.manager.createQueryBuilder().update('orders').set({ priority: 1 }).execute();",
}


class TypeORM(NodeTool):
	name = 'typeorm'
	migrate_as_one = node('typeorm/cli.js', 'migration:run', '-d', 'data-source.js')
	migrate = [*migrate_as_one, '--transaction', 'each']
	generate = node('typeorm/cli.js', 'migration:generate', '-d', 'data-source.js', '-o', 'migrations/generated')
	generated = ['index', 'not_null', 'foreign_key', 'check', 'unique', 'remove']
	records = 'SELECT name FROM migrations ORDER BY id'
	forget = "DELETE FROM migrations WHERE timestamp = {number}"
	call = 'await queryRunner.query'
	first, unsafe = FIRST, UNSAFE
	safe = [('columns', COLUMNS, True), ('concurrently', CONCURRENTLY, False),
		('rename', queries('ALTER TABLE "orders" RENAME COLUMN "remark" TO "remarks"'), True)]
	traps = {
		'wait_in_transaction': (TRAP, True, [TRAPPED]),
		'two_statements': (TRAP_OF_TWO, False, [TRAPPED]),
	}

	def text(self, migration):
		name = ''.join(word.capitalize() for word in migration.name.split('_'))
		return (f'module.exports = class {name}{migration.number:013} {{\n'
			+ ('' if migration.atomic else '  transaction = false;\n\n')
			+ f'  async up(queryRunner) {{\n{indented(migration.body, "    ")}\n  }}\n\n  async down() {{}}\n}};\n')
