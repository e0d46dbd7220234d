// See permission.hpp.
#include "operations/ddl/permission.hpp"

namespace safe_migrate::operations::ddl {

namespace {

Permission asked = nullptr;
HoldLimit hold_limit = nullptr;

} // namespace

void use_permission(Permission permission) { asked = permission; }

const char *ask_permission(const char *sql) { return asked ? asked(sql) : nullptr; }

void use_hold_limit(HoldLimit limit) { hold_limit = limit; }

int limit_hold(Oid relation, int mode) { return hold_limit ? hold_limit(relation, mode) : 0; }

} // namespace safe_migrate::operations::ddl
