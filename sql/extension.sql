-- The extension installs into its schema and leaves nothing behind.
CREATE DATABASE regression_extension TEMPLATE template0;
\connect regression_extension
CREATE EXTENSION safe_migrate;
SELECT n.nspname, e.extrelocatable FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'safe_migrate';
-- every C function of the script is there in the library (creating it looks it up), and none is
-- open to a search_path of the caller's
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'safe_migrate' AND p.prosecdef AND p.proconfig IS NULL;
DROP EXTENSION safe_migrate;
SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'safe_migrate';
SELECT count(*) FROM pg_proc WHERE probin LIKE '%safe_migrate%';
\connect postgres
DROP DATABASE regression_extension;
