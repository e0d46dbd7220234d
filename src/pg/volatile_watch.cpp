// See volatile_watch.hpp.  Follows the use of object_access_hook in contrib/sepgsql/hooks.c.
#include "pg/volatile_watch.hpp"

extern "C" {
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::pg {

namespace {

object_access_hook_type previous_hook = nullptr;
bool refusing = false;

void on_object_access(ObjectAccessType access, Oid class_id, Oid object, int sub_id, void *arg)
{
	if (previous_hook != nullptr)
		previous_hook(access, class_id, object, sub_id, arg);
	if (refusing && access == OAT_FUNCTION_EXECUTE && func_volatile(object) == PROVOLATILE_VOLATILE)
		elog(ERROR, "volatile function %u is not called", object);
}

} // namespace

void watch_volatile_functions()
{
	previous_hook = object_access_hook;
	object_access_hook = on_object_access;
}

void refuse_volatile_functions() { refusing = true; }

void allow_volatile_functions() { refusing = false; }

} // namespace safe_migrate::pg
