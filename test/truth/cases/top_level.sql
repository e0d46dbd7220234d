-- What can't run in a transaction block.
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
INSERT INTO t SELECT i, i, i FROM generate_series(1, 30) i;
CREATE INDEX t_a ON t (a);
CREATE TABLE p (id int, k int) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
INSERT INTO p SELECT i, i FROM generate_series(0, 19) i;
CREATE INDEX p_k ON p (k);
CREATE TABLE "Q t" ("A" int);
INSERT INTO "Q t" VALUES (1);
CREATE INDEX "Q i" ON "Q t" ("A");
CREATE TABLE clustered (id int PRIMARY KEY);
INSERT INTO clustered VALUES (1);
ALTER TABLE clustered CLUSTER ON clustered_pkey;
-- statements
--@ top level
CREATE INDEX CONCURRENTLY new ON t (b);
--@ top level
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS new ON t (a) WHERE a > 3;
--@ top level
CREATE INDEX CONCURRENTLY IF NOT EXISTS t_a ON t (b);
--@ top level
CREATE INDEX CONCURRENTLY "Q new" ON "Q t" ("A");
--@ top level, fails
CREATE INDEX CONCURRENTLY new ON p (k);
--@ top level
DROP INDEX CONCURRENTLY t_a;
--@ top level
DROP INDEX CONCURRENTLY IF EXISTS "Q i";
--@ top level, fails
DROP INDEX CONCURRENTLY p_k;
--@ top level
REINDEX INDEX CONCURRENTLY t_a;
--@ top level
REINDEX TABLE CONCURRENTLY t;
--@ top level
REINDEX TABLE p;
--@ top level
REINDEX INDEX p_k;
--@ top level, apart
REINDEX TABLE CONCURRENTLY p;
--@ top level
REINDEX SCHEMA public;
--@ top level
VACUUM t;
--@ top level
VACUUM (ANALYZE, FREEZE) t, p1;
--@ top level
VACUUM FULL t;
--@ top level
VACUUM (FULL, ANALYZE) t;
--@ top level
VACUUM FULL p;
--@ top level
VACUUM FULL "Q t", p1;
--@ top level
ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;
--@ top level
CLUSTER;
--@ top level
CLUSTER p USING p_k;
--@ top level, fails
CREATE DATABASE truth;
