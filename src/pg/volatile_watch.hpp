// No call of a VOLATILE function while a piece of work is done that is taken back afterwards: what
// such a function does may be more than a rollback takes back (sequences, other servers, time).
#pragma once
#include "pg/finally.hpp"

namespace safe_migrate::pg {

// To be called in pairs; not nested.
void begin_volatile_watch();
// True: a call was stopped, by an error that the work may have caught.
bool end_volatile_watch();

// Runs body; where it is about to call such a function it gets an error instead.  *stopped is set,
// and else left as it is, before whatever error there is goes on.
template <class Body> void without_volatile_calls(bool *stopped, Body &&body)
{
	begin_volatile_watch();
	with_cleanup(body, [stopped] { *stopped = end_volatile_watch() || *stopped; });
}

} // namespace safe_migrate::pg
