-- What names can't tell apart once they were changed: fields of rows, overloads, labels of enums.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS safe_migrate;
CREATE SCHEMA bn;
SET search_path = bn, public;
SET safe_migrate.inline = never;
\set SHOW_CONTEXT never

CREATE TYPE pair AS (a text, b text);
CREATE TYPE other AS (a text, c text);
CREATE TABLE look (id int, u text, v text);
INSERT INTO look VALUES (1, 'U', 'V'), (2, 'U', 'V');
CREATE FUNCTION get(int) RETURNS look STABLE LANGUAGE sql AS 'SELECT l FROM bn.look l WHERE id = $1';
CREATE FUNCTION outs(int, OUT a text, OUT d text) LANGUAGE sql IMMUTABLE AS $$ SELECT 'out', 'D' $$;
CREATE TABLE t (id int PRIMARY KEY, c pair, o other, x text, y text);
INSERT INTO t VALUES (1, ('A', 'B'), ('OA', 'OC')), (2, ('A', 'B'), ('OA', 'OC'));
CREATE PROCEDURE swap() LANGUAGE plpgsql AS $$
BEGIN
	ALTER TYPE bn.pair RENAME ATTRIBUTE a TO q;
	ALTER TYPE bn.pair RENAME ATTRIBUTE b TO a;
	ALTER TYPE bn.pair RENAME ATTRIBUTE q TO b;
END $$;

-- fields of a column, swapped
BEGIN;
SELECT safe_migrate.backfill('t', 'x = (c).b, y = (c).a || (target.c).b', job_name => 'field') > 0 AS queued;
CALL swap();
COMMIT;
CALL safe_migrate.wait('field');
SELECT id, x, y FROM t ORDER BY id;
BEGIN;
SELECT safe_migrate.delete_safely('t', '(c).a = ''A''', job_name => 'delete') > 0 AS queued;
CALL swap();
COMMIT;
CALL safe_migrate.wait('delete');
SELECT id, c FROM t ORDER BY id;

-- columns of a table whose rows a function returns
UPDATE t SET x = NULL, y = NULL;
BEGIN;
SELECT safe_migrate.backfill('t', 'y = (get(id)).u || ''/'' || (get(id)).v || (outs(id)).d', job_name => 'row') > 0 AS queued;
ALTER TABLE look RENAME u TO q;
ALTER TABLE look RENAME v TO u;
COMMIT;
CALL safe_migrate.wait('row');
SELECT id, y FROM t ORDER BY id;

-- one of two that had the name, and one that is gone
BEGIN;
SELECT safe_migrate.backfill('t', 'x = (c).a || (o).a', job_name => 'two') > 0 AS queued;
ALTER TYPE other RENAME ATTRIBUTE a TO z;
COMMIT;
CALL safe_migrate.wait('two');
BEGIN;
SELECT safe_migrate.backfill('t', 'x = (c).a || (outs(id)).a', job_name => 'record') > 0 AS queued;
CALL swap();
COMMIT;
CALL safe_migrate.wait('record');
BEGIN;
SELECT safe_migrate.backfill('t', 'x = (o).c', job_name => 'gone') > 0 AS queued;
ALTER TYPE other DROP ATTRIBUTE c;
ALTER TYPE other ADD ATTRIBUTE c text;
COMMIT;
CALL safe_migrate.wait('gone');
SELECT id, x FROM t ORDER BY id;

-- overloads
CREATE FUNCTION f(int) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'int' || $1 $$;
CREATE FUNCTION f(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'text' || $1 $$;
UPDATE t SET x = NULL, y = NULL;
BEGIN;
SELECT safe_migrate.backfill('t', 'x = f(id), y = f(id::text)', job_name => 'overload') > 0 AS queued;
ALTER FUNCTION f(text) RENAME TO g;
COMMIT;
CALL safe_migrate.wait('overload');
ALTER FUNCTION g(text) RENAME TO f;
BEGIN;
SELECT safe_migrate.backfill('t', 'x = f(id), y = f(id::text)', job_name => 'overloads') > 0 AS queued;
ALTER FUNCTION f(text) RENAME TO g;
ALTER FUNCTION f(int) RENAME TO g;
COMMIT;
CALL safe_migrate.wait('overloads');
SELECT id, x, y FROM t ORDER BY id;

-- those that the numbers of arguments tell apart
CREATE FUNCTION h(text, text DEFAULT '!') RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1 || $2';
CREATE FUNCTION h(text, text, int) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'three' $$;
CREATE FUNCTION minus(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT '-' || $1 $$;
CREATE FUNCTION minus(text, text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT $1 || '-' || $2 $$;
CREATE OPERATOR ~- (FUNCTION = minus, RIGHTARG = text);
CREATE OPERATOR ~- (FUNCTION = minus, LEFTARG = text, RIGHTARG = text);
CREATE SCHEMA bn2;
UPDATE t SET x = NULL, y = NULL;
BEGIN;
SELECT safe_migrate.backfill('t', $$x = h('a') || h('b', '?') || h('c', 'd', 1), y = 'l' ~- (~- 'r')$$, job_name => 'arguments') > 0 AS queued;
ALTER FUNCTION h(text, text) RENAME TO h2;
ALTER OPERATOR ~- (text, text) SET SCHEMA bn2;
COMMIT;
CALL safe_migrate.wait('arguments');
SELECT id, x, y FROM t ORDER BY id;

-- constants: labels, and what numbers stand for
CREATE TYPE mood AS ENUM ('sad', 'glad', 'mad');
CREATE TABLE m (id int PRIMARY KEY, e mood, es mood[], c regclass[], r regrole, n regnamespace);
INSERT INTO m VALUES (1);
CREATE ROLE bn_role;
CREATE SCHEMA bn_schema;
BEGIN;
SELECT safe_migrate.backfill('m', $$e = 'sad', es = '{glad,NULL,sad}', c = '{look,t}', r = 'bn_role', n = 'bn_schema'$$,
	$$e IS DISTINCT FROM 'sad' AND n IS DISTINCT FROM 'bn_schema' :: regnamespace$$, job_name => 'constants') > 0 AS queued;
ALTER TYPE mood RENAME VALUE 'sad' TO 'q';
ALTER TYPE mood RENAME VALUE 'glad' TO 'sad';
ALTER TYPE mood RENAME VALUE 'q' TO 'glad';
ALTER TYPE mood RENAME TO moods;
CREATE TYPE mood AS ENUM ('sad', 'glad');
ALTER TABLE look RENAME TO looked;
CREATE TABLE look ();
ALTER ROLE bn_role RENAME TO bn_other;
CREATE ROLE bn_role;
ALTER SCHEMA bn_schema RENAME TO bn_schema2;
CREATE SCHEMA bn_schema;
COMMIT;
CALL safe_migrate.wait('constants');
SELECT * FROM m;
UPDATE m SET r = NULL, c = NULL;
BEGIN;
SELECT safe_migrate.backfill('m', $$r = 'bn_role'$$, job_name => 'role') > 0 AS queued;
DROP ROLE bn_role;
CREATE ROLE bn_role;
COMMIT;
CALL safe_migrate.wait('role');
BEGIN;
SELECT safe_migrate.backfill('m', $$c = '{look,t}'$$, job_name => 'array') > 0 AS queued;
DROP TABLE look;
CREATE TABLE look ();
COMMIT;
CALL safe_migrate.wait('array');
SELECT * FROM m;

-- inside of rows, ranges, domains and arrays of them: what a constant's text calls by name
CREATE TYPE hue AS ENUM ('red', 'blue');
CREATE TYPE tint AS (h hue, n int);
CREATE TYPE hues AS RANGE (SUBTYPE = hue, MULTIRANGE_TYPE_NAME = huesets);
CREATE DOMAIN hued AS hue;
CREATE TYPE held AS (r regclass);
CREATE TABLE d (id int PRIMARY KEY, t tint, b bool);
INSERT INTO d VALUES (1, '(red,1)'), (2, '(blue,1)');
CREATE FUNCTION swap_hues() RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	ALTER TYPE hue RENAME VALUE 'red' TO 'q';
	ALTER TYPE hue RENAME VALUE 'blue' TO 'red';
	ALTER TYPE hue RENAME VALUE 'q' TO 'blue';
	RETURN true;
END $$;
BEGIN;
SELECT safe_migrate.delete_safely('d', $$t = '(red,1)'::tint$$, job_name => 'in a row') > 0 AS queued;
SELECT safe_migrate.delete_safely('d', $$t = ANY ('{"(red,1)"}'::tint[])$$, job_name => 'in rows') > 0 AS queued;
SELECT safe_migrate.delete_safely('d', $$(t).h <@ '[red,red]'::hues$$, job_name => 'in a range') > 0 AS queued;
SELECT safe_migrate.delete_safely('d', $$(t).h <@ '{[red,red]}'::huesets$$, job_name => 'in ranges') > 0 AS queued;
SELECT safe_migrate.delete_safely('d', $$(t).h::text = ('{red}'::hued[])[1]::text$$, job_name => 'in a domain') > 0 AS queued;
SELECT safe_migrate.delete_safely('d', $$('(look)'::held).r = 'look'::regclass$$, job_name => 'another one') > 0 AS queued;
SELECT swap_hues();
ALTER TABLE look RENAME TO looked2;
CREATE TABLE look ();
COMMIT;
CALL safe_migrate.wait('in a row');
CALL safe_migrate.wait('in rows');
CALL safe_migrate.wait('in a range');
CALL safe_migrate.wait('in ranges');
CALL safe_migrate.wait('in a domain');
CALL safe_migrate.wait('another one');
SELECT * FROM d ORDER BY id;
SELECT safe_migrate.delete_safely('d', $$t = '(red,1)'::tint$$, job_name => 'as it was') > 0 AS queued;
CALL safe_migrate.wait('as it was');
SELECT * FROM d ORDER BY id;

-- a job of an earlier version, which stored names only
BEGIN;
SELECT safe_migrate.backfill('t', 'x = g(id)', 'x IS NULL', job_name => 'earlier') > 0 AS queued;
UPDATE safe_migrate.step SET definition = definition - 'objects';
COMMIT;
CALL safe_migrate.wait('earlier');

SET client_min_messages = error;
DROP SCHEMA bn, bn2, bn_schema, bn_schema2 CASCADE;
DROP ROLE bn_role, bn_other;
DELETE FROM safe_migrate.job WHERE name IN ('field', 'delete', 'row', 'two', 'record', 'gone', 'overload', 'overloads', 'constants', 'role', 'array', 'earlier', 'arguments',
	'in a row', 'in a range', 'in ranges', 'in rows', 'in a domain', 'another one', 'as it was');
