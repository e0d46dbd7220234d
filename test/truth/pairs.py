"""ALTER COLUMN … TYPE for every pair of types that an assignment converts: pg_cast, conversion by way
of text, domains, arrays, and the same type with another length, precision or field list.  The
tables hold NULLs: what is rewritten does not depend on the values."""
CASTS = """
SELECT DISTINCT format_type(s.oid, NULL), format_type(t.oid, NULL) FROM (
	SELECT castsource AS s, casttarget AS t FROM pg_cast WHERE castcontext IN ('a', 'i')
	UNION SELECT s.oid, t.oid FROM pg_type s, pg_type t WHERE t.typcategory = 'S' AND t.typtype = 'b'
		AND t.typelem = 0 AND t.typnamespace = 'pg_catalog'::regnamespace
	UNION SELECT oid, oid FROM pg_type) pair
JOIN pg_type s ON s.oid = pair.s JOIN pg_type t ON t.oid = pair.t
WHERE s.typarray <> 0 AND t.typarray <> 0 AND s.typtype IN ('b', 'r', 'm') AND t.typtype IN ('b', 'r', 'm') AND s.typnamespace = 'pg_catalog'::regnamespace
	AND t.typnamespace = 'pg_catalog'::regnamespace AND (s.typelem = 0 OR s.typsubscript <> 'array_subscript_handler'::regproc)
	AND (t.typelem = 0 OR t.typsubscript <> 'array_subscript_handler'::regproc) ORDER BY 1, 2"""
INDEXABLE = """
SELECT format_type(t.oid, NULL) FROM pg_type t JOIN pg_opclass o ON o.opcintype = t.oid AND o.opcdefault
JOIN pg_am a ON a.oid = o.opcmethod AND a.amname = 'btree' WHERE t.typtype IN ('b', 'r', 'm')
UNION VALUES ('character varying'), ('cidr')"""
VARIANTS = {
	'strings': ['text', 'varchar', 'varchar(5)', 'varchar(10)', 'char(5)', 'char(10)', 'bpchar', '"char"', 'name',
		'citext', 'd_text', 'd_varchar5', 'd_checked', 'd_over'],
	'numbers': ['numeric', 'numeric(10,2)', 'numeric(12,2)', 'numeric(12,4)', 'numeric(8,2)', 'numeric(10)',
		'numeric(5,-2)', 'numeric(3,5)', 'smallint', 'int', 'bigint', 'real', 'float8', 'money', 'oid', 'd_int', 'd_positive'],
	'times': ['timestamp', 'timestamp(0)', 'timestamp(3)', 'timestamp(6)', 'timestamptz', 'timestamptz(0)',
		'timestamptz(3)', 'timestamptz(6)', 'date', 'time', 'time(0)', 'time(3)', 'timetz', 'timetz(3)', 'timetz(6)'],
	'intervals': ['interval', 'interval(0)', 'interval(3)', 'interval(6)', 'interval year', 'interval year to month',
		'interval day', 'interval hour', 'interval day to hour', 'interval day to second', 'interval day to second(3)',
		'interval second(3)', 'interval second', 'interval minute to second(6)', 'time'],
	'bits': ['bit', 'bit(5)', 'bit(8)', 'varbit', 'varbit(5)', 'varbit(8)', 'varbit(10)', 'int', 'text'],
	'arrays': ['text[]', 'varchar[]', 'varchar(5)[]', 'varchar(10)[]', 'char(5)[]', 'citext[]', 'd_text[]', 'd_checked[]',
		'numeric[]', 'numeric(10,2)[]', 'numeric(12,2)[]', 'int[]', 'oid[]', 'bigint[]', 'timestamp[]', 'timestamptz[]',
		'timestamp(3)[]', 'd_array', 'd_array_checked', 'mood[]'],
	'others': ['json', 'jsonb', 'xml', 'text', 'inet', 'cidr', 'mood', 'd_mood', 'oid', 'regclass', 'regtype', 'regproc',
		'int', 'bigint', 'comp', 'd_comp', 'uuid', 'bytea', 'int4range', 'int4multirange'],
}
ZONES = {'times': ['UTC', 'Africa/Abidjan', 'Europe/Vienna']}
TYPES = """CREATE EXTENSION citext;
CREATE DOMAIN d_text AS text; CREATE DOMAIN d_varchar5 AS varchar(5); CREATE DOMAIN d_checked AS text CHECK (VALUE <> 'z');
CREATE DOMAIN d_over AS d_checked; CREATE DOMAIN d_int AS int; CREATE DOMAIN d_positive AS int CHECK (VALUE > 0);
CREATE DOMAIN d_array AS text[]; CREATE DOMAIN d_array_checked AS text[] CHECK (cardinality(VALUE) < 5);
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN d_mood AS mood; CREATE TYPE comp AS (a int, b text); CREATE DOMAIN d_comp AS comp"""
UNCREATABLE = {'pg_node_tree'}


def quoted(name):
	return '"' + name.replace('"', '""') + '"'


def table(name, source, indexed, case):
	statements = [f'CREATE TABLE {quoted(name)} (id int, c {source})', f'INSERT INTO {quoted(name)} VALUES (1, NULL)']
	if indexed:
		statements.append(f'CREATE INDEX ON {quoted(name)} (c)')
	return [case(one) for one in statements]


def alter(case, name, target, setting=''):
	one = case(f'ALTER TABLE {quoted(name)} ALTER COLUMN c TYPE {target}', setting)
	one.fails = None  # whether the server converts them is its own business
	return one


def cast_family(run, family, case):
	pairs = [(s, t) for s, t in run.admin.rows(CASTS) if not UNCREATABLE & {s, t}]
	indexable = {row[0] for row in run.admin.rows(INDEXABLE)}
	fixture, cases = [], []
	for source in sorted({s for s, _ in pairs}):
		fixture += table(source, source, source in indexable, case)
		fixture += table(f'{source}[]', f'{source}[]', source in indexable, case)
		fixture.append(case(f'CREATE DOMAIN {quoted("domain " + source)} AS {source}'))
		cases.append(alter(case, source, quoted('domain ' + source)))
	for source, target in pairs:
		cases.append(alter(case, source, target))
		cases.append(alter(case, f'{source}[]', f'{target}[]'))
	return family('pairs_casts', fixture, cases)


def variant_family(name, variants, family, case):
	unindexed = {'json', 'xml'}
	fixture = [case(TYPES)]
	cases = []
	for source in variants:
		fixture += table(f'as {source}', source, source not in unindexed, case)
		for target in variants:
			for zone in ZONES.get(name, [None]):
				cases.append(alter(case, f'as {source}', target, f"set timezone = '{zone}'" if zone else ''))
	return family(f'pairs_{name}', fixture, cases)


def pair_families(run, family, case):
	return [cast_family(run, family, case)] + [variant_family(name, variants, family, case)
		for name, variants in VARIANTS.items()]
