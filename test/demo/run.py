#!/usr/bin/env python3
"""scripts/demo in a terminal, from a checkout that only its owner can read: to its end, and interrupted by ^C.

One line a check: 'ok N - what holds' or 'not ok …' with what the demo printed.  Its build takes objects that the
same source was compiled to already, except where it is the build that is interrupted."""
import argparse
import glob
import os
import pty
import re
import select
import signal
import sys
import time

PATIENCE = 300
ROWS = 300_000	# a backfill of some seconds


HERE = os.path.dirname(os.path.abspath(__file__))


def there(pattern):
	return lambda folder, said: glob.glob(f'{folder}/*/{pattern}', recursive=True)


# what it is doing, whether its build is taken from elsewhere, how one sees
INTERRUPTED = [
	('while it builds', False, there('source/src/**/*.o')),
	('while the server starts', True, there('cluster/data/postmaster.pid')),
	('while its program starts', True, there('source/test/bench/__pycache__/*')),
	('in the middle of the backfill', True, lambda folder, said: 'NOTICE:  job 1: step 1' in said),
]

# install_packages() on a folder instead of /etc/postgresql-common, with an apt-get that takes its time
INSTALL = r"""
set -euo pipefail
. scripts/lib.sh
createcluster_conf=$TMPDIR/conf/createcluster.conf
PATH=$TMPDIR/conf/bin:$PATH
missing_packages() { [ "$1" != postgresql ] || echo postgresql; }
as_root() { "$@"; }
install_packages postgresql
"""
APT_GET = r"""#!/bin/sh
case $* in *" install "*) grep -c 'create_main_cluster = false' "$TMPDIR/conf/createcluster.conf" && touch "$TMPDIR/conf/bin/begun" && exec sleep 100 ;; esac
"""


class Run:
	"""A command in a terminal, with a TMPDIR of its own; `moment` says when ^C is to be pressed."""

	def __init__(self, options, folder, moment, *command, **environment):
		self.folder = folder
		self.said, self.pressed = '', False
		self.pid, self.terminal = pty.fork()
		if self.pid == 0:
			signal.signal(signal.SIGINT, signal.SIG_DFL) # which is ignored by what a shell runs in the background
			os.chdir(options.checkout)
			os.environ.pop('PYTHONDONTWRITEBYTECODE', None)		# by which one sees that it imports
			os.execvpe(command[0], command, os.environ | {'TMPDIR': folder} | environment)
		self.watch(moment)

	def watch(self, moment):
		give_up = time.monotonic() + PATIENCE
		while time.monotonic() < give_up:
			if select.select([self.terminal], [], [], 0.01)[0]:
				try:
					self.said += os.read(self.terminal, 65536).decode(errors='replace').replace('\r\n', '\n')
				except OSError:		# nobody has it open any more
					break
			if moment and not self.pressed and moment(self.folder, self.said):
				self.pressed = True
				os.write(self.terminal, b'\x03')
		else:
			os.killpg(self.pid, signal.SIGKILL)
		_, status = os.waitpid(self.pid, 0)
		self.status = os.waitstatus_to_exitcode(status)
		self.left = self.processes()
		os.close(self.terminal)

	def processes(self):
		"""Those that have the folder in their environment, command or program, or stand in it."""
		found = []
		for process in glob.glob('/proc/[0-9]*'):
			if f'{self.folder}/' in ' '.join(text + '/' for text in self.traces(process)):
				with open(f'{process}/cmdline', 'rb') as file:
					found.append(os.path.basename(process) + ' ' + file.read().replace(b'\0', b' ').decode(errors='replace'))
		return found

	@staticmethod
	def traces(process):
		for name in ('environ', 'cmdline'):
			try:
				with open(f'{process}/{name}', 'rb') as file:
					yield file.read().replace(b'\0', b'/ ').decode(errors='replace')
			except OSError:
				pass
		for name in ('cwd', 'exe'):
			try:
				yield os.readlink(f'{process}/{name}')
			except OSError:
				pass


class Report:
	def __init__(self):
		self.number = self.failed = 0

	def check(self, good, name, said):
		self.number += 1
		self.failed += not good
		print(f"{'ok' if good else 'not ok'} {self.number} - {name}", flush=True)
		for line in [] if good else str(said).splitlines()[-40:]:
			print(f'# {line}')

	def leaves_nothing(self, run, name):
		self.check(not run.left, f'{name}: no process is left', '\n'.join(run.left))
		self.check(not os.listdir(run.folder), f'{name}: no file is left',
				   '\n'.join(glob.glob(f'{run.folder}/*/*')) + '\n' + run.said)


class Tests:
	def __init__(self, options):
		self.options, self.report = options, Report()
		self.folders = 0

	def folder(self):
		self.folders += 1
		folder = os.path.join(self.options.work, str(self.folders))
		os.mkdir(folder)
		os.chmod(folder, 0o755)		# also for the server's user
		return folder

	def demo(self, moment, prebuilt, *arguments):
		compiler = {'SAFE_MIGRATE_BUILT': self.options.built, 'MAKEFLAGS': f'CXX={HERE}/compiler'} if prebuilt else {}
		return Run(self.options, self.folder(), moment, 'scripts/demo', *arguments, **compiler)

	def ends_at_once(self, run, name):
		self.report.check(run.pressed, f'{name}: it comes to that', run.said)
		self.report.check(run.status == 130, f'{name}: exit status 130', f'{run.status}\n{run.said}')
		self.report.check(not re.search('Traceback|Terminated|Killed', run.said), f'{name}: it ends quietly', run.said)

	def interrupted(self, name, prebuilt, moment):
		began = time.monotonic()
		run = self.demo(moment, prebuilt, '--rows', str(ROWS))
		name = f'^C {name}'
		self.ends_at_once(run, name)
		self.report.leaves_nothing(run, name)
		print(f'# {name}: {time.monotonic() - began:.0f} s')

	def while_apt_installs(self):
		folder = self.folder()
		os.makedirs(f'{folder}/conf/bin')
		with open(f'{folder}/conf/createcluster.conf', 'w') as file:
			file.write('start_conf = auto\n')
		with open(f'{folder}/conf/bin/apt-get', 'w', opener=lambda path, flags: os.open(path, flags, 0o755)) as file:
			file.write(APT_GET)
		run = Run(self.options, folder, there('bin/begun'), 'bash', '-c', INSTALL)
		name = '^C while apt installs'
		self.ends_at_once(run, name)
		self.report.check(not run.left, f'{name}: no process is left', '\n'.join(run.left))
		self.report.check(os.listdir(folder) == ['conf'] and sorted(os.listdir(f'{folder}/conf')) == ['bin', 'createcluster.conf'],
						  f'{name}: no file is left', os.listdir(f'{folder}/conf'))
		with open(f'{folder}/conf/createcluster.conf') as file:
			text = file.read()
		self.report.check(text == 'start_conf = auto\n', f'{name}: clusters are made as they were before', text)

	def whole(self):
		began = time.monotonic()
		run = self.demo(None, True, '--quick')
		self.report.check(run.status == 0, 'it runs to its end', run.said)
		summary = {}
		for line in run.said.partition('Measured just now')[2].splitlines():
			name, *figures = re.split('  +', line.strip())
			summary.setdefault(name, figures)
		for name in ('rows', 'time', 'rows/s', "WAL (clients' too)", 'heap', 'indexes', 'HOT updates'):
			self.report.check(len(summary.get(name, [])) == 2, f'its summary has {name} for both ways', run.said)
		for name in ('clients: p50', 'clients: p99', 'clients: slowest'):
			self.report.check(len(summary.get(name, [])) == 3, f'its summary has {name} for both ways and without', run.said)
		for name in ('NOT NULL', 'an index', 'a foreign key', 'longest client wait'):
			self.report.check(name in summary, f'and then: {name}', run.said)
		self.report.leaves_nothing(run, 'at its end')
		print(f'# to its end: {time.monotonic() - began:.0f} s')


def main():
	parser = argparse.ArgumentParser(description=__doc__)
	parser.add_argument('--checkout', required=True, help='the folder with scripts/demo')
	parser.add_argument('--built', required=True, help='the same sources with their objects')
	parser.add_argument('--work', required=True, help="a folder for the runs' temporary files that the server's user can reach")
	parser.add_argument('names', nargs='*', help='those moments only')
	options = parser.parse_args()
	tests = Tests(options)

	def wanted(name):
		return not options.names or any(word in name for word in options.names)
	for name, prebuilt, moment in INTERRUPTED:
		if wanted(name):
			tests.interrupted(name, prebuilt, moment)
	if wanted('while apt installs'):
		tests.while_apt_installs()
	if wanted('to its end'):
		tests.whole()
	return 1 if tests.report.failed or tests.report.number == 0 else 0


if __name__ == '__main__':
	sys.exit(main())
