# A tablespace that is full: the job tries again, says so, and goes on by itself when there is room;
# when there is none for long it fails with the server's error, and retry() completes it.
#
# The disk is full by a library that is loaded before the C library and refuses to extend files in
# one folder while a flag file exists.
use strict;
use warnings;
use Cwd ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use SafeMigrate;

my $dir = Cwd::abs_path(PostgreSQL::Test::Utils::tempdir());
my $space = "$dir/small_space";
my $flag = "$dir/full";
mkdir $space or die "could not make $space: $!";
append_to_file("$dir/full.c", <<"C");
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
static int full(int fd, off_t end)
{
	char link[64], path[4096];
	struct stat st;
	const char *where = access("$flag", F_OK) == 0 ? "small_space" : access("$flag.all", F_OK) == 0 ? "/base/" : NULL;
	if (!where)
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path - 1);
	if (n <= 0)
		return 0;
	path[n] = 0;
	if (!strstr(path, where) || fstat(fd, &st) != 0 || end <= st.st_size)
		return 0;
	errno = ENOSPC;
	return 1;
}
#define ORIGINAL(f) __typeof__(f) *original = (__typeof__(f) *) dlsym(RTLD_NEXT, #f)
ssize_t pwrite(int fd, const void *b, size_t n, off_t o)
{ ORIGINAL(pwrite); return full(fd, o + n) ? -1 : original(fd, b, n, o); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o)
{ ORIGINAL(pwrite64); return full(fd, o + n) ? -1 : original(fd, b, n, o); }
ssize_t pwritev(int fd, const struct iovec *v, int c, off_t o)
{ ORIGINAL(pwritev); return full(fd, o + 1) ? -1 : original(fd, v, c, o); }
ssize_t pwritev64(int fd, const struct iovec *v, int c, off64_t o)
{ ORIGINAL(pwritev64); return full(fd, o + 1) ? -1 : original(fd, v, c, o); }
int posix_fallocate(int fd, off_t o, off_t n)
{ ORIGINAL(posix_fallocate); return full(fd, o + n) ? ENOSPC : original(fd, o, n); }
int posix_fallocate64(int fd, off64_t o, off64_t n)
{ ORIGINAL(posix_fallocate64); return full(fd, o + n) ? ENOSPC : original(fd, o, n); }
C
plan skip_all => 'no C compiler' if system("cc -shared -fPIC -o $dir/full.so $dir/full.c -ldl") != 0;

my $node;
{
	local $ENV{LD_PRELOAD} = "$dir/full.so";
	$node = new_server('full_disk',
		'safe_migrate.inline' => 'never',
		'safe_migrate.batch_time' => '5ms',
		'safe_migrate.vacuum_after' => 'off');
}
$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$space'");

sub full_table
{
	$node->safe_psql('postgres', 'DROP TABLE IF EXISTS orders, expected');
	make_orders($node, 40_000);
	$node->safe_psql('postgres', 'ALTER TABLE orders SET TABLESPACE small');
	append_to_file($flag, "full\n");
	return $node->safe_psql('postgres', q{SELECT safe_migrate.backfill('orders',
		'status_v2 = repeat(status, 20)', 'status_v2 IS NULL OR status_v2 = $$kept$$')});
}

my $job = full_table();
wait_for($node, "SELECT retries >= 2 FROM safe_migrate.jobs WHERE id = $job");
like($node->safe_psql('postgres', "SELECT detail FROM safe_migrate.events WHERE job_id = $job AND kind = 'retry' LIMIT 1"),
	qr/^53100: could not extend file/, 'the event tells of the full disk');
like($node->safe_psql('postgres', "SELECT condition || ': ' || detail FROM safe_migrate.progress WHERE job_id = $job"),
	qr/^retrying: could not extend file/, 'and so does progress');
unlink $flag;
wait_for_state($node, $job, 'succeeded');
is($node->safe_psql('postgres', 'SELECT count(*) FROM orders WHERE status_v2 <> repeat(status, 20)'), '0',
	'with room it goes on by itself');

$job = full_table();
wait_for($node, "SELECT retries >= 1 FROM safe_migrate.jobs WHERE id = $job");
$node->safe_psql('postgres', "SELECT safe_migrate.cancel($job)");
unlink $flag;
$node->safe_psql('postgres', "SELECT safe_migrate.retry($job)");
wait_for_state($node, $job, 'succeeded');
is($node->safe_psql('postgres', 'SELECT count(*) FROM orders WHERE status_v2 <> repeat(status, 20)'), '0',
	'retry() completes a job that was cancelled on a full disk');

# ---- the disk of the databases, so that nothing can be noted in the job tables either
$node->safe_psql('postgres', 'DROP TABLE IF EXISTS orders, expected');
make_orders($node, 20_000);
$node->safe_psql('postgres', 'VACUUM FULL safe_migrate.job; VACUUM FULL safe_migrate.slice; VACUUM FULL safe_migrate.event; CHECKPOINT');
$job = $node->safe_psql('postgres', q{SELECT safe_migrate.backfill('orders', 'status_v2 = repeat(status, 20)',
	'status_v2 IS NULL OR status_v2 = $$kept$$', settings => '{"nice_ratio": 20}')});
wait_for($node, "SELECT rows > 0 FROM safe_migrate.progress WHERE job_id = $job");
append_to_file("$flag.all", "full\n");
wait_for($node, "SELECT condition = 'retrying' FROM safe_migrate.progress WHERE job_id = $job");
my @workers = worker_pids($node);
$node->safe_psql('postgres', 'SELECT pg_sleep(1)');
is_deeply([ worker_pids($node) ], \@workers, 'its worker waits for room, without being started over and over');
is(state_of($node, $job), 'running', 'a job whose tables have no room is not lost');
unlink "$flag.all";
full_speed($node, $job);
is($node->safe_psql('postgres', 'SELECT count(*) FROM orders WHERE status_v2 <> repeat(status, 20)'), '0',
	'with room it goes on by itself');

stays_clean($node);
done_testing();
