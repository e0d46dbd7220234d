CREATE PROCEDURE engine_run(relation regclass, leaf regclass, first_block bigint, end_block bigint,
	columns text[], expressions text[], predicate text, target_us bigint DEFAULT 30000,
	page_filling boolean DEFAULT true, fire_triggers boolean DEFAULT true, sabotage int DEFAULT 0,
	wal_piece bigint DEFAULT 0)
LANGUAGE C AS 'MODULE_PATHNAME', 'engine_run';
CREATE FUNCTION engine_claim(class regclass, object bigint, sub int) RETURNS boolean
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'engine_claim';
