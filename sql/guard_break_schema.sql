-- A schema that another role has made beforehand is not taken over.
SET client_min_messages = error;
\set SHOW_CONTEXT never
\set home :DBNAME
DROP DATABASE IF EXISTS guard_break_schema;
DROP ROLE IF EXISTS guard_break_owner;
CREATE ROLE guard_break_owner;
CREATE DATABASE guard_break_schema;
\c guard_break_schema
CREATE SCHEMA safe_migrate AUTHORIZATION guard_break_owner;
CREATE EXTENSION safe_migrate;
ALTER SCHEMA safe_migrate OWNER TO CURRENT_USER;
CREATE EXTENSION safe_migrate;
\c :home
DROP DATABASE guard_break_schema;
DROP ROLE guard_break_owner;
