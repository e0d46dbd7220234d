-- A column that a parent got lately is not new in a table with rows that it adopts.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
SET safe_migrate.guard = enforce;
SET safe_migrate.small_table_size = 0;
CREATE SCHEMA gbr;
CREATE TABLE gbr.p (id int) PARTITION BY RANGE (id);
CREATE TABLE gbr.parent (id int);
INSERT INTO gbr.parent VALUES (1);
ALTER TABLE gbr.p ADD COLUMN b int;
ALTER TABLE gbr.parent ADD COLUMN b int;
CREATE TABLE gbr.old1 (id int, b int);
CREATE TABLE gbr.old2 (id int, b int);
INSERT INTO gbr.old1 VALUES (1, 1);
INSERT INTO gbr.old2 VALUES (1, 1);
\c
SET client_min_messages = error;
SET safe_migrate.guard = enforce;
SET safe_migrate.small_table_size = 0;
\set VERBOSITY terse
BEGIN;
ALTER TABLE gbr.parent DROP COLUMN b; -- may be taken back
ROLLBACK;
SET safe_migrate.guard = warn;
ALTER TABLE gbr.p ATTACH PARTITION gbr.old1 FOR VALUES FROM (0) TO (10);
ALTER TABLE gbr.old2 INHERIT gbr.parent;
SET safe_migrate.guard = enforce;
ALTER TABLE gbr.p DROP COLUMN b;
ALTER TABLE gbr.parent DROP COLUMN b;
SET safe_migrate.guard = off;
DROP SCHEMA gbr CASCADE;
