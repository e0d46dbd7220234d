-- safe_migrate 0.1: the objects of the extension.  Bookkeeping tables are written by the
-- extension alone (as its owner, from C++); everybody reads them through the views.

\echo Use "CREATE EXTENSION safe_migrate" to load this file. \quit

-- Whoever owns the schema could rename it, and the guard would be gone; CREATE EXTENSION takes one
-- that is there already, whosever it is.
DO $$
DECLARE
	owner pg_catalog.name;
BEGIN
	SELECT r.rolname INTO owner FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
		WHERE n.nspname = 'safe_migrate' AND NOT r.rolsuper AND r.rolname <> current_user;
	IF FOUND THEN
		RAISE EXCEPTION 'schema safe_migrate belongs to role "%"', owner
			USING ERRCODE = 'insufficient_privilege',
				DETAIL = 'Its owner could take the extension away, or slip functions into it.',
				HINT = 'See what is in it, and drop it first.';
	END IF;
END $$;

-- ---------------------------------------------------------------- tables

CREATE TYPE job_state AS ENUM ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled');
CREATE TYPE step_state AS ENUM ('pending', 'running', 'done', 'failed');

CREATE TABLE job (
	id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name            text,
	kind            text NOT NULL,               -- 'backfill', 'delete', … : the function that queued it
	relation        oid NOT NULL,                -- the named relation; it may be gone
	relation_name   text NOT NULL,               -- as it was called when queued, qualified
	definition      jsonb NOT NULL,              -- resolved; its shape belongs to the operation
	definition_text text NOT NULL,               -- what a person reads: the call, normalised
	settings        jsonb NOT NULL DEFAULT '{}', -- this job's own limits, by setting name
	state           job_state NOT NULL DEFAULT 'queued',
	state_reason    text,                        -- why paused or cancelled, in the words of who did it
	owner           oid NOT NULL,                -- role with whose rights it runs
	session_role    oid NOT NULL,                -- session_user when it was queued
	session_settings text NOT NULL,              -- search_path, TimeZone and the like of the session that
	                                             -- queued it: functions and triggers run under them
	workers         int NOT NULL DEFAULT 1,
	system_identifier bigint NOT NULL,           -- cluster and database it was queued in: elsewhere
	database        oid NOT NULL,                -- (restored) it never starts by itself
	queued_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
	started_at      timestamptz,
	finished_at     timestamptz,
	retry_at        timestamptz,                 -- not before this, after an error that may be retried
	attempts        int NOT NULL DEFAULT 0,      -- consecutive errors that were retried
	starts          int NOT NULL DEFAULT 0,      -- of its worker, none of which lasted or ended in order: crashes
	retries         bigint NOT NULL DEFAULT 0,   -- all errors that were retried
	error_sqlstate  text,
	error_message   text,
	error_detail    text,
	error_hint      text,
	error_statement text
);
CREATE UNIQUE INDEX job_name_key ON job (owner, name) WHERE name IS NOT NULL;
CREATE INDEX job_active ON job (state) WHERE state IN ('queued', 'running', 'paused');

CREATE TABLE step (
	job_id      bigint NOT NULL REFERENCES job ON DELETE CASCADE,
	step_no     int NOT NULL,
	kind        text NOT NULL,                   -- which step runner: 'backfill', 'vacuum', …
	definition  jsonb NOT NULL DEFAULT '{}',
	description text NOT NULL,                   -- what a person reads
	state       step_state NOT NULL DEFAULT 'pending',
	pass        int NOT NULL DEFAULT 0,          -- of a step in slices: 1 = all rows, 2… = what was left
	rows_total  float8,                          -- estimate of rows to look at
	rows_written bigint NOT NULL DEFAULT 0,
	started_at  timestamptz,
	finished_at timestamptz,
	deadlocks_before bigint,                     -- of this database, as pg_stat_database had them when it
	deadlocks_after bigint,                      -- first ran, and when it was done or had failed
	PRIMARY KEY (job_id, step_no)
);

CREATE TABLE slice (
	job_id        bigint NOT NULL,
	step_no       int NOT NULL,
	slice_no      int NOT NULL,
	pass          int NOT NULL,
	relation      oid NOT NULL,                  -- leaf
	relfilenumber oid NOT NULL,                  -- the leaf's file when the slice was cut
	first_block   bigint NOT NULL,
	end_block     bigint NOT NULL,               -- not included
	cursor_block  bigint NOT NULL,               -- all before it is finished
	done          boolean NOT NULL DEFAULT false,
	rows_matched  bigint NOT NULL DEFAULT 0,
	rows_written  bigint NOT NULL DEFAULT 0,
	rows_hot      bigint NOT NULL DEFAULT 0,
	rows_locked   bigint NOT NULL DEFAULT 0,
	rows_unmatched bigint NOT NULL DEFAULT 0,
	rows_kept     bigint NOT NULL DEFAULT 0,
	rows_old      bigint NOT NULL DEFAULT 0,     -- of those written, there before the step began
	rows_again    bigint NOT NULL DEFAULT 0,     -- of those written, last written by the job itself
	rows_thrice   bigint NOT NULL DEFAULT 0,     -- of those, by a batch that had written such rows
	begun         bigint NOT NULL DEFAULT 0,     -- the next transaction (xid8) when the step began
	sample        text,                          -- a row that could not be written: its ctid, and by whom it is held
	locked_by     xid,                           -- that row
	PRIMARY KEY (job_id, step_no, slice_no),
	FOREIGN KEY (job_id, step_no) REFERENCES step ON DELETE CASCADE
);

CREATE TABLE own_write (
	job_id  bigint NOT NULL,
	step_no int NOT NULL,
	once    xid[] NOT NULL,                      -- transactions of batches
	again   xid[] NOT NULL,                      -- of those that wrote rows of the former, or of these
	FOREIGN KEY (job_id, step_no) REFERENCES step ON DELETE CASCADE
);
CREATE INDEX own_write_step ON own_write (job_id, step_no);

CREATE TABLE event (
	id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	job_id bigint REFERENCES job ON DELETE CASCADE,
	at     timestamptz NOT NULL DEFAULT clock_timestamp(),
	kind   text NOT NULL,                        -- 'queued', 'running', 'throttled', 'retry', …
	role   oid,                                  -- who did it, where a person did
	detail text
);
CREATE INDEX event_job ON event (job_id, id);

-- ---------------------------------------------------------------- what views and functions share

CREATE FUNCTION may_see(owner oid) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'safe_migrate_may_see';
COMMENT ON FUNCTION may_see(oid) IS 'may the current user see the jobs of that role?';

CREATE FUNCTION is_at_home(system_identifier bigint, database oid) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'safe_migrate_is_at_home';
COMMENT ON FUNCTION is_at_home(bigint, oid) IS 'is it this cluster and database?';

CREATE FUNCTION live_jobs(OUT job_id bigint, OUT phase text, OUT condition text, OUT detail text,
	OUT waiting_for_pid int, OUT step_no int, OUT pass int, OUT fraction float8,
	OUT rows_written bigint, OUT units_done bigint, OUT units_total bigint,
	OUT rows_per_second float8, OUT eta_seconds float8, OUT throttled boolean,
	OUT replica_lag_seconds float8, OUT worker_pids int[], OUT changed timestamptz, OUT readings text)
	RETURNS SETOF record LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'safe_migrate_live_jobs';
COMMENT ON FUNCTION live_jobs() IS 'what shared memory has of the jobs that the current user may see';

CREATE FUNCTION start_condition() RETURNS text
	LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'safe_migrate_start_condition';
COMMENT ON FUNCTION start_condition() IS 'what a job waits for that no scheduler has looked at';

-- ---------------------------------------------------------------- control

CREATE FUNCTION pause(job bigint, reason text DEFAULT NULL) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_pause';
CREATE FUNCTION pause(job_name text, reason text DEFAULT NULL) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_pause_name';
CREATE FUNCTION resume(job bigint) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_resume';
CREATE FUNCTION resume(job_name text) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_resume_name';
CREATE FUNCTION cancel(job bigint, reason text DEFAULT NULL) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_cancel';
CREATE FUNCTION cancel(job_name text, reason text DEFAULT NULL) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_cancel_name';
CREATE FUNCTION retry(job bigint) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_retry';
CREATE FUNCTION retry(job_name text) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_retry_name';
CREATE FUNCTION configure(job bigint, setting text, value text) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_configure';
CREATE FUNCTION configure(job_name text, setting text, value text) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_configure_name';
CREATE FUNCTION pause_all(reason text) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_pause_all';
CREATE FUNCTION resume_all() RETURNS void
	LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'safe_migrate_resume_all';
CREATE FUNCTION reassign(job bigint, new_owner regrole) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_reassign';
CREATE FUNCTION require(job_name text) RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_require';
CREATE PROCEDURE wait(job bigint, timeout interval DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_wait';
CREATE PROCEDURE wait(job_name text, timeout interval DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_wait_name';

-- ---------------------------------------------------------------- views

-- A job that came along with a copy of its database is run by nobody here, whatever it did there.
CREATE VIEW jobs WITH (security_barrier) AS
SELECT j.id, j.name, j.kind,
	coalesce(c.oid::regclass::text, j.relation_name) AS relation,
	CASE WHEN j.state IN ('queued', 'running') AND NOT safe_migrate.is_at_home(j.system_identifier, j.database) THEN 'paused' ELSE j.state END AS state,
	CASE WHEN j.state IN ('queued', 'running') AND NOT safe_migrate.is_at_home(j.system_identifier, j.database) THEN 'queued in another cluster or database' ELSE j.state_reason END AS state_reason,
	coalesce(r.rolname::text, j.owner::text) AS owner,
	j.definition_text AS definition, j.settings, j.workers,
	j.queued_at, j.started_at, j.finished_at, j.retries, j.retry_at,
	j.error_sqlstate, j.error_message, j.error_detail, j.error_hint, j.error_statement
FROM safe_migrate.job j
	LEFT JOIN pg_catalog.pg_class c ON c.oid = j.relation
	LEFT JOIN pg_catalog.pg_roles r ON r.oid = j.owner
WHERE safe_migrate.may_see(j.owner);

CREATE VIEW job_steps WITH (security_barrier) AS
SELECT s.job_id, s.step_no, s.kind, s.description, s.state, s.pass,
	s.rows_written + coalesce((SELECT sum(l.rows_written) FROM safe_migrate.slice l
		WHERE l.job_id = s.job_id AND l.step_no = s.step_no), 0)::bigint AS rows_written,
	s.started_at, s.finished_at, CASE WHEN (s.kind <> 'statement' OR s.state = 'done') AND NOT EXISTS (SELECT FROM safe_migrate.step l WHERE l.job_id = s.job_id
		AND l.step_no = s.step_no + nullif((s.definition->>'undo_until')::int, 0) AND l.state = 'done')
		THEN s.definition->>'undo' END AS undo, s.deadlocks_before, s.deadlocks_after
FROM safe_migrate.step s JOIN safe_migrate.job j ON j.id = s.job_id
WHERE safe_migrate.may_see(j.owner);

CREATE VIEW events WITH (security_barrier) AS
SELECT e.id, e.job_id, e.at, e.kind, coalesce(r.rolname::text, e.role::text) AS role, e.detail
FROM safe_migrate.event e
	LEFT JOIN safe_migrate.job j ON j.id = e.job_id
	LEFT JOIN pg_catalog.pg_roles r ON r.oid = e.role
WHERE safe_migrate.may_see(j.owner);

-- Live: what shared memory has of the jobs that are queued, running or paused, and of those that
-- ended last; rows and fraction also of those it knows nothing of (any more).  The blocker's query
-- is read through pg_stat_activity with the reader's own rights.
CREATE VIEW progress WITH (security_barrier) AS
SELECT j.id AS job_id, j.name, j.kind,
	coalesce(c.oid::regclass::text, j.relation_name) AS relation,
	CASE WHEN j.state IN ('queued', 'running') AND NOT safe_migrate.is_at_home(j.system_identifier, j.database) THEN 'paused' ELSE j.state END AS state,
	coalesce('index: ' || x.phase, l.phase) AS phase,
	CASE WHEN j.state IN ('queued', 'running') AND NOT safe_migrate.is_at_home(j.system_identifier, j.database) THEN 'restored from elsewhere'
		WHEN j.state IN ('queued', 'running') AND (l.job_id IS NULL OR l.worker_pids = '{}' AND safe_migrate.start_condition() <> 'starting')
		THEN safe_migrate.start_condition()
		WHEN x.current_locker_pid > 0 THEN 'waiting for old snapshots' ELSE l.condition END AS condition, l.step_no,
	(SELECT count(*) FROM safe_migrate.step s WHERE s.job_id = j.id)::int AS steps,
	l.pass, CASE WHEN j.state = 'succeeded' THEN 1 WHEN x.blocks_total > 0
		THEN x.blocks_done::float8 / x.blocks_total ELSE l.fraction END AS fraction,
	greatest(l.rows_written, (SELECT sum(d.rows_written)::bigint
		FROM safe_migrate.job_steps d WHERE d.job_id = j.id)) AS rows,
	l.rows_per_second,
	CASE WHEN l.eta_seconds IS NOT NULL THEN make_interval(secs => l.eta_seconds) END AS eta,
	CASE WHEN l.throttled THEN l.detail END AS throttled_by,
	CASE WHEN NOT l.throttled THEN l.detail END AS detail,
	coalesce(nullif(x.current_locker_pid, 0)::int, l.waiting_for_pid) AS waiting_for_pid,
	CASE WHEN a.pid IS NOT NULL THEN
		format('pid %s, user %s, %s for %s: %s', a.pid, a.usename, a.state,
			date_trunc('milliseconds', clock_timestamp() - a.state_change), a.query) END AS waiting_for,
	l.replica_lag_seconds, l.readings, l.worker_pids, l.units_done AS blocks_done, l.units_total AS blocks_total
FROM safe_migrate.job j
	LEFT JOIN safe_migrate.live_jobs() l ON l.job_id = j.id
	LEFT JOIN pg_catalog.pg_class c ON c.oid = j.relation
	LEFT JOIN pg_catalog.pg_stat_progress_create_index x ON x.pid = ANY (l.worker_pids)
	LEFT JOIN pg_catalog.pg_stat_activity a
		ON a.pid = coalesce(nullif(x.current_locker_pid, 0), l.waiting_for_pid)
WHERE safe_migrate.may_see(j.owner);

-- Each process that waits, and those that it waits for in the end; relations of this database only.
-- Without JIT: the planner, who knows nothing of locks, takes this for much.
CREATE FUNCTION lock_chains(OUT pid int, OUT relation oid, OUT root_pid int, OUT waitstart timestamptz)
	RETURNS SETOF record LANGUAGE sql VOLATILE ROWS 10 SET jit = off
BEGIN ATOMIC
	WITH RECURSIVE waiting AS MATERIALIZED (
		SELECT l.pid, CASE WHEN l.database IN (0, d.oid) THEN l.relation END AS relation,
			unnest(pg_blocking_pids(l.pid)) AS blocked_by, l.waitstart
		FROM pg_catalog.pg_locks l, pg_catalog.pg_database d
		WHERE NOT l.granted AND d.datname = current_database()
	), chain AS (
		SELECT w.pid, w.relation, w.blocked_by, w.waitstart FROM waiting w
		UNION -- which ends where they go in a circle, too
		SELECT c.pid, c.relation, w.blocked_by, c.waitstart FROM chain c JOIN waiting w ON w.pid = c.blocked_by
	)
	SELECT c.pid, c.relation, c.blocked_by, c.waitstart FROM chain c
	WHERE NOT EXISTS (SELECT FROM waiting w WHERE w.pid = c.blocked_by);
END;
COMMENT ON FUNCTION lock_chains() IS 'processes that wait for locks, and the heads of the queues that they stand in';

-- Who blocks whom on which relation now, job or not.
CREATE VIEW blockers AS
SELECT r.relation::regclass AS relation, r.root_pid, a.usename AS root_user,
	a.application_name AS root_application, a.state AS root_state,
	clock_timestamp() - a.xact_start AS root_age, a.query AS root_query,
	count(DISTINCT r.pid) AS waiters, array_agg(DISTINCT r.pid) AS waiting_pids,
	max(clock_timestamp() - r.waitstart) AS longest_wait,
	CASE WHEN r.root_pid = 0 THEN
			'SELECT gid, owner, prepared FROM pg_prepared_xacts; -- then ROLLBACK PREPARED the one that is forgotten'
		ELSE format('SELECT pg_%s_backend(%s);',
			CASE WHEN a.state LIKE 'idle in transaction%' THEN 'terminate' ELSE 'cancel' END,
			r.root_pid) END AS action
FROM safe_migrate.lock_chains() r LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = r.root_pid
GROUP BY r.relation, r.root_pid, a.usename, a.application_name, a.state, a.xact_start, a.query;

-- ---------------------------------------------------------------- backfill, delete_safely

CREATE FUNCTION backfill(
	relation      regclass,
	assignments   text,
	predicate     text DEFAULT NULL,
	job_name      text DEFAULT NULL,
	workers       int DEFAULT 1,
	fire_triggers boolean DEFAULT true,
	settings      jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_backfill';
COMMENT ON FUNCTION backfill IS
	'queue a job that sets columns in small batches: rows that match the predicate, or whose assigned columns are NULL';

CREATE FUNCTION delete_safely(
	relation      regclass,
	predicate     text,
	job_name      text DEFAULT NULL,
	workers       int DEFAULT 1,
	fire_triggers boolean DEFAULT true,
	settings      jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_delete_safely';
COMMENT ON FUNCTION delete_safely IS 'queue a job that deletes the rows that match the predicate, in small batches';

CREATE FUNCTION estimate_backfill(
	relation        regclass,
	assignments     text,
	predicate       text DEFAULT NULL,
	sample_fraction float8 DEFAULT 0.01,
	OUT rows         bigint,
	OUT bytes        bigint,
	OUT duration     interval,
	OUT wal_bytes    bigint,
	OUT growth_bytes bigint
) RETURNS record LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_estimate_backfill';
COMMENT ON FUNCTION estimate_backfill IS
	'what a backfill would take, extrapolated from a sample of blocks that is written and rolled back';

-- ---------------------------------------------------------------- apply

CREATE FUNCTION apply(
	ddl      text,
	job_name text DEFAULT NULL,
	settings jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_apply';
COMMENT ON FUNCTION apply IS
	'queue a job that carries out ordinary DDL: what is brief as it stands, the rest by its safe recipe';

CREATE PROCEDURE run(
	ddl      text,
	job_name text DEFAULT NULL,
	settings jsonb DEFAULT '{}',
	timeout  interval DEFAULT NULL
) LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_run';
COMMENT ON PROCEDURE run IS 'apply(), then wait()';

CREATE FUNCTION plan(
	ddl text,
	OUT step       int,
	OUT sql        text,
	OUT lock       text,
	OUT blocks     text,
	OUT effect     text,
	OUT bytes      bigint,
	OUT reversible boolean,
	OUT undo       text,
	OUT kind       text
) RETURNS SETOF record LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'safe_migrate_plan';
COMMENT ON FUNCTION plan IS 'the steps that apply() would take, without doing any';

-- ---------------------------------------------------------------- indexes

CREATE FUNCTION create_index_safely(
	definition text,
	job_name   text DEFAULT NULL,
	settings   jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_create_index_safely';
COMMENT ON FUNCTION create_index_safely IS
	'queue a job that builds an index concurrently, on a partitioned table leaf by leaf';

CREATE FUNCTION drop_index_safely(
	index    regclass,
	job_name text DEFAULT NULL,
	settings jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_drop_index_safely';
COMMENT ON FUNCTION drop_index_safely IS
	'queue a job that drops an index concurrently, a partitioned one by brief locks taken in short tries';

CREATE FUNCTION reindex_safely(
	relation regclass,
	job_name text DEFAULT NULL,
	settings jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_reindex_safely';
COMMENT ON FUNCTION reindex_safely IS
	'queue a job that builds an index, or all of a table, anew, concurrently and one after the other';

-- ---------------------------------------------------------------- constraints

CREATE FUNCTION add_constraint_safely(
	relation   regclass,
	definition text,
	job_name   text DEFAULT NULL,
	settings   jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_add_constraint_safely';
COMMENT ON FUNCTION add_constraint_safely IS
	'queue a job that adds a constraint: NOT VALID, then validated without a strong lock; keys by an index built concurrently';

CREATE FUNCTION add_not_null_safely(
	relation    regclass,
	column_name name,
	fill        text DEFAULT NULL,
	job_name    text DEFAULT NULL,
	settings    jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_add_not_null_safely';
COMMENT ON FUNCTION add_not_null_safely IS
	'queue a job that makes a column NOT NULL without a scan under a strong lock; NULLs are set to fill first';

CREATE FUNCTION validate_constraint_safely(
	relation        regclass,
	constraint_name name,
	job_name        text DEFAULT NULL,
	settings        jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_validate_constraint_safely';
COMMENT ON FUNCTION validate_constraint_safely IS
	'queue a job that validates a NOT VALID constraint, leaf by leaf';

-- ---------------------------------------------------------------- columns

CREATE FUNCTION add_column_safely(
	relation   regclass,
	definition text,
	job_name   text DEFAULT NULL,
	settings   jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_add_column_safely';
COMMENT ON FUNCTION add_column_safely IS
	'queue a job that adds a column: bare, then its default, the rows that are there, NOT NULL and constraints';

-- ---------------------------------------------------------------- drops

CREATE FUNCTION drop_constraint_safely(
	relation        regclass,
	constraint_name name,
	job_name        text DEFAULT NULL,
	settings        jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_drop_constraint_safely';
COMMENT ON FUNCTION drop_constraint_safely IS
	'queue a job that drops a constraint by brief locks taken in short tries';

CREATE FUNCTION drop_column_safely(
	relation    regclass,
	column_name name,
	job_name    text DEFAULT NULL,
	settings    jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_drop_column_safely';
COMMENT ON FUNCTION drop_column_safely IS
	'queue a job that drops a column: its foreign keys first, one by one, each lock brief';

CREATE FUNCTION drop_table_safely(
	relation regclass,
	job_name text DEFAULT NULL,
	settings jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_drop_table_safely';
COMMENT ON FUNCTION drop_table_safely IS
	'queue a job that drops a table: its foreign keys first, one by one, each lock brief';

-- ---------------------------------------------------------------- partitions

CREATE FUNCTION attach_partition_safely(
	parent    regclass,
	partition regclass,
	bound     text,
	job_name  text DEFAULT NULL,
	settings  jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_attach_partition_safely';
COMMENT ON FUNCTION attach_partition_safely IS
	'queue a job that attaches a table as a partition: what the server would check or build under its lock is proven and built first';

CREATE FUNCTION detach_partition_safely(
	parent    regclass,
	partition regclass,
	job_name  text DEFAULT NULL,
	settings  jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_detach_partition_safely';
COMMENT ON FUNCTION detach_partition_safely IS
	'queue a job that detaches a partition concurrently, or by brief locks where the parent has a default partition';

-- ---------------------------------------------------------------- guard: explain

CREATE FUNCTION explain(
	sql text,
	OUT statement_no int,
	OUT command      text,
	OUT relation     text,
	OUT lock         text,
	OUT blocks       text,
	OUT effect       text,
	OUT bytes        bigint,
	OUT verdict      text,
	OUT rule         text,
	OUT reason       text,
	OUT instead      text
) RETURNS SETOF record LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'safe_migrate_explain';
COMMENT ON FUNCTION explain(text) IS
	'what each statement of a script would lock and do, and the guard''s verdict on it; executes nothing';

CREATE FUNCTION explain(
	sql   text,
	sizes jsonb,
	OUT statement_no int,
	OUT command      text,
	OUT relation     text,
	OUT lock         text,
	OUT blocks       text,
	OUT effect       text,
	OUT bytes        bigint,
	OUT verdict      text,
	OUT rule         text,
	OUT reason       text,
	OUT instead      text
) RETURNS SETOF record LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'safe_migrate_explain_sizes';
COMMENT ON FUNCTION explain(text, jsonb) IS
	'explain(sql) as if the relations had the sizes that export_sizes() gave in another database';

-- Partitioned tables with the sums of their leaves: another database may have other partitions.
CREATE FUNCTION export_sizes() RETURNS jsonb LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $$
WITH RECURSIVE own AS (
	SELECT c.oid, c.relkind, n.nspname, c.relname,
		CASE WHEN c.relkind = 'p' THEN 0 ELSE pg_relation_size(c.oid) END AS heap,
		CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE pg_relation_size(c.reltoastrelid) END AS toast,
		(SELECT sum(pg_relation_size(i.indexrelid)) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
			WHERE i.indrelid = c.oid AND x.relkind = 'i') AS indexes
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema'
		AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'safe_migrate'
), tree AS (
	SELECT o.oid AS root, o.oid AS member FROM own o
	UNION
	SELECT t.root, i.inhrelid FROM tree t JOIN own r ON r.oid = t.root AND r.relkind = 'p'
		JOIN pg_inherits i ON i.inhparent = t.member
), total AS (
	SELECT r.nspname, r.relname, sum(coalesce(m.heap, 0)) AS heap, sum(coalesce(m.toast, 0)) AS toast,
		sum(coalesce(m.indexes, 0)) AS indexes
	FROM tree t JOIN own r ON r.oid = t.root JOIN own m ON m.oid = t.member
	GROUP BY r.oid, r.nspname, r.relname
)
SELECT coalesce(jsonb_object_agg(format('%I.%I', nspname, relname),
	jsonb_build_object('heap', heap, 'toast', toast, 'indexes', indexes)), '{}') FROM total
$$;
COMMENT ON FUNCTION export_sizes() IS
	'bytes of each table of this database, for explain(sql, sizes) in another one: a copy without the rows';

-- ---------------------------------------------------------------- what \d+ and \df+ say

COMMENT ON SCHEMA safe_migrate IS 'schema changes and backfills on live tables: jobs, their control, what they do now';

COMMENT ON TYPE job_state IS 'queued, running and paused jobs go on; succeeded, failed and cancelled ones have ended';
COMMENT ON TYPE step_state IS 'a step is pending, running, done or failed';
COMMENT ON TABLE job IS 'one row a job; written by the extension alone, read it through the view jobs';
COMMENT ON TABLE step IS 'the ordered steps of a job; read it through the view job_steps';
COMMENT ON TABLE slice IS 'the parts of a step that workers share: a block range of a table, with its cursor and counts';
COMMENT ON TABLE own_write IS 'by which transactions a step has written rows, where what it writes may make rows match again';
COMMENT ON TABLE event IS 'what happened to jobs; read it through the view events';

COMMENT ON FUNCTION pause(bigint, text) IS 'stops a job after its current batch, until resume(); the reason is shown in jobs';
COMMENT ON FUNCTION pause(text, text) IS 'stops the job of that name after its current batch, until resume()';
COMMENT ON FUNCTION resume(bigint) IS 'lets a paused job go on where it stood';
COMMENT ON FUNCTION resume(text) IS 'lets the paused job of that name go on where it stood';
COMMENT ON FUNCTION cancel(bigint, text) IS 'ends a job after its current batch; what it has written stays';
COMMENT ON FUNCTION cancel(text, text) IS 'ends the job of that name after its current batch; what it has written stays';
COMMENT ON FUNCTION retry(bigint) IS 'queues a failed or cancelled job again; it goes on where it stood';
COMMENT ON FUNCTION retry(text) IS 'queues the failed or cancelled job of that name again; it goes on where it stood';
COMMENT ON FUNCTION configure(bigint, text, text) IS 'sets workers or one of the job''s own settings, from its next batch on; NULL goes back to the server''s';
COMMENT ON FUNCTION configure(text, text, text) IS 'sets workers or one of the own settings of the job of that name; NULL goes back to the server''s';
COMMENT ON FUNCTION pause_all(text) IS 'pauses all queued and running jobs of this database that the caller may control';
COMMENT ON FUNCTION resume_all() IS 'resumes the jobs that pause_all() paused';
COMMENT ON FUNCTION reassign(bigint, regrole) IS 'gives a job that does not run to another role, with whose rights it goes on; superusers only';
COMMENT ON FUNCTION require(text) IS 'returns if the job of that name has succeeded, else raises SM002 with its state and progress';
COMMENT ON PROCEDURE wait(bigint, interval) IS 'commits, then waits for the job''s end and prints progress; raises the job''s own error if it failed';
COMMENT ON PROCEDURE wait(text, interval) IS 'commits, then waits for the end of the job of that name and prints progress';

COMMENT ON VIEW jobs IS 'the jobs that the current user may see: what, whose, state, error';
COMMENT ON COLUMN jobs.id IS 'what the functions returned that queued it';
COMMENT ON COLUMN jobs.name IS 'job_name of the call, unique per owner; NULL = none';
COMMENT ON COLUMN jobs.kind IS 'the function that queued it: backfill, delete, create_index, apply, …';
COMMENT ON COLUMN jobs.relation IS 'the table that the call named, as it is called now';
COMMENT ON COLUMN jobs.state IS 'queued, running, paused, succeeded, failed, cancelled';
COMMENT ON COLUMN jobs.state_reason IS 'why it is paused, cancelled or failed';
COMMENT ON COLUMN jobs.owner IS 'the role with whose rights it works';
COMMENT ON COLUMN jobs.definition IS 'the statement that it amounts to, with all names resolved';
COMMENT ON COLUMN jobs.settings IS 'its own settings, where it has some; {"override": …} where they are less strict than the server''s, by right';
COMMENT ON COLUMN jobs.workers IS 'most workers that share it';
COMMENT ON COLUMN jobs.queued_at IS 'when the call was made';
COMMENT ON COLUMN jobs.started_at IS 'when it first ran';
COMMENT ON COLUMN jobs.finished_at IS 'when it succeeded, failed or was cancelled';
COMMENT ON COLUMN jobs.retries IS 'batches that were tried again after an error that may pass by itself';
COMMENT ON COLUMN jobs.retry_at IS 'no try before this time';
COMMENT ON COLUMN jobs.error_sqlstate IS 'SQLSTATE of the error that it failed with';
COMMENT ON COLUMN jobs.error_message IS 'primary message of that error';
COMMENT ON COLUMN jobs.error_detail IS 'DETAIL of that error';
COMMENT ON COLUMN jobs.error_hint IS 'HINT of that error';
COMMENT ON COLUMN jobs.error_statement IS 'the internal query that raised it, where the error names one, else the job''s statement';

COMMENT ON VIEW job_steps IS 'the steps of the jobs that the current user may see';
COMMENT ON COLUMN job_steps.job_id IS 'the job';
COMMENT ON COLUMN job_steps.step_no IS 'its place in the order, from 1';
COMMENT ON COLUMN job_steps.kind IS 'how it is run: backfill, delete, vacuum, statement, build index, …';
COMMENT ON COLUMN job_steps.description IS 'what it does';
COMMENT ON COLUMN job_steps.state IS 'pending, running, done, failed';
COMMENT ON COLUMN job_steps.pass IS 'times that the table was gone through: 1 = all rows, more = what was left';
COMMENT ON COLUMN job_steps.rows_written IS 'rows written or deleted, as of about a second ago';
COMMENT ON COLUMN job_steps.started_at IS 'when it first ran';
COMMENT ON COLUMN job_steps.undo IS 'SQL that takes the step back where it changed the schema; NULL: nothing does';
COMMENT ON COLUMN job_steps.finished_at IS 'when it was done';
COMMENT ON COLUMN job_steps.deadlocks_before IS 'deadlocks of this database that the server had counted when it first ran';
COMMENT ON COLUMN job_steps.deadlocks_after IS 'the same when it was done or had failed: more than before, where it or others met some meanwhile';

COMMENT ON VIEW events IS 'what happened to the jobs that the current user may see';
COMMENT ON COLUMN events.id IS 'in the order of what happened';
COMMENT ON COLUMN events.job_id IS 'the job';
COMMENT ON COLUMN events.at IS 'when';
COMMENT ON COLUMN events.kind IS 'the new state, or what else happened: configured, reassigned, retry, throttled, throttle ended, waiting for …, left, notice, override';
COMMENT ON COLUMN events.role IS 'who did it, where a person did';
COMMENT ON COLUMN events.detail IS 'reason, reading, error or setting';

COMMENT ON VIEW progress IS 'what the jobs that the current user may see are doing now';
COMMENT ON COLUMN progress.job_id IS 'the job';
COMMENT ON COLUMN progress.name IS 'its name';
COMMENT ON COLUMN progress.kind IS 'as in jobs';
COMMENT ON COLUMN progress.relation IS 'its table';
COMMENT ON COLUMN progress.state IS 'as in jobs';
COMMENT ON COLUMN progress.phase IS 'the step, and its pass';
COMMENT ON COLUMN progress.condition IS 'working, or what a queued or running job waits for';
COMMENT ON COLUMN progress.step_no IS 'the step it is at';
COMMENT ON COLUMN progress.steps IS 'number of its steps';
COMMENT ON COLUMN progress.pass IS 'how often the table is gone through by now';
COMMENT ON COLUMN progress.fraction IS 'done of this pass, 0 to 1, in blocks';
COMMENT ON COLUMN progress.rows IS 'rows written or deleted';
COMMENT ON COLUMN progress.rows_per_second IS 'over the last seconds';
COMMENT ON COLUMN progress.eta IS 'time that this pass still takes at the pace of the last seconds';
COMMENT ON COLUMN progress.throttled_by IS 'which limit stops it, with its reading';
COMMENT ON COLUMN progress.readings IS 'what each limit that is on reads now, beside the limit';
COMMENT ON COLUMN progress.detail IS 'of any other condition: what it waits for';
COMMENT ON COLUMN progress.waiting_for_pid IS 'process that is in its way';
COMMENT ON COLUMN progress.waiting_for IS 'that process: user, state, for how long, query (as far as the reader may see it)';
COMMENT ON COLUMN progress.replica_lag_seconds IS 'replay lag of the slowest standby that counts';
COMMENT ON COLUMN progress.worker_pids IS 'processes that work on it';
COMMENT ON COLUMN progress.blocks_done IS 'blocks of this pass that are finished';
COMMENT ON COLUMN progress.blocks_total IS 'blocks of this pass';

COMMENT ON VIEW blockers IS 'sessions that hold up others now, by what the others wait for';
COMMENT ON COLUMN blockers.relation IS 'table or index that is waited for; NULL = a row, by way of the transaction that holds it';
COMMENT ON COLUMN blockers.root_pid IS 'process at the head of the queue, which waits for nobody; 0 = a prepared transaction';
COMMENT ON COLUMN blockers.root_user IS 'its user';
COMMENT ON COLUMN blockers.root_application IS 'its application_name';
COMMENT ON COLUMN blockers.root_state IS 'its state, as in pg_stat_activity';
COMMENT ON COLUMN blockers.root_age IS 'age of its transaction';
COMMENT ON COLUMN blockers.root_query IS 'its current or last query, as far as the reader may see it';
COMMENT ON COLUMN blockers.waiters IS 'number of processes that wait for it, directly or not';
COMMENT ON COLUMN blockers.waiting_pids IS 'these processes';
COMMENT ON COLUMN blockers.longest_wait IS 'how long the first of them has waited';
COMMENT ON COLUMN blockers.action IS 'a statement that would clear the way';

-- ---------------------------------------------------------------- guard: policies, overrides

CREATE TABLE policy (
	relation         regclass UNIQUE,            -- a table, a partitioned one for all its partitions …
	schema_name      name,                       -- … or a schema, under its name at that time
	schema_oid       oid UNIQUE,                 -- in the database made_in; in others it goes by the name
	made_in          text,                       -- (pg_upgrade refuses columns of type regnamespace)
	mode             text CHECK (mode IN ('normal', 'strict', 'exempt')),
	small_table_size bigint,                     -- bytes
	rule_levels      text,
	ddl_lock_try     int,                        -- ms, as the other three
	ddl_lock_retry   int,
	ddl_lock_timeout int,
	max_lock_hold    int,
	comment          text,
	set_by           text,
	set_at           timestamptz NOT NULL DEFAULT now(),
	CHECK (num_nonnulls(relation, schema_name) = 1)
);
SELECT pg_catalog.pg_extension_config_dump('policy',
	'WHERE relation::pg_catalog.oid IN (SELECT oid FROM pg_catalog.pg_class)
		OR schema_oid IN (SELECT oid FROM pg_catalog.pg_namespace)');

CREATE FUNCTION policy_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_policy_changed';
COMMENT ON FUNCTION policy_changed() IS 'has all sessions read the policies again';
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON policy
	FOR EACH STATEMENT EXECUTE FUNCTION policy_changed();

CREATE FUNCTION set_policy(relation regclass DEFAULT NULL, schema_name name DEFAULT NULL,
	mode text DEFAULT NULL, small_table_size text DEFAULT NULL, rule_levels text DEFAULT NULL,
	ddl_lock_try text DEFAULT NULL, ddl_lock_retry text DEFAULT NULL,
	ddl_lock_timeout text DEFAULT NULL, max_lock_hold text DEFAULT NULL, comment text DEFAULT NULL)
	RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'safe_migrate_set_policy';
COMMENT ON FUNCTION set_policy(regclass, name, text, text, text, text, text, text, text, text) IS
	'sets what the guard makes of one table or schema; with nothing but the target it is as the settings say again';
REVOKE EXECUTE ON FUNCTION set_policy(regclass, name, text, text, text, text, text, text, text, text) FROM public;

CREATE FUNCTION rules(OUT rule text, OUT level text, OUT default_level text, OUT problem text)
	RETURNS SETOF record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'safe_migrate_rules';
COMMENT ON FUNCTION rules() IS 'the rules of the guard, with the levels that rule_levels gives them in this session';

CREATE TABLE override_log (
	id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at           timestamptz NOT NULL DEFAULT clock_timestamp(),
	role         text NOT NULL,
	session_role text NOT NULL,
	role_oid     oid NOT NULL,
	application  text,
	client       text,
	command      text NOT NULL,
	statement    text,
	rules        text[] NOT NULL,
	relations    text[] NOT NULL,
	reason       text NOT NULL
);

CREATE INDEX ON override_log (at);

CREATE TABLE recent_column (                     -- ADD COLUMN of the last seven days
	relation oid NOT NULL,                       -- 0: all of them
	attnum   int2 NOT NULL,                      -- 0: it was given rows of another table, in which no column is new
	added_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX recent_column_relation ON recent_column (relation, attnum);

CREATE VIEW policies AS
SELECT p.relation, n.nspname AS schema_name, p.mode, p.small_table_size, p.rule_levels,
	p.ddl_lock_try * interval '1 ms' AS ddl_lock_try,
	p.ddl_lock_retry * interval '1 ms' AS ddl_lock_retry,
	p.ddl_lock_timeout * interval '1 ms' AS ddl_lock_timeout,
	p.max_lock_hold * interval '1 ms' AS max_lock_hold,
	p.comment, p.set_by, p.set_at
FROM policy p
LEFT JOIN pg_catalog.pg_namespace n ON CASE WHEN p.made_in = (SELECT s.system_identifier || '/' || d.oid
		FROM pg_catalog.pg_control_system() s, pg_catalog.pg_database d WHERE d.datname = current_database())
	THEN n.oid = p.schema_oid ELSE n.nspname = p.schema_name END
WHERE n.oid IS NOT NULL OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = p.relation);
COMMENT ON VIEW policies IS 'what the guard makes of single tables and schemas';
COMMENT ON COLUMN policies.relation IS 'the table; of a partitioned one for all its partitions';
COMMENT ON COLUMN policies.schema_name IS 'or the schema';
COMMENT ON COLUMN policies.mode IS 'strict: nothing passes for being small; exempt: all passes; normal';
COMMENT ON COLUMN policies.small_table_size IS 'what is small here, in bytes';
COMMENT ON COLUMN policies.rule_levels IS 'levels of rules that differ here';
COMMENT ON COLUMN policies.ddl_lock_try IS 'as the setting';
COMMENT ON COLUMN policies.ddl_lock_retry IS 'as the setting';
COMMENT ON COLUMN policies.ddl_lock_timeout IS 'as the setting';
COMMENT ON COLUMN policies.max_lock_hold IS 'as the setting';
COMMENT ON COLUMN policies.comment IS 'why, in the words of who set it';
COMMENT ON COLUMN policies.set_by IS 'who set it';
COMMENT ON COLUMN policies.set_at IS 'and when';

CREATE VIEW audit WITH (security_barrier) AS
SELECT o.id, o.at, o.role, o.session_role, o.application, o.client, o.command,
	o.statement, o.rules, o.relations, o.reason
FROM override_log o
WHERE safe_migrate.may_see(o.role_oid);
COMMENT ON VIEW audit IS 'statements that passed the guard by an override, of roles that the current user may see';
COMMENT ON COLUMN audit.id IS 'number';
COMMENT ON COLUMN audit.at IS 'when the statement began';
COMMENT ON COLUMN audit.role IS 'with whose rights it ran';
COMMENT ON COLUMN audit.session_role IS 'who had logged in';
COMMENT ON COLUMN audit.application IS 'application_name';
COMMENT ON COLUMN audit.client IS 'address of the client; NULL = a local connection';
COMMENT ON COLUMN audit.command IS 'kind of statement';
COMMENT ON COLUMN audit.statement IS 'its text';
COMMENT ON COLUMN audit.rules IS 'that would have rejected it';
COMMENT ON COLUMN audit.relations IS 'on which they would have';
COMMENT ON COLUMN audit.reason IS 'what the override said';

GRANT USAGE ON SCHEMA safe_migrate TO public;
GRANT SELECT ON jobs, job_steps, events, progress, blockers, policies, audit TO public;
