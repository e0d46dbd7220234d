"""A new column from nothing to NOT NULL with an index and a foreign key, beside clients, and the longest
that one of them waited.  Part of scripts/demo."""
import os
import time

from traffic import Traffic

DATABASE = 'schema_changes'
CLIENTS, RATE = 4, 200
CLIENT = """\\set id random(1, :rows)
SELECT status FROM orders WHERE id = :id;
UPDATE orders SET touched = now() WHERE id = :id;
"""
LOAD = ['CREATE EXTENSION safe_migrate',
		'CREATE TABLE region (id int PRIMARY KEY, name text)',
		"INSERT INTO region SELECT i, 'region ' || i FROM generate_series(1, 50) i",
		'CREATE TABLE orders (id int PRIMARY KEY, status text NOT NULL, touched timestamptz)',
		"INSERT INTO orders SELECT i, 'new' FROM generate_series(1, {rows}) i",
		'VACUUM ANALYZE orders']
STEPS = [
	('a nullable column', "CALL safe_migrate.run('ALTER TABLE orders ADD COLUMN region_id int')"),
	('filled', "CALL safe_migrate.wait(safe_migrate.backfill('orders', 'region_id = 1 + id % 50'))"),
	('NOT NULL', "CALL safe_migrate.run('ALTER TABLE orders ALTER region_id SET NOT NULL')"),
	('an index', "CALL safe_migrate.run('CREATE INDEX ON orders (region_id)')"),
	('a foreign key', "CALL safe_migrate.run('ALTER TABLE orders ADD FOREIGN KEY (region_id) REFERENCES region')"),
]


class SchemaChanges:
	def __init__(self, server, say, folder, rows):
		self.server, self.say, self.folder, self.rows = server, say, folder, rows
		self.traffic = None

	def run(self):
		"""Prints a line for each step: what it is, how long it took, the longest transaction of a client."""
		self.say(f'\nA column from nothing to NOT NULL, index and foreign key, on {self.rows:,} rows that {CLIENTS} clients read and write:')
		os.makedirs(self.folder, exist_ok=True)
		script = os.path.join(self.folder, 'client.sql')
		with open(script, 'w') as file:
			file.write(CLIENT)
		self.server.drop(DATABASE)
		self.server.run('postgres', f'CREATE DATABASE {DATABASE}')
		for statement in LOAD:
			self.server.run(DATABASE, statement.format(rows=self.rows))
		self.traffic = Traffic(self.server, DATABASE, [script], {'rows': self.rows}, CLIENTS, RATE, self.folder)
		try:
			self.traffic.settle(1)
			spans = []
			for name, statement in STEPS:
				begin = time.time()
				self.server.run(DATABASE, 'SET client_min_messages = error', 'SET safe_migrate.inline = never',
								'SET safe_migrate.small_table_size = 0', statement)
				spans.append((name, begin, time.time()))
				time.sleep(0.2)
			time.sleep(1)
			self.traffic.stop()
			for name, begin, end in spans:
				felt = self.traffic.felt(begin, end)
				self.say(f"  {name:<20} {end - begin:5.1f} s   longest client transaction {felt['max_ms'] or 0:6.1f} ms")
			self.traffic = None
		finally:
			if self.traffic:
				self.traffic.kill()
			self.server.drop(DATABASE)
