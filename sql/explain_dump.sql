-- explain() of what tools write: pg_dump, Rails, Django, Prisma.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
RESET client_min_messages;
CREATE SCHEMA ed;
CREATE TABLE ed.accounts (id bigint PRIMARY KEY, name text);
INSERT INTO ed.accounts VALUES (1, 'x');
\c -
SET safe_migrate.small_table_size = 0;
CREATE FUNCTION pg_temp.e(sql text) RETURNS TABLE (n int, command text, relation text, lock text, effect text, verdict text, rule text)
LANGUAGE sql AS 'SELECT statement_no, command, relation, replace(lock, ''Lock'', ''''), effect, verdict, rule FROM safe_migrate.explain(sql)';
-- a dump into a database that has none of it: nobody is harmed
SELECT * FROM pg_temp.e($dump$--
-- PostgreSQL database dump
--

\restrict dM9kIhbWkPBUbIyKdIkYxgRUhcOGw6t4IdCAXXtCQhnSWMuQfm7wPT8xsNQ2Vcw

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);
SET default_table_access_method = heap;

CREATE SCHEMA shop;
ALTER SCHEMA shop OWNER TO postgres;
CREATE TYPE shop.state AS ENUM ('open', 'closed');
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := 1; RETURN NEW; END $$;
CREATE TABLE shop."Order items" (id bigint NOT NULL, state shop.state DEFAULT 'open'::shop.state, account bigint);
ALTER TABLE shop."Order items" OWNER TO postgres;
CREATE SEQUENCE shop."Order items_id_seq" START WITH 1 INCREMENT BY 1 NO MINVALUE NO MAXVALUE CACHE 1;
ALTER SEQUENCE shop."Order items_id_seq" OWNED BY shop."Order items".id;
CREATE VIEW shop.opened AS SELECT id FROM shop."Order items";
ALTER TABLE ONLY shop."Order items" ALTER COLUMN id SET DEFAULT nextval('shop."Order items_id_seq"'::regclass);
SELECT pg_catalog.setval('shop."Order items_id_seq"', 1, false);
ALTER TABLE ONLY shop."Order items" ADD CONSTRAINT items_pkey PRIMARY KEY (id);
CREATE INDEX items_state ON shop."Order items" USING btree (state);
CREATE TRIGGER touch BEFORE INSERT ON shop."Order items" FOR EACH ROW EXECUTE FUNCTION shop.touch();
ALTER TABLE ONLY shop."Order items" ADD CONSTRAINT items_account FOREIGN KEY (account) REFERENCES ed.accounts(id);
COMMENT ON TABLE shop."Order items" IS 'x';
REVOKE ALL ON TABLE shop."Order items" FROM PUBLIC;

\unrestrict dM9kIhbWkPBUbIyKdIkYxgRUhcOGw6t4IdCAXXtCQhnSWMuQfm7wPT8xsNQ2Vcw
$dump$) WHERE relation IS NOT NULL OR verdict <> 'allow';
-- Rails: change_column_null, add_reference, add_index algorithm: :concurrently
SELECT * FROM pg_temp.e('BEGIN; ALTER TABLE "ed"."accounts" ADD "plan_id" bigint; CREATE TABLE "ed"."plans" ("id" bigserial primary key, "name" character varying, "created_at" timestamp(6) NOT NULL);
	ALTER TABLE "ed"."accounts" ADD CONSTRAINT "fk_rails_1" FOREIGN KEY ("plan_id") REFERENCES "ed"."plans" ("id"); COMMIT;
	CREATE INDEX CONCURRENTLY "index_accounts_on_plan_id" ON "ed"."accounts" ("plan_id"); INSERT INTO "schema_migrations" ("version") VALUES (''1'')');
-- Django: AddField with a default, AlterField, sqlmigrate's output
SELECT * FROM pg_temp.e('BEGIN;
--
-- Add field active to account
--
ALTER TABLE "ed"."accounts" ADD COLUMN "active" boolean DEFAULT true NOT NULL;
ALTER TABLE "ed"."accounts" ALTER COLUMN "active" DROP DEFAULT;
CREATE INDEX "accounts_active" ON "ed"."accounts" ("active");
COMMIT;');
-- Prisma: an enum that gets a value, a column of it
SELECT * FROM pg_temp.e('CREATE TYPE "ed"."Role" AS ENUM (''USER'', ''ADMIN''); ALTER TABLE "ed"."accounts" ADD COLUMN "role" "ed"."Role" NOT NULL DEFAULT ''USER''; ALTER TYPE "ed"."Role" ADD VALUE ''GUEST''');
-- prepared statements: when they are executed
SELECT * FROM pg_temp.e('PREPARE p AS UPDATE ed.accounts SET name = $1; EXECUTE p (1); DEALLOCATE p');
-- temporary tables
SELECT * FROM pg_temp.e('CREATE TEMP TABLE accounts (id int); ALTER TABLE accounts ADD COLUMN x timestamptz DEFAULT clock_timestamp(); DROP TABLE accounts');
SET safe_migrate.guard = off;
SET client_min_messages = warning;
DROP SCHEMA ed CASCADE;
