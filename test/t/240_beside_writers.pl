# What a worker does for the commits of clients beside it: it stays close to the disk, WAL segments
# are there before they are needed, and the processor is theirs when they wake up.
use strict;
use warnings;
use Config;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $node = new_server('beside_writers',
	initdb => ['--wal-segsize=1'], # MB
	'max_wal_size' => '10GB', # no checkpoint, which would leave segments to recycle
	'checkpoint_timeout' => '1h',
	'wal_writer_delay' => '10s',
	'autovacuum' => 'off',
	'safe_migrate.inline' => 'never',
	'safe_migrate.vacuum_after' => 'off');

make_orders($node, 200_000);
$node->safe_psql('postgres', q{
	CREATE TABLE others (id bigint); CREATE TABLE stop (now bool);
	CREATE TABLE samples (job bigint, ahead bigint, segments bigint, waits bool);
	CREATE PROCEDURE write_on() LANGUAGE plpgsql AS $$ BEGIN
		WHILE NOT EXISTS (SELECT FROM stop) LOOP
			INSERT INTO others VALUES (1);
			COMMIT;
			PERFORM pg_sleep(0.02);
		END LOOP;
	END $$;
	CREATE PROCEDURE watch(job_id bigint) LANGUAGE plpgsql AS $$ DECLARE
		written pg_lsn; ahead bigint[]; waits bool[]; busy bool; segments bigint;
		BEGIN
			LOOP
				COMMIT; -- holds no snapshot, sees the activity as it is now
				SELECT wait_event IS NOT DISTINCT FROM 'Extension' INTO busy FROM pg_stat_activity
					WHERE backend_type = 'safe_migrate worker' AND xact_start IS NOT NULL;
				IF FOUND THEN
					written := pg_current_wal_insert_lsn();
					ahead := ahead || (written - pg_current_wal_flush_lsn())::bigint;
					waits := waits || busy;
				END IF;
				EXIT WHEN (SELECT state NOT IN ('queued', 'running') FROM safe_migrate.jobs WHERE id = job_id);
				PERFORM pg_sleep(0.001);
			END LOOP;
			SELECT count(*) INTO segments FROM pg_ls_waldir() WHERE name > pg_walfile_name(pg_current_wal_insert_lsn());
			INSERT INTO samples SELECT job_id, a, segments, w FROM unnest(ahead, waits) s (a, w);
		END $$});

# One backfill with its samples: how far WAL was ahead of the disk (the median, in kB), segments
# ahead of what is written at its end, the share of a batch's time that the worker waits for nothing
# but its own latch or clock.
sub watch
{
	$node->safe_psql('postgres', 'UPDATE orders SET status_v2 = NULL; VACUUM orders');
	my $job = $node->safe_psql('postgres', q{SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)')});
	$node->safe_psql('postgres', "CALL watch($job)");
	is(state_of($node, $job), 'succeeded', 'the backfill ends well');
	return split /\|/, $node->safe_psql('postgres', "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ahead) / 1024,
		max(segments), avg(waits::int) FROM samples WHERE job = $job");
}

my (undef, $segments) = watch();
cmp_ok($segments, '<=', 4, 'nobody beside it: WAL segments are made when they are needed');

my $writer = IPC::Run::start([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-c', 'CALL write_on()' ]);
wait_for($node, 'SELECT count(*) > 3 FROM others');
(my $ahead, $segments, my $waiting) = watch();
cmp_ok($segments, '>=', 20, 'beside writers: segments are there before they are needed');
cmp_ok($ahead, '<=', 64, 'its WAL is close to the disk');

$node->append_conf('postgresql.conf', 'safe_migrate.wal_flush_after = 0');
$node->reload;
wait_for($node, q{SELECT current_setting('safe_migrate.wal_flush_after') = '0'});
my ($free, undef, $waiting_free) = watch();
cmp_ok($free, '>', 2 * $ahead, 'far ahead of it with wal_flush_after = 0');
cmp_ok($waiting, '>', 0.1 + $waiting_free, 'since it does not wait there for the flushes of others');
$node->safe_psql('postgres', 'INSERT INTO stop VALUES (true)');
$writer->finish;
note("WAL ahead of the disk: $ahead kB, $free kB if free; waiting $waiting, $waiting_free");

# the slice that the scheduler of Linux gives the worker
SKIP: {
	my %getattr = (x86_64 => 315, aarch64 => 275);
	my ($machine) = $Config{archname} =~ /^(x86_64|aarch64)-linux/ or skip 'no Linux', 1;
	my $slice = sub {
		my $attr = pack 'L x44', 48;
		return syscall($getattr{$machine}, shift() + 0, $attr, 48, 0) == 0 ? unpack('x24 Q', $attr) : 0;
	};
	my $own = $slice->($$) or skip 'the kernel knows no slices', 1;
	$node->safe_psql('postgres', 'UPDATE orders SET status_v2 = NULL');
	my $job = $node->safe_psql('postgres',
		q{SELECT safe_migrate.backfill('orders', 'status_v2 = upper(status)', settings => '{"nice_ratio": 100}')});
	my ($worker) = wait_for_workers($node, 1);
	at_work($node, $job);
	cmp_ok($slice->($worker), '>', $own, 'is the longest');
	full_speed($node, $job);
}
stays_clean($node);
done_testing();
