// See call_watch.hpp.  The server announces the functions of expressions when it gets them
// ready to run (OAT_FUNCTION_EXECUTE), built-in ones too; of those that it calls by itself (event
// triggers, triggers, input and output of types) only the call can be seen, by fmgr's hooks.
#include "pg/call_watch.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::pg {

namespace {

CallWatch watch = {};

// One of the server's hooks.  Where a library that is loaded meanwhile puts its own before ours,
// ours stays and hands on.
template <class Hook> struct Place {
	Hook previous;
	bool taken;

	void take(Hook *hook, Hook ours)
	{
		if (taken)
			return;
		previous = *hook;
		*hook = ours;
		taken = true;
	}
	void give_back(Hook *hook, Hook ours)
	{
		if (*hook != ours)
			return;
		*hook = previous;
		taken = false;
	}
};

Place<object_access_hook_type> access_place = {};
Place<needs_fmgr_hook_type> needs_place = {};
Place<fmgr_hook_type> call_place = {};

// Volatile, but nothing stays of their calls.
bool is_harmless(Oid function)
{
	return function == F_CLOCK_TIMESTAMP || function == F_TIMEOFDAY ||
		   function == F_GEN_RANDOM_UUID;
}

bool is_watching(Calls calls) { return (watch.calls & static_cast<int>(calls)) != 0; }

bool is_watched(Oid function)
{
	if (is_watching(Calls::of_users) && function >= FirstNormalObjectId)
		return true;
	return is_watching(Calls::of_volatile) && !is_harmless(function) &&
		   func_volatile(function) == PROVOLATILE_VOLATILE;
}

void stop(Oid function)
{
	watch.stopped = true;
	ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
					errmsg_internal("function %u is not called here", function)));
}

void on_access(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void *argument)
{
	if (access_place.previous)
		access_place.previous(access, class_id, object, sub_id, argument);
	if (watch.calls != 0 && access == OAT_FUNCTION_EXECUTE && is_watched(object))
		stop(object);
}

// Of the functions that the server calls by itself those that a user writes: not the handlers and
// validators that come with a language or an access method.  Not those in SQL, as the planner would
// no longer put their bodies in their places: what they call is announced.
bool is_written_by_users(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return false;
	FormData_pg_proc form = *reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	if (form.prorettype == TRIGGEROID || form.prorettype == EVENT_TRIGGEROID)
		return true;
	return form.prolang != INTERNALlanguageId && form.prolang != ClanguageId &&
		   form.prolang != SQLlanguageId;
}

bool is_call_watched(Oid function) { return is_written_by_users(function) && is_watched(function); }

bool needs_call_hook(Oid function)
{
	return (needs_place.previous && needs_place.previous(function)) ||
		   (watch.calls != 0 && is_call_watched(function));
}

void on_call(FmgrHookEventType event, FmgrInfo *function, Datum *argument)
{
	if (call_place.previous)
		call_place.previous(event, function, argument);
	if (watch.calls != 0 && event == FHET_START && is_call_watched(function->fn_oid))
		stop(function->fn_oid);
}

} // namespace

CallWatch begin_call_watch(Calls calls)
{
	access_place.take(&object_access_hook, on_access);
	needs_place.take(&needs_fmgr_hook, needs_call_hook);
	call_place.take(&fmgr_hook, on_call);
	CallWatch outer = watch;
	watch.calls |= static_cast<int>(calls);
	watch.stopped = false;
	return outer;
}

bool end_call_watch(const CallWatch &outer)
{
	bool stopped = watch.stopped;
	watch = outer;
	if (watch.calls != 0)
		return stopped;
	call_place.give_back(&fmgr_hook, on_call);
	needs_place.give_back(&needs_fmgr_hook, needs_call_hook);
	access_place.give_back(&object_access_hook, on_access);
	return stopped;
}

} // namespace safe_migrate::pg
