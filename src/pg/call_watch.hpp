// Work during which some functions are not called: work that is taken back afterwards, which a
// function may do more than be taken back (sequences, other servers, time); planning, which is to
// run nothing of the users'.
#pragma once
#include "pg/finally.hpp"

namespace safe_migrate::pg {

enum class Calls { of_volatile = 1, of_users = 2 };

// What was watched before, and whether a call was stopped.
struct CallWatch {
	int calls;
	bool stopped;
};

// To be called in pairs; the inner one adds its calls to those of the outer one.
CallWatch begin_call_watch(Calls calls);
// True: a call was stopped, by an error that the work may have caught.
bool end_call_watch(const CallWatch &outer);

// Runs body; where it is about to call such a function it gets an error instead.  *stopped is set,
// and else left as it is, before whatever error there is goes on.
template <class Body> void without_calls(Calls calls, bool *stopped, Body &&body)
{
	CallWatch outer = begin_call_watch(calls);
	with_cleanup(body, [stopped, &outer] { *stopped = end_call_watch(outer) || *stopped; });
}

} // namespace safe_migrate::pg
