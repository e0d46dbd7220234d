#!/usr/bin/env python3
"""Migrations as migration tools write them, run by the tools' own programs under safe_migrate.guard = enforce.

One line a check: 'ok N - tool: what holds' or 'not ok …' with what the tool printed.  README.md says more."""
import argparse
import concurrent.futures
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'truth')]

from documented import check_documented  # noqa: E402
from tools import TOOLS  # noqa: E402
from walk import World, walk  # noqa: E402


def parse_arguments():
	parser = argparse.ArgumentParser(description=__doc__)
	parser.add_argument('--socket-dir', required=True, help='of the server, which has the library preloaded')
	parser.add_argument('--bindir', required=True, help='of pg_dump')
	parser.add_argument('--work', required=True, help='folder for copies of the projects')
	parser.add_argument('--docs', required=True, help='docs/clients.md')
	parser.add_argument('--show', action='store_true', help='print what the tools print')
	parser.add_argument('tools', nargs='*', help='all when none is named')
	return parser.parse_args()


def main():
	arguments = parse_arguments()
	chosen = [t for t in TOOLS if not arguments.tools or any(name in t.name for name in arguments.tools)]
	world = World(arguments)
	world.prepare()
	number = failed = 0
	# Two at a time: most of it is programs that start.
	with concurrent.futures.ThreadPoolExecutor(2) as pool:
		for report in pool.map(lambda tool: walk(tool, world), chosen):
			check_documented(arguments.docs, report)
			for good, text, diagnostics in report.checks:
				number += 1
				failed += not good
				print(f"{'ok' if good else 'not ok'} {number} - {text}")
				for line in [] if good else diagnostics.splitlines()[-60:]:
					print(f'# {line}')
			if arguments.show:
				for name, text in [*report.files.items(), *report.outputs.items()]:
					print(f'#### {name}\n{text}')
			print(f'# {report.tool}: {report.seconds:.0f} s', flush=True)
	return 1 if failed or number == 0 else 0


if __name__ == '__main__':
	sys.exit(main())
