"""What a statement really does: run in a transaction that is rolled back (or, where it can't be, on
a throwaway copy), and looked at through locks, files, counters and the server's debug messages."""
from copy import copy
from dataclasses import dataclass, field

MODES = ['', 'AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock',
	'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock']
SHARE_UPDATE_EXCLUSIVE, SHARE = 4, 5

RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relfilenode,
	coalesce(i.indrelid, t.oid, (SELECT refobjid FROM pg_depend WHERE classid = 'pg_class'::regclass
		AND objid = c.oid AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i') AND refobjsubid > 0
		AND c.relkind = 'S' LIMIT 1), 0),
	quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_ident(c.relname), pg_table_is_visible(c.oid),
	CASE WHEN c.relkind IN ('r', 'm', 't', 'i') THEN pg_relation_size(c.oid) ELSE 0 END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
	LEFT JOIN pg_class t ON t.reltoastrelid = c.oid
WHERE c.oid >= 16384 AND n.nspname <> 'safe_migrate'"""
COLUMNS = """
SELECT attrelid, attnum, attname, atttypid, atttypmod, attisdropped FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE attrelid >= 16384 AND attnum > 0 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND NOT attisdropped"""
PARENTS = 'SELECT inhrelid, inhparent FROM pg_inherits'
CHANGED = "c.xmin = pg_current_xact_id_if_assigned()::xid"
CHANGED_COLUMNS = """
SELECT attrelid, attnum, attname, atttypid, atttypmod, attisdropped FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
WHERE attrelid >= 16384 AND attnum > 0 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
	AND a.xmin = pg_current_xact_id_if_assigned()::xid"""
NAMESPACES = 'SELECT count(*) FROM pg_namespace c WHERE ' + CHANGED
OIDS = 'SELECT oid FROM pg_class WHERE oid >= 16384'
LOCKS = """SELECT relation, mode FROM pg_locks WHERE locktype = 'relation' AND pid = pg_backend_pid()
	AND relation >= 16384"""
SCANS = 'SELECT relid, seq_scan FROM pg_stat_xact_user_tables WHERE seq_scan > 0'


@dataclass
class Relation:
	oid: int
	schema: str
	name: str
	kind: str
	persistence: str
	file: int
	owner: int  # table of an index, a TOAST table or an owned sequence; 0 = none
	qualified: str
	quoted: str
	visible: bool
	size: int
	columns: dict = field(default_factory=dict)
	parents: set = field(default_factory=set)
	children: set = field(default_factory=set)


class Catalog:
	"""The relations of a database at one moment."""

	def __init__(self, connection):
		self.relations = {r.oid: r for r in map(self.read, connection.rows(RELATIONS + ' ORDER BY c.oid'))}
		for relid, number, *column in connection.rows(COLUMNS):
			if int(relid) in self.relations:
				self.relations[int(relid)].columns[int(number)] = tuple(column)
		for child, parent in connection.rows(PARENTS):
			child, parent = int(child), int(parent)
			if child in self.relations and parent in self.relations:
				self.relations[child].parents.add(parent)
				self.relations[parent].children.add(child)

	@staticmethod
	def read(row):
		return Relation(int(row[0]), *row[1:5], int(row[5]), int(row[6]), row[7], row[8], row[9] == 't', int(row[10] or 0))

	@classmethod
	def after(cls, connection, before):
		"""As this transaction has left it; cheaper than reading everything again."""
		if connection.value(NAMESPACES) != '0':
			return cls(connection)
		catalog = cls.__new__(cls)
		there = {int(oid) for oid, in connection.rows(OIDS)}
		catalog.relations = {oid: copy(r) for oid, r in before.relations.items() if oid in there}
		for row in connection.rows(RELATIONS + ' AND ' + CHANGED):
			relation = cls.read(row)
			old = catalog.relations.get(relation.oid)
			relation.columns = dict(old.columns) if old else {}
			catalog.relations[relation.oid] = relation
		for relid, number, *column in connection.rows(CHANGED_COLUMNS):
			relation = catalog.relations.get(int(relid))
			if relation:
				relation.columns = {k: v for k, v in relation.columns.items() if k != int(number)}
				if column[3] == 'f':
					relation.columns[int(number)] = tuple(column)
		return catalog

	def closure(self, oid, side):
		found, todo = set(), [oid]
		while todo:
			one = todo.pop()
			if one not in found and one in self.relations:
				found.add(one)
				todo += getattr(self.relations[one], side)
		return found

	def ancestors(self, oid):
		return self.closure(oid, 'parents')

	def descendants(self, oid):
		return self.closure(oid, 'children')

	def find(self, text):
		"""The relation that explain() names, however it writes it."""
		exact = [r for r in self.relations.values() if r.qualified == text or f'{r.schema}.{r.name}' == text]
		bare = [r for r in self.relations.values() if r.visible and text in (r.quoted, r.name)]
		return (exact or bare or [None])[0]


@dataclass
class Observation:
	error: object = None
	partial: bool = False  # locks of indexes were not to be seen
	locks: dict = field(default_factory=dict)  # oid: strongest mode
	rewritten: set = field(default_factory=set)
	emptied: set = field(default_factory=set)
	nothing_rewritten: set = field(default_factory=set)  # sequences and empty tables with a new file
	built: dict = field(default_factory=dict)  # table: indexes
	scanned: set = field(default_factory=set)
	maybe_scanned: set = field(default_factory=set)  # read to check what refers to it
	gone: set = field(default_factory=set)
	renamed: set = field(default_factory=set)
	columns_gone: set = field(default_factory=set)  # dropped, or known by another name
	retyped: set = field(default_factory=set)


def numbers(rows):
	return {int(oid): int(n) for oid, n in rows}


def strongest(rows, before):
	locks = {}
	for oid, mode in rows:
		if int(oid) in before.relations:
			locks[int(oid)] = max(locks.get(int(oid), 0), MODES.index(mode))
	return locks


def compare_catalogs(seen, before, after):
	files = {r.file for r in before.relations.values() if r.file}
	for old in before.relations.values():
		new = after.relations.get(old.oid)
		if new is None:
			if old.kind in 'rpvmf':
				seen.gone.add(old.oid)
			continue
		if (new.schema, new.name) != (old.schema, old.name):
			seen.renamed.add(old.oid)
		for number, column in old.columns.items():
			if number not in new.columns or new.columns[number][0] != column[0]:
				seen.columns_gone.add(old.oid)
			elif new.columns[number][1:3] != column[1:3]:
				seen.retyped.add(old.oid)
		if new.file != old.file and (old.kind == 'S' or (old.kind in 'rm' and not old.size)):
			seen.nothing_rewritten.add(old.oid)
		elif old.kind in 'rm' and new.file != old.file:
			(seen.emptied if new.size == 0 else seen.rewritten).add(old.oid)
	for new in after.relations.values():
		if new.kind == 'i' and new.file not in files and new.owner in before.relations and before.relations[new.owner].kind != 't':
			if new.owner not in seen.rewritten | seen.emptied | seen.nothing_rewritten:
				seen.built.setdefault(new.owner, set()).add(new.quoted)


def read_messages(seen, notices, before, after):
	"""The server's debug1 messages; the same on 15 to 18 (tablecmds.c: ATRewriteTables, validateForeignKeyConstraint)."""
	foreign = False
	for notice in notices:
		text = notice.get('M', '')
		if text.startswith('verifying table "'):
			name = text[len('verifying table "'):-1]
			seen.scanned |= {oid for oid, r in before.relations.items() if oid in seen.locks
				and name in (r.name, after.relations[oid].name if oid in after.relations else None)}
		foreign |= text.startswith('validating foreign key constraint "')
	return foreign


def observe(connection, statement, before, prepare=''):
	"""Runs the statement and takes it back."""
	seen = Observation()
	connection.query('BEGIN; SET LOCAL client_min_messages = debug1')
	if prepare:
		connection.query(prepare)
	scans = numbers(connection.rows(SCANS))
	seen.error = connection.attempt(statement)
	if seen.error is None:
		notices = connection.notices
		now = numbers(connection.rows(SCANS))
		seen.locks = strongest(connection.rows(LOCKS), before)
		after = Catalog.after(connection, before)
		compare_catalogs(seen, before, after)
		foreign = read_messages(seen, notices, before, after)
		read = {oid for oid, n in now.items() if n > scans.get(oid, 0) and oid in before.relations}
		if foreign:
			# The referencing tables are what is verified; what they refer to is looked up.
			referenced = {int(oid) for oid, in connection.rows('SELECT DISTINCT confrelid FROM pg_constraint WHERE confrelid > 0')}
			seen.maybe_scanned = referenced & set(seen.locks)
		# A rewrite and an index build read their table; what is verified besides has its message.
		seen.scanned |= read - seen.maybe_scanned - set(seen.built)
		seen.scanned -= seen.rewritten | seen.emptied | {r.oid for r in before.relations.values() if not r.size}
		# Plain reading (COPY, CREATE TABLE AS) is nobody's problem.
		seen.scanned = {oid for oid in seen.scanned if seen.locks.get(oid, 0) >= SHARE_UPDATE_EXCLUSIVE}
	connection.query('ROLLBACK')
	return seen
