// See permission.hpp.
#include "operations/ddl/permission.hpp"

namespace safe_migrate::operations::ddl {

namespace {

Permission asked = nullptr;

} // namespace

void use_permission(Permission permission) { asked = permission; }

const char *ask_permission(const char *sql) { return asked ? asked(sql) : nullptr; }

} // namespace safe_migrate::operations::ddl
