-- What it means for the others when a partition comes or goes.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA statement_partitions;
SET search_path = statement_partitions, safe_migrate;
CREATE TABLE kinds (kind int PRIMARY KEY);
INSERT INTO kinds VALUES (1);
CREATE TABLE days (day int NOT NULL, kind int REFERENCES kinds) PARTITION BY RANGE (day);
CREATE INDEX days_kind ON days (kind);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (100);
INSERT INTO days SELECT i, 1 FROM generate_series(0, 99) i;
CREATE TABLE bare (day int NOT NULL, kind int);
INSERT INTO bare VALUES (150, 1);
CREATE TABLE nullable (day int CHECK (day >= 100 AND day < 200), kind int);
INSERT INTO nullable VALUES (150, 1);
CREATE TABLE prepared (kind int REFERENCES kinds, day int NOT NULL CHECK (day >= 100 AND day < 200));
INSERT INTO prepared VALUES (1, 150);
CREATE INDEX ON prepared (kind);
CREATE TABLE events (day int PRIMARY KEY) PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (100);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE TABLE notes (day int REFERENCES events);
INSERT INTO events VALUES (1), (1000);
INSERT INTO notes VALUES (1000);
CREATE TABLE proven (day int PRIMARY KEY) PARTITION BY RANGE (day);
CREATE TABLE proven_rest PARTITION OF proven DEFAULT;
ALTER TABLE proven_rest ADD CHECK (day >= 1000);
INSERT INTO proven VALUES (1000);
CREATE SEQUENCE numbers;
CREATE FUNCTION first_day() RETURNS int LANGUAGE plpgsql AS
	'BEGIN RAISE NOTICE ''first_day() runs''; RETURN 100; END';
\c
SET search_path = statement_partitions, safe_migrate;
SET safe_migrate.small_table_size = 0;
CREATE FUNCTION pg_temp.told(script text) RETURNS TABLE (what text) LANGUAGE sql AS $$
	SELECT concat_ws(' | ', e.relation, e.lock, e.effect, e.verdict, e.rule)
	FROM safe_migrate.explain(script) e $$;

SELECT pg_temp.told('ALTER TABLE days ATTACH PARTITION bare FOR VALUES FROM (100) TO (200)');
SELECT pg_temp.told('ALTER TABLE days ATTACH PARTITION nullable FOR VALUES FROM (100) TO (200)');
SELECT pg_temp.told('ALTER TABLE days ATTACH PARTITION prepared FOR VALUES FROM (100) TO (200)');
-- a bound is not evaluated where that would run code or change something
SELECT pg_temp.told('ALTER TABLE days ATTACH PARTITION prepared FOR VALUES FROM (first_day()) TO (200)');
SELECT pg_temp.told('ALTER TABLE days ATTACH PARTITION prepared FOR VALUES FROM (nextval(''numbers'')) TO (200)');
SELECT is_called FROM numbers;
SELECT pg_temp.told('ALTER TABLE days DETACH PARTITION days_1');
SELECT pg_temp.told('ALTER TABLE days DETACH PARTITION days_1 CONCURRENTLY');
SELECT pg_temp.told('CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (100) TO (200)');
-- with a default partition, and a foreign key to the parent
SELECT pg_temp.told('CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (100) TO (200)');
SELECT pg_temp.told('CREATE TABLE proven_2 PARTITION OF proven FOR VALUES FROM (100) TO (200)');
SELECT pg_temp.told('ALTER TABLE events DETACH PARTITION events_1');
-- other tables that a CREATE TABLE locks
SELECT pg_temp.told('CREATE TABLE more (id int REFERENCES kinds, day int, FOREIGN KEY (day) REFERENCES events)');
SELECT pg_temp.told('CREATE TABLE more () INHERITS (kinds)');
SELECT pg_temp.told('CREATE TABLE more (LIKE kinds INCLUDING ALL)');
SELECT pg_temp.told('CREATE TABLE IF NOT EXISTS kinds (id int REFERENCES events)');
SELECT pg_temp.told('CREATE SCHEMA shop CREATE TABLE IF NOT EXISTS kinds (id int REFERENCES events)');
-- before its own table of that name is there, the name means the other one
SELECT pg_temp.told('CREATE SCHEMA shop CREATE TABLE a (id int REFERENCES kinds) CREATE TABLE kinds (id int PRIMARY KEY)');
SELECT pg_temp.told('CREATE SCHEMA shop CREATE TABLE kinds (id int PRIMARY KEY) CREATE TABLE a (id int REFERENCES kinds)
	CREATE TABLE b (id int REFERENCES shop.kinds, day int REFERENCES events) CREATE INDEX ON b (day)
	CREATE VIEW v AS SELECT day FROM b CREATE TRIGGER none BEFORE UPDATE ON b EXECUTE FUNCTION suppress_redundant_updates_trigger()');
SELECT pg_temp.told('CREATE SCHEMA AUTHORIZATION CURRENT_USER CREATE TABLE only_here (id int PRIMARY KEY) CREATE TABLE a (id int REFERENCES only_here)');
SELECT pg_temp.told('CREATE SCHEMA shop; CREATE SCHEMA stock CREATE TABLE kinds (id int PRIMARY KEY)
	CREATE TABLE a (id int REFERENCES kinds); ALTER TABLE stock.a ADD day int REFERENCES events NOT NULL');

SET client_min_messages = error;
DROP SCHEMA statement_partitions CASCADE;
