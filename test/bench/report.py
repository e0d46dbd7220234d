"""The findings as a person reads them."""
from statistics import median

from methods import METHODS

MB = 1024 * 1024


def one_line(run):
	parts = [f'  {run["method"]:<12} {"with traffic" if run["with_traffic"] else "":<12} {run["seconds"]:8.2f} s']
	if 'processor_seconds' in run:
		parts.append(f'{run["processor_seconds"]:7.2f} s CPU')
	if 'written' in run:
		parts.append(f'{run["rows_per_second"]:10.0f} rows/s {run["wal_bytes"] / MB:8.0f} MB WAL  HOT {run["hot_share"]:4.0%}')
		if not run['finished']:
			parts.append(f'(stopped at {run["written"] / run["rows"]:.0%} of the rows)')
	if 'felt' in run:
		if run.get('felt_before', {}).get('transactions'):
			parts.append('before: p99 {p99_ms:.2f} max {max_ms:.1f} ms '.format(**run['felt_before']))
		parts.append('clients p50 {p50_ms:.2f} p99 {p99_ms:.2f} max {max_ms:.1f} ms'.format(**run['felt'])
					 if run['felt']['transactions'] else 'no transactions')
	return '  '.join(parts)


def grid(header, lines):
	"""Columns aligned: the first to the left, figures to the right."""
	widths = [max(len(str(line[column])) for line in [header] + lines) for column in range(len(header))]

	def row(line):
		return '  '.join(str(cell).ljust(width) if number == 0 else str(cell).rjust(width)
						 for number, (cell, width) in enumerate(zip(line, widths))).rstrip()
	return '\n'.join([row(header), '  '.join('-' * width for width in widths)] + [row(line) for line in lines])


def pick(table, method, with_traffic):
	return [run for run in table['runs'] if run['method'] == method and run['with_traffic'] == with_traffic]


def middle(runs, value):
	return median(value(run) for run in runs)


def ratio(table, method, value, with_traffic=False):
	"""Median over the rounds of a figure against the plain UPDATE's of the same round."""
	base = {run['repeat']: value(run) for run in pick(table, 'update', with_traffic)}
	found = [value(run) / base[run['repeat']] for run in pick(table, method, with_traffic) if base.get(run['repeat'])]
	return median(found) if found else None


def shown(figure):
	return '–' if figure is None else f'{figure:.2f}'


def wal_per_row(run):
	return run['wal_bytes'] / max(1, run['written'])


def processor_per_row(run):
	return run['processor_seconds'] / max(1, run['written'])


def speed(run):
	return run['rows_per_second']


def alone(table):
	lines = []
	for name, method in METHODS.items():
		runs = pick(table, name, False)
		if not runs:
			continue
		written = middle(runs, lambda run: run['written'] / run['rows'])
		lines.append([
			method.what + ('' if written == 1 else f' [{written:.0%} done]'),
			f'{middle(runs, lambda run: run["seconds"]):.1f}',
			f'{middle(runs, speed):,.0f}',
			shown(ratio(table, name, speed)),
			shown(ratio(table, name, processor_per_row)),
			f'{middle(runs, lambda run: run["wal_bytes"]) / MB:,.0f}',
			shown(ratio(table, name, wal_per_row)),
			f'{middle(runs, lambda run: run["heap_growth"]):+.0%}',
			f'{middle(runs, lambda run: run["index_growth"]):+.0%}',
			f'{middle(runs, lambda run: run["hot_share"]):.0%}',
		])
	return grid(['alone', 'time, s', 'rows/s', '× UPDATE', 'CPU × UPDATE', 'WAL, MB', '× UPDATE', 'heap', 'indexes', 'HOT'], lines)


def felt(name):
	return lambda run: run['felt'][name]


def felt_before(name):
	return lambda run: run['felt_before'][name]


def against_before(run, name='p99_ms'):
	"""A figure beside the migration, as a ratio to the same clients' just before it began."""
	return run['felt'][name] / run['felt_before'][name]


def spread(values):
	low, high = min(values), max(values)
	return f'{low:.2f}' if f'{low:.2f}' == f'{high:.2f}' else f'{low:.2f}–{high:.2f}'


def windows(run, moment):
	return '{window_p99_low_ms:.2f} {window_p99_ms:.2f} {window_p99_high_ms:.2f}'.format(**run[moment])


def with_traffic(table):
	lines = []
	for name in METHODS:
		runs = pick(table, name, True)
		if not runs or not all(run['felt']['transactions'] and run['felt_before']['transactions'] for run in runs):
			continue
		what = METHODS[name].what
		if not all(run['finished'] for run in runs):
			what += f' [{middle(runs, lambda run: run["written"] / run["rows"]):.0%} done]'
		lines.append(['no migration, just before', '', '',
					  f'{middle(runs, felt_before("p50_ms")):.2f}', f'{middle(runs, felt_before("p99_ms")):.2f}', '',
					  windows(middle_run(runs), 'felt_before'),
					  f'{max(map(felt_before("max_ms"), runs)):,.1f}', f'{middle(runs, felt_before("over_100_ms")):.0f}', ''])
		lines.append([
			what,
			f'{middle(runs, lambda run: run["seconds"]):.1f}',
			shown(ratio(table, name, speed, True)),
			f'{middle(runs, felt("p50_ms")):.2f}',
			f'{middle(runs, felt("p99_ms")):.2f}',
			f'{middle(runs, against_before):.2f}' + (f' ({spread([against_before(run) for run in runs])})' if len(runs) > 1 else ''),
			windows(middle_run(runs), 'felt'),
			f'{max(map(felt("max_ms"), runs)):,.1f}',
			f'{middle(runs, felt("over_100_ms")):.0f}',
			f'{max(run["lock_waits"]["longest_ms"] for run in runs):,.0f}',
		])
	return grid(['with traffic; clients\' latency in ms', 'time, s', '× UPDATE', 'p50', 'p99', '× before',
				 'p99 of seconds: quartiles', 'max', 'over 100 ms', 'longest lock wait'], lines)


def middle_run(runs):
	"""The run with the median ratio, for figures that have no median of their own."""
	return sorted(runs, key=against_before)[(len(runs) - 1) // 2]


def scaling(table):
	lines = []
	for name, found in table['scaling'].items():
		lines.append(f'{METHODS[name].what}: {found["rows"] / found["small_rows"]:.1f} times the rows took '
					 f'{found["seconds"] / found["small_seconds"]:.1f} times as long, '
					 f'{found["processor_seconds"] / max(0.01, found["small_processor_seconds"]):.1f} times the processor time '
					 f'({found["small_rows"]:,} rows {found["small_seconds"]:.2f} s, {found["rows"]:,} rows {found["seconds"]:.2f} s)')
	return '\n'.join(lines)


def memory(table):
	seen = [run['memory'] for run in table['runs'] if run.get('memory') and run['memory']['peak_kb']]
	if not seen:
		return ''
	return ('worker memory (private, anonymous): at most '
			f'{max(one["peak_kb"] for one in seen) / 1024:.1f} MB, {max(one["over_base_kb"] for one in seen) / 1024:.1f} MB above its start')


def aims(table):
	"""What was set out to be reached, on the first table."""
	found = []

	def aim(what, value, reached, shown):
		if value is not None:
			found.append(f'{"reached" if reached(value) else "NOT reached"}: {what}: {shown.format(value)}')

	one = pick(table, 'backfill_1', False)
	if one:
		aim('rows/s, 1 worker, at least 3 times the plain UPDATE', ratio(table, 'backfill_1', speed), lambda x: x >= 3, '{:.2f}')
		aim('rows/s, 2 workers, at least 5 times', ratio(table, 'backfill_2', speed), lambda x: x >= 5, '{:.2f}')
		aim('WAL, at most 0.6 of the plain UPDATE\'s', ratio(table, 'backfill_1', wal_per_row), lambda x: x <= 0.6, '{:.2f}')
		aim('heap growth, at most 25 %', middle(one, lambda run: run['heap_growth']), lambda x: x <= 0.25, '{:.1%}')
		aim('HOT, at least 85 %', middle(one, lambda run: run['hot_share']), lambda x: x >= 0.85, '{:.1%}')
	for name in ('backfill_1', 'backfill_2'):
		beside = pick(table, name, True)
		if beside:
			aim(f'clients\' p99 beside {METHODS[name].what}, at most 1.5 times that before it',
				middle(beside, against_before), lambda x: x <= 1.5,
				f'{{:.2f}} (the same clients just before: {middle(beside, felt_before("p99_ms")):.2f} ms)')
			aim(f'no client waits over 100 ms for a lock of {METHODS[name].what}',
				sum(run['lock_waits']['held_by_workers'] for run in beside), lambda x: x == 0, '{} waits')
			aim(f'clients\' longest transaction beside {METHODS[name].what}, at most 100 ms',
				max(map(felt('max_ms'), beside)), lambda x: x <= 100,
				f'{{:.1f}} ms (no migration: {max(map(felt_before("max_ms"), beside)):.1f} ms)')
	small = (table['scaling'] or {}).get('backfill_1')
	if small:
		for what, key in (('time', 'seconds'), ('processor time', 'processor_seconds')):
			aim(f'ten times the rows take ten times the {what} (at most 12)', small[key] / max(0.01, small['small_' + key])
				* 10 * small['small_rows'] / small['rows'], lambda x: x <= 12, '{:.1f}')
	over = [run['memory']['over_base_kb'] / 1024 for run in table['runs'] if run.get('memory') and run['memory']['peak_kb']]
	aim('worker memory, under 64 MB over the base', max(over, default=None), lambda x: x < 64, '{:.1f} MB')
	return '\n'.join(found)


def header(found):
	machine = found['facts']
	settings = ', '.join(f'{name} = {value}' for name, value in machine['settings'].items() if not name.startswith('safe_migrate.'))
	return (f'PostgreSQL {machine["postgresql"]}; {machine["cores"]} cores ({machine["cpu"]}), {machine["memory_mb"]:,} MB memory, '
			f'load {machine["load_at_start"]:.1f} at the start\n{settings}\n'
			f'clients: {found["clients"]} at {found["rate"]} transactions/s together\n')


def text(found):
	parts = [header(found)]
	for table in found['tables']:
		first = table['runs'][0]['before']
		out_of_line = f', out of line {first["toast"] / MB:,.0f} MB' if first['toast'] > MB else ''
		parts.append(f'== {table["table"]}: {table["what"]}\n{table["rows"]:,} rows, heap {first["heap"] / MB:,.0f} MB, '
					 f'indexes {first["indexes"] / MB:,.0f} MB{out_of_line}\nSET {table["statement"]}\n')
		parts.append(alone(table) + '\n')
		if any(run['with_traffic'] for run in table['runs']):
			parts.append(with_traffic(table) + '\n')
		parts += [part + '\n' for part in (scaling(table) if table['scaling'] else '', memory(table)) if part]
		if table['table'] == 'orders' and not found['quick'] and aims(table):
			parts.append('aims\n' + aims(table) + '\n')
	if found['differences']:
		parts.append('WRONG RESULTS\n' + '\n'.join(found['differences']) + '\n')
	elif found['tables']:
		parts.append('Every method left every row as the plain UPDATE did (methods stopped early: what they wrote was right).\n')
	return '\n'.join(parts)
