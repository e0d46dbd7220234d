"""Schema changes beside clients: the longest wait of a client transaction with the plain DDL, with the
safe operation, and with the safe operation while a reader sits on the table.  scripts/bench --operations.
The rate is fixed: a transaction that is due while its client still waits begins late."""
import argparse
import dataclasses
import os
import sys
import threading
import time

import script
from traffic import Traffic

DATABASE = 'operations'
CLIENT = """\\set id random(1, :rows)
\\set owner random(1, 1000)
\\set what random(1, 12)
\\if :what <= 5
SELECT amount FROM acc JOIN owner ON owner.id = owner_id WHERE acc.id = :id;
\\elif :what <= 8
UPDATE acc SET amount = amount + 1 WHERE id = :id;
\\elif :what = 9
INSERT INTO acc (id, owner_id, amount, note, flag) VALUES (nextval('acc_seq'), :owner, 1, nextval('acc_seq')::text || 'n', 1);
\\elif :what = 10
UPDATE owner SET touched = now() WHERE id = :owner;
\\elif :what = 11
SELECT owner_id FROM event WHERE id = :id;
\\else
INSERT INTO event VALUES (nextval('acc_seq') % 1000, :owner);
\\endif
"""
LOAD = """
CREATE TABLE owner (id int PRIMARY KEY, touched timestamptz);
INSERT INTO owner SELECT generate_series(1, 1000);
CREATE TABLE acc (id bigint PRIMARY KEY, owner_id int NOT NULL, amount int NOT NULL, note text, flag int);
INSERT INTO acc SELECT i, 1 + i % 1000, i % 97, i::text, CASE WHEN i % 100 <> 0 THEN 1 END FROM generate_series(1, {rows}) i;
CREATE SEQUENCE acc_seq START {start};
CREATE TABLE event (id bigint NOT NULL, owner_id int NOT NULL REFERENCES owner) PARTITION BY RANGE (id);
CREATE INDEX ON event (id);
CREATE TABLE event_now PARTITION OF event FOR VALUES FROM (0) TO (1000);
CREATE TABLE event_old (id bigint NOT NULL, owner_id int NOT NULL);
INSERT INTO event_old SELECT i, 1 + i % 1000 FROM generate_series(1000, {rows}) i;
VACUUM ANALYZE acc, event_old;
"""


@dataclasses.dataclass
class Operation:
	name: str
	plain: str
	safe: str			 # the call
	undo: str = ''
	prepare: str = ''	 # what it needs to be there
	reads: str = 'acc'	 # who reads this sits in its way


OLD = "FOR VALUES FROM (1000) TO (1000000000)"
OPERATIONS = [
	Operation('index', 'CREATE INDEX i ON acc (amount)', "create_index_safely('CREATE INDEX i ON acc (amount)', settings => :s)", 'DROP INDEX i'),
	Operation('drop index', 'DROP INDEX i', "drop_index_safely('i', settings => :s)", prepare='CREATE INDEX i ON acc (amount)'),
	Operation('reindex', 'REINDEX TABLE acc', "reindex_safely('acc', settings => :s)"),
	Operation('check', 'ALTER TABLE acc ADD CONSTRAINT c CHECK (amount >= 0)',
			  "add_constraint_safely('acc', 'CONSTRAINT c CHECK (amount >= 0)', settings => :s)", 'ALTER TABLE acc DROP CONSTRAINT c'),
	Operation('foreign key', 'ALTER TABLE acc ADD CONSTRAINT f FOREIGN KEY (owner_id) REFERENCES owner',
			  "add_constraint_safely('acc', 'CONSTRAINT f FOREIGN KEY (owner_id) REFERENCES owner', settings => :s)", 'ALTER TABLE acc DROP CONSTRAINT f'),
	Operation('drop foreign key', 'ALTER TABLE acc DROP CONSTRAINT f', "drop_constraint_safely('acc', 'f', settings => :s)",
			  prepare='ALTER TABLE acc ADD CONSTRAINT f FOREIGN KEY (owner_id) REFERENCES owner'),
	Operation('unique', 'ALTER TABLE acc ADD CONSTRAINT u UNIQUE (note)',
			  "add_constraint_safely('acc', 'CONSTRAINT u UNIQUE (note)', settings => :s)", 'ALTER TABLE acc DROP CONSTRAINT u'),
	Operation('validate', 'ALTER TABLE acc VALIDATE CONSTRAINT c', "validate_constraint_safely('acc', 'c', settings => :s)",
			  'ALTER TABLE acc DROP CONSTRAINT c', 'ALTER TABLE acc ADD CONSTRAINT c CHECK (amount >= 0) NOT VALID'),
	Operation('NOT NULL, filled', 'UPDATE acc SET flag = 0 WHERE flag IS NULL; ALTER TABLE acc ALTER flag SET NOT NULL',
			  "add_not_null_safely('acc', 'flag', '0', settings => :s)",
			  'ALTER TABLE acc ALTER flag DROP NOT NULL; UPDATE acc SET flag = NULL WHERE id % 100 = 0 AND id <= {rows}'),
	Operation('column', 'ALTER TABLE acc ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid()',
			  "add_column_safely('acc', 'token uuid NOT NULL DEFAULT gen_random_uuid()', settings => :s)", 'ALTER TABLE acc DROP COLUMN token; VACUUM acc'),
	Operation('drop column', 'ALTER TABLE acc DROP COLUMN gone', "drop_column_safely('acc', 'gone', settings => :s)",
			  prepare='ALTER TABLE acc ADD COLUMN gone int DEFAULT 7'),
	Operation('attach', f'ALTER TABLE event ATTACH PARTITION event_old {OLD}', f"attach_partition_safely('event', 'event_old', '{OLD}', settings => :s)",
			  'ALTER TABLE event DETACH PARTITION event_old; DROP TABLE event_old; CREATE TABLE event_old AS SELECT i::bigint AS id, 1 + i % 1000 AS owner_id '
			  'FROM generate_series(1000, {rows}) i', reads='event'),
	Operation('detach', 'ALTER TABLE event DETACH PARTITION event_old', "detach_partition_safely('event', 'event_old', settings => :s)",
			  prepare=f'ALTER TABLE event_old ALTER id SET NOT NULL, ALTER owner_id SET NOT NULL; ALTER TABLE event ATTACH PARTITION event_old {OLD}',
			  undo='ALTER TABLE event_old DROP CONSTRAINT IF EXISTS event_old_id_check', reads='event'),
	Operation('drop table', 'DROP TABLE leaver', "drop_table_safely('leaver', settings => :s)",
			  prepare='CREATE TABLE leaver (id int REFERENCES owner, acc bigint REFERENCES acc); INSERT INTO leaver SELECT 1, 1 FROM generate_series(1, {rows})'),
]
SETTINGS = """'{"ddl_lock_retry": "10min"}'"""


def say(text):
	print(text, flush=True)


class Reader(threading.Thread):
	"""A transaction that has read the table and stays open."""

	def __init__(self, server, table, seconds):
		super().__init__(daemon=True)
		self.server, self.table, self.seconds = server, table, seconds
		self.start()
		time.sleep(0.5)

	def run(self):
		self.server.run(DATABASE, f'BEGIN; SELECT count(*) FROM (SELECT FROM {self.table} LIMIT 10) a; SELECT pg_sleep({self.seconds}); COMMIT')


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

	def statements(self, sql):
		for statement in filter(None, sql.format(rows=self.options.rows).split('; ')):
			self.server.run(DATABASE, 'SET safe_migrate.guard = off', statement)

	def around(self, operation, work):
		self.statements(operation.prepare)
		felt = self.under_traffic(work)
		self.statements(operation.undo)
		return felt

	def one(self, operation):
		say(f'{operation.name} …')
		def beside_reader():
			reader = Reader(self.server, operation.reads, self.options.reader_seconds)
			self.call(operation.safe)
			reader.join()
		return {'name': operation.name,
				'plain': self.around(operation, lambda: self.statements(operation.plain)),
				'safe': self.around(operation, lambda: self.call(operation.safe)),
				'reader': self.around(operation, beside_reader)}

	def table(self, results):
		rows = [['', 'plain DDL', '', '', 'safe', '', '', f'safe, beside a reader of {self.options.reader_seconds} s', '', ''],
				[''] + 3 * ['longest', 'when due', 'took']]
		for one in results:
			row = [one['name']]
			for way in 'plain', 'safe', 'reader':
				row += [f"{one[way]['longest_ms']:.0f} ms", f"{one[way]['max_ms']:.0f} ms", f"{one[way]['seconds']:.1f} s"]
			rows.append(row)
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
	parser.add_argument('--only', action='append', help='the name of an operation')
	options = parser.parse_args(arguments)
	if options.quick:
		options.rows, options.reader_seconds, options.rate = 50_000, 3, 200
	return options


def compare(bench):
	options = bench.options
	bench.load()
	results = [bench.one(operation) for operation in OPERATIONS
			   if not options.only or operation.name in options.only]
	lock_try = bench.server.value(DATABASE, 'SHOW safe_migrate.ddl_lock_try')
	text = f'{options.rows:,} rows, {options.clients} clients, {options.rate} transactions per second; one lock try is {lock_try}\n'
	text += 'longest: of one transaction from its begin; when due: from when it was due, behind others of its client\n'
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
