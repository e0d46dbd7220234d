// The state machine, retries and restart pauses of jobs.
#include "jobs/state.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <regex>
#include <set>
#include <string>
#include <vector>

using namespace safe_migrate::jobs;

namespace {

constexpr JobState states[] = {JobState::queued,	JobState::running, JobState::paused,
							   JobState::succeeded, JobState::failed,  JobState::cancelled};
constexpr Action actions[] = {Action::start, Action::pause,	  Action::resume, Action::cancel,
							  Action::retry, Action::succeed, Action::fail};

using Names = std::set<std::string>;

std::vector<std::string> lines_of(const std::string &file)
{
	std::ifstream stream(SOURCE_DIR "/" + file);
	std::vector<std::string> lines;
	for (std::string line; std::getline(stream, line);)
		lines.push_back(line);
	return lines;
}

Names words_of(const std::string &text)
{
	static const std::regex word("[a-z]+");
	return {std::sregex_token_iterator(text.begin(), text.end(), word), {}};
}

// "queued start running", …, as a line of the drawing has it: states ── action ──▶ state ── …
Names transitions_drawn(const std::string &line)
{
	static const std::regex arrow("── ([a-z]+) (?:─)+▶ ([a-z]+)");
	Names drawn;
	Names from = words_of(line.substr(0, line.find("──")));
	for (std::sregex_iterator i(line.begin(), line.end(), arrow), end; i != end; ++i) {
		for (const std::string &state : from)
			drawn.insert(state + " " + (*i)[1].str() + " " + (*i)[2].str());
		from = {(*i)[2].str()};
	}
	return drawn;
}

Names targets_of(JobState from)
{
	Names targets;
	for (Action action : actions) {
		Transition t = transition(from, action);
		if (t.effect == Effect::moves && t.to != from)
			targets.insert(name_of(t.to));
	}
	return targets;
}

} // namespace

TEST(State, IsDrawnAsItIs)
{
	Names drawn, held;
	for (const std::string &line : lines_of("src/jobs/README.md"))
		drawn.merge(transitions_drawn(line));
	for (JobState from : states)
		for (Action action : actions) {
			Transition t = transition(from, action);
			if (t.effect == Effect::moves && t.to != from)
				held.insert(std::string(name_of(from)) + " " + name_of(action) + " " +
							name_of(t.to));
		}
	EXPECT_EQ(drawn, held);
}

TEST(State, IsDocumentedAsItIs)
{
	for (JobState from : states) {
		std::string row = std::string("| `") + name_of(from) + "` |";
		Names documented;
		for (const std::string &line : lines_of("docs/jobs.md")) {
			if (line.rfind(row, 0) != 0)
				continue;
			Names words = words_of(line.substr(line.rfind('|', line.size() - 2)));
			for (JobState to : states)
				if (words.count(name_of(to)) != 0)
					documented.insert(name_of(to));
		}
		EXPECT_EQ(documented, targets_of(from)) << name_of(from);
	}
}

TEST(State, ASucceededJobNeverChanges)
{
	for (Action action : actions)
		EXPECT_NE(transition(JobState::succeeded, action).effect, Effect::moves) << name_of(action);
}

TEST(State, OnlyARunningJobSucceeds)
{
	for (JobState state : states)
		EXPECT_EQ(transition(state, Action::succeed).effect == Effect::moves,
				  state == JobState::running)
			<< name_of(state);
}

TEST(State, PauseAndResumeLeadBackToTheQueue)
{
	EXPECT_EQ(transition(JobState::running, Action::pause).to, JobState::paused);
	EXPECT_EQ(transition(JobState::paused, Action::resume).to, JobState::queued);
	EXPECT_EQ(transition(JobState::paused, Action::pause).effect, Effect::repeats);
	EXPECT_EQ(transition(JobState::running, Action::resume).effect, Effect::repeats);
	EXPECT_EQ(transition(JobState::failed, Action::pause).effect, Effect::impossible);
}

TEST(State, WhatEndedBadlyCanBeRetriedAndNothingElse)
{
	for (JobState state : states)
		EXPECT_EQ(transition(state, Action::retry).effect == Effect::moves,
				  state == JobState::failed || state == JobState::cancelled)
			<< name_of(state);
}

TEST(State, APausedJobIsNotStarted)
{
	EXPECT_EQ(transition(JobState::paused, Action::start).effect, Effect::impossible);
	EXPECT_EQ(transition(JobState::cancelled, Action::start).effect, Effect::impossible);
}

TEST(Retry, ErrorsThatPassByThemselvesAreTriedAgain)
{
	for (const char *code : {"40P01", "40001", "55P03", "57014", "53100", "53200"})
		EXPECT_TRUE(retry_after(code, 1, 0.5).again) << code;
	for (const char *code : {"23514", "42P01", "42501", "XX000", "22012"})
		EXPECT_FALSE(retry_after(code, 1, 0.5).again) << code;
}

TEST(Retry, PausesGrowToACeilingAndSpread)
{
	int64_t previous = 0;
	for (int attempt = 1; attempt < 30; attempt++) {
		Retry retry = retry_after("40P01", attempt, 0.5);
		EXPECT_GE(retry.wait_us, previous);
		EXPECT_LE(retry.wait_us, 10'000'000);
		previous = retry.wait_us;
	}
	EXPECT_LT(retry_after("40P01", 4, 0.0).wait_us, retry_after("40P01", 4, 0.99).wait_us);
}

TEST(Retry, GivesUpInTheEnd)
{
	EXPECT_FALSE(retry_after("53100", 100, 0.5).again);
	EXPECT_FALSE(retry_after("40P01", 100'000, 0.5).again);
}

TEST(Restart, PausesDoubleUpToAMinute)
{
	EXPECT_LT(restart_pause_us(1), restart_pause_us(2));
	EXPECT_EQ(restart_pause_us(1000), 60'000'000);
}
