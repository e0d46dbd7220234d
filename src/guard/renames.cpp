// See renames.hpp; a rename gets here by postpone_rename() (transaction.hpp).
#include "guard/renames.hpp"

#include "guard/gate.hpp"
#include "guard/override.hpp"
#include "guard/report.hpp"
#include "guard/transaction.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "access/attnum.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::guard {

namespace {

using statement::Cause;
using statement::Effects;
using statement::Finding;

struct Rename {
	Finding finding; // with the old name
	Effects effects;
	Level level;
	int16 column;
	bool is_enforced;
	const char *reason; // of an override that was in force
	SubTransactionId done_in;
	Rename *next;
};

Rename *renames = nullptr; // in TopTransactionContext, the latest first

const char *copied(const char *text) { return text ? pstrdup(text) : nullptr; }

bool same_thing(const Rename &rename, const Finding &finding, int16 column)
{
	return rename.finding.relation == finding.relation && rename.column == column &&
		   rename.finding.cause == finding.cause;
}

bool same_name(const Rename &rename, const Finding &finding)
{
	auto same = [](const char *a, const char *b) {
		return a == b || (a && b && strcmp(a, b) == 0);
	};
	return same(rename.finding.schema, finding.schema) && same(rename.finding.name, finding.name) &&
		   same(rename.finding.column, finding.column);
}

// Is there something of the old name again that queries can read as they read the old one?
bool is_there_again(const Finding &finding)
{
	Oid schema = get_namespace_oid(finding.schema, true);
	Oid relation = OidIsValid(schema) ? get_relname_relid(finding.name, schema) : InvalidOid;
	if (!OidIsValid(relation) || !statement::stands_for_table(get_rel_relkind(relation)))
		return false;
	return finding.cause == Cause::rename_table ||
		   get_attnum(relation, finding.column) != InvalidAttrNumber;
}

void judge_one(Rename *rename)
{
	bool rejected = rename->level == Level::reject;
	Effects *effects = &rename->effects;
	effects->findings = &rename->finding;
	effects->n = 1;
	if (!rejected || !rename->is_enforced || rename->reason == nullptr)
		return report({effects, &rename->finding, &rename->level, rejected && rename->is_enforced,
					   rejected && !rename->is_enforced});
	char *relation = quote_qualified_identifier(rename->finding.schema, rename->finding.name);
	OverrideRecord record = {effects,
							 list_make1(const_cast<char *>(rule_of(rename->finding.cause).name)),
							 list_make1(relation), rename->reason};
	log_override(record);
	store_override(record);
}

} // namespace

bool can_be_postponed(const Finding &finding)
{
	return OidIsValid(finding.relation) && finding.name != nullptr && finding.schema != nullptr &&
		   (finding.cause == Cause::rename_table ||
			(finding.cause == Cause::rename_column && finding.column != nullptr));
}

void postpone_rename(const Effects *effects, const Finding &finding, Level level)
{
	int16 column =
		finding.column ? get_attnum(finding.relation, finding.column) : InvalidAttrNumber;
	for (Rename *rename = renames; rename; rename = rename->next)
		if (same_thing(*rename, finding, column)) {
			if (same_name(*rename, finding))
				rename->level = level; // judged again
			return;					   // the name came up in this transaction: nobody knows it
		}
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	auto *rename = static_cast<Rename *>(palloc0(sizeof(Rename)));
	rename->finding = finding;
	rename->finding.schema = pstrdup(finding.schema);
	rename->finding.name = pstrdup(finding.name);
	rename->finding.column = copied(finding.column);
	rename->finding.object = copied(finding.object);
	rename->finding.definition = copied(finding.definition);
	rename->finding.facts = copied(finding.facts);
	rename->effects.command = copied(effects->command);
	rename->effects.text = copied(effects->text);
	rename->level = level;
	rename->column = column;
	rename->is_enforced = is_enforced();
	rename->reason = copied(override_reason());
	rename->done_in = GetCurrentSubTransactionId();
	rename->next = renames;
	renames = rename;
	MemoryContextSwitchTo(old);
}

void judge_renames()
{
	Rename *rename = renames;
	renames = nullptr; // an error ends the transaction
	for (; rename; rename = rename->next)
		if (!is_there_again(rename->finding))
			judge_one(rename);
}

void reassign_renames(SubTransactionId own, SubTransactionId parent)
{
	for (Rename **link = &renames; *link;) {
		if ((*link)->done_in != own) {
			link = &(*link)->next;
			continue;
		}
		if (parent == InvalidSubTransactionId) {
			*link = (*link)->next;
			continue;
		}
		(*link)->done_in = parent;
		link = &(*link)->next;
	}
}

void forget_renames() { renames = nullptr; }

} // namespace safe_migrate::guard
