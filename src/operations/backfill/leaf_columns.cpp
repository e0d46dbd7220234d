// What an assignment changes in a leaf.
#include "operations/backfill/leaf_columns.hpp"
#include "pg/compat_executor.hpp"

extern "C" {
#include "access/sysattr.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::operations::backfill {
namespace {

AttrNumber assigned_column(const Definition &definition, const Assignment &assignment,
						   Relation leaf)
{
	AttrNumber attno = InvalidAttrNumber;
	char *name = get_attname(definition.relation, assignment.attnum, true);

	if (name != nullptr)
		attno = get_attnum(RelationGetRelid(leaf), name);
	if (attno <= 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("column \"%s\" of relation \"%s\" does not exist", assignment.column,
							   RelationGetRelationName(leaf)),
						errdetail("The column was dropped after the job was queued.")));
	return attno;
}

// Generated columns cannot depend on each other, so one step finds all of them.
void find_generated(LeafColumns &columns, Relation leaf)
{
	TupleDesc desc = RelationGetDescr(leaf);

	if (desc->constr == nullptr)
		return;
	for (int i = 0; i < desc->natts; i++) {
		const FormData_pg_attribute *att = TupleDescAttr(desc, i);
		if (att->attisdropped || att->attgenerated == '\0')
			continue;
		Node *expression = build_column_default(leaf, i + 1);
		Bitmapset *used = nullptr;
		pull_varattnos(expression, 1, &used);
		bool whole_row = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
		if (!whole_row && !bms_overlap(used, columns.assigned_set))
			continue;
		columns.generated[i] = expression;
		columns.changed_set =
			bms_add_member(columns.changed_set, att->attnum - FirstLowInvalidHeapAttributeNumber);
	}
}

} // namespace

LeafColumns map_columns(const Definition &definition, Relation leaf)
{
	TupleDesc desc = RelationGetDescr(leaf);
	LeafColumns columns = {};

	columns.natts = desc->natts;
	columns.n_assigned = definition.n_assignments;
	columns.generated = static_cast<Node **>(palloc0(sizeof(Node *) * Max(desc->natts, 1)));
	columns.assigned =
		static_cast<AttrNumber *>(palloc0(sizeof(AttrNumber) * Max(definition.n_assignments, 1)));
	for (int i = 0; i < definition.n_assignments; i++) {
		AttrNumber attno = assigned_column(definition, definition.assignments[i], leaf);
		columns.assigned[i] = attno;
		columns.assigned_set =
			bms_add_member(columns.assigned_set, attno - FirstLowInvalidHeapAttributeNumber);
	}
	columns.changed_set = bms_copy(columns.assigned_set);
	if (definition.n_assignments > 0)
		find_generated(columns, leaf);
	return columns;
}

} // namespace safe_migrate::operations::backfill
