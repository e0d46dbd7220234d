// See check_column_type.hpp.  As transformIndexStmt(), ComputeIndexAttrs(),
// AddRelationNewConstraints() and ATAddForeignKeyConstraint() find them when they are made again.
#include "operations/apply/check/check.hpp"
#include "operations/apply/check/column_type.hpp"
#include "statement/constraint_rows.hpp"
#include "statement/folding.hpp"
#include "statement/foreign_key.hpp"

extern "C" {
#include "access/genam.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_opclass.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "parser/parse_coerce.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
}

namespace safe_migrate::operations::apply {

namespace {

// ---------------------------------------------------------------- expressions

// The relation as parse analysis would see it then.
RelationData with_new_type(Relation relation, const TypeChange &change)
{
	RelationData changed = *relation;
	changed.rd_att = CreateTupleDescCopy(RelationGetDescr(relation));
	FormData_pg_attribute *column = TupleDescAttr(changed.rd_att, change.number - 1);
	column->atttypid = change.type;
	column->atttypmod = change.typmod;
	column->attcollation = change.collation;
	return changed;
}

Node *parsed_expression(const char *text)
{
	const RawStmt *raw =
		linitial_node(RawStmt, raw_parser(psprintf("SELECT %s", text), RAW_PARSE_DEFAULT));
	return linitial_node(ResTarget, castNode(SelectStmt, raw->stmt)->targetList)->val;
}

// Its text is read again with the new type: an operator or function there may be none for.
void check_expression(Relation relation, const TypeChange &change, const Node *expression,
					  ParseExprKind kind)
{
	const char *text = deparse_expression(
		static_cast<Node *>(copyObjectImpl(expression)),
		deparse_context_for(RelationGetRelationName(relation), RelationGetRelid(relation)), false,
		false);
	Node *raw = parsed_expression(text);
	if (statement::casts_to_such(raw))
		return;
	RelationData changed = with_new_type(relation, change);
	ParseState *state = make_parsestate(nullptr);
	addNSItemToQuery(
		state,
		addRangeTableEntryForRelation(state, &changed, AccessShareLock, nullptr, false, true),
		false, true, true);
	Node *value = transformExpr(state, raw, kind);
	if (kind == EXPR_KIND_CHECK_CONSTRAINT || kind == EXPR_KIND_INDEX_PREDICATE)
		(void)coerce_to_boolean(state, value,
								kind == EXPR_KIND_CHECK_CONSTRAINT ? "CHECK" : "WHERE");
}

void check_check(Relation relation, const TypeChange &change, const char *name)
{
	const TupleConstr *all = RelationGetDescr(relation)->constr;
	for (int i = 0; all && i < all->num_check; i++)
		if (strcmp(all->check[i].ccname, name) == 0)
			check_expression(relation, change,
							 static_cast<Node *>(stringToNode(all->check[i].ccbin)),
							 EXPR_KIND_CHECK_CONSTRAINT);
}

// ---------------------------------------------------------------- indexes

// As pg_get_indexdef() has it: one that is the type's default is not named.
bool is_default_opclass(Oid opclass, Oid type, Oid method)
{
	return GetDefaultOpClass(type, method) == opclass;
}

// As ResolveOpClass().
void check_opclass(Oid opclass, Oid old_type, Oid method, const char *method_name, Oid type)
{
	if (is_default_opclass(opclass, old_type, method)) {
		if (!OidIsValid(GetDefaultOpClass(type, method)))
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
							errmsg("data type %s has no default operator class for access method "
								   "\"%s\"",
								   format_type_be(type), method_name),
							errhint("You must specify an operator class for the index or define a "
									"default operator class for the data type.")));
		return;
	}
	if (IsBinaryCoercible(type, get_opclass_input_type(opclass)))
		return;
	HeapTuple tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	const char *name =
		HeapTupleIsValid(tuple)
			? pstrdup(NameStr(reinterpret_cast<Form_pg_opclass>(GETSTRUCT(tuple))->opcname))
			: "";
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	refuse(ERRCODE_DATATYPE_MISMATCH, "operator class \"%s\" does not accept data type %s", name,
		   format_type_be(type));
}

void check_index(Relation relation, const TypeChange &change, Oid oid)
{
	Relation index = index_open(oid, AccessShareLock);
	ListCell *cell;
	foreach (cell, RelationGetIndexExpressions(index))
		check_expression(relation, change, static_cast<Node *>(lfirst(cell)),
						 EXPR_KIND_INDEX_EXPRESSION);
	List *predicate = RelationGetIndexPredicate(index); // an AND's parts
	foreach (cell, predicate)
		check_expression(relation, change, static_cast<Node *>(lfirst(cell)),
						 EXPR_KIND_INDEX_PREDICATE);
	Oid old_type = get_atttype(RelationGetRelid(relation), change.number);
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
		if (index->rd_index->indkey.values[i] == change.number)
			check_opclass(get_index_column_opclass(oid, i + 1), old_type, index->rd_rel->relam,
						  get_am_name(index->rd_rel->relam), change.type);
	index_close(index, NoLock);
}

// ---------------------------------------------------------------- foreign keys

struct Side {
	Oid relation;
	AttrNumber number;
};

bool is_changed(Relation relation, const TypeChange &change, const Side &side)
{
	return side.relation == RelationGetRelid(relation) && side.number == change.number;
}

void check_key_columns(Relation relation, const TypeChange &change,
					   const statement::ConstraintRow *key, int i)
{
	Side here = {key->relation, key->keys[i]};
	Side there = {key->referenced, key->referenced_keys[i]};
	Oid type =
		is_changed(relation, change, here) ? change.type : get_atttype(here.relation, here.number);
	Oid old_referenced = get_atttype(there.relation, there.number);
	Oid referenced = is_changed(relation, change, there) ? change.type : old_referenced;
	Oid opclass = statement::opclass_of_key(key->index, there.relation, there.number);
	if (referenced != old_referenced && is_default_opclass(opclass, old_referenced, BTREE_AM_OID))
		opclass = GetDefaultOpClass(referenced, BTREE_AM_OID);
	Oid right;
	if (!OidIsValid(opclass) ||
		OidIsValid(statement::key_operator(opclass, referenced, type, &right)))
		return;
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("foreign key constraint \"%s\" cannot be implemented", key->name),
					errdetail("Key columns \"%s\" and \"%s\" are of incompatible types: %s and %s.",
							  get_attname(here.relation, here.number, false),
							  get_attname(there.relation, there.number, false),
							  format_type_be(type), format_type_be(referenced))));
}

void check_constraint(Relation relation, const TypeChange &change, Oid oid)
{
	const statement::ConstraintRow *row = statement::read_constraint(oid);
	if (!row)
		return;
	if (row->type == CONSTRAINT_CHECK && row->relation == RelationGetRelid(relation))
		check_check(relation, change, row->name);
	for (int i = 0; row->type == CONSTRAINT_FOREIGN && i < row->n_keys; i++)
		check_key_columns(relation, change, row, i);
	bool is_key = row->type == CONSTRAINT_PRIMARY || row->type == CONSTRAINT_UNIQUE ||
				  row->type == CONSTRAINT_EXCLUSION;
	if (is_key && OidIsValid(row->index))
		check_index(relation, change, row->index);
}

bool is_index(Oid relation)
{
	char kind = get_rel_relkind(relation);
	return kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX;
}

} // namespace

void check_made_anew(Relation relation, const TypeChange &change)
{
	List *users =
		statement::dependents_of(RelationRelationId, RelationGetRelid(relation), change.number);
	ListCell *cell;
	foreach (cell, users) { // as the server goes: indexes, then constraints
		const auto *user = static_cast<const statement::DependsOn *>(lfirst(cell));
		if (user->class_id == RelationRelationId && is_index(user->object))
			check_index(relation, change, user->object);
	}
	foreach (cell, users) {
		const auto *user = static_cast<const statement::DependsOn *>(lfirst(cell));
		if (user->class_id == ConstraintRelationId)
			check_constraint(relation, change, user->object);
	}
}

} // namespace safe_migrate::operations::apply
