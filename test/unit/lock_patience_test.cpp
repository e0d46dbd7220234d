// When a statement stands in a lock queue, when it stays out of it, when it gives up.
#include "pg/lock_patience.hpp"

#include <gtest/gtest.h>

using namespace safe_migrate::pg;

namespace {

constexpr Obstacles nobody = {0, 0, -1};
constexpr Obstacles reader = {1, 0, 30};
constexpr Obstacles old_reader = {1, 0, 480000};
constexpr Obstacles autovacuum = {1, 1, -1};
constexpr Obstacles both = {2, 1, 480000};

Patience usual() { return patience_of(200, 30000, 2000, false, 0); }

// All moves with the same obstacles, until the end.
struct Course {
	int stays = 0, pauses = 0;
	int64_t elapsed = 0, in_queue = 0;
};

Course course(const Patience &patience, const Obstacles &obstacles, double random)
{
	Course course;
	Waiting waiting = {};
	for (;;) {
		waiting.elapsed_ms = course.elapsed;
		const NextMove next = next_move(patience, waiting, obstacles, random);
		if (next.move == Move::give_up)
			return course;
		EXPECT_GT(next.ms, 0);
		course.elapsed += next.ms;
		if (next.move == Move::pause) {
			course.pauses++;
			waiting.has_paused = true;
			continue;
		}
		course.stays++;
		course.in_queue += next.ms;
		waiting.stays++;
		waiting.has_paused = false;
		waiting.was_last = next.last;
	}
}

} // namespace

TEST(patience, settles_with_who_waits_for_us)
{
	const Obstacles lately = {1, 0, 480000, WaitsForUs::lately};
	const Obstacles for_long = {1, 0, 480000, WaitsForUs::for_long};
	for (bool holds_strong_locks : {false, true}) {
		const Patience patience = patience_of(200, 30000, 2000, holds_strong_locks, 0);
		EXPECT_EQ(next_move(patience, {}, lately, 0.5).move, Move::pause);
		const NextMove next = next_move(patience, {}, for_long, 0.5);
		EXPECT_EQ(next.move, Move::stay);
		EXPECT_TRUE(next.settles);
		EXPECT_LT(next.deadlock_timeout, next.ms);
		EXPECT_FALSE(next.last);
		EXPECT_FALSE(next_move(patience, {200, 1, false, false}, for_long, 0.5).settles);
		EXPECT_TRUE(next_move(patience, {30000, 1, true, false}, lately, 0.5).last);
	}
	EXPECT_EQ(course(usual(), lately, 0.5).stays, 1);
	for (int stay : {2, 20, 200}) // in which a deadlock has to be found before its end
		EXPECT_LT(
			next_move(patience_of(stay, 30000, 2000, false, 0), {}, for_long, 0.5).deadlock_timeout,
			stay);
}

TEST(patience, starts_in_the_queue)
{
	for (const Obstacles &obstacles : {nobody, reader}) {
		const NextMove next = next_move(usual(), {}, obstacles, 0.5);
		EXPECT_EQ(next.move, Move::stay);
		EXPECT_EQ(next.ms, 200);
		EXPECT_FALSE(next.last);
		EXPECT_EQ(next.deadlock_timeout, 0);
	}
}

TEST(patience, pauses_after_each_stay)
{
	Waiting waiting = {200, 1, false, false};
	EXPECT_EQ(next_move(usual(), waiting, reader, 0.5).move, Move::pause);
	waiting.has_paused = true;
	EXPECT_EQ(next_move(usual(), waiting, reader, 0.5).move, Move::stay);
}

TEST(patience, pauses_get_longer_and_are_never_the_same_for_two)
{
	int before = 0;
	for (int stays = 1; stays <= 20; stays++) {
		const Waiting waiting = {200, stays, false, false};
		const int shortest = next_move(usual(), waiting, reader, 0.0).ms;
		const int longest = next_move(usual(), waiting, reader, 0.999).ms;
		EXPECT_GE(longest, shortest * 2);
		EXPECT_GE(shortest, before);
		EXPECT_GE(shortest, 100);
		EXPECT_LE(longest, 200 * 8 * 3 / 2);
		before = shortest;
	}
}

TEST(patience, more_time_outside_the_queue_than_in_it)
{
	for (const double random : {0.0, 0.5, 0.999}) {
		const Course all = course(usual(), reader, random);
		EXPECT_GT(all.stays, 5);
		EXPECT_LT(all.in_queue * 2, all.elapsed);
		EXPECT_GE(all.elapsed, 30000);
		EXPECT_LE(all.elapsed, 30000 + 200 + 200);
	}
}

TEST(patience, stays_out_of_the_queue_behind_an_old_holder_but_for_one_last_time)
{
	EXPECT_EQ(next_move(usual(), {}, old_reader, 0.5).move, Move::pause);
	EXPECT_EQ(next_move(usual(), {29999, 0, true, false}, old_reader, 0.5).move, Move::pause);
	EXPECT_EQ(next_move(usual(), {29999, 0, true, false}, old_reader, 0.5).ms, 1);
	const NextMove last = next_move(usual(), {30000, 0, true, false}, old_reader, 0.5);
	EXPECT_EQ(last.move, Move::stay);
	EXPECT_TRUE(last.last);
	EXPECT_EQ(course(usual(), old_reader, 0.5).stays, 1);
}

TEST(patience, looks_often_whether_the_old_holder_is_gone)
{
	EXPECT_LE(next_move(usual(), {10000, 3, true, false}, old_reader, 0.999).ms, 150);
}

TEST(patience, five_seconds_are_not_old)
{
	EXPECT_EQ(next_move(usual(), {}, {1, 0, old_holder_ms}, 0.5).move, Move::stay);
	EXPECT_EQ(next_move(usual(), {}, {1, 0, old_holder_ms + 1}, 0.5).move, Move::pause);
	EXPECT_EQ(next_move(usual(), {}, {1, 0, -1}, 0.5).move, Move::stay);
}

TEST(patience, an_autovacuum_is_cancelled_within_the_stay)
{
	const NextMove next = next_move(usual(), {}, autovacuum, 0.5);
	EXPECT_EQ(next.move, Move::stay);
	EXPECT_GT(next.deadlock_timeout, 0);
	EXPECT_LT(next.deadlock_timeout, next.ms);
	EXPECT_EQ(next_move(usual(), {}, both, 0.5).move, Move::pause);
	const NextMove shortest = next_move(patience_of(1, 1, 1, false, 0), {}, autovacuum, 0.5);
	EXPECT_EQ(shortest.deadlock_timeout, 1);
}

TEST(patience, no_retry_is_one_stay)
{
	const Course all = course(patience_of(200, 0, 2000, false, 0), old_reader, 0.5);
	EXPECT_EQ(all.stays, 1);
	EXPECT_EQ(all.pauses, 0);
	EXPECT_EQ(all.elapsed, 200);
}

TEST(patience, with_strong_locks_held_one_stay_at_once)
{
	for (const Obstacles &obstacles : {reader, old_reader, autovacuum}) {
		const Course all = course(patience_of(200, 30000, 2000, true, 0), obstacles, 0.5);
		EXPECT_EQ(all.stays, 1);
		EXPECT_EQ(all.pauses, 0);
		EXPECT_EQ(all.elapsed, 2000);
	}
}

TEST(patience, a_lock_timeout_of_the_session_bounds_the_last_stay_too)
{
	for (int timeout : {1, 50, 200, 201, 250, 300, 500, 1000, 7000})
		for (const Obstacles &obstacles : {reader, old_reader, autovacuum})
			for (double random : {0.0, 0.3, 0.999}) {
				const Course all =
					course(patience_of(200, 30000, 2000, false, timeout), obstacles, random);
				EXPECT_LE(all.elapsed, timeout);
				EXPECT_GE(all.stays, 1);
				EXPECT_GE(all.elapsed, timeout / 2);
			}
}

TEST(patience, a_shorter_lock_timeout_of_the_session_wins)
{
	EXPECT_EQ(course(patience_of(200, 30000, 2000, false, 50), reader, 0.5).elapsed, 50);
	EXPECT_EQ(patience_of(200, 30000, 2000, false, 50).stay, 50);
	EXPECT_EQ(patience_of(200, 30000, 2000, false, 5000).stay, 200);
	EXPECT_EQ(patience_of(200, 30000, 2000, false, 5000).total, 5000);
	EXPECT_EQ(patience_of(200, 30000, 2000, true, 500).stay, 500);
	EXPECT_EQ(patience_of(200, 30000, 2000, true, 60000).stay, 2000);
	EXPECT_EQ(patience_of(200, 30000, 2000, false, 60000).total, 30000);
}
