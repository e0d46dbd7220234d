// The findings that the overlay adds, and what they hinge on.
#include "statement/overlay/answer.hpp"

#include "statement/dependents.hpp"

extern "C" {
#include "nodes/value.h"
}

namespace safe_migrate::statement::overlay {

void fails_for_lack_of(const Overlay *overlay, const RangeVar *name, int gone_by)
{
	*overlay->fails = true;
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
					errmsg("relation \"%s\" does not exist any more", name->relname),
					errdetail("Statement %d drops or renames it.", gone_by)));
}

void insist_on(const Overlay *overlay, const RangeVar *name, const Named &target)
{
	if (!target.exists() && target.gone_by != 0)
		fails_for_lack_of(overlay, name, target.gone_by);
}

bool insist_on_schema(const Overlay *overlay, const char *schema)
{
	const SchemaState state = state_of_schema(overlay, schema);
	if (state.changed_by == 0 || state.exists)
		return state.changed_by != 0;
	*overlay->fails = true;
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_SCHEMA),
					errmsg("schema \"%s\" does not exist any more", schema),
					errdetail("Statement %d drops or renames it.", state.changed_by)));
}

void add_dependence(const Overlay *overlay, Analysis *analysis, Oid relation, int statement_no,
					const char *what)
{
	Finding *finding;
	Effects *effects = analysis->effects;
	if (OidIsValid(relation))
		finding = add_finding(analysis, Cause::depends_on_earlier_statement, Effect::metadata,
							  relation, Lock::none);
	else {
		finding = append_finding(effects);
		finding->cause = Cause::depends_on_earlier_statement;
	}
	finding->is_target = true;
	finding->exempt = Exempt::no;
	finding->facts = psprintf("it depends on what statement %d does: %s", statement_no, what);
	if (statement_no > effects->depends_on) {
		effects->depends_on = statement_no;
		effects->depends_on_what = what;
	}
}

void add_new(Analysis *analysis, const ScriptRelation *relation, Lock lock)
{
	Finding *finding = append_finding(analysis->effects);
	finding->cause = Cause::lock;
	finding->lock = lock;
	finding->exempt = Exempt::created_here;
	finding->is_target = true;
	finding->schema = relation->schema;
	finding->name = relation->name;
}

void judge_new(const Overlay *overlay, Analysis *analysis, const ScriptRelation *relation,
			   Lock lock)
{
	if (relation->partitions_by == 0)
		return add_new(analysis, relation, lock);
	add_dependence(overlay, analysis, InvalidOid, relation->partitions_by,
				   "its partitions, children or parents");
	Finding *finding = &analysis->effects->findings[analysis->effects->n - 1];
	finding->schema = relation->schema;
	finding->name = relation->name;
}

Finding *add_answer(Analysis *analysis, Cause cause, Effect effect, Oid relation, Lock lock)
{
	Finding *finding = add_finding(analysis, cause, effect, relation, lock);
	finding->is_target = true;
	if (grows_with_size(effect))
		finding->bytes = heap_bytes(relation);
	finding->indexes = effect == Effect::index_build ? 1 : 0;
	return finding;
}

void add_script_lock(Analysis *analysis, const ScriptRelation *relation, Lock lock)
{
	if (OidIsValid(relation->oid) && relation->gone_by == 0)
		add_lock(analysis, relation->oid, lock);
}

bool is_changed(const ScriptRelation *relation)
{
	return relation != nullptr &&
		   (relation->columns != NIL || relation->constraints != NIL || relation->indexes_by != 0 ||
			relation->partitions_by != 0 || relation->foreign_keys_by != 0);
}

bool family_is_changed(const Overlay *overlay, Oid relation, int *by)
{
	const ScriptRelation *own = find_record(overlay, relation);
	if (own != nullptr && own->partitions_by != 0) {
		*by = own->partitions_by;
		return true;
	}
	List *family = list_concat(with_descendants(relation), ancestors(relation));
	ListCell *cell;
	foreach (cell, family) {
		const ScriptRelation *record = find_record(overlay, lfirst_oid(cell));
		if (lfirst_oid(cell) != relation && is_changed(record)) {
			*by = record->changed_by;
			return true;
		}
	}
	return false;
}

bool has_name(const List *names, const char *name)
{
	ListCell *cell;
	foreach (cell, names) {
		if (strcmp(strVal(lfirst(cell)), name) == 0)
			return true;
	}
	return false;
}

} // namespace safe_migrate::statement::overlay
