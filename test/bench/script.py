"""What the scripts of this folder have in common: the arguments that scripts/ hands them, how they begin and end."""
import argparse
import signal

from server import Server


def add_arguments(parser):
	for name in ('--bindir', '--socket-dir', '--data-dir', '--server-log', '--work-dir', '--output'):
		parser.add_argument(name, help=argparse.SUPPRESS)


def server_of(options):
	return Server(options.bindir, options.socket_dir, options.data_dir, options.server_log)


SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _stop(signum, frame):
	_on_signal(signal.SIG_IGN)	# once is enough, also for what cleans up
	raise KeyboardInterrupt


def _on_signal(action):
	for number in SIGNALS:
		signal.signal(number, action)


def run(work, at_end, say):
	"""work()'s exit status, 0 where it has none; ^C and SIGTERM end it, and at_end() runs in any case."""
	try:
		_on_signal(_stop)
		return work() or 0
	except KeyboardInterrupt:
		say('stopped')
		return 130
	except RuntimeError as error:
		say(f'failed: {error}')
		return 1
	finally:
		_on_signal(signal.SIG_IGN)
		at_end()
