"""Client traffic by pgbench at a fixed rate, and what its clients felt.

A transaction's latency is counted from when it was *due*: a client that is stuck does not hide
the transactions that it should have sent meanwhile."""
import glob
import os
import re
import signal
import subprocess
import time


WINDOW = 1.0	# seconds: how the latencies spread is told by the p99 of windows of this length


class Traffic:
	"""Eight clients (or as told) that send transactions to one database until `stop`."""

	def __init__(self, server, database, scripts, variables, clients, rate, folder):
		os.makedirs(folder, exist_ok=True)
		self.prefix = os.path.join(folder, 'transactions')
		for old in glob.glob(self.prefix + '.*'):
			os.unlink(old)
		command = [server.program('pgbench'), '-n', '-h', server.socket_dir, '-U', 'postgres',
				   '-c', str(clients), '-j', '1', '-R', str(rate), '-T', '86400', '--max-tries=10',
				   '-l', f'--log-prefix={self.prefix}']
		for name, value in variables.items():
			command += ['-D', f'{name}={value}']
		for script in scripts:
			command += ['-f', script]
		self.errors = os.path.join(folder, 'pgbench.err')
		with open(self.errors, 'w') as errors:
			self.process = subprocess.Popen(command + [database], stdout=subprocess.DEVNULL, stderr=errors,
											preexec_fn=_default_signals)

	def settle(self, seconds):
		"""Lets the clients go on until what had piled up is worked off, then as long again as told."""
		stop_at = time.time() + 120
		while time.time() < stop_at and self.process.poll() is None:
			time.sleep(seconds)
			if self._last_lag() < 0.1:
				break

	def stop(self):
		"""Ends pgbench as its own time limit would (SIGALRM), so that its log is complete."""
		if self.process.poll() is None:
			self.process.send_signal(signal.SIGALRM)
			try:
				self.process.wait(60)
			except subprocess.TimeoutExpired:
				self.kill()
		with open(self.errors) as errors:
			text = errors.read()
		if self.process.returncode != 0 or 'aborted' in text:
			raise RuntimeError(f'pgbench failed: {text.strip()}')

	def kill(self):
		self.process.kill()
		self.process.wait()

	def felt(self, begin, end):
		"""Latencies of the transactions under way or due between the two times (epoch seconds)."""
		latencies, windows, longest = [], {}, 0.0
		for finished, latency, lag in self._transactions():
			if finished >= begin and finished - latency <= end:
				longest = max(longest, (latency - lag) * 1000)
				latencies.append(latency * 1000)
				windows.setdefault(int(max(0, finished - latency - begin) / WINDOW), []).append(latency * 1000)
		whole = max(1, int((end - begin) / WINDOW))	# a cut-off window at the end has too few to tell
		p99s = sorted(rank(sorted(window), 0.99) for number, window in windows.items() if number < whole)
		return summary(latencies, end - begin) | {
			'longest_ms': longest,	# of one transaction, from when it began
			'window_p99_ms': rank(p99s, 0.5), 'window_p99_low_ms': rank(p99s, 0.25), 'window_p99_high_ms': rank(p99s, 0.75)}

	def lately(self, seconds):
		"""What the clients felt in the last seconds, as far as it is logged (pgbench writes a block at a time)."""
		end = time.time() - 0.3
		return summary([latency * 1000 for finished, latency, _ in self._transactions()
						if end - seconds < finished <= end], seconds)

	def _transactions(self):
		for path in glob.glob(self.prefix + '.*'):
			with open(path) as log:
				for line in log:
					fields = line.split()
					if len(fields) < 7 or not fields[2].isdigit():
						continue
					yield int(fields[4]) + int(fields[5]) / 1e6, int(fields[2]) / 1e6, int(fields[6]) / 1e6

	def _last_lag(self):
		"""Schedule lag of the last logged transaction, in seconds."""
		newest, lag = 0.0, 0.0
		for path in glob.glob(self.prefix + '.*'):
			with open(path, 'rb') as log:
				log.seek(max(0, os.path.getsize(path) - 4096))
				lines = log.read().split(b'\n')[1:-1]
			if lines:
				fields = lines[-1].split()
				at = int(fields[4]) + int(fields[5]) / 1e6
				if at > newest and len(fields) > 6:
					newest, lag = at, int(fields[6]) / 1e6
		return lag if newest > time.time() - 5 else 1.0


def _default_signals():
	signal.signal(signal.SIGINT, signal.SIG_IGN)	# the bench ends it, in order
	signal.signal(signal.SIGALRM, signal.SIG_DFL)


def rank(values, share):
	"""The value at that share of a sorted list (nearest rank)."""
	return values[min(len(values) - 1, max(0, int(share * len(values) + 0.999999) - 1))] if values else None


def summary(latencies, seconds):
	"""p50, p99 and max in milliseconds (nearest rank)."""
	latencies.sort()
	count = len(latencies)
	return {
		'transactions': count,
		'per_second': count / seconds if seconds > 0 else None,
		'p50_ms': rank(latencies, 0.50),
		'p95_ms': rank(latencies, 0.95),
		'p99_ms': rank(latencies, 0.99),
		'p999_ms': rank(latencies, 0.999),
		'max_ms': latencies[-1] if count else None,
		'over_100_ms': sum(1 for latency in latencies if latency > 100),
	}


LOCK_WAIT = re.compile(r'process (\d+) (still waiting for|acquired) .* after ([0-9.]+) ms')
HOLDER = re.compile(r'Process(?:es)? holding the lock: ([0-9, ]+)\.')


def lock_waits(log_text, holders):
	"""What log_lock_waits wrote: waits of at least deadlock_timeout, the longest of them, and how
	many were for a lock that one of `holders` (pids) held."""
	longest, count, held_by_us = 0.0, 0, 0
	lines = log_text.splitlines()
	for number, line in enumerate(lines):
		wait = LOCK_WAIT.search(line)
		if not wait:
			continue
		longest = max(longest, float(wait.group(3)))
		if wait.group(2) != 'still waiting for':
			continue
		count += 1
		holder = HOLDER.search(lines[number + 1]) if number + 1 < len(lines) else None
		if holder and {int(pid) for pid in re.findall(r'\d+', holder.group(1))} & holders \
				and int(wait.group(1)) not in holders:
			held_by_us += 1
	return {'waits': count, 'longest_ms': longest, 'held_by_workers': held_by_us}
