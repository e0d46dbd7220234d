# What a job's own code (triggers, functions) and the settings of roles and databases can and
# can't do to its worker.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('job_code',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off');

sub sql { return $node->safe_psql('postgres', @_); }

sql(q{
CREATE ROLE app LOGIN;
CREATE ROLE powerful LOGIN;
GRANT powerful TO app;
GRANT ALL ON SCHEMA public TO app;
CREATE SCHEMA of_app AUTHORIZATION app;
CREATE SCHEMA elsewhere AUTHORIZATION app;
SET ROLE app;
CREATE FUNCTION of_app.shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper($1) || '!' $$;
CREATE FUNCTION elsewhere.shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'wrong one' $$;
CREATE TABLE of_app.seen (setting text, value text, times int NOT NULL DEFAULT 1, PRIMARY KEY (setting, value));
CREATE TABLE of_app.orders (id int PRIMARY KEY, status text, status_v2 text);
INSERT INTO of_app.orders SELECT i, 'status ' || i % 7 FROM generate_series(1, 20000) i;
-- names without a schema: found by the search_path that the trigger runs under
CREATE FUNCTION of_app.look() RETURNS trigger LANGUAGE plpgsql AS $f$
DECLARE s text;
BEGIN
	FOREACH s IN ARRAY ARRAY['search_path', 'work_mem', 'role', 'statement_timeout', 'session_authorization',
		'transaction_isolation', 'application_name', 'safe_migrate.inline']
	LOOP
		INSERT INTO seen VALUES (s, current_setting(s)) ON CONFLICT (setting, value) DO UPDATE SET times = seen.times + 1;
	END LOOP;
	INSERT INTO seen VALUES ('current_user', current_user) ON CONFLICT (setting, value) DO UPDATE SET times = seen.times + 1;
	-- at the end of each batch some rows try to leave something behind
	IF new.id % 50 = 0 THEN
		SET work_mem = '64kB';
		SET search_path = elsewhere;
		SET statement_timeout = '1ms';
		SET safe_migrate.inline = always;
		PERFORM set_config('role', 'powerful', false);
		PERFORM set_config('lock_timeout', '1ms', false);
		RESET ROLE;
		SET search_path = of_app;
	END IF;
	RETURN NULL;
END $f$;
CREATE TRIGGER look AFTER UPDATE ON of_app.orders FOR EACH STATEMENT EXECUTE FUNCTION of_app.look();
DROP TRIGGER look ON of_app.orders;
CREATE TRIGGER look AFTER UPDATE ON of_app.orders FOR EACH ROW WHEN (new.id % 25 = 0) EXECUTE FUNCTION of_app.look();
});

# ---- the caller's search_path; what one batch sets is gone in the next
sql(q{SET ROLE app; SET search_path = of_app, public; SET work_mem = '3MB';
	SELECT safe_migrate.backfill('orders', 'status_v2 = shout(status)', job_name => 'seen')});
wait_for($node, q{SELECT state IN ('succeeded', 'failed') FROM safe_migrate.jobs});
is(sql('SELECT state, error_message FROM safe_migrate.jobs'), 'succeeded|', 'the job lives with settings its code changes');
is(sql('SELECT count(*) FROM of_app.orders WHERE status_v2 IS DISTINCT FROM upper(status) || $$!$$'), '0', 'and wrote the right function\'s values');
my $batches = sql('SELECT count(DISTINCT xmin::text) FROM of_app.orders');
cmp_ok($batches, '>', 3, 'in several batches');
is(sql(q{SELECT string_agg(DISTINCT value, '; ') FROM of_app.seen WHERE setting = 'current_user'}), 'app', 'code runs as the owner');
like(sql(q{SELECT string_agg(value, '; ' ORDER BY times DESC) FROM of_app.seen WHERE setting = 'search_path'}),
	qr/(^|; )of_app, public(; |$)/, 'under the search_path of the caller');
for my $case ([ 'work_mem', '64kB' ], [ 'statement_timeout', '1ms' ], [ 'safe_migrate.inline', 'always' ])
{
	my ($setting, $left) = @$case;
	cmp_ok(sql("SELECT coalesce(sum(times) FILTER (WHERE value <> '$left'), 0) FROM of_app.seen WHERE setting = '$setting'"), '>', 0,
		"$setting is set back after a batch");
}

# ---- ALTER ROLE and ALTER DATABASE … SET that would break a worker (or the scheduler); sessions of
# the test are beyond them
$ENV{PGOPTIONS} = join ' ', map { "-c $_" } 'statement_timeout=0', 'lock_timeout=0', 'idle_in_transaction_session_timeout=0',
	'default_transaction_read_only=off', 'default_transaction_isolation=read\\ committed', 'default_transaction_deferrable=off',
	'client_min_messages=notice', 'search_path=public', 'DateStyle=ISO', 'log_statement=none';
sub survives
{
	my (@settings) = @_;
	for my $setting (@settings)
	{
		sql("ALTER ROLE app SET $setting");
		sql("ALTER DATABASE postgres SET $setting");
	}
	(my $name = join ', ', @settings) =~ tr{'}{}d;
	sql(q{UPDATE of_app.orders SET status_v2 = NULL; SET ROLE app; SET search_path = of_app;}
		. qq{SELECT safe_migrate.backfill('orders', 'status_v2 = shout(status)', job_name => '$name')});
	wait_for($node, qq{SELECT state NOT IN ('queued', 'running') FROM safe_migrate.jobs WHERE name = '$name'});
	is($node->safe_psql('postgres', qq{SELECT state, error_message, state_reason FROM safe_migrate.jobs WHERE name = '$name'}),
		'succeeded||', "succeeds under $name");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM of_app.orders WHERE status_v2 IS DISTINCT FROM upper(status) || '!'}), '0',
		'every row is written');
	for my $setting (@settings)
	{
		my ($what) = split /[ =]/, $setting;
		sql("ALTER ROLE app RESET $what");
		sql("ALTER DATABASE postgres RESET $what");
	}
	return;
}
sql('DROP TRIGGER look ON of_app.orders');
survives(q{statement_timeout = '1ms'}, q{lock_timeout = '1ms'}, q{idle_in_transaction_session_timeout = '1ms'});
survives(q{default_transaction_read_only = on});
survives(q{default_transaction_isolation = 'serializable'}, q{default_transaction_deferrable = on});
survives(q{search_path = ''});
survives(q{client_min_messages = 'debug5'}, q{DateStyle = 'German'}, q{TimeZone = 'Asia/Kathmandu'});
survives(q{log_statement = 'all'}, q{check_function_bodies = off}, q{plan_cache_mode = 'force_generic_plan'});

# a role that changes role when it logs in works as what it queued as
sql(q{CREATE TRIGGER look AFTER UPDATE ON of_app.orders FOR EACH ROW WHEN (new.id % 25 = 0) EXECUTE FUNCTION of_app.look();
	CREATE OR REPLACE FUNCTION of_app.look() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
		INSERT INTO of_app.seen VALUES ('current_user', current_user) ON CONFLICT (setting, value) DO UPDATE SET times = seen.times + 1;
		RETURN NULL; END $f$;
	TRUNCATE of_app.seen; GRANT ALL ON SCHEMA of_app TO powerful; GRANT ALL ON ALL TABLES IN SCHEMA of_app TO powerful;
	ALTER ROLE app SET role = 'powerful'});
sql(q{UPDATE of_app.orders SET status_v2 = NULL; TRUNCATE of_app.seen; SET ROLE app; SET search_path = of_app;
	SELECT safe_migrate.backfill('orders', 'status_v2 = shout(status)', job_name => 'role')});
wait_for($node, q{SELECT state NOT IN ('queued', 'running') FROM safe_migrate.jobs WHERE name = 'role'});
is(sql(q{SELECT string_agg(value, ', ') FROM of_app.seen WHERE setting = 'current_user'}), 'app',
	'ALTER ROLE … SET role does not change whose rights a job has');

# ---- a deferred trigger runs at the end of a batch, and leaves nothing behind either
sql(q{ALTER ROLE app RESET role; DROP TRIGGER look ON of_app.orders;
	CREATE CONSTRAINT TRIGGER look AFTER UPDATE ON of_app.orders DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW WHEN (new.id % 25 = 0) EXECUTE FUNCTION of_app.look();
	CREATE OR REPLACE FUNCTION of_app.look() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
		INSERT INTO of_app.seen VALUES ('user and batch', current_user || ' ' || (new.xmin::text = (SELECT xmin::text FROM of_app.orders o WHERE o.id = new.id))),
			('work_mem', current_setting('work_mem'))
			ON CONFLICT (setting, value) DO UPDATE SET times = seen.times + 1;
		IF new.id % 50 = 0 THEN
			PERFORM set_config('work_mem', '64kB', false), set_config('search_path', 'elsewhere', false);
		END IF;
		RETURN NULL; END $f$;
	UPDATE of_app.orders SET status_v2 = NULL});
sql('TRUNCATE of_app.seen');
sql(q{SET ROLE app; SET search_path = of_app; SET work_mem = '3MB';
	SELECT safe_migrate.backfill('orders', 'status_v2 = shout(status)', job_name => 'deferred')});
wait_for($node, q{SELECT state NOT IN ('queued', 'running') FROM safe_migrate.jobs WHERE name = 'deferred'});
is(sql(q{SELECT state, error_message FROM safe_migrate.jobs WHERE name = 'deferred'}), 'succeeded|', 'deferred triggers run');
$batches = sql('SELECT count(DISTINCT xmin::text) FROM of_app.orders');
cmp_ok(sql(q{SELECT sum(times) FROM of_app.seen WHERE setting = 'work_mem' AND value <> '64kB'}), '>=', $batches / 2,
	'what a deferred trigger sets is set back after the batch');

stays_clean($node);
done_testing();
