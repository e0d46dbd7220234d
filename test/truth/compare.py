"""What explain() said against what was observed."""
from dataclasses import dataclass

from observe import MODES, SHARE, SHARE_UPDATE_EXCLUSIVE

# As explain() prints them.
LOCKS = {'': 0, 'NONE': 0}
for number, mode in enumerate(MODES[1:], 1):
	LOCKS[mode.upper()] = LOCKS[mode[:-4].upper()] = number
	spaced = ''.join(' ' + c if c.isupper() else c for c in mode[:-4]).strip().upper()
	LOCKS[spaced] = number
HEAVY = ('scan', 'rewrite', 'index build')
TABLES = 'rpmfv'


@dataclass
class Said:
	relation: object  # of the catalog before; None: not there yet
	name: str
	lock: int
	effect: str
	bytes: int
	verdict: str
	rule: str
	reason: str


def read_explain(rows, catalog):
	said = []
	for relation, lock, effect, size, verdict, rule, reason in rows:
		found = catalog.find(relation) if relation else None
		said.append(Said(found, relation or '', LOCKS.get((lock or '').upper(), 0), effect or '',
			int(size) if size else 0, verdict or '', rule or '', reason or ''))
	return said


def heavy_work(catalog, seen):
	"""What it does for long under a lock that stops others; '' if nothing."""
	heavy = {oid for oid in seen.rewritten | set(seen.built) | seen.scanned
		if seen.locks.get(oid, 0) >= SHARE and catalog.relations[oid].size > 0
		and (catalog.relations[oid].kind != 'm' or seen.locks[oid] == len(MODES) - 1)}  # nobody writes there
	names = ', '.join(sorted(catalog.relations[oid].qualified for oid in heavy))
	return f'works on {names} under a strong lock' if heavy else ''


class Comparison:
	def __init__(self, catalog, seen, said, apart=False):
		self.catalog, self.seen, self.said, self.apart = catalog, seen, said, apart
		self.under, self.over = [], []
		self.locks()
		self.effects()
		self.names()
		self.verdicts()

	def name(self, oid):
		relation = self.catalog.relations[oid]
		return relation.qualified

	def of(self, oid):
		return [s for s in self.said if s.relation and s.relation.oid == oid]

	def lock_said(self, oid):
		return max([s.lock for s in self.of(oid)], default=0)

	def locks(self):
		for oid, relation in self.catalog.relations.items():
			seen, said = self.seen.locks.get(oid, 0), self.lock_said(oid)
			owner = self.catalog.relations.get(relation.owner)
			if relation.kind in 'ct' or (owner and owner.kind == 't'):
				continue
			if self.seen.partial and relation.kind in 'iI':
				continue
			if relation.owner and relation.kind in 'iI':
				# Who waits for the index waits for its table already.
				if seen <= self.seen.locks.get(relation.owner, 0):
					seen = min(seen, said)
			if seen >= SHARE_UPDATE_EXCLUSIVE and said < seen:
				self.under.append(f'lock of {self.name(oid)}: {MODES[seen]}, said {MODES[said] or "nothing"}')
			elif said >= SHARE and said > seen and not self.seen.partial:
				self.over.append(f'lock of {self.name(oid)}: {MODES[seen] or "none"}, said {MODES[said]}')

	def effects(self):
		seen = self.seen
		for effect, where in (('rewrite', seen.rewritten), ('index build', set(seen.built)), ('scan', seen.scanned)):
			for oid in where:
				names = {s.effect for one in self.catalog.ancestors(oid) for s in self.of(one)}
				if effect == 'index build':
					names |= {s.effect for s in self.said if s.relation and s.relation.owner == oid}
				if effect not in names:
					self.under.append(f'{effect} of {self.name(oid)}')
		# A table written anew is read for that, and gets its indexes anew.
		allowed = {'rewrite': seen.rewritten | seen.nothing_rewritten, 'index build': set(seen.built) | seen.rewritten,
			'scan': seen.scanned | seen.maybe_scanned | seen.rewritten}
		empty = {oid for oid, r in self.catalog.relations.items() if r.kind in 'rm' and not r.size}
		for s in self.said:
			if s.effect not in allowed or not s.relation:
				continue
			oids = self.catalog.descendants(s.relation.oid) | {s.relation.owner}
			if not oids & (allowed[s.effect] | empty):
				self.over.append(f'{s.effect} of {self.name(s.relation.oid)} ({s.rule})')

	def names(self):
		seen = self.seen
		for what, where in (('dropped', seen.gone), ('renamed', seen.renamed), ('column dropped or renamed', seen.columns_gone)):
			for oid in where:
				if self.catalog.relations[oid].kind not in TABLES:
					continue
				names = {s.effect for one in self.catalog.ancestors(oid) for s in self.of(one)}
				names |= {s.effect for s in self.said if not s.name}  # the schema's
				if not names & {'data loss', 'client break'}:
					self.under.append(f'{what}: {self.name(oid)}')
		for oid in seen.emptied:
			names = {s.effect for one in self.catalog.ancestors(oid) for s in self.of(one)}
			if not names & ({'data loss', 'client break'} if self.catalog.relations[oid].kind == 'm' else {'data loss'}):
				self.under.append(f'emptied: {self.name(oid)}')
		for oid in seen.retyped:
			if self.catalog.relations[oid].kind not in TABLES:
				continue
			names = {s.effect for one in self.catalog.ancestors(oid) for s in self.of(one)}
			if not names & {'rewrite', 'client break'}:
				self.under.append(f'type changed under prepared statements: {self.name(oid)}')

	def verdicts(self):
		"""With small_table_size = 0: what works long under a lock that stops others never passes."""
		for s in self.said:
			if s.reason.startswith('would fail: '):
				self.under.append(f'said to fail, and did not: {s.reason}')
		verdicts = {s.verdict for s in self.said}
		heavy = '' if self.apart else heavy_work(self.catalog, self.seen)
		if heavy and not verdicts & {'reject'}:
			self.under.append(f'verdict {"/".join(sorted(verdicts)) or "none"}, but it {heavy}')
