"""What a method costs: time, WAL, growth, HOT share, memory of the workers."""
import os
import threading
import time

ROLE = 'migration'	# who migrates: its session is told from the clients' by this

SIZES = """SELECT pg_relation_size('{table}'), pg_indexes_size('{table}'),
	coalesce(pg_total_relation_size(nullif(reltoastrelid, 0)), 0),
	(SELECT count(*) FROM {table}), (SELECT count(*) FROM {table} WHERE {unfilled})
	FROM pg_class WHERE oid = '{table}'::regclass"""
MOMENT = "SELECT extract(epoch FROM clock_timestamp()), pg_current_wal_insert_lsn() - pg_lsn '0/0'"
UPDATED = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = '{table}'::regclass"


def create_role(server):
	server.run('postgres', f'CREATE ROLE {ROLE} LOGIN SUPERUSER')


def sizes(server, database, table):
	heap, indexes, toast, rows, unfilled = map(int, server.row(
		database, SIZES.format(table=table.name, unfilled=table.unfilled)))
	return {'heap': heap, 'indexes': indexes, 'toast': toast, 'rows': rows, 'unfilled': unfilled}


def updates(server, database, table, at_least=0):
	"""Rows updated and rows updated HOT so far.  Sessions report them when they end: look until they have."""
	for _ in range(30):
		updated, hot = map(int, server.row(database, UPDATED.format(table=table.name)))
		if updated >= at_least:
			break
		time.sleep(0.1)
	return updated, hot


def timed(server, database, session, work, live=False):
	"""Runs `work` after the statements of `session`; returns (begin, end) epoch seconds and WAL bytes,
	both as the server's clock and insert position say."""
	lines = server.run(database, *session, MOMENT, work, MOMENT, live=live, role=ROLE)
	begin, end = lines[0].split('|'), lines[-1].split('|')
	return float(begin[0]), float(end[0]), int(end[1]) - int(begin[1])


class Workers(threading.Thread):
	"""Looks ten times a second at the server processes that do the work, the extension's workers or the
	session of `timed`: their processor time, and the private memory of the workers."""

	def __init__(self, server):
		super().__init__(daemon=True)
		self.postmaster = server.postmaster_pid()
		self.finished = threading.Event()
		self.kind = {}		# pid → does it count?
		self.processor = {}	# pid → seconds when last seen
		self.seen = {}		# pid → (first, peak) RssAnon in kB

	def run(self):
		while not self.finished.wait(0.1):
			for pid in _children(self.postmaster):
				if self.kind.get(pid) is None:
					self.kind[pid] = _kind(pid)
				if self.kind[pid]:
					self.look_at(pid)

	def look_at(self, pid):
		self.processor[pid] = _processor_seconds(pid) or self.processor.get(pid, 0)
		resident = _anonymous_kb(pid) if self.kind[pid] == 'worker' else 0
		if resident:
			first, peak = self.seen.get(pid, (resident, resident))
			self.seen[pid] = (first, max(peak, resident))

	def stop(self):
		self.finished.set()
		self.join()
		return {
			'processor_seconds': sum(self.processor.values()),
			'pids': sorted(self.seen),
			'peak_kb': max((peak for _, peak in self.seen.values()), default=None),
			'over_base_kb': max((peak - first for first, peak in self.seen.values()), default=None),
		}


def _children(parent):
	try:
		with open(f'/proc/{parent}/task/{parent}/children') as file:
			return [int(pid) for pid in file.read().split()]
	except OSError:
		return []


def _kind(pid):
	"""By its process title: 'worker', 'session' (the one of `timed`), '' for any other;
	None while it has no title yet."""
	title = _read(f'/proc/{pid}/cmdline')
	if 'safe_migrate worker' in title:
		return 'worker'
	if f': {ROLE} ' in title:
		return 'session'
	return '' if ': ' in title else None


def _processor_seconds(pid):
	fields = _read(f'/proc/{pid}/stat').rpartition(')')[2].split()
	return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK') if fields else 0


def _read(path):
	try:
		with open(path) as file:
			return file.read()
	except OSError:
		return ''


def _anonymous_kb(pid):
	for line in _read(f'/proc/{pid}/status').splitlines():
		if line.startswith('RssAnon:'):
			return int(line.split()[1])
	return 0


def log_position(server):
	return os.path.getsize(server.log_file)


def log_since(server, position):
	with open(server.log_file, errors='replace') as log:
		log.seek(position)
		return log.read()
