-- The row engine alone, driven by CALL engine_run(relation, leaf, first block, end block,
-- columns, expressions, predicate).  What is written is held against what an UPDATE gives,
-- the pages of table and indexes against amcheck.
\pset format unaligned
\pset tuples_only on
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION safe_migrate_engine;
CREATE EXTENSION amcheck;
CREATE FUNCTION chk(t regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE i regclass; n int := 0;
BEGIN
	FOR i IN SELECT indexrelid FROM pg_index x JOIN pg_class c ON c.oid = indexrelid
			 WHERE indrelid = t AND c.relam = 403 AND indisready LOOP
		PERFORM bt_index_check(i, true);
		n := n + 1;
	END LOOP;
	IF EXISTS (SELECT FROM verify_heapam(t)) THEN RAISE 'heap of % is corrupt', t; END IF;
	RETURN 'sound, ' || n || ' b-trees';
END $$;
RESET client_min_messages;
SET synchronous_commit = off;
\echo == trigger updated_at, fk
create table par(id int primary key); insert into par select generate_series(1,10);
create table t(id int primary key, a text, b text, u timestamptz, par int references par, g text generated always as (upper(b)) stored, dropme int);
alter table t drop column dropme;
insert into t(id,a,par) select g, 'val'||g, g%10+1 from generate_series(1,20000) g;
create table child(tid int references t); insert into child select g from generate_series(1,100) g;
create index on t(a); create index on t using brin(id); create index on t using gin(to_tsvector('simple', a)); create index on t(lower(a)) where id%2=0;
vacuum t;
call engine_run('t','t',0,100000,array['b'],array['target.a||''!'''],'(target.b IS NULL)');
select count(*), count(*) filter (where b=a||'!' and g=upper(b)), chk('t') from t;
\echo == with before trigger
update t set b=null; vacuum t;
create function tr() returns trigger language plpgsql as $$ begin if new.id%100=0 then return null; end if; new.u=now(); return new; end $$;
create trigger tr before update on t for each row execute function tr();
call engine_run('t','t',0,100000,array['b'],array['target.a||''!'''],'(target.b IS NULL)');
select count(*), count(*) filter (where b=a||'!' and g=upper(b) and u is not null), count(*) filter (where b is null), chk('t') from t;
\echo == trigger makes match again
\set VERBOSITY sqlstate
create or replace function tr() returns trigger language plpgsql as $$ begin new.b=null; return new; end $$;
call engine_run('t','t',0,100000,array['b'],array['target.a||''!'''],'(target.b IS NULL)');
drop trigger tr on t;
create or replace function tr() returns trigger language plpgsql as $$ begin if pg_trigger_depth()=1 then update t set b=null where id=new.id; end if; return new; end $$;
create trigger tr after update on t for each row execute function tr();
call engine_run('t','t',0,100000,array['b'],array['target.a||''!'''],'(target.b IS NULL)');
\set VERBOSITY terse
\echo == not fired
call engine_run('t','t',0,100000,array['b'],array['target.a||''!'''],'(target.b IS NULL)', fire_triggers=>false);
select count(*) filter (where b is null) from t;
drop trigger tr on t;
\echo == still matches, generated in predicate, volatile
update t set b=null;
call engine_run('t','t',0,100000,array['b'],array['CASE WHEN target.id % 1000 = 0 THEN NULL ELSE target.a END'],'(target.g IS NULL)');
select count(*) filter (where b is null) from t;
\echo == subselect, whole row, initplan
update t set b=null;
call engine_run('t','t',0,100000,array['b','u'],array['(SELECT p.id::text FROM public.par p WHERE p.id = target.par)','(SELECT max(now()) FROM public.par)'],'((target.b IS NULL) AND EXISTS (SELECT 1 FROM public.par p WHERE p.id = target.par AND target.b IS NULL))');
select count(*) filter (where b=par::text and u is not null), chk('t') from t;
create function wr(x t) returns bool language sql as 'select x.b is null';
update t set b=null;
call engine_run('t','t',0,100000,array['b'],array['''x'''],'public.wr(target.*)');
select count(*) filter (where b='x') from t;
\echo == syntax attacks
call engine_run('t','t',0,100000,array['b'],array['''x'', id'],'(target.b IS NULL)');
call engine_run('t','t',0,100000,array['b'],array['''x'''],'true) OR (true');
call engine_run('t','t',0,100000,array['b'],array['''x'''],'true; drop table t');
call engine_run('t','t',0,100000,array['b'],array['''x'''],'target.b IS NULL LIMIT 1');
call engine_run('t','t',0,100000,array['b'],array['''x'''],'$1 = target.ctid');
call engine_run('t','t',0,100000,array['b'],array['''x'' AS y'],'true');
\echo == delete: direct without fk, executor with
delete from child;
create table d as select * from t; create index on d(id);
call engine_run('d','d',0,100000,null,null,'(target.id % 2 = 0)');
select count(*) from d where id%2=0; select chk('d');
insert into child values (1),(3);
call engine_run('t','t',0,100000,null,null,'(target.id % 2 = 0)');
select count(*) from t where id%2=0; select chk('t');
call engine_run('t','t',0,100000,null,null,'(target.id =1)');
\echo == check and not null violation
alter table t add check (b <> 'bad');
update t set b=null where id in (5,7);
call engine_run('t','t',0,100000,array['b'],array['''bad'''],'(target.b IS NULL)');
call engine_run('t','t',0,100000,array['b'],array['repeat(md5(target.id::text),3000)'],'(target.b IS NULL)');
select id,length(b) from t where id in (5,7) order by id; select chk('t');
\echo == partition with other attnums, renamed and added columns
create table pp(a int, zap int, b text, c text) partition by list(a);
alter table pp drop column zap;
create table p1(junk int, c text, b text, a int); alter table p1 drop column junk; alter table pp attach partition p1 for values in (1);
insert into pp select 1, 'b'||g, null from generate_series(1,5000) g;
call engine_run('pp','p1',0,100000,array['c'],array['target.b||target.a'],'((target.c IS NULL) AND (target.a = 1))');
select count(*) filter (where c=b||'1'), chk('p1') from pp;
\echo == inheritance child
create table ih(a int, b text); create table ih1(x text default 'loc') inherits (ih); insert into ih1 select g from generate_series(1,3000) g;
call engine_run('ih','ih1',0,100000,array['b'],array['target.a::text'],'(target.b IS NULL)');
select count(*) filter (where b=a::text and x='loc') from ih1;
call engine_run('ih','ih1',0,100000,array['b'],array['target.x'],'(target.b IS NOT NULL)');
\echo == permissions: column grants
create table s(id int, secret text, b text, c text); insert into s select g,'s','b' from generate_series(1,1000) g;
create role regress_joe login; grant usage on schema public to regress_joe;

set role regress_joe; call engine_run('s','s',0,100000,array['c'],array['target.b'],'(target.c IS NULL)'); reset role;
grant select (id,b,c) on s to regress_joe; 
set role regress_joe; call engine_run('s','s',0,100000,array['c'],array['target.b'],'(target.c IS NULL)'); reset role;
grant update (c) on s to regress_joe;
set role regress_joe; call engine_run('s','s',0,100000,array['c'],array['target.b'],'(target.c IS NULL)'); reset role;
set role regress_joe; call engine_run('s','s',0,100000,array['c'],array['target.secret'],'(target.c = ''b'')'); reset role;
\echo == rls
alter table s enable row level security; set role regress_joe; call engine_run('s','s',0,100000,array['c'],array['target.b||''2'''],'(target.c = ''b'')'); reset role;
alter table s disable row level security;
\echo == read only
begin; rollback; set default_transaction_read_only=on; call engine_run('s','s',0,100000,array['c'],array['target.b||''2'''],'(target.c = ''b'')'); set default_transaction_read_only=off;
\echo == index on the target; unique on the target
create table u(id int primary key, b text, k int); insert into u(id) select g from generate_series(1,20000) g; create index on u(b); create unique index on u(k); create index on u using brin(b); create index on u using hash(b);
call engine_run('u','u',0,100000,array['b','k'],array['''x''||target.id','-target.id'],'(target.b IS NULL)');
select count(*) filter (where b='x'||id and k=-id), chk('u') from u; set enable_seqscan=off; select id from u where b='x777'; select id from u where k=-19999; reset enable_seqscan;
update u set b=null; 
call engine_run('u','u',0,100000,array['b','k'],array['''x''||target.id','target.id % 100'],'(target.b IS NULL)');
\echo == deferrable unique
create table du(id int primary key deferrable initially deferred, b text); insert into du select g from generate_series(1,3000) g;
call engine_run('du','du',0,100000,array['b','id'],array['''x''||target.id','-target.id'],'(target.b IS NULL)');
select count(*) filter (where b='x'||(-id)), chk('du') from du;
\echo == exclusion
create table ex(id int, r int4range, b text, exclude using gist (r with &&)); insert into ex select g, int4range(g,g+1) from generate_series(1,3000) g;
call engine_run('ex','ex',0,100000,array['b'],array['''x''||target.id'],'(target.b IS NULL)');
select count(*) filter (where b='x'||id) from ex;
\echo == wide rows: compressed, external, nearly a page
create table w(id int primary key, j jsonb, big text, b text, c text); alter table w alter big set storage external;
insert into w select g, jsonb_build_object('k', repeat(md5(g::text),100)), (select string_agg(md5(g::text||i),'') from generate_series(1,100) i) from generate_series(1,2000) g;
alter table w alter c set storage plain;
update w set c=repeat('y', case when id%7=0 then 3500 when id%5=0 then 7000 else 900 end);
vacuum w;
call engine_run('w','w',0,100000,array['b'],array['md5(target.big)'],'(target.b IS NULL)');
select count(*) filter (where b=md5(big)), count(*) filter (where length(big)=3200 and j->>'k' = repeat(md5(id::text),100)), chk('w') from w;
call engine_run('w','w',0,100000,array['b','j'],array['target.big','jsonb_set(target.j, ''{z}'', to_jsonb(target.big))'],'(target.b <> target.big)');
select count(*) filter (where b=big and j->>'z'=big), chk('w') from w;
\echo == page filling off
update w set b=null;
call engine_run('w','w',0,100000,array['b'],array['md5(target.big)'],'(target.b IS NULL)', page_filling=>false);
select count(*) filter (where b=md5(big)) from w;
\echo == empty, zero columns-ish, composite, domain, array
create domain pos as int check (value>0); create type comp as (x int, y text);
create table m(id int, d pos, c comp, a int[]); 
call engine_run('m','m',0,100000,array['d'],array['1'],'(target.d IS NULL)');
insert into m select g from generate_series(1,500) g;
call engine_run('m','m',0,100000,array['d','c','a'],array['target.id','ROW(target.id,''q'')','ARRAY[target.id,2]'],'(target.d IS NULL)');
select count(*) filter (where d=id and c=row(id,'q')::comp and a=array[id,2]) from m;
call engine_run('m','m',0,100000,array['d'],array['-target.id'],'(target.d > 0)');
\echo == varchar overflow, not null
create table v(id int, v varchar(3), n int not null); insert into v select g,null,1 from generate_series(1,100) g;
call engine_run('v','v',0,100000,array['v'],array['''toolong'''],'(target.v IS NULL)');
call engine_run('v','v',0,100000,array['n'],array['NULL::int'],'(target.n = 1)');
call engine_run('v','v',0,100000,array['n'],array['''x'''],'(target.n = 1)');
\echo == ctid, tableoid in the predicate; xmin refused
call engine_run('v','v',0,100000,array['v'],array['''ab'''],'((target.ctid < ''(0,11)''::tid) AND (target.tableoid = ''public.v''::regclass) AND (target.v IS NULL))');
select count(*) from v where v='ab';
call engine_run('v','v',0,100000,array['v'],array['''ab'''],'(target.xmin::text <> '''')');
\echo == self join sub-select on the same table, with index, and a cte
create table sj(id int primary key, par int, root int); insert into sj select g, g/2 from generate_series(1,5000) g; create index on sj(par);
call engine_run('sj','sj',0,100000,array['root'],array['(WITH RECURSIVE r AS (SELECT s.id, s.par FROM public.sj s WHERE s.id = target.id UNION ALL SELECT s.id, s.par FROM public.sj s JOIN r ON s.id = r.par) SELECT min(id) FROM r)'],'((target.root IS NULL) AND NOT EXISTS (SELECT FROM public.sj x WHERE x.id = target.id AND target.root = 1))');
select count(*) filter (where root=1), chk('sj') from sj;
\echo == unlogged
create unlogged table ul as select g id, null::text b from generate_series(1,1000) g;
call engine_run('ul','ul',0,100000,array['b'],array['target.id::text'],'(target.b IS NULL)'); select count(*) filter (where b=id::text) from ul;
\echo == rules, view in subselect, instead rule
create table ru(id int, b text); insert into ru select generate_series(1,10); create rule r as on update to ru do also select 1;
call engine_run('ru','ru',0,100000,array['b'],array['target.id::text'],'(target.b IS NULL)');
create view vv as select id, 'vw'::text b from u; 
call engine_run('v','v',0,100000,array['v'],array['(SELECT substr(vv.b,1,3) FROM public.vv WHERE vv.id = target.id)'],'(target.v IS NULL)'); select count(*) from v where v is not null;
\echo == fillfactor
create table ff(id int primary key, b text) with (fillfactor=45); insert into ff select g from generate_series(1,50000) g; vacuum ff;
call engine_run('ff','ff',0,100000,array['b'],array['''b''||target.id'],'(target.b IS NULL)'); select count(*) filter (where b='b'||id), chk('ff') from ff;
\echo == batches rolled back
create table sb(id int primary key, k int, b text); insert into sb(id,k) select g,g%10 from generate_series(1,60000) g; create index on sb(k);
set client_min_messages = warning;
call engine_run('sb','sb',0,100000,array['b'],array['''b''||target.id'],'(target.b IS NULL)', target_us=>3000, sabotage=>3);
reset client_min_messages;
select count(*) filter (where b='b'||id), chk('sb') from sb;
\echo == WAL in pieces
create table wp(id int primary key, b text); insert into wp select g from generate_series(1,20000) g; vacuum wp;
call engine_run('wp','wp',0,100000,array['b'],array['''b''||target.id'],'(target.b IS NULL)', wal_piece=>8192);
select count(*) filter (where b='b'||id), chk('wp') from wp;
drop owned by regress_joe; drop role regress_joe;
