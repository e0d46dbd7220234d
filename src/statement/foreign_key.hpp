// How the columns of a foreign key are compared.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "access/attnum.h"
}

namespace safe_migrate::statement {

// The operator by which a referenced column of this operator class is compared with the
// referencing type, and what that is cast to for it; InvalidOid: none.  Mirrors
// ATAddForeignKeyConstraint().
Oid key_operator(Oid opclass, Oid referenced_type, Oid referencing_type, Oid *right);

// The operator class of the column in the index; InvalidOid: it has none of it.
Oid opclass_of_key(Oid index, Oid relation, AttrNumber attnum);

} // namespace safe_migrate::statement
