// How the server names what is not named: ChooseRelationName(), ChooseConstraintName(),
// ChooseExtendedStatisticName(), for columns, constraints and what is copied from another table.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
}

namespace safe_migrate::operations::apply {

enum class Named : uint8_t { relation, constraint, statistics };

struct ChosenName {
	Named kind;
	const char *name;
	bool is_key; // of an index and its constraint
};

// The names of what is made for one relation or domain, with the catalog as it is now; each is
// another than those before.
struct NameChooser {
	const char *of;
	Oid schema;
	List *names; // of ChosenName *

	void sequence(const char *column);
	void identity(const Constraint *parsed, const char *column);
	void index(const List *elements); // of IndexElem, parsed
	void check(Node *expression);	  // nullptr: of a domain
	void statistics(const List *columns);
	void column(const ColumnDef *definition);
	void constraint(const Constraint *parsed, const char *column); // nullptr: of the table
	void like(const TableLikeClause *clause);
	void indexes_of(const RangeVar *parent);
};

bool is_among(const List *names, const char *name);

} // namespace safe_migrate::operations::apply
