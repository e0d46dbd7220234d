"""PostgreSQL's protocol, as much as the tests need: simple queries over a Unix socket, with every
notice and error kept in its fields (nothing but the standard library is needed)."""
import os
import socket
import struct


class SqlError(Exception):
	def __init__(self, fields):
		super().__init__(f"{fields.get('C')}: {fields.get('M')}")
		self.fields = fields
		self.sqlstate = fields.get('C', '')
		self.message = fields.get('M', '')


class Gone(Exception):
	"""The server closed the connection."""


class Result:
	def __init__(self):
		self.columns = []
		self.rows = []
		self.tag = ''


class Connection:
	def __init__(self, folder, database, user='postgres', port=5432, timeout=120, **settings):
		self.notices = []
		self.results = []
		self.error = None
		self.status = 'I'
		self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
		self.socket.settimeout(timeout)
		self.socket.connect(os.path.join(folder, f'.s.PGSQL.{port}'))
		self.buffer = b''
		parameters = {'user': user, 'database': database, 'client_encoding': 'UTF8', **settings}
		body = b''.join(k.encode() + b'\0' + str(v).encode() + b'\0' for k, v in parameters.items()) + b'\0'
		self.socket.sendall(struct.pack('!ii', len(body) + 8, 196608) + body)
		self.finish()

	# ------------------------------------------------------------ messages

	def _exactly(self, n):
		while len(self.buffer) < n:
			more = self.socket.recv(65536)
			if not more:
				raise Gone('the server closed the connection')
			self.buffer += more
		taken, self.buffer = self.buffer[:n], self.buffer[n:]
		return taken

	def _message(self):
		kind, length = struct.unpack('!ci', self._exactly(5))
		return kind, self._exactly(length - 4)

	@staticmethod
	def _fields(body):
		return {part[:1].decode(): part[1:].decode('utf-8', 'replace') for part in body.split(b'\0') if part}

	@staticmethod
	def _row(body):
		(n,), at, row = struct.unpack('!h', body[:2]), 2, []
		for _ in range(n):
			(length,) = struct.unpack('!i', body[at:at + 4])
			at += 4
			if length < 0:
				row.append(None)
				continue
			row.append(body[at:at + length].decode('utf-8', 'replace'))
			at += length
		return row

	@staticmethod
	def _names(body):
		(n,), at, names = struct.unpack('!h', body[:2]), 2, []
		for _ in range(n):
			end = body.index(b'\0', at)
			names.append(body[at:end].decode())
			at = end + 19
		return names

	# ------------------------------------------------------------ queries

	def send(self, sql):
		body = sql.encode() + b'\0'
		self.socket.sendall(b'Q' + struct.pack('!i', len(body) + 4) + body)

	def finish(self):
		"""Reads until the server is ready again; an error is raised then."""
		self.notices, self.results, self.error = [], [], None
		result = Result()
		while True:
			kind, body = self._message()
			if kind == b'Z':
				self.status = body.decode()
				break
			if kind == b'R' and struct.unpack('!i', body[:4])[0] != 0:
				raise Gone('the server wants a password')
			if kind == b'T':
				result.columns = self._names(body)
			elif kind == b'D':
				result.rows.append(self._row(body))
			elif kind == b'C':
				result.tag = body[:-1].decode()
				self.results.append(result)
				result = Result()
			elif kind == b'N':
				self.notices.append(self._fields(body))
			elif kind == b'E':
				self.error = self._fields(body)
				if self.error.get('S') in ('FATAL', 'PANIC'):
					raise Gone(self.error.get('M'))
		if self.error:
			raise SqlError(self.error)
		return self.results

	def query(self, sql):
		self.send(sql)
		return self.finish()

	def rows(self, sql):
		"""Rows of the last statement."""
		return self.query(sql)[-1].rows

	def value(self, sql):
		rows = self.rows(sql)
		return rows[0][0] if rows else None

	def attempt(self, sql):
		"""The error instead of raising it."""
		try:
			self.query(sql)
		except SqlError as error:
			return error
		return None

	def close(self):
		try:
			self.socket.sendall(b'X\0\0\0\4')
		except OSError:
			pass
		self.socket.close()


def literal(text):
	text = text.replace("'", "''")
	return f" E'{text}'".replace('\\', '\\\\') if '\\' in text else f"'{text}'"


def identifier(name):
	return '"' + name.replace('"', '""') + '"'
