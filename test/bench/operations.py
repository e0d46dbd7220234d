"""Schema changes beside clients: the longest wait of a client transaction with the plain DDL, with the
safe operation, and with the safe operation while a reader sits on the table.  scripts/bench --operations."""
import argparse
import os
import sys
import threading
import time

import script
from traffic import Traffic

DATABASE = 'operations'
CLIENT = """\\set id random(1, :rows)
\\set owner random(1, 1000)
\\set what random(1, 10)
\\if :what <= 5
SELECT amount FROM acc JOIN owner ON owner.id = owner_id WHERE acc.id = :id;
\\elif :what <= 8
UPDATE acc SET amount = amount + 1 WHERE id = :id;
\\elif :what = 9
INSERT INTO acc (id, owner_id, amount, note, flag) VALUES (nextval('acc_seq'), :owner, 1, nextval('acc_seq')::text || 'n', 1);
\\else
UPDATE owner SET touched = now() WHERE id = :owner;
\\endif
"""
LOAD = """
CREATE TABLE owner (id int PRIMARY KEY, touched timestamptz);
INSERT INTO owner SELECT generate_series(1, 1000);
CREATE TABLE acc (id bigint PRIMARY KEY, owner_id int NOT NULL, amount int NOT NULL, note text, flag int);
INSERT INTO acc SELECT i, 1 + i % 1000, i % 97, i::text, CASE WHEN i % 100 <> 0 THEN 1 END FROM generate_series(1, {rows}) i;
CREATE SEQUENCE acc_seq START {start};
VACUUM ANALYZE acc;
"""
# name, the plain DDL, the safe way, how it is taken back
OPERATIONS = [
	('index', 'CREATE INDEX i ON acc (amount)', "create_index_safely('CREATE INDEX i ON acc (amount)', settings => :s)", 'DROP INDEX i'),
	('check', 'ALTER TABLE acc ADD CONSTRAINT c CHECK (amount >= 0)',
	 "add_constraint_safely('acc', 'CONSTRAINT c CHECK (amount >= 0)', settings => :s)", 'ALTER TABLE acc DROP CONSTRAINT c'),
	('foreign key', 'ALTER TABLE acc ADD CONSTRAINT f FOREIGN KEY (owner_id) REFERENCES owner',
	 "add_constraint_safely('acc', 'CONSTRAINT f FOREIGN KEY (owner_id) REFERENCES owner', settings => :s)", 'ALTER TABLE acc DROP CONSTRAINT f'),
	('unique', 'ALTER TABLE acc ADD CONSTRAINT u UNIQUE (note)',
	 "add_constraint_safely('acc', 'CONSTRAINT u UNIQUE (note)', settings => :s)", 'ALTER TABLE acc DROP CONSTRAINT u'),
	('NOT NULL, filled', 'UPDATE acc SET flag = 0 WHERE flag IS NULL; ALTER TABLE acc ALTER flag SET NOT NULL',
	 "add_not_null_safely('acc', 'flag', '0', settings => :s)", 'ALTER TABLE acc ALTER flag DROP NOT NULL; UPDATE acc SET flag = NULL WHERE id % 100 = 0 AND id <= {rows}'),
]
SETTINGS = """'{"ddl_lock_retry": "10min"}'"""


def say(text):
	print(text, flush=True)


class Reader(threading.Thread):
	"""A transaction that has read the table and stays open."""

	def __init__(self, server, seconds):
		super().__init__(daemon=True)
		self.server, self.seconds = server, seconds
		self.start()
		time.sleep(0.5)

	def run(self):
		self.server.run(DATABASE, f'BEGIN; SELECT count(*) FROM (SELECT FROM acc LIMIT 10) a; SELECT pg_sleep({self.seconds}); COMMIT')


class Bench:
	def __init__(self, server, options):
		self.server, self.options = server, options
		self.traffic = None

	def load(self):
		say(f'loading {self.options.rows:,} rows')
		self.server.drop(DATABASE)
		self.server.run('postgres', f'CREATE DATABASE {DATABASE}')
		self.server.run(DATABASE, 'CREATE EXTENSION safe_migrate')
		for statement in LOAD.format(rows=self.options.rows, start=self.options.rows + 1).strip().split(';\n'):
			self.server.run(DATABASE, statement)
		self.script = os.path.join(self.options.work_dir, 'client.sql')
		with open(self.script, 'w') as file:
			file.write(CLIENT)

	def under_traffic(self, work):
		"""What clients felt while the work was done, and how long that took."""
		self.server.run(DATABASE, 'CHECKPOINT')
		self.traffic = Traffic(self.server, DATABASE, [self.script], {'rows': self.options.rows}, self.options.clients,
							   self.options.rate, os.path.join(self.options.work_dir, 'traffic'))
		self.traffic.settle(2)
		begin = time.time()
		work()
		end = time.time()
		time.sleep(1)
		self.traffic.stop()
		felt = self.traffic.felt(begin, end)
		self.traffic = None
		return felt | {'seconds': end - begin}

	def end_traffic(self):
		if self.traffic:
			self.traffic.kill()

	def call(self, safe):
		self.server.run(DATABASE, 'SET client_min_messages = warning', 'SET safe_migrate.inline = never',
						f"CALL safe_migrate.wait(safe_migrate.{safe.replace(':s', SETTINGS)})")

	def undo(self, sql):
		for statement in sql.format(rows=self.options.rows).split('; '):
			self.server.run(DATABASE, statement)

	def one(self, name, plain, safe, undo):
		say(f'{name} …')
		found = {'name': name}
		found['plain'] = self.under_traffic(lambda: [self.server.run(DATABASE, part) for part in plain.split('; ')])
		self.undo(undo)
		found['safe'] = self.under_traffic(lambda: self.call(safe))
		self.undo(undo)
		def beside_reader():
			reader = Reader(self.server, self.options.reader_seconds)
			self.call(safe)
			reader.join()
		found['reader'] = self.under_traffic(beside_reader)
		self.undo(undo)
		return found

	def table(self, results):
		rows = [['', 'plain DDL', '', 'safe', '', f'safe, beside a reader of {self.options.reader_seconds} s', ''],
				['', 'longest', 'took', 'longest', 'took', 'longest', 'p99']]
		for one in results:
			rows.append([one['name'], f"{one['plain']['max_ms']:.0f} ms", f"{one['plain']['seconds']:.1f} s",
						 f"{one['safe']['max_ms']:.0f} ms", f"{one['safe']['seconds']:.1f} s",
						 f"{one['reader']['max_ms']:.0f} ms", f"{one['reader']['p99_ms']:.1f} ms"])
		return rows


def parse(arguments):
	parser = argparse.ArgumentParser()
	script.add_arguments(parser)
	parser.add_argument('--operations', action='store_true')
	parser.add_argument('--quick', action='store_true')
	parser.add_argument('--rows', type=int, default=1_000_000)
	parser.add_argument('--clients', type=int, default=8)
	parser.add_argument('--rate', type=int, default=500)
	parser.add_argument('--reader-seconds', type=int, default=20)
	options = parser.parse_args(arguments)
	if options.quick:
		options.rows, options.reader_seconds, options.rate = 50_000, 3, 200
	return options


def compare(bench):
	options = bench.options
	bench.load()
	results = [bench.one(*operation) for operation in OPERATIONS]
	lock_try = bench.server.value(DATABASE, 'SHOW safe_migrate.ddl_lock_try')
	text = f'{options.rows:,} rows, {options.clients} clients, {options.rate} transactions per second; one lock try is {lock_try}\n'
	for row in bench.table(results):
		text += '  '.join(f'{cell:>18}' for cell in row) + '\n'
	print(text, end='')
	if options.output:
		with open(options.output + '.txt', 'w') as file:
			file.write(text)


def main():
	options = parse(sys.argv[1:])
	bench = Bench(script.server_of(options), options)
	return script.run(lambda: compare(bench), bench.end_traffic, say)


if __name__ == '__main__':
	sys.exit(main())
