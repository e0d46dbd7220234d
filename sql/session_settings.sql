-- The search_path that travels with a job may hold any character, and sets nothing else.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
SET safe_migrate.inline = never;
CREATE TABLE carried (id int, v text);
INSERT INTO carried VALUES (1);
SELECT set_config('search_path', E'public, "x\x01application_name=injected"', false) IS NULL;
CALL safe_migrate.wait(safe_migrate.backfill('carried', 'v = current_setting(''application_name'')'));
SELECT v = 'injected' AS injected FROM carried;
DROP TABLE carried;
