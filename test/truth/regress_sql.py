"""The statements of the server's regression SQL, without what only psql understands."""
import os
import re

VARIABLE = re.compile(r"""\\set\s+(\w+)\s+:abs_srcdir\s+'([^']*)'""")


def without_comments(sql):
	"""What it begins with, behind comments."""
	sql = re.sub(r'/\*.*?\*/', '', sql, flags=re.S)
	while True:
		shorter = re.sub(r'^\s*--[^\n]*(\n|$)', '', sql)
		if shorter == sql:
			return sql.strip()
		sql = shorter


def quoted_end(text, at, before):
	"""Where the string or quoted name that begins there ends."""
	quote, escapes = text[at], text[at] == "'" and re.search(r'(^|\W)[eE]$', before)
	at += 1
	while at < len(text):
		if escapes and text[at] == '\\':
			at += 2
		elif text[at] != quote:
			at += 1
		elif text[at + 1:at + 2] == quote:
			at += 2
		else:
			return at + 1
	return at


def comment_end(text, at):
	depth = 1
	at += 2
	while at < len(text) and depth:
		if text.startswith('/*', at):
			depth, at = depth + 1, at + 2
		elif text.startswith('*/', at):
			depth, at = depth - 1, at + 2
		else:
			at += 1
	return at


def end_of(text, pattern, at):
	found = text.find(pattern, at)
	return len(text) if found < 0 else found


def is_open(sql):
	"""A function's body of SQL (BEGIN ATOMIC) that has not ended yet."""
	words = re.sub(r"'[^']*'", '', sql).upper()
	begun = len(re.findall(r'\bBEGIN\s+ATOMIC|\bCASE\b', words))
	return re.search(r'BEGIN\s+ATOMIC', words) and len(re.findall(r'\bEND\b', words)) < begun


def split(text):
	"""One text a statement; COPY … FROM stdin and what goes to \\gset and the like are left out."""
	found, current, at, depth = [], '', 0, 0
	while at < len(text):
		char, end = text[at], at + 1
		if text.startswith('--', at):
			end = end_of(text, '\n', at)
		elif text.startswith('/*', at):
			end = comment_end(text, at)
		elif char in '\'"':
			end = quoted_end(text, at, current)
		elif char == '$' and not re.search(r'\w$', current):
			tag = re.match(r'\$([A-Za-z_]\w*)?\$', text[at:])
			end = end_of(text, tag[0], at + len(tag[0])) + len(tag[0]) if tag else end
		elif char == '\\':
			end = end_of(text, '\n', at)
			if re.match(r'\\(g|gset|gexec|gdesc|crosstabview|watch)\b', text[at:end]):
				current = ''
			at = end
			continue
		elif char == ';' and depth <= 0 and not is_open(current):
			sql, current, depth, at = current.strip(), '', 0, end
			if re.match(r'(?is)COPY\b.*\bFROM\s+STDIN', without_comments(sql)):
				rows = re.search(r'^\\\.$', text[at:], re.M)
				at += rows.end() if rows else 0
			elif without_comments(sql):
				found.append(sql)
			continue
		depth += (char == '(') - (char == ')')
		current += text[at:end]
		at = end
	return found + ([current.strip()] if without_comments(current) else [])


def statements(regress, test):
	with open(os.path.join(regress, 'sql', test + '.sql'), encoding='utf-8', errors='replace') as file:
		text = file.read()
	# \set filename :abs_srcdir '/data/x.data' holds for what follows it
	parts, value, at = [], {}, 0
	for found in re.finditer(VARIABLE.pattern + r"|:'(\w+)'", text):
		parts.append(text[at:found.start()])
		if found[1]:
			value[found[1]] = regress + found[2]
		else:
			parts.append("'" + value.get(found[3], '') + "'" if found[3] in value else found[0])
		at = found.end()
	return split(''.join(parts) + text[at:])
