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
