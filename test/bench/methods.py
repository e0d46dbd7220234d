"""The ways to fill a column that are compared.  Each gives the SQL that prepares it (not timed)
and the SQL that does it (timed), in one session."""
from dataclasses import dataclass
from typing import Callable

RANGE_ROWS = 5000	# PK ranges: rows a commit
LOOP_ROWS = 1000	# the SKIP LOCKED loop and the keyset: rows a commit


@dataclass(frozen=True)
class Method:
	name: str
	what: str
	work: Callable				# (table, seconds) → SQL
	prepare: Callable = lambda table: []
	ours: bool = False			# needs the extension
	fillfactor: int = 100
	bounded: bool = False		# stops after a time limit, finished or not


def plain_update(table, seconds):
	return f'UPDATE {table.name} SET {table.assignment} WHERE {table.unfilled}'


def pk_ranges(table, seconds):
	return f"""DO $do$
		DECLARE
			first bigint := 1;
			last bigint := (SELECT max(id) FROM {table.name});
		BEGIN
			WHILE first <= last LOOP
				UPDATE {table.name} SET {table.assignment}
				WHERE id >= first AND id < first + {RANGE_ROWS} AND {table.unfilled};
				COMMIT;
				first := first + {RANGE_ROWS};
			END LOOP;
		END $do$"""


def skip_locked_loop(table, seconds):
	return f"""DO $do$
		DECLARE
			stop timestamptz := clock_timestamp() + interval '{seconds:.1f} seconds';
			written bigint;
		BEGIN
			LOOP
				UPDATE {table.name} SET {table.assignment}
				WHERE id IN (SELECT id FROM {table.name} WHERE {table.unfilled}
							 LIMIT {LOOP_ROWS} FOR UPDATE SKIP LOCKED);
				GET DIAGNOSTICS written = ROW_COUNT;
				COMMIT;
				EXIT WHEN written = 0 OR clock_timestamp() > stop;
			END LOOP;
		END $do$"""


def pk_keyset_trigger(table):
	"""View-based tools compute the new column in a row trigger; their backfill writes the key onto itself."""
	return [
		f"""CREATE FUNCTION fill_new_column() RETURNS trigger LANGUAGE plpgsql AS $fn$
			BEGIN NEW.{table.column} := {table.value('NEW.')}; RETURN NEW; END $fn$""",
		f"""CREATE TRIGGER fill_new_column BEFORE INSERT OR UPDATE ON {table.name}
			FOR EACH ROW EXECUTE FUNCTION fill_new_column()""",
	]


def pk_keyset(table, seconds):
	return f"""DO $do$
		DECLARE
			done bigint := 0;
		BEGIN
			LOOP
				WITH next AS (
					SELECT id FROM {table.name} WHERE id > done AND {table.unfilled}
					ORDER BY id LIMIT {LOOP_ROWS} FOR NO KEY UPDATE
				), filled AS (
					UPDATE {table.name} AS t SET id = t.id FROM next WHERE t.id = next.id RETURNING t.id
				)
				SELECT max(id) INTO done FROM filled;
				COMMIT;
				EXIT WHEN done IS NULL;
			END LOOP;
		END $do$"""


def backfill(workers):
	def work(table, seconds):
		return (f"CALL safe_migrate.wait(safe_migrate.backfill('{table.name}', "
				f"$${table.assignment}$$, workers => {workers}))")
	return work


METHODS = {method.name: method for method in [
	Method('update', 'one plain UPDATE', plain_update),
	Method('backfill_1', 'safe_migrate.backfill, 1 worker', backfill(1), ours=True),
	Method('backfill_2', 'safe_migrate.backfill, 2 workers', backfill(2), ours=True),
	Method('pk_ranges', f'PK ranges of {RANGE_ROWS}, commit each', pk_ranges),
	Method('skip_locked', f'IS NULL LIMIT {LOOP_ROWS} SKIP LOCKED loop', skip_locked_loop, bounded=True),
	Method('pk_keyset', f'PK keyset of {LOOP_ROWS}, rows locked first', pk_keyset, pk_keyset_trigger),
	Method('hot_limit', 'all-HOT limit (fillfactor 45)', plain_update, fillfactor=45),
]}
