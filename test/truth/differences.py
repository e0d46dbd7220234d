"""The reviewed list of over-estimates: file `differences`, one block each:

	pg 15-19                    (or: pg 15, pg 17-18)
	statement: ALTER TABLE …    (regular expression on 'family: statement', whole)
	over: lock of public\\.t.*   (regular expression on the difference, whole)
	because: why it can't be avoided
"""
import os
import re


class Differences:
	def __init__(self, path, major):
		self.entries, self.used = [], 0
		if not os.path.exists(path):
			return
		with open(path, encoding='utf-8') as file:
			text = re.sub(r'(?m)^#.*\n', '', file.read())
		for block in filter(None, (b.strip() for b in re.split(r'\n\s*\n', text))):
			majors = re.match(r'pg (\d+)(?:-(\d+))?$', block.split('\n', 1)[0])
			fields = dict(re.findall(r'(?m)^(statement|over|because): (.*)$', block))
			if not majors or len(fields) != 3 or not fields['because'].strip():
				raise SystemExit(f'{path}: not a whole block:\n{block}')
			if int(majors[1]) <= major <= int(majors[2] or majors[1]):
				self.entries.append({**fields, 'hits': 0})

	def reason(self, family, statement, over):
		for entry in self.entries:
			if re.fullmatch(entry['statement'], f'{family}: {statement}', re.S) and re.fullmatch(entry['over'], over, re.S):
				entry['hits'] += 1
				self.used += 1
				return entry['because']
		return None

	def unused(self):
		return [entry['statement'] + ' / ' + entry['over'] for entry in self.entries if not entry['hits']]
