// The objects that a stored text refers to, by oid.  Such a text is analysed again and again, and
// what it names may have been renamed meanwhile, or dropped and put in again by another role: its
// names are replaced by those that the objects have now, and what comes out of analysis may hold no
// other object.  The server's own, which nobody can replace, are left out.
#pragma once
#include "pg/postgres.hpp"

#include <initializer_list>

extern "C" {
#include "lib/stringinfo.h"
#include "nodes/nodes.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
}

namespace safe_migrate::pg {

// When a text is stored: a list of the objects that the analysed `tree` refers to, and the raw
// trees of its texts name.  Under the settings that the texts were deparsed under.
List *known_objects(Node *tree, const List *raw);

// Before analysis: names in the raw tree become those of the known objects.  Locks relations as
// the analysis will.  42704 where one of the objects does not exist any more.
void bind_names(Node *raw, const List *known);

// After analysis, before anything is evaluated: 42704 where the tree refers to another object.
// Types that columns of these tables have, and their row types, are not looked at.
void check_known(Node *tree, const List *known, std::initializer_list<Oid> targets);

void append_known(StringInfo json, const List *known); // a member "objects", or nothing
List *read_known(JsonbContainer *array);			   // NIL where nullptr

} // namespace safe_migrate::pg
