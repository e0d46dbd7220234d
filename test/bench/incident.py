"""The incident: an ALTER TABLE of some milliseconds, a report that has the table open, and what the
clients feel; without the guard and with it.  Part of scripts/demo."""
import os
import threading
import time

from report import grid
from traffic import Traffic

DATABASE = 'incident'
ROWS = 20_000
CLIENTS, RATE = 4, 200
CLIENT = """\\set id random(1, :rows)
SELECT status FROM orders WHERE id = :id;
UPDATE orders SET status = 'seen' WHERE id = :id;
"""
DDL = 'ALTER TABLE orders ADD COLUMN note text'


class Session(threading.Thread):
	"""Statements in a session of their own, and how long they took."""

	def __init__(self, server, *statements):
		super().__init__(daemon=True)
		self.server, self.statements = server, statements
		self.seconds, self.error = None, None
		self.start()

	def run(self):
		began = time.time()
		try:
			self.server.run(DATABASE, *self.statements)
		except RuntimeError as error:
			self.error = error
		self.seconds = time.time() - began

	def result(self):
		self.join()
		if self.error:
			raise self.error
		return self.seconds


class Incident:
	def __init__(self, server, say, folder, report_seconds):
		self.server, self.say, self.folder = server, say, folder
		self.report_seconds = report_seconds
		self.traffic = None

	def prepare(self):
		os.makedirs(self.folder, exist_ok=True)
		self.client = os.path.join(self.folder, 'client.sql')
		with open(self.client, 'w') as file:
			file.write(CLIENT)
		self.server.drop(DATABASE)
		self.server.run('postgres', f'CREATE DATABASE {DATABASE}')
		self.server.run(DATABASE, 'CREATE EXTENSION safe_migrate',
						'CREATE TABLE orders (id int PRIMARY KEY, status text NOT NULL)',
						f"INSERT INTO orders SELECT i, 'new' FROM generate_series(1, {ROWS}) i", 'VACUUM ANALYZE orders')

	def happen(self, guard):
		self.say(f'   guard = {guard}: a report reads the table for {self.report_seconds:.0f} s; a second later: {DDL};')
		self.server.run(DATABASE, 'SET safe_migrate.guard = off', 'ALTER TABLE orders DROP COLUMN IF EXISTS note')
		self.traffic = Traffic(self.server, DATABASE, [self.client], {'rows': ROWS}, CLIENTS, RATE,
							   os.path.join(self.folder, 'traffic'))
		time.sleep(1)
		begin = time.time()
		report = Session(self.server, f'BEGIN; SELECT count(*) FROM orders; SELECT pg_sleep({self.report_seconds}); COMMIT')
		time.sleep(1)
		ddl = Session(self.server, f'SET safe_migrate.guard = {guard}', DDL)
		report.result()
		seconds = ddl.result()
		time.sleep(0.5)
		end = time.time()
		traffic, self.traffic = self.traffic, None
		traffic.stop()
		return {'felt': traffic.felt(begin, end), 'ddl': seconds}

	def show(self):
		self.prepare()
		try:
			without, guarded = self.happen('off'), self.happen('enforce')
		finally:
			if self.traffic:
				self.traffic.kill()
		self.server.drop(DATABASE)
		runs = (without, guarded)
		self.say()
		self.say(grid(['', 'guard = off', 'guard = enforce'], [
			['longest client wait'] + [f'{run["felt"]["max_ms"]:,.0f} ms' for run in runs],
			['clients: p99'] + [f'{run["felt"]["p99_ms"]:,.1f} ms' for run in runs],
			['the ALTER TABLE, waiting included'] + [f'{run["ddl"]:.1f} s' for run in runs],
		]))
