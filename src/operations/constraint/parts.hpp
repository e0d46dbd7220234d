// What partitions and children have already of a constraint that their parent is to get.
#pragma once
#include "operations/constraint/definition.hpp"
#include "operations/ddl/recipe.hpp"

namespace safe_migrate::operations::constraint {

// Of a CHECK that is inherited: whom the server asks to be the owner of what (ddl::need_owner()).
// Error 42710 where a child has another constraint of that name, 55000 one that it does not share.
void check_children(ddl::Recipe *recipe, Oid table, const Definition &definition);

// A leaf with its own part of a foreign key.
struct Leaf {
	Oid oid;
	char *key; // its name, as the server would choose it; nullptr: can't be told
};

// Of a partitioned table, as Leaf *: those that neither have such a foreign key nor are below a
// partition that has one, which the parent's takes as its own (from 18 on it is among them where it
// is not valid).  Error 42809 for foreign tables.
List *leaves_without_key(Oid table, const Definition &definition);
// What is to be validated of one that is there, or will be by then.
List *leaves_to_validate(Oid table, const Definition &definition);

} // namespace safe_migrate::operations::constraint
