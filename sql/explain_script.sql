-- explain() over scripts: a later statement is judged against what the earlier ones change.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA es;
SET search_path = es, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, status text, total int NOT NULL);
CREATE TABLE "Odd ""name" (id int, "a b" text);
CREATE TABLE events (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE events_rest PARTITION OF events DEFAULT;
INSERT INTO customers VALUES (1, 'x');
INSERT INTO orders VALUES (1, 1, 'x', 1);
INSERT INTO "Odd ""name" VALUES (1);
INSERT INTO events VALUES (1, '2024-05-05'), (2, '2026-01-01');
CREATE TYPE owned AS (id int);
CREATE TABLE thirds (k int NOT NULL) PARTITION BY LIST (k);
CREATE TABLE third1 PARTITION OF thirds FOR VALUES IN (1);
CREATE TABLE third2 PARTITION OF thirds FOR VALUES IN (2);
CREATE TABLE third3 PARTITION OF thirds FOR VALUES IN (3);
INSERT INTO thirds VALUES (1), (2), (3);
\c -
SET search_path = es, public;
SET safe_migrate.small_table_size = 0;
CREATE FUNCTION pg_temp.e(sql text) RETURNS TABLE (n int, command text, relation text, lock text, effect text, verdict text, rule text)
LANGUAGE sql AS 'SELECT statement_no, command, relation, replace(lock, ''Lock'', ''''), effect, verdict, rule FROM safe_migrate.explain(sql)';

-- a new table, whatever is done to it; what it refers to is locked
SELECT * FROM pg_temp.e('CREATE TABLE fresh (id int, customer_id int REFERENCES customers);
	ALTER TABLE fresh ADD COLUMN a timestamptz DEFAULT clock_timestamp();
	ALTER TABLE fresh ADD FOREIGN KEY (id) REFERENCES orders; CREATE INDEX ON fresh (a);
	ALTER TABLE fresh ALTER id SET NOT NULL; TRUNCATE fresh; DROP TABLE fresh; ALTER TABLE fresh ADD b int');
-- the recommended way to NOT NULL
SELECT * FROM pg_temp.e('ALTER TABLE orders ADD COLUMN region text;
	ALTER TABLE orders ALTER region SET DEFAULT ''EU'';
	ALTER TABLE orders ADD CONSTRAINT region_there CHECK (region IS NOT NULL) NOT VALID;
	ALTER TABLE orders VALIDATE CONSTRAINT region_there;
	ALTER TABLE orders ALTER region SET NOT NULL;
	ALTER TABLE orders DROP CONSTRAINT region_there');
-- the same without its proof: dropped before, never validated, another column's, taken back
SELECT * FROM pg_temp.e('ALTER TABLE orders ADD COLUMN region text; ALTER TABLE orders ALTER region SET NOT NULL');
SELECT * FROM pg_temp.e('ALTER TABLE orders ADD CONSTRAINT c CHECK (status IS NOT NULL) NOT VALID;
	ALTER TABLE orders ALTER status SET NOT NULL');
SELECT * FROM pg_temp.e('ALTER TABLE orders ADD CONSTRAINT c CHECK (status IS NOT NULL) NOT VALID;
	ALTER TABLE orders VALIDATE CONSTRAINT c; ALTER TABLE orders DROP CONSTRAINT c, ALTER status SET NOT NULL');
SELECT * FROM pg_temp.e('ALTER TABLE orders ALTER total DROP NOT NULL; ALTER TABLE orders ALTER total SET NOT NULL');
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE orders ALTER total DROP NOT NULL; ROLLBACK; ALTER TABLE orders ALTER total SET NOT NULL');
-- keys by an index that is built first
SELECT * FROM pg_temp.e('CREATE UNIQUE INDEX CONCURRENTLY u ON orders (total); ALTER TABLE orders ADD CONSTRAINT u UNIQUE USING INDEX u');
SELECT * FROM pg_temp.e('ALTER TABLE customers DROP CONSTRAINT customers_pkey; CREATE UNIQUE INDEX CONCURRENTLY k ON customers (name);
	ALTER TABLE customers ADD PRIMARY KEY USING INDEX k');
-- foreign keys: both ends, also when the table goes
SELECT * FROM pg_temp.e('ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY (customer_id) REFERENCES customers NOT VALID;
	ALTER TABLE orders VALIDATE CONSTRAINT fk; ALTER TABLE orders DROP CONSTRAINT fk');
SELECT * FROM pg_temp.e('ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY (customer_id) REFERENCES customers NOT VALID; DROP TABLE orders');
SELECT * FROM pg_temp.e('ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY (customer_id) REFERENCES customers NOT VALID; DROP TABLE customers CASCADE');
-- types and functions of the script
SELECT * FROM pg_temp.e('CREATE TYPE mood AS ENUM (''happy''); ALTER TABLE orders ADD m mood NOT NULL DEFAULT ''happy''::mood');
SELECT * FROM pg_temp.e('CREATE DOMAIN positive AS int CHECK (VALUE > 0); ALTER TABLE orders ADD p positive');
SELECT * FROM pg_temp.e('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''SELECT 1''; ALTER TABLE orders ADD f int DEFAULT f(); ALTER TABLE orders ADD g int DEFAULT 7');
-- renames: the new name is the old table, a swap in one transaction breaks nobody
SELECT * FROM pg_temp.e('ALTER TABLE orders RENAME TO sales; ALTER TABLE sales ALTER status SET NOT NULL; ALTER TABLE orders ADD x int');
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE orders RENAME TO orders_old; ALTER TABLE customers RENAME TO orders; COMMIT');
SELECT * FROM pg_temp.e('ALTER TABLE orders RENAME status TO state; ALTER TABLE orders ALTER state TYPE varchar(1)');
-- partitions
SELECT * FROM pg_temp.e('CREATE TABLE events_2025 (LIKE events); ALTER TABLE events ATTACH PARTITION events_2025 FOR VALUES FROM (''2025-01-01'') TO (''2026-01-01''); DROP TABLE events_2025');
SELECT * FROM pg_temp.e('ALTER TABLE events DETACH PARTITION events_2024; ALTER TABLE events ADD CHECK (id > 0)');
SELECT * FROM pg_temp.e('ALTER TABLE events_2024 ADD CHECK (id > 0) NOT VALID; ALTER TABLE events ALTER id SET NOT NULL');
-- what was proof, a match or a name before is none any more
SELECT * FROM pg_temp.e('ALTER TABLE events_rest ADD CHECK (id > 0) NOT VALID; CREATE TABLE events_2030 PARTITION OF events FOR VALUES FROM (''2030-01-01'') TO (''2031-01-01'')');
SELECT * FROM pg_temp.e('CREATE INDEX ON orders (status); ALTER TABLE orders ALTER status TYPE varchar');
SELECT * FROM pg_temp.e('ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers NOT VALID; ALTER TABLE customers DROP CONSTRAINT customers_pkey CASCADE; ALTER TABLE customers ALTER id TYPE oid');
SELECT * FROM pg_temp.e('ALTER SCHEMA es RENAME TO es_old; ALTER TABLE es.orders ADD x int') WHERE n = 2;
-- blocks
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE orders ADD x int; ALTER TABLE customers ADD x int; CREATE INDEX CONCURRENTLY ON orders (x); COMMIT; ALTER TABLE customers ADD y int');
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0) NOT VALID; SAVEPOINT s; ALTER TABLE customers ADD x int; ROLLBACK TO s; ALTER TABLE orders VALIDATE CONSTRAINT c; PREPARE TRANSACTION ''x''');
-- odd names, the search_path of the script, what a DO block named
SELECT * FROM pg_temp.e('ALTER TABLE "Odd ""name" ADD "New col" int; ALTER TABLE "Odd ""name" ALTER "New col" SET NOT NULL');
SELECT * FROM pg_temp.e('SET search_path = pg_catalog; ALTER TABLE orders ADD x int; SELECT set_config(''search_path'', ''es'', false); ALTER TABLE orders ADD x int');
SHOW search_path;
SELECT * FROM pg_temp.e('DO $$ BEGIN ALTER TABLE orders ALTER status TYPE varchar(1); END $$; ALTER TABLE orders ADD x int; ALTER TABLE customers ADD x int');
SELECT * FROM pg_temp.e('ALTER TABLE nowhere ADD x int; ALTER TABLE orders ADD y int');
-- alone it is an error
SELECT * FROM pg_temp.e('ALTER TABLE nowhere ADD x int');
-- the words
SELECT reason, instead FROM safe_migrate.explain('ALTER TABLE orders ADD c int; ALTER TABLE orders ALTER c SET NOT NULL; ALTER TABLE orders ALTER c TYPE bigint');
-- nothing was done, nothing is held
SELECT attname FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 ORDER BY attnum;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('orders'::regclass, 'customers'::regclass);
BEGIN;
SELECT count(*) FROM safe_migrate.explain('ALTER TABLE orders ADD c int; DROP TABLE customers CASCADE; VACUUM FULL orders; UPDATE orders SET status = 1; LOCK orders');
SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN ('orders'::regclass, 'customers'::regclass);
COMMIT;
-- ten thousand statements
SELECT verdict, count(*), max(statement_no) FROM safe_migrate.explain((SELECT string_agg(format('CREATE TABLE n%s (id int); ALTER TABLE n%s ADD x int', i, i), ';') FROM generate_series(1, 5000) i)) GROUP BY 1;

-- what the last one needs
SELECT * FROM pg_temp.e('ALTER TYPE owned OWNER TO pg_monitor');
SELECT verdict, reason FROM safe_migrate.explain('CREATE INDEX CONCURRENTLY u ON orders (id); ALTER TABLE orders ADD UNIQUE USING INDEX u') WHERE statement_no = 2;
SELECT verdict, reason FROM safe_migrate.explain('CREATE UNIQUE INDEX CONCURRENTLY u ON orders (id) WHERE id > 0; ALTER TABLE orders ADD UNIQUE USING INDEX u') WHERE statement_no = 2;
SELECT verdict, reason FROM safe_migrate.explain('CREATE UNIQUE INDEX CONCURRENTLY u ON orders (id); ALTER TABLE orders ADD UNIQUE USING INDEX u') WHERE statement_no = 2;
-- one index per partition
SET safe_migrate.small_table_size = 0;
SELECT s, replace(reason, pg_size_pretty(3 * current_setting('block_size')::bigint), 'size') FROM unnest(ARRAY['PRIMARY KEY (k)', 'UNIQUE (k)']) s, safe_migrate.explain('ALTER TABLE thirds ADD ' || s) WHERE relation = 'es.thirds'::text OR relation = 'thirds';
SET safe_migrate.guard = off;
SET client_min_messages = warning;
DROP SCHEMA es CASCADE;
