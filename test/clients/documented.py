"""docs/clients.md against what was run: a block after <!-- printed by tool/migration --> has to be, line for
line, in that output, one after <!-- run as tool/migration --> in that migration, however far it is indented
there; a line of … stands for any number of them."""
import re
import textwrap

BLOCK = re.compile(r'<!-- (printed by|run as) (.+?) -->\n```\w*\n(.*?)```', re.S)


def plain(text):
	"""Without colours, and without the spaces at lines' ends."""
	text = re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', text).replace('\r', '')
	return [line.rstrip() for line in text.split('\n')]


def is_at(lines, there, at):
	"""Do these lines stand there at that place, all indented by as much?"""
	part = plain(textwrap.dedent('\n'.join(there[at:at + len(lines)])))
	return part == lines


def missing_from(wanted, there):
	"""The first part of what is wanted that does not stand there, in this order; parts are divided by lines of …"""
	at = 0
	for part in re.split(r'^\s*…\n?', wanted, flags=re.M):
		lines = plain(textwrap.dedent(part.rstrip('\n')))
		if lines == ['']:
			continue
		while at < len(there) and not is_at(lines, there, at):
			at += 1
		if at == len(there):
			return part
		at += len(lines)
	return None


def check_documented(path, report):
	with open(path, encoding='utf-8') as file:
		blocks = BLOCK.findall(file.read())
	report.check(any(name.startswith(f'{report.tool}/') for _, name, _ in blocks), 'docs/clients.md shows it')
	for kind, name, text in blocks:
		if name.split('/')[0] != report.tool:
			continue
		source = (report.outputs if kind == 'printed by' else report.files).get(name, '')
		missing = missing_from(text, plain(source))
		report.check(missing is None, f'docs/clients.md has what was {kind} {name}', f'not there:\n{missing}\n{source}')
