"""Tables made at random, and statements about them."""
TYPES = ['int', 'bigint', 'smallint', 'text', 'varchar', 'varchar(5)', 'varchar(20)', 'char(4)', 'numeric', 'numeric(8,2)',
	'numeric(12,2)', 'timestamp', 'timestamptz', 'timestamp(3)', 'date', 'bool', 'jsonb', 'oid', 'inet', 'cidr', 'uuid', 'bytea',
	'int[]', 'text[]', 'varchar(5)[]', 'plain_domain', 'checked_domain', 'mood', 'bit(4)', 'varbit(9)', 'interval', 'float8']
DEFAULTS = ['1', 'NULL', 'now()', 'random()', 'clock_timestamp()', "'1'", 'current_date', 'gen_random_uuid()', "nextval('seq')"]


def columns_of(rng, n):
	return [(f'c{i}', rng.choice(TYPES)) for i in range(n)]


def random_family(rng, number, family, case):
	fixture = ['CREATE DOMAIN plain_domain AS int', 'CREATE DOMAIN checked_domain AS int CHECK (VALUE > 0)',
		"CREATE TYPE mood AS ENUM ('a', 'b')", 'CREATE SEQUENCE seq']
	for i in range(6):
		columns = columns_of(rng, rng.randint(1, 6))
		body = ['id int NOT NULL'] + [f'{name} {kind}' for name, kind in columns]
		partitioned = rng.random() < 0.3
		if not partitioned or rng.random() < 0.5:
			body.append('PRIMARY KEY (id)')
		name = f't{i}' if rng.random() < 0.8 else f'"T {i}"'
		fixture.append(f"CREATE TABLE {name} ({', '.join(body)})" + (' PARTITION BY RANGE (id)' if partitioned else ''))
		if partitioned:
			for p in range(rng.randint(1, 3)):
				fixture.append(f'CREATE TABLE t{i}_{p} PARTITION OF {name} FOR VALUES FROM ({p * 10}) TO ({p * 10 + 10})')
			if rng.random() < 0.5:
				fixture.append(f'CREATE TABLE t{i}_d PARTITION OF {name} DEFAULT')
		fixture.append(f'INSERT INTO {name} (id) SELECT generate_series(0, 9)')
		if not partitioned and rng.random() < 0.3:
			fixture.append(f'CREATE TABLE t{i}_child () INHERITS ({name})')
			fixture.append(f'INSERT INTO t{i}_child (id) VALUES (1)')
		for column, kind in columns:
			if rng.random() < 0.3 and kind not in ('jsonb',):
				fixture.append(f'CREATE INDEX ON {name} ({column})')
			if rng.random() < 0.15:
				fixture.append(f'ALTER TABLE {name} ADD CHECK ({column} IS NULL OR id >= 0)' + rng.choice(['', ' NOT VALID']))
		if i and 'PRIMARY KEY (id)' in body and rng.random() < 0.6:
			fixture.append(f'CREATE TABLE r{i} (id int PRIMARY KEY, t int REFERENCES {name})')
			fixture.append(f'INSERT INTO r{i} VALUES (1, 1)')
		if rng.random() < 0.3:
			fixture.append(f'CREATE VIEW v{i} AS SELECT id FROM {name}')
	return family(f'random_{number}', [case(one) for one in fixture], [])


def sub_command(rng, relation):
	columns = [column[0] for column in relation.columns.values()] or ['id']
	c = rng.choice(columns)
	kind = rng.choice(TYPES)
	return rng.choice([
		lambda: f'ADD COLUMN n{rng.randint(0, 9)} {kind}',
		lambda: f'ADD COLUMN n{rng.randint(0, 9)} {kind} DEFAULT {rng.choice(DEFAULTS)}',
		lambda: f'ADD COLUMN n{rng.randint(0, 9)} {rng.choice(["serial", "int GENERATED ALWAYS AS IDENTITY", "int GENERATED ALWAYS AS (id + 1) STORED", "int UNIQUE", "int CHECK (id > 0)", "int REFERENCES t1"])}',
		lambda: f'ALTER {c} TYPE {kind}',
		lambda: f'ALTER {c} TYPE {kind} USING NULL',
		lambda: f'ALTER {c} TYPE {kind} USING {c}::text::{kind}',
		lambda: f'ALTER {c} SET NOT NULL',
		lambda: f'ALTER {c} DROP NOT NULL',
		lambda: f'ALTER {c} SET DEFAULT {rng.choice(DEFAULTS)}',
		lambda: f'ALTER {c} SET STATISTICS 10',
		lambda: f'DROP COLUMN {c}' + rng.choice(['', ' CASCADE']),
		lambda: f'ADD CHECK ({c} IS NOT NULL OR id >= 0)' + rng.choice(['', ' NOT VALID']),
		lambda: f'ADD UNIQUE ({c}, id)',
		lambda: f'ADD FOREIGN KEY (id) REFERENCES t{rng.randint(0, 5)}' + rng.choice(['', ' NOT VALID']),
		lambda: 'SET UNLOGGED',
		lambda: f'SET (fillfactor = {rng.randint(50, 100)})',
		lambda: 'ENABLE ROW LEVEL SECURITY',
		lambda: 'REPLICA IDENTITY FULL',
	])()


def make_statement(rng, catalog):
	tables = [r for r in catalog.relations.values() if r.kind in 'rp']
	relation = rng.choice(tables)
	name = relation.qualified if rng.random() < 0.5 else relation.quoted
	if rng.random() < 0.75:
		commands = ', '.join(sub_command(rng, relation) for _ in range(rng.choice([1, 1, 2, 3])))
		return f"ALTER TABLE {rng.choice(['', '', 'ONLY ', 'IF EXISTS '])}{name} {commands}"
	columns = [column[0] for column in relation.columns.values()] or ['id']
	other = rng.choice(tables)
	return rng.choice([
		f'CREATE {rng.choice(["", "UNIQUE "])}INDEX ON {name} ({rng.choice(columns)}, id)',
		f'DROP TABLE {name}' + rng.choice(['', ' CASCADE']),
		f'TRUNCATE {name}, {other.qualified}' + rng.choice(['', ' CASCADE']),
		f'REINDEX TABLE {name}',
		f'CLUSTER {name} USING {relation.name}_pkey',
		f'ALTER TABLE {name} RENAME TO renamed',
		f'ALTER TABLE {name} RENAME {rng.choice(columns)} TO renamed',
		f'CREATE TABLE created (LIKE {name} INCLUDING ALL)',
		f'CREATE TABLE created PARTITION OF {name} FOR VALUES FROM (100) TO (110)',
		f'ALTER TABLE {name} DETACH PARTITION {other.qualified}',
		f'ALTER TABLE {name} ATTACH PARTITION {other.qualified} FOR VALUES FROM (200) TO (300)',
		f'DROP SCHEMA {relation.schema} CASCADE',
		f'ALTER DOMAIN checked_domain ADD CHECK (VALUE < {rng.randint(50, 5000)})',
		'ALTER DOMAIN plain_domain SET NOT NULL',
		'DROP TYPE mood CASCADE',
		f'LOCK TABLE {name} IN {rng.choice(["SHARE", "EXCLUSIVE", "ACCESS EXCLUSIVE"])} MODE',
		f'CREATE TRIGGER z BEFORE INSERT ON {name} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
		f'DO $$ BEGIN ALTER TABLE {name} ALTER id TYPE bigint; END $$'])
