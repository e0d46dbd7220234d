"""The tables of the benchmark: how many rows, what is assigned, what must come out."""
import os
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))


@dataclass(frozen=True)
class Table:
	name: str
	what: str			   # for the reader of the report
	divisor: int		   # rows = --rows / divisor
	column: str			   # the new column, NULL in every row at the start
	expression: str		   # its value; {r} stands before each column: '' or 'NEW.'
	compared: str		   # what two methods must agree on, row by row
	traffic: dict = field(default_factory=dict)	 # pgbench script → weight

	def value(self, row=''):
		return self.expression.format(r=row)

	@property
	def assignment(self):
		return f'{self.column} = {self.value()}'

	@property
	def unfilled(self):
		return f'{self.column} IS NULL'

	@property
	def wrong(self):
		"""Rows of which the new column is not what the others say, whoever wrote it."""
		return f'{self.column} IS DISTINCT FROM ({self.value()})'

	def load_file(self):
		return os.path.join(HERE, 'tables', self.name, 'load.sql')

	def traffic_files(self):
		return [f'{os.path.join(HERE, "tables", self.name, script)}.sql@{weight}'
				for script, weight in self.traffic.items()]


TABLES = {table.name: table for table in [
	Table(
		name='orders',
		what='narrow rows, four indexes',
		divisor=1,
		column='status_v2',
		expression="CASE {r}status WHEN 'new' THEN 'opened' WHEN 'paid' THEN 'billed' WHEN 'packed' THEN 'picked' "
				   "WHEN 'shipped' THEN 'sent' WHEN 'delivered' THEN 'done' ELSE 'void' END",
		compared='id, customer_id, created_at, status, amount, note, status_v2',
		traffic={'read': 5, 'history': 1, 'amount': 2, 'status': 1, 'insert': 1},
	),
	Table(
		name='documents',
		what='wide jsonb, stored out of line',
		divisor=30,
		column='kind',
		expression="{r}payload->>'kind'",
		compared='id, tenant_id, payload, kind',
		traffic={'read': 5, 'update': 2, 'insert': 1},
	),
	Table(
		name='items',
		what='updated_at trigger, foreign key',
		divisor=3,
		column='total',
		expression='{r}quantity * {r}unit_price',
		compared="id, order_id, sku, quantity, unit_price, total, updated_at > now() - interval '1 day'",
		traffic={'read': 5, 'quantity': 2, 'insert': 1},
	),
]}
