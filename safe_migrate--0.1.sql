-- safe_migrate 0.1: the objects of the extension.  Bookkeeping tables are written by the
-- extension alone (as its owner, from C++); everybody reads them through the views.

\echo Use "CREATE EXTENSION safe_migrate" to load this file. \quit

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
	search_path     text NOT NULL,               -- the caller's: what its functions and triggers run under
	workers         int NOT NULL DEFAULT 1,
	system_identifier bigint NOT NULL,           -- cluster and database it was queued in: elsewhere
	database        oid NOT NULL,                -- (restored) it never starts by itself
	queued_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
	started_at      timestamptz,
	finished_at     timestamptz,
	retry_at        timestamptz,                 -- not before this, after an error that may be retried
	attempts        int NOT NULL DEFAULT 0,      -- consecutive errors that were retried
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
	sample        text,                          -- a row that could not be written, "(block,offset)"
	PRIMARY KEY (job_id, step_no, slice_no),
	FOREIGN KEY (job_id, step_no) REFERENCES step ON DELETE CASCADE
);

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

CREATE FUNCTION live_jobs(OUT job_id bigint, OUT phase text, OUT condition text, OUT detail text,
	OUT waiting_for_pid int, OUT step_no int, OUT pass int, OUT fraction float8,
	OUT rows_written bigint, OUT units_done bigint, OUT units_total bigint,
	OUT rows_per_second float8, OUT eta_seconds float8, OUT throttled boolean,
	OUT replica_lag_seconds float8, OUT worker_pids int[], OUT changed timestamptz)
	RETURNS SETOF record LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'safe_migrate_live_jobs';
COMMENT ON FUNCTION live_jobs() IS 'what shared memory has of the jobs that the current user may see';

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

-- ---------------------------------------------------------------- views

CREATE VIEW jobs WITH (security_barrier) AS
SELECT j.id, j.name, j.kind,
	coalesce(c.oid::regclass::text, j.relation_name) AS relation,
	j.state, j.state_reason,
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
	s.started_at, s.finished_at
FROM safe_migrate.step s JOIN safe_migrate.job j ON j.id = s.job_id
WHERE safe_migrate.may_see(j.owner);

CREATE VIEW events WITH (security_barrier) AS
SELECT e.id, e.job_id, e.at, e.kind, coalesce(r.rolname::text, e.role::text) AS role, e.detail
FROM safe_migrate.event e
	LEFT JOIN safe_migrate.job j ON j.id = e.job_id
	LEFT JOIN pg_catalog.pg_roles r ON r.oid = e.role
WHERE safe_migrate.may_see(j.owner);

-- Live: what shared memory has of the jobs that are queued, running or paused, and of those that
-- ended last.  The blocker's query is read through pg_stat_activity with the reader's own rights.
CREATE VIEW progress WITH (security_barrier) AS
SELECT j.id AS job_id, j.name, j.kind,
	coalesce(c.oid::regclass::text, j.relation_name) AS relation,
	j.state, l.phase, l.condition, l.step_no,
	(SELECT count(*) FROM safe_migrate.step s WHERE s.job_id = j.id)::int AS steps,
	l.pass, l.fraction, coalesce(l.rows_written, 0) AS rows,
	l.rows_per_second,
	CASE WHEN l.eta_seconds IS NOT NULL THEN make_interval(secs => l.eta_seconds) END AS eta,
	CASE WHEN l.throttled THEN l.detail END AS throttled_by,
	CASE WHEN NOT l.throttled THEN l.detail END AS detail,
	l.waiting_for_pid,
	CASE WHEN a.pid IS NOT NULL THEN
		format('pid %s, user %s, %s for %s: %s', a.pid, a.usename, a.state,
			date_trunc('milliseconds', clock_timestamp() - a.state_change), a.query) END AS waiting_for,
	l.replica_lag_seconds, l.worker_pids, l.units_done AS blocks_done, l.units_total AS blocks_total
FROM safe_migrate.job j
	LEFT JOIN safe_migrate.live_jobs() l ON l.job_id = j.id
	LEFT JOIN pg_catalog.pg_class c ON c.oid = j.relation
	LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.waiting_for_pid
WHERE safe_migrate.may_see(j.owner);

-- Who blocks whom on which relation now, job or not.
CREATE VIEW blockers AS
WITH RECURSIVE waiting AS (
	SELECT l.pid, l.relation, l.mode, unnest(pg_blocking_pids(l.pid)) AS blocked_by, l.waitstart
	FROM pg_catalog.pg_locks l
	WHERE NOT l.granted
), chain AS (
	SELECT w.pid, w.relation, w.mode, w.blocked_by, w.waitstart, ARRAY[w.pid] AS seen FROM waiting w
	UNION
	SELECT c.pid, c.relation, c.mode, w.blocked_by, c.waitstart, c.seen || w.pid
	FROM chain c JOIN waiting w ON w.pid = c.blocked_by
	WHERE NOT w.pid = ANY (c.seen)
)
SELECT r.relation::regclass AS relation, r.blocked_by AS root_pid, a.usename AS root_user,
	a.application_name AS root_application, a.state AS root_state,
	clock_timestamp() - a.xact_start AS root_age, a.query AS root_query,
	count(DISTINCT r.pid) AS waiters, array_agg(DISTINCT r.pid) AS waiting_pids,
	max(clock_timestamp() - r.waitstart) AS longest_wait,
	format('SELECT pg_%s_backend(%s);',
		CASE WHEN a.state LIKE 'idle in transaction%' THEN 'terminate' ELSE 'cancel' END,
		r.blocked_by) AS action
FROM chain r LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = r.blocked_by
WHERE NOT EXISTS (SELECT FROM waiting w WHERE w.pid = r.blocked_by)
GROUP BY r.relation, r.blocked_by, a.usename, a.application_name, a.state, a.xact_start, a.query;

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

GRANT USAGE ON SCHEMA safe_migrate TO public;
GRANT SELECT ON jobs, job_steps, events, progress, blockers TO public;
