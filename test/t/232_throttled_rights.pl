# A job that is throttled notices what would end it: its role is dropped, its rights are revoked, its table is gone.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('throttled',
	'safe_migrate.inline' => 'never',
	'safe_migrate.batch_time' => '2ms',
	'safe_migrate.vacuum_after' => 'off');

sub sql { return $node->safe_psql('postgres', @_); }

sql(q{CREATE ROLE app LOGIN; CREATE ROLE team NOLOGIN; CREATE ROLE member LOGIN; GRANT team TO member;
	CREATE FUNCTION shout(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN upper($1); END';
	REVOKE EXECUTE ON FUNCTION shout FROM public});

my $tables = 0;

# A job of that role, throttled for ever; call: of the table that %s stands for.
sub throttled
{
	my ($role, $call, %how) = @_;
	my $table = 't' . ++$tables;
	sql(qq{CREATE TABLE $table (id int PRIMARY KEY, a text, b text); INSERT INTO $table SELECT i, 'row ' || i FROM generate_series(1, 2000) i;
		GRANT SELECT, UPDATE, DELETE ON $table TO $role; GRANT EXECUTE ON FUNCTION shout TO $role});
	my $as = $how{by} // $role;
	my $set = $how{by} ? "SET ROLE $role;" : '';
	my $made = sprintf $call, $table;
	my ($job) = answer($node, $as, qq{$set SELECT safe_migrate.$made}) =~ /(\d+)$/
	  or die "no job: $made";
	wait_for($node, "SELECT condition = 'throttled' FROM safe_migrate.progress WHERE job_id = $job");
	return ($job, $table);
}

# What the job comes to, soon: told by the row, not by the clock.
sub ends_as
{
	my ($job, $expected, $name) = @_;
	my $went = $node->poll_query_until('postgres', "SELECT state NOT IN ('queued', 'running') FROM safe_migrate.jobs WHERE id = $job");
	like(sql("SELECT concat_ws('|', state, state_reason, error_sqlstate) FROM safe_migrate.jobs WHERE id = $job"), $expected, $name);
	sql("SELECT safe_migrate.cancel($job)") unless $went;
	wait_for($node, "SELECT worker_pids IS NULL OR worker_pids = '{}' FROM safe_migrate.progress WHERE job_id = $job");
	return;
}

my $always = q{settings => '{"throttle_query": "SELECT true"}'};
my $fill = qq{backfill('%s', 'b = upper(a)', $always)};

my ($job, $table) = throttled('app', $fill);
sql("REVOKE UPDATE ON $table FROM app");
ends_as($job, qr/^failed\|permission denied for table $table\|42501$/, 'UPDATE is revoked');

($job, $table) = throttled('app', qq{delete_safely('%s', 'id > 7', $always)});
sql("REVOKE DELETE ON $table FROM app");
ends_as($job, qr/^failed\|permission denied for table $table\|42501$/, 'DELETE is revoked');

($job, $table) = throttled('app', qq{backfill('%s', 'b = shout(a)', $always)});
sql('REVOKE EXECUTE ON FUNCTION shout FROM app');
ends_as($job, qr/^failed\|permission denied for function shout\|42501$/, 'EXECUTE on a function of the job is revoked');

($job, $table) = throttled('app', $fill);
sql("DROP TABLE $table");
ends_as($job, qr/^failed\|.*does not exist.*\|42P01$/, 'its table is dropped');

($job, $table) = throttled('postgres', qq{create_index_safely('CREATE INDEX ON %s (a)', $always)});
sql("DROP TABLE $table");
ends_as($job, qr/^failed\|/, 'the table of an index that is to be built is dropped');

($job, $table) = throttled('postgres', qq{add_constraint_safely('%s', 'CONSTRAINT c CHECK (id > 0)', $always)});
sql("ALTER TABLE $table RENAME TO renamed");
ends_as($job, qr/^failed\|.* is no longer what it was when the job was queued\|42704$/, 'the table of a constraint that is to be added is renamed');

SKIP: {
	skip 'workers connect as roles that may not log in', 1 if major_of($node) >= 17;
	($job, $table) = throttled('team', $fill, by => 'member');
	sql('REVOKE team FROM member');
	ends_as($job, qr/^(paused|failed)\|/, 'the role that the worker is connected as is no member any more');
	sql('GRANT team TO member');
}

($job, $table) = throttled('team', $fill, by => 'member');
sql('DROP OWNED BY team; DROP ROLE team');
ends_as($job, qr/^paused\|the role that owns it does not exist any more$/, 'its role, which others work as, is dropped');

($job, $table) = throttled('app', $fill);
sql('DROP OWNED BY app; DROP ROLE app');
ends_as($job, qr/^paused\|the role that owns it does not exist any more$/, 'its role is dropped');
is(sql("SELECT count(b) FROM $table"), '0', 'and nothing was written');

# while it is throttled, nothing of the table is held: DDL gets in
sql('CREATE ROLE calm LOGIN');
($job, $table) = throttled('calm', $fill);
for (1 .. 3)
{
	is(error_of($node, "SET lock_timeout = '1s'; BEGIN; LOCK TABLE $table; SELECT pg_sleep(1.5); COMMIT"), '', 'others get their lock on the table');
}
is(state_of($node, $job), 'running', 'and the job has still its turn to come');
sql("SELECT safe_migrate.configure($job, 'throttle_query', NULL)");
wait_for_state($node, $job, 'succeeded');
is(sql("SELECT retries FROM safe_migrate.jobs WHERE id = $job"), '0', 'it has failed at nothing');

unlike(slurp_file($node->logfile), qr/without an outer snapshot|no known snapshots|without an active snapshot|cache lookup failed/,
	'no error of an error');
stays_clean($node);
done_testing();
