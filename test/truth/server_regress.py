#!/usr/bin/env python3
"""server_regress.py off|warn|enforce LOGS REGRESS: what a run of the server's own tests left.

off: every result is one of the expected files, or what the plain server gave.  warn: the results of off, and the guard's
warnings, of which there are some.  enforce: nothing is compared; the guard rejected something.  All: every test of the schedule
left the result that it left on the plain server; no statement passed without having been judged."""
import difflib
import os
import re
import sys

# Tests whose results differ by what is loaded or from run to run, with the reason.
EXCUSED = {
}
UNJUDGED = re.compile(r'LOG:  safe_migrate: a statement passed without having been judged: (.*)')
OWN = re.compile(r'^(psql:[^ ]* )?WARNING: .+ is not safe: .')
REJECTED = re.compile(r'^(psql:[^ ]* )?ERROR: .+ is not safe: .')
MESSAGE = re.compile(r'^(psql:[^ ]* )?(DEBUG|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC): ')
ROWS = re.compile(r'^\(\d+ rows?\)$')
LOST = re.compile(r'server closed the connection unexpectedly|connection to server .* failed')


def lines_of(path):
	with open(path, encoding='utf-8', errors='replace') as file:
		return file.read().splitlines()


def without_spaces(lines):
	return [' '.join(line.split()) for line in lines if line.strip()]


def expected_files(folder, test):
	expected = os.path.join(folder, 'expected')
	return [os.path.join(expected, name) for name in sorted(os.listdir(expected))
		if re.fullmatch(re.escape(test) + r'(_\d+)?\.out', name)]


def difference(wanted, got):
	return [line for line in difflib.unified_diff(wanted, got, lineterm='', n=1) if not line.startswith(('---', '+++'))]


def only_warnings(diff):
	"""Nothing is taken away; what is added is the guard's warnings with what belongs to them: DETAIL, HINT and CONTEXT, of
	any number of lines, up to the next message."""
	inside = False
	for line in diff:
		if line.startswith('-'):
			return False
		if not line.startswith('+'):
			inside = False
			continue
		text = line[1:]
		if MESSAGE.match(text):
			inside = bool(OWN.match(text))
		if not inside or ROWS.match(text):
			return False
	return True


def tests_of(schedule):
	"""The tests that are to be run."""
	return {test for line in lines_of(schedule) if line.startswith('test:') for test in line[len('test:'):].split()}


def ends_early(test, logs, regress, what):
	"""Why its result is not that of a test that came to its end as it did on the plain server; None if it is."""
	result, plain = (os.path.join(logs, f'server-regress-{run}', 'results', test + '.out') for run in (what, 'plain'))
	if not os.path.exists(plain):
		return 'not even the plain server ran it'
	if not os.path.exists(result):
		return 'there is no result'
	got, plain = without_spaces(lines_of(result)), without_spaces(lines_of(plain))
	lost = [line for line in got if LOST.search(line) and line not in plain]
	if lost:
		return lost[0]
	last = without_spaces(lines_of(os.path.join(regress, 'sql', test + '.sql')))[-1]
	return f'its last line is not in the result: {last}' if last in plain and last not in got else None


def unjudged(log):
	"""Statements that were carried out although judging them had failed, each with the error."""
	found = []
	for number, line in enumerate(log):
		error = UNJUDGED.search(line)
		if error:
			statement = next((later for later in log[number + 1:number + 4] if 'STATEMENT:' in later), '')
			found.append(f'{error[1]}: {statement.partition("STATEMENT:")[2].strip()}')
	return found


def main():
	what, logs, regress = sys.argv[1:]
	results = os.path.join(logs, f'server-regress-{what}', 'results')
	tests = sorted(tests_of(os.path.join(regress, 'parallel_schedule')))
	bad = held = excused = 0
	for test in tests:
		early = ends_early(test, logs, regress, what)
		if early:
			bad += 1
			print(f'{test}: did not come to its end: {early}')
			continue
		got = without_spaces(lines_of(os.path.join(results, test + '.out')))
		if what == 'off':
			plain = os.path.join(logs, 'server-regress-plain', 'results', test + '.out')
			diffs = [difference(without_spaces(lines_of(path)), got) for path in [plain] + expected_files(regress, test)
				if os.path.exists(path)]
			diff = min(diffs, key=len) if diffs else []
			fine = not diff
		elif what == 'warn':
			others = [os.path.join(logs, f'server-regress-{run}', 'results', test + '.out') for run in ('off', 'plain')]
			diffs = [difference(without_spaces(lines_of(path)), got) for path in others + expected_files(regress, test)
				if os.path.exists(path)]
			diff = next((d for d in diffs if only_warnings(d)), diffs[0])
			fine = only_warnings(diff)
			held += sum(1 for line in diff if OWN.match(line[1:]))
		else:
			diff, fine = [], True
			held += sum(1 for line in got if REJECTED.match(line))
		if not fine and test in EXCUSED:
			excused += 1
		elif not fine:
			bad += 1
			print(f'{test}: {len(diff)} lines differ')
			print('\n'.join(f'    {line}' for line in diff[:30]))
	passed = unjudged(lines_of(os.path.join(logs, f'server-regress-{what}', 'log', 'postmaster.log')))
	for statement in passed:
		bad += 1
		print(f'not judged: {statement}')
	kind = {'warn': 'warnings', 'enforce': 'rejections'}.get(what)
	if kind and not held:
		bad += 1
		print(f'no {kind}: the guard was not at work')
	print(f'{what}: {len(tests)} tests, {bad} differ, {excused} excused' + (f', {held} {kind}' if kind else ''))
	return 1 if bad else 0


if __name__ == '__main__':
	sys.exit(main())
