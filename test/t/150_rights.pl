# Who may see and stop jobs, and with whose rights and settings a job works.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('rights',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off',
	'safe_migrate.max_workers' => 8);
my $rows = 40_000; # more than a job at this speed does while the test goes on
my $slowly = q{settings => '{"nice_ratio": 100}'};
my $major = major_of($node);

sub sql { return $node->safe_psql('postgres', @_); }

sub as { my ($role, $sql) = @_; return answer($node, $role, $sql); }

# A table of that role.
sub make_table
{
	my ($table, $owner) = @_;
	sql(qq{CREATE TABLE $table (id int PRIMARY KEY, a text, b text, seen text);
		INSERT INTO $table SELECT i, 'row ' || i FROM generate_series(1, $rows) i;
		ALTER TABLE $table OWNER TO $owner});
	return;
}

sub failure
{
	my ($job) = @_;
	return sql("SELECT state, error_sqlstate, error_message FROM safe_migrate.jobs WHERE id = $job");
}

sub waits_for_failure
{
	my ($job) = @_;
	wait_for_state($node, $job, 'failed');
	return failure($job);
}

sql(q{CREATE ROLE app LOGIN; CREATE ROLE mate LOGIN; GRANT app TO mate;
	CREATE ROLE signaller LOGIN; GRANT pg_signal_backend TO signaller;
	CREATE ROLE reader LOGIN; GRANT pg_read_all_stats TO reader;
	CREATE ROLE stranger LOGIN;
	GRANT CREATE ON SCHEMA public TO app, mate});

# ---- who sees and stops
make_table('seen', 'app');
my $job = as('app', qq{SELECT safe_migrate.backfill('seen', 'b = upper(a)', job_name => 'secret work', $slowly)});
at_work($node, $job);
my $see = q{SELECT (SELECT count(*) FROM safe_migrate.jobs), (SELECT count(*) FROM safe_migrate.progress),
	(SELECT count(*) > 0 FROM safe_migrate.events), (SELECT count(*) > 0 FROM safe_migrate.job_steps),
	(SELECT count(*) FROM safe_migrate.live_jobs())};
is(as($_, $see), '1|1|t|t|1', "$_ sees the job") for 'app', 'mate', 'signaller', 'reader', 'postgres';
is(as('stranger', $see), '0|0|f|f|0', 'a stranger sees nothing of it');
my $does_not_exist = qr/does not exist/;
for my $call ("pause($job)", "resume($job)", "cancel($job)", "retry($job)", "configure($job, 'batch_time', '1ms')",
	"pause('secret work')", "configure('secret work', 'workers', '1')", "require('secret work')")
{
	like(error_of($node, "SELECT safe_migrate.$call", as => 'stranger'),
		qr/ERROR:  42704: job (\d+|"secret work") does not exist/, "to a stranger, $call is of no job");
}
like(error_of($node, "CALL safe_migrate.wait($job)", as => 'stranger'), qr/ERROR:  42704: job $job does not exist/, 'nor may a stranger wait for it');
like(error_of($node, "SELECT safe_migrate.pause($job)", as => 'reader'), qr/ERROR:  42501: permission denied for job $job/,
	'pg_read_all_stats sees but does not stop');
for my $role ('app', 'mate', 'signaller', 'postgres')
{
	as($role, "SELECT safe_migrate.pause($job)");
	is(state_of($node, $job), 'paused', "$role pauses it");
	as($role, "SELECT safe_migrate.resume('secret work')");
	isnt(state_of($node, $job), 'paused', "$role resumes it");
}
as('signaller', "SELECT safe_migrate.configure($job, 'nice_ratio', '100')");
for my $call ("configure($job, 'throttle_query', 'SELECT true')", "configure('secret work', 'throttle_query', NULL)", "retry($job)")
{
	like(error_of($node, "SELECT safe_migrate.$call", as => 'signaller'), qr/ERROR:  42501: permission denied for job $job/,
		"a signaller slows it down, but $call is its owner's: it would be run with the owner's rights");
}
as('mate', "SELECT safe_migrate.configure($job, 'throttle_query', 'SELECT false')");
as('mate', "SELECT safe_migrate.configure($job, 'throttle_query', NULL)");
is(sql("SELECT string_agg(role, ',' ORDER BY id) FROM safe_migrate.events WHERE job_id = $job AND kind = 'paused'"),
	'app,mate,signaller,postgres', 'events tell who paused it');
for my $sql ('SELECT count(*) FROM safe_migrate.job', 'SELECT count(*) FROM safe_migrate.step',
	'SELECT count(*) FROM safe_migrate.slice', 'SELECT count(*) FROM safe_migrate.event',
	q{UPDATE safe_migrate.job SET owner = 10}, 'DELETE FROM safe_migrate.slice', 'DELETE FROM safe_migrate.event',
	q{UPDATE safe_migrate.jobs SET state = 'succeeded'})
{
	like(as('app', $sql), qr/permission denied for (table|view)|cannot update view/, "its owner may not $sql");
}
like(error_of($node, $_, as => 'app'), qr/ERROR:  42501: permission denied to (pause|resume) all jobs/, "an owner may not $_")
  for q{SELECT safe_migrate.pause_all('x')}, 'SELECT safe_migrate.resume_all()';
like(error_of($node, "SELECT safe_migrate.reassign($job, 'stranger')", as => 'app'), qr/ERROR:  42501:/, 'nor give it away');

# a superuser's job
make_table('supers', 'postgres');
my $supers = sql(qq{SELECT safe_migrate.backfill('supers', 'b = upper(a)', job_name => 'super', $slowly)});
like(error_of($node, "SELECT safe_migrate.cancel($supers)", as => 'app'), qr/ERROR:  42704:/, 'a superuser\'s job is none of an app\'s');
like(error_of($node, "SELECT safe_migrate.cancel($supers)", as => 'signaller'), qr/ERROR:  (42501|42704):/,
	'pg_signal_backend does not stop a superuser\'s job');
as('signaller', q{SELECT safe_migrate.pause_all('all of them')});
is(state_of($node, $job), 'paused', 'pause_all of a signaller');
isnt(state_of($node, $supers), 'paused', 'passes a superuser\'s job over');
as('signaller', q{SELECT safe_migrate.resume_all()});
full_speed($node, $_) for $job, $supers;

# ---- a gate is not opened by whoever takes the name of its job
sql(q{CREATE ROLE squatter LOGIN; GRANT CREATE ON SCHEMA public TO squatter});
make_table('squatted', 'squatter');
my $decoy = as('squatter', q{SELECT safe_migrate.backfill('squatted', 'b = a', 'b IS NULL AND id < 2', job_name => 'gate')});
wait_for_state($node, $decoy, 'succeeded');
is(as('squatter', q{SELECT safe_migrate.require('gate')}), '', 'require() of a job of one\'s own');
for my $role ('postgres', 'reader', 'signaller')
{
	like(error_of($node, q{SELECT safe_migrate.require('gate')}, as => $role),
		qr/ERROR:  42704: job "gate" does not exist\nDETAIL:  Role "squatter", which role "$role" is not a member of, has one of that name\.\nHINT:  /,
		"$role sees a stranger's job, but does not take it for the one it requires");
}
like(error_of($node, q{SELECT safe_migrate.require('gate')}, as => 'mate'),
	qr/ERROR:  42704: job "gate" does not exist\nHINT:/, 'who may not see it is not told of it');
my $gate = as('app', q{SELECT safe_migrate.backfill('seen', 'seen = a', 'seen IS NULL AND id < 10', job_name => 'gate')});
wait_for_state($node, $gate, 'succeeded');
is(as('mate', q{SELECT safe_migrate.require('gate')}), '', 'the job of a role that one is a member of');
sql('GRANT app TO postgres');
is(as('postgres', q{SELECT safe_migrate.require('gate')}), '', 'a superuser that is a member');
sql('GRANT squatter TO postgres');
like(error_of($node, q{SELECT safe_migrate.require('gate')}), qr/ERROR:  42725: .*\nDETAIL:  Job .*\nHINT:  Ask as/, 'of two it has to be said which');
sql('REVOKE app, squatter FROM postgres');

# ---- one name, several owners: one's own, else the one that the call would change, else an error
make_table($_, $_ eq 'of_app' ? 'app' : 'mate') for qw(of_app of_mate);
my ($apps, $mates) = map { as($_, qq{BEGIN; SELECT safe_migrate.backfill('of_$_', 'b = a', job_name => 'same') AS job \\gset
	SELECT :job FROM safe_migrate.pause(:job); COMMIT}) } qw(app mate);
as('mate', "SELECT safe_migrate.cancel($mates)");
like(error_of($node, q{SELECT safe_migrate.pause('same')}),
	qr/ERROR:  42725: there are several jobs named "same"\nDETAIL:  Job $mates of role "mate" is cancelled, job $apps of role "app" is paused\.\nHINT:  Give the job's id\./,
	'neither would be changed: both are told');
sql(q{SELECT safe_migrate.configure('same', 'nice_ratio', '3')});
is(sql("SELECT settings->>'nice_ratio' FROM safe_migrate.jobs WHERE id = $apps"), '3', 'the one that has not ended');
like(error_of($node, q{SELECT safe_migrate.cancel('same')}, as => 'mate'), qr/NOTICE:  00000: job $mates is cancelled already/, 'one\'s own, whatever its state');
sql(q{BEGIN; SELECT safe_migrate.retry('same'); SELECT safe_migrate.pause('same'); COMMIT});
is(sql("SELECT string_agg(state::text, ', ' ORDER BY id) FROM safe_migrate.jobs WHERE id IN ($apps, $mates)"), 'paused, paused', 'the one that can be retried');
like(error_of($node, q{SELECT safe_migrate.resume('same')}), qr/ERROR:  42725: .*is paused.*is paused/s, 'both would be changed');
like(error_of($node, q{CALL safe_migrate.wait('same')}), qr/ERROR:  42725: .*is paused.*is paused/s, 'both could be waited for');
sql("SELECT safe_migrate.cancel(id) FROM safe_migrate.jobs WHERE id IN ($apps, $mates)");

# ---- roles that may not log in
sql(q{CREATE ROLE team NOLOGIN; CREATE ROLE member LOGIN; GRANT team TO member; GRANT CREATE ON SCHEMA public TO team;
	CREATE FUNCTION note_user() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN NEW.seen := current_user; RETURN NEW; END$$});
make_table('teams', 'team');
sql('CREATE TRIGGER note BEFORE UPDATE ON teams FOR EACH ROW EXECUTE FUNCTION note_user()');
my $call = q{SELECT safe_migrate.backfill('teams', 'b = upper(a)', 'b IS NULL', job_name => 'team work')};
if ($major < 17)
{
	like(error_of($node, "SET ROLE team; $call"), qr/ERROR:  42501: a worker can't connect as role "team"/, 'NOLOGIN owner, superuser session: refused');
	sql("CREATE FUNCTION definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS \$\$$call\$\$; ALTER FUNCTION definer() OWNER TO team");
	like(error_of($node, 'SELECT definer()', as => 'stranger'), qr/ERROR:  42501: a worker can't connect as role "team".*\nDETAIL:.*SECURITY DEFINER/,
		'NOLOGIN owner, SECURITY DEFINER: refused');
}
else
{
	$job = sql("SET ROLE team; $call");
	wait_for_state($node, $job, 'succeeded');
	is(sql('SELECT DISTINCT seen FROM teams'), 'team', 'a worker connects as a role that may not log in');
	sql('UPDATE teams SET b = NULL, seen = NULL');
	$call =~ s/team work/more team work/;
}
$job = as('member', "SET ROLE team; $call");
wait_for_state($node, $job, 'succeeded');
is(sql('SELECT string_agg(DISTINCT seen, $$,$$) FROM teams'), 'team', 'NOLOGIN owner, member\'s session: works as the owner');
is(sql("SELECT owner FROM safe_migrate.jobs WHERE id = $job"), 'team', 'and it is the owner\'s job');

# the member's rights are not to be had by the team's triggers; nor a superuser's
sql(q{CREATE TABLE members_own (x int); ALTER TABLE members_own OWNER TO member});
my %grabs = ('RESET ROLE' => 42501, 'SET ROLE member' => 42501, 'SET SESSION AUTHORIZATION postgres' => 42501,
	'SET ROLE NONE' => 42501, 'SET ROLE postgres' => 42501);
my $n = 0;
for my $grab (sort keys %grabs)
{
	my $name = 'grab_' . $n++;
	sql(qq{CREATE OR REPLACE FUNCTION note_user() RETURNS trigger LANGUAGE plpgsql AS
		\$\$BEGIN $grab; INSERT INTO members_own VALUES (1); RETURN NEW; END\$\$});
	sql('SET session_replication_role = replica; UPDATE teams SET b = NULL');
	$job = as('member', qq{SET ROLE team; SELECT safe_migrate.backfill('teams', 'b = upper(a)', job_name => '$name')});
	wait_for($node, "SELECT state IN ('failed', 'succeeded') FROM safe_migrate.jobs WHERE id = $job");
	like(failure($job), qr/^failed\|$grabs{$grab}\|/, "$grab in a trigger of a NOLOGIN owner's job gets nothing");
	is(sql('SELECT count(*) FROM members_own'), '0', "$grab: nothing was written as somebody else");
}
sql(q{CREATE OR REPLACE FUNCTION note_user() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN NEW.seen := current_user; RETURN NEW; END$$});
sql('SET session_replication_role = replica; UPDATE teams SET b = NULL');

# the member leaves the team: its job is not carried out in its name any more
if ($major < 17)
{
	$job = as('member', qq{SET ROLE team; SELECT safe_migrate.backfill('teams', 'b = upper(a)', job_name => 'left', $slowly)});
	at_work($node, $job);
	sql("SELECT safe_migrate.pause($job)");
	wait_for($node, "SELECT worker_pids = '{}' FROM safe_migrate.progress WHERE job_id = $job");
	sql("REVOKE team FROM member; SELECT safe_migrate.resume($job)");
	wait_for_state($node, $job, 'paused');
	like(sql("SELECT state_reason FROM safe_migrate.jobs WHERE id = $job"), qr/no longer a member/, 'a session role that left the team: the job pauses with a reason');
	sql("GRANT team TO member; SELECT safe_migrate.resume($job)");
	full_speed($node, $job);
}

# ---- renamed, dropped
sql('CREATE ROLE brief LOGIN');
make_table('briefs', 'brief');
$job = as('brief', qq{SELECT safe_migrate.backfill('briefs', 'b = upper(a)', job_name => 'brief', $slowly)});
at_work($node, $job);
sql('ALTER ROLE brief RENAME TO briefly');
is(sql("SELECT owner FROM safe_migrate.jobs WHERE id = $job"), 'briefly', 'a renamed owner is shown by its new name');
sql("SELECT safe_migrate.pause($job); SELECT safe_migrate.resume($job)");
at_work($node, $job);
pass('and the job goes on');
sql("SELECT safe_migrate.pause($job)");
wait_for($node, "SELECT worker_pids = '{}' FROM safe_migrate.progress WHERE job_id = $job");
sql('ALTER TABLE briefs OWNER TO app; DROP OWNED BY briefly; DROP ROLE briefly');
sql("SELECT safe_migrate.resume($job)");
wait_for_state($node, $job, 'paused');
like(sql("SELECT state_reason FROM safe_migrate.jobs WHERE id = $job"), qr/role that owns it does not exist any more/, 'a dropped owner pauses the job with a reason');
is(as('stranger', 'SELECT count(*) FROM safe_migrate.jobs'), '0', 'which no stranger sees');
sql("SELECT safe_migrate.reassign($job, 'app'); SELECT safe_migrate.resume($job)");
at_work($node, $job);
is(sql("SELECT owner FROM safe_migrate.jobs WHERE id = $job"), 'app', 'reassigned, it goes on');
like(error_of($node, "SELECT safe_migrate.reassign($job, 'mate')"), qr/ERROR:  55000:/, 'a running job is not reassigned');
full_speed($node, $job);
is(sql('SELECT count(*) FROM briefs WHERE b IS DISTINCT FROM upper(a)'), '0', 'and completes');
my $named = sql(q{SELECT id FROM safe_migrate.jobs WHERE name = 'brief'});
make_table('again', 'mate');
as('mate', q{SELECT safe_migrate.backfill('again', 'b = a', job_name => 'brief')});
like(error_of($node, "SELECT safe_migrate.reassign($named, 'mate')"), qr/ERROR:  (42710|55000):/, 'no two jobs of one name by reassign()');

# dropped in the middle of the work
sql('CREATE ROLE brief LOGIN');
make_table('vanish', 'app');
sql('GRANT SELECT, UPDATE ON vanish TO brief');
$job = as('brief', qq{SELECT safe_migrate.backfill('vanish', 'b = upper(a)', job_name => 'vanish', $slowly)});
at_work($node, $job);
sql('DROP OWNED BY brief; DROP ROLE brief');
wait_for($node, "SELECT state IN ('failed', 'paused') FROM safe_migrate.jobs WHERE id = $job");
like(sql("SELECT state, state_reason FROM safe_migrate.jobs WHERE id = $job"),
	qr/^(paused\|the role that owns it does not exist any more|failed\|permission denied)/, 'an owner dropped in the middle of the work stops it');

# ---- rights are looked at in every batch
make_table('revoked', 'postgres');
sql('GRANT SELECT, UPDATE ON revoked TO app');
$job = as('app', qq{SELECT safe_migrate.backfill('revoked', 'b = upper(a)', job_name => 'revoked', $slowly)});
at_work($node, $job);
sql('REVOKE UPDATE ON revoked FROM app');
like(waits_for_failure($job), qr/^failed\|42501\|permission denied for table revoked/, 'REVOKE UPDATE fails the running job with 42501');
cmp_ok(sql('SELECT count(b) FROM revoked'), '<', $rows, 'in the middle of the work');
sql("GRANT UPDATE ON revoked TO app; SELECT safe_migrate.retry($job)");
full_speed($node, $job);

# ---- row security that comes while it runs
make_table('secured', 'postgres');
sql('GRANT SELECT, UPDATE ON secured TO app');
$job = as('app', qq{SELECT safe_migrate.backfill('secured', 'b = upper(a)', job_name => 'secured', $slowly)});
at_work($node, $job);
sql('ALTER TABLE secured ENABLE ROW LEVEL SECURITY');
like(waits_for_failure($job), qr/^failed\|42501\|row-level security of table "secured" applies to role "app"/,
	'row security that is switched on fails the running job with 42501');
like(sql("SELECT error_detail, error_hint FROM safe_migrate.jobs WHERE id = $job"),
	qr/^Rows that a policy hides would silently be left out\.\|Queue it as the table's owner .*BYPASSRLS\./, 'that says who may do it');
cmp_ok(sql('SELECT count(b) FROM secured'), '<', $rows, 'in the middle of the work');
sql("ALTER ROLE app BYPASSRLS; SELECT safe_migrate.retry($job)");
full_speed($node, $job);
sql('ALTER ROLE app NOBYPASSRLS');
is(sql('SELECT count(*) FROM secured WHERE b IS DISTINCT FROM upper(a)'), '0', 'a role that it does not hide anything from completes it');

# ---- fire_triggers => false, with rows written straight and, beside a trigger that fires ALWAYS, by statements
sql(q{GRANT SET ON PARAMETER session_replication_role TO app;
	CREATE TABLE others (id int PRIMARY KEY);
	CREATE FUNCTION note_always() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN NEW.seen := concat_ws(',', NEW.seen, current_setting('session_replication_role')); RETURN NEW; END$$});
for my $table ('silent', 'silent_always')
{
	make_table($table, 'app');
	sql(qq{ALTER TABLE $table ADD other int REFERENCES others;
		CREATE TRIGGER note BEFORE UPDATE ON $table FOR EACH ROW EXECUTE FUNCTION note_user()});
	sql("CREATE TRIGGER zz BEFORE UPDATE ON $table FOR EACH ROW EXECUTE FUNCTION note_always();
		ALTER TABLE $table ENABLE ALWAYS TRIGGER zz") if $table eq 'silent_always';
	my $silently = sub {
		return as('app', "SELECT safe_migrate.backfill('$table', 'b = upper(a), other = id', 'b IS NULL',
			job_name => '$table', fire_triggers => false, $slowly)");
	};
	$job = $silently->();
	at_work($node, $job);
	sql('REVOKE SET ON PARAMETER session_replication_role FROM app');
	like(waits_for_failure($job), qr/^failed\|42501\|permission denied to leave triggers out/,
		"$table: REVOKE SET ON PARAMETER fails the running job with 42501");
	is(sql("SELECT error_detail, error_hint ~ '^GRANT SET ON PARAMETER session_replication_role TO app;' FROM safe_migrate.jobs WHERE id = $job"),
		'fire_triggers = false runs the job under session_replication_role = replica.|t', 'that says what is missing');
	cmp_ok(sql("SELECT count(b) FROM $table"), '<', $rows, 'in the middle of the work');
	sql("GRANT SET ON PARAMETER session_replication_role TO app; SELECT safe_migrate.retry($job)");
	full_speed($node, $job);
	is(sql("SELECT count(*) FROM $table WHERE b IS DISTINCT FROM upper(a) OR other IS DISTINCT FROM id"), '0', 'granted again, it completes');
	is(sql("SELECT DISTINCT seen FROM $table"), $table eq 'silent' ? '' : 'replica',
		'without triggers, but those that fire ALWAYS, and without foreign key checks');
}
is(as('app', 'SHOW session_replication_role'), 'origin', 'sessions are as they were');

# ---- settings of role and database, and what job code sets
make_table('sets', 'app');
sql(q{CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		NEW.seen := concat_ws(',', current_user, current_setting('my.mark', true), current_setting('work_mem'));
		SET my.mark = 'left';
		SET work_mem = '99MB';
		SET default_transaction_read_only = on;
		SET search_path = nowhere;
		RETURN NEW;
	END$$;
	CREATE FUNCTION meddle_late() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		SET my.late = 'left';
		SET default_transaction_read_only = on;
		PERFORM set_config('search_path', 'nowhere', false);
		RETURN NULL;
	END$$;
	CREATE FUNCTION see_late() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF current_setting('my.late', true) = 'left' THEN RAISE EXCEPTION 'a setting was left over'; END IF;
		RETURN NULL;
	END$$;
	CREATE TRIGGER meddle BEFORE UPDATE ON sets FOR EACH ROW EXECUTE FUNCTION meddle();
	CREATE TRIGGER see_late BEFORE UPDATE ON sets FOR EACH STATEMENT EXECUTE FUNCTION see_late();
	CREATE CONSTRAINT TRIGGER meddle_late AFTER UPDATE ON sets DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION meddle_late()});
my %meddled = (statement_timeout => '1ms', lock_timeout => '1ms', idle_in_transaction_session_timeout => '1ms',
	idle_session_timeout => '1ms', default_transaction_read_only => 'on', default_transaction_isolation => 'serializable',
	default_transaction_deferrable => 'on', search_path => 'nowhere', row_security => 'off', DateStyle => 'German',
	role => 'mate_of_app');
sql('CREATE ROLE mate_of_app; GRANT mate_of_app TO app');
my $queue = qq{SELECT safe_migrate.backfill('sets', 'b = upper(a)', job_name => 'sets')};
$job = as('app', "BEGIN; $queue; SELECT safe_migrate.pause('sets'); COMMIT");
($job) = $job =~ /^(\d+)/;
sql("ALTER ROLE app SET $_ = '$meddled{$_}'") for sort keys %meddled;
sql("ALTER DATABASE postgres SET $_ = '$meddled{$_}'") for 'lock_timeout', 'default_transaction_isolation';
sql("BEGIN READ WRITE; SELECT safe_migrate.resume($job); COMMIT");
wait_for_state($node, $job, 'succeeded');
pass('settings of the role and the database do not break a job');
cmp_ok(sql("SELECT count(DISTINCT xmin::text) FROM sets"), '>', 1, 'there were several batches');
my @seen = split /\n/, sql('SELECT DISTINCT seen FROM sets ORDER BY 1');
ok((grep { $_ eq 'app,4MB' || $_ eq 'app,,4MB' } @seen), 'a batch begins with the settings of the server') or diag("@seen");
is(scalar(grep { !/^app,/ } @seen), 0, 'triggers run as the owner, whatever ALTER ROLE SET role says');
is(sql(q{SELECT count(*) FROM (SELECT bool_or(seen !~ 'left') AS fresh FROM sets GROUP BY xmin::text) x WHERE NOT fresh}), '0',
	'what a trigger sets is gone in the next batch');
sql("ALTER ROLE app RESET ALL; ALTER DATABASE postgres RESET ALL");

# ---- the caller's search_path, and objects slipped in
sql(q{CREATE SCHEMA early AUTHORIZATION mate; CREATE SCHEMA late AUTHORIZATION app; GRANT USAGE ON SCHEMA early TO app;
	CREATE FUNCTION late.shout(text) RETURNS text LANGUAGE sql AS $$SELECT upper($1)$$;
	CREATE FUNCTION late.note_path() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN NEW.seen := current_setting('search_path') || ' ' || (SELECT t FROM whose); RETURN NEW; END$$;
	CREATE TABLE late.whose AS SELECT 'late' AS t; GRANT SELECT ON late.whose TO app});
make_table('late.paths', 'app');
sql('CREATE TRIGGER note_path BEFORE UPDATE ON late.paths FOR EACH ROW EXECUTE FUNCTION late.note_path()');
$job = as('app', q{SET search_path = early, late; BEGIN;
	SELECT safe_migrate.backfill('paths', 'b = shout(a) || (SELECT t FROM whose)', job_name => 'paths');
	SELECT safe_migrate.pause('paths'); COMMIT});
($job) = $job =~ /^(\d+)/;
as('mate', q{CREATE FUNCTION early.shout(text) RETURNS text LANGUAGE sql AS $$SELECT 'slipped in'$$;
	CREATE TABLE early.whose AS SELECT 'early' AS t; CREATE TABLE early.paths (LIKE late.paths); GRANT SELECT ON early.whose TO app;
	CREATE FUNCTION early.bang(text, text) RETURNS text LANGUAGE sql AS $$SELECT 'slipped in'$$;
	CREATE OPERATOR early.|| (FUNCTION = early.bang, LEFTARG = text, RIGHTARG = text)});
as('app', "SELECT safe_migrate.resume($job)");
wait_for_state($node, $job, 'succeeded');
is(sql(q{SELECT count(*) FROM late.paths WHERE b IS DISTINCT FROM upper(a) || 'late'}), '0',
	'functions, tables and operators slipped in earlier in the path are not used by what was stored');
is(sql('SELECT DISTINCT seen FROM late.paths'), 'early, late early', 'while triggers run under the caller\'s search_path');

# ---- an owner that may not connect (any more)
sql(q{CREATE ROLE outside LOGIN});
sql(q{CREATE DATABASE closed});
sql(q{REVOKE CONNECT ON DATABASE closed FROM public});
sub in_closed { return $node->safe_psql('closed', @_); }
in_closed(q{CREATE EXTENSION safe_migrate; CREATE TABLE t AS SELECT 1 AS a, NULL::int AS b; ALTER TABLE t OWNER TO outside});
$job = (split /\n/, in_closed(q{SET ROLE outside; SELECT safe_migrate.backfill('t', 'b = a')}))[-1];
$node->poll_query_until('closed', "SELECT state = 'paused' FROM safe_migrate.jobs WHERE id = $job");
is(in_closed("SELECT state_reason FROM safe_migrate.jobs WHERE id = $job"), 'its owner has no CONNECT right on the database', 'the job says why');
sql('GRANT CONNECT ON DATABASE closed TO outside');
in_closed("SELECT safe_migrate.resume($job)");
$node->poll_query_until('closed', "SELECT state = 'succeeded' FROM safe_migrate.jobs WHERE id = $job");
is(in_closed('SELECT b FROM t'), '1', 'and goes on once it may');

stays_clean($node);
done_testing();
