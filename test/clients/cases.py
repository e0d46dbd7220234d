"""What the migrations of every tool do to the tables customers and orders, and the SQL that does it safely.

A tool has the tool's own words for each of them; what it has to name or type otherwise, it says itself."""
from dataclasses import dataclass

OVERRIDE = "SET LOCAL safe_migrate.override = 'CHG-1234: in the night of the 5th'"


@dataclass
class Case:
	name: str
	hint: str  # of the rejection
	sql: str = ''  # none: what the tool writes, under an override
	again: bool = False  # is it run once more, as if the tool had died before it wrote down that it's done?


CASES = [
	Case('index', 'SELECT safe_migrate.create_index_safely(', """
CALL safe_migrate.wait(safe_migrate.create_index_safely(
    'CREATE INDEX order_status ON orders (status)', job_name => 'order_status'))""", again=True),
	Case('not_null', 'SELECT safe_migrate.add_not_null_safely(', """
CALL safe_migrate.wait(safe_migrate.add_not_null_safely(
    'orders', 'note', fill => $$''$$, job_name => 'order_note'))"""),
	Case('foreign_key', 'SELECT safe_migrate.', """
CALL safe_migrate.run($$
    ALTER TABLE orders ADD COLUMN customer_id bigint CONSTRAINT order_customer REFERENCES customers (id);
    CREATE INDEX order_customer_id ON orders (customer_id);
$$, job_name => 'order_customer')""", again=True),
	Case('check', 'SELECT safe_migrate.add_constraint_safely(', """
CALL safe_migrate.wait(safe_migrate.add_constraint_safely(
    'orders', 'CONSTRAINT order_amount CHECK (amount >= 0)', job_name => 'order_amount'))"""),
	Case('unique', 'SELECT safe_migrate.add_constraint_safely(', """
CALL safe_migrate.wait(safe_migrate.add_constraint_safely(
    'orders', 'CONSTRAINT order_once UNIQUE (customer_no, amount)', job_name => 'order_once'))"""),
	Case('unique_column', 'SELECT safe_migrate.', """
CALL safe_migrate.run('ALTER TABLE orders ADD COLUMN code varchar(20) CONSTRAINT order_code UNIQUE',
    job_name => 'order_code')"""),
	Case('type', '-- a new column of that type, kept up to date by a trigger'),
	Case('remove', 'SELECT safe_migrate.drop_column_safely('),
	Case('update', 'SELECT safe_migrate.backfill(', """
CALL safe_migrate.wait(safe_migrate.backfill(
    'orders', 'priority = 1', 'priority <> 1', job_name => 'order_priority'))"""),
]

# One migration queues a job, the next one wants it done.
QUEUE = """
SELECT safe_migrate.create_index_safely(
    'CREATE INDEX order_amount_key ON orders (amount)', job_name => 'order_amount_key')"""
REQUIRE = "SELECT safe_migrate.require('order_amount_key')"

# wait() where the tool has begun a transaction.
TRAP = """
CALL safe_migrate.wait(safe_migrate.create_index_safely(
    'CREATE INDEX order_trap ON orders (priority)', job_name => 'order_trap'))"""
# Two statements sent in one string are one transaction.
TRAP_OF_TWO = """
SELECT safe_migrate.create_index_safely(
    'CREATE INDEX order_trap ON orders (priority)', job_name => 'order_trap');
CALL safe_migrate.wait('order_trap')"""
TRAPPED = "safe_migrate.wait() can't run inside a transaction block"

# What the tables say of it at the end: (what holds, a query that gives true).
SAFE_LEAVES = [
	('the columns of the safe migrations are there', """SELECT count(*) = 3 FROM pg_attribute
		WHERE attrelid = 'orders'::regclass AND attname IN ('comment', 'priority', 'remarks')"""),
	('the index that was built concurrently is valid',
		"SELECT bool_and(indisvalid) FROM pg_index WHERE indexrelid = 'order_customer_no'::regclass"),
]
ROWS_AFTER = [
	('the rows are filled', 'SELECT bool_and(priority = 1) FROM orders'),
	('no row is left NULL', 'SELECT count(*) = 0 FROM orders WHERE note IS NULL'),
]
