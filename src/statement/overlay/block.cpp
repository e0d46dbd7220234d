// Transaction blocks in a script: which strong locks they hold, what they undo.
#include "statement/overlay/answer.hpp"
#include "statement/overlay/note.hpp"
#include "statement/overlay/rows.hpp"

#include "statement/dml.hpp"
#include "statement/identifiers.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
}

namespace safe_migrate::statement::overlay {

namespace {

template <class T> const T *as(const Node *node) { return reinterpret_cast<const T *>(node); }

// ---------------------------------------------------------------- the log

void log_statement(Overlay *overlay, const char *text, const Node *statement)
{
	MemoryContext caller = MemoryContextSwitchTo(overlay->parent_memory);
	auto *entry = static_cast<LoggedStatement *>(palloc(sizeof(LoggedStatement)));
	*entry = {text != nullptr ? pstrdup(text) : nullptr, statement, overlay->statement_no};
	overlay->log = lappend(overlay->log, entry);
	MemoryContextSwitchTo(caller);
}

void set_savepoint(Overlay *overlay, const char *name)
{
	MemoryContext caller = MemoryContextSwitchTo(overlay->parent_memory);
	auto *point = static_cast<Savepoint *>(palloc(sizeof(Savepoint)));
	*point = {name != nullptr ? pstrdup(name) : nullptr, list_length(overlay->log),
			  overlay->statement_no};
	overlay->savepoints = lappend(overlay->savepoints, point);
	MemoryContextSwitchTo(caller);
}

// Everything that was noted since is forgotten, what came before is noted again.
void roll_back(Overlay *overlay, const Savepoint *point)
{
	if (list_length(overlay->log) == point->log_length)
		return;
	int statement_no = overlay->statement_no;
	overlay->log = list_truncate(overlay->log, point->log_length);
	forget_changes(overlay);
	ListCell *cell;
	foreach (cell, overlay->log) {
		auto *entry = static_cast<const LoggedStatement *>(lfirst(cell));
		overlay->statement_no = entry->statement_no;
		note_change(overlay, entry->text, entry->statement);
	}
	overlay->statement_no = statement_no;
}

const Savepoint *find_savepoint(const Overlay *overlay, const char *name)
{
	for (int i = list_length(overlay->savepoints) - 1; i > 0; i--) {
		auto *point = static_cast<const Savepoint *>(list_nth(overlay->savepoints, i));
		if (strcmp(point->name, name) == 0)
			return point;
	}
	return nullptr;
}

void begin(Overlay *overlay)
{
	if (overlay->in_block)
		return; // a WARNING, no more
	overlay->in_block = true;
	overlay->block_begin = overlay->statement_no;
	overlay->rows_were_told = false;
	overlay->unsure_by = 0;
	set_savepoint(overlay, nullptr);
}

bool is_dropped_at_commit(const Node *statement)
{
	return (IsA(statement, CreateStmt) && as<CreateStmt>(statement)->oncommit == ONCOMMIT_DROP) ||
		   (IsA(statement, CreateTableAsStmt) &&
			as<CreateTableAsStmt>(statement)->into->onCommit == ONCOMMIT_DROP);
}

// What ends with the block is not to come again with a later ROLLBACK.
void keep_what_lasts(Overlay *overlay, const Savepoint *begin)
{
	restore_settings(overlay);
	drop_temporary(overlay, true);
	List *lasting = list_copy_head(overlay->log, begin->log_length);
	for (int i = begin->log_length; i < list_length(overlay->log); i++) {
		auto *entry = static_cast<LoggedStatement *>(list_nth(overlay->log, i));
		if (!is_local_setting(entry->statement) && !is_dropped_at_commit(entry->statement))
			lasting = lappend(lasting, entry);
	}
	overlay->log = lasting;
}

void end(Overlay *overlay, const TransactionStmt *statement, bool commit)
{
	if (overlay->in_block && !commit)
		roll_back(overlay, static_cast<const Savepoint *>(linitial(overlay->savepoints)));
	else if (overlay->in_block)
		keep_what_lasts(overlay, static_cast<const Savepoint *>(linitial(overlay->savepoints)));
	overlay->held = NIL;
	overlay->savepoints = NIL;
	bool was_in_block = overlay->in_block;
	overlay->in_block = false;
	if (statement->chain && was_in_block)
		begin(overlay);
}

void roll_back_to(Overlay *overlay, const char *name)
{
	const Savepoint *point = find_savepoint(overlay, name);
	if (point == nullptr)
		return;
	roll_back(overlay, point);
	List *held = NIL;
	ListCell *cell;
	foreach (cell, overlay->held) {
		if (static_cast<const HeldLock *>(lfirst(cell))->statement_no <= point->statement_no)
			held = lappend(held, lfirst(cell));
	}
	overlay->held = held;
	if (overlay->unsure_by > point->statement_no)
		overlay->unsure_by = 0;
}

void note_transaction(Overlay *overlay, const TransactionStmt *statement)
{
	MemoryContext caller = MemoryContextSwitchTo(overlay->parent_memory);
	switch (statement->kind) {
		case TRANS_STMT_BEGIN:
		case TRANS_STMT_START:
			begin(overlay);
			break;
		case TRANS_STMT_COMMIT:
		case TRANS_STMT_PREPARE:
			end(overlay, statement, true);
			break;
		case TRANS_STMT_ROLLBACK:
			end(overlay, statement, false);
			break;
		case TRANS_STMT_SAVEPOINT:
			if (overlay->in_block)
				set_savepoint(overlay, statement->savepoint_name);
			break;
		case TRANS_STMT_ROLLBACK_TO:
			roll_back_to(overlay, statement->savepoint_name);
			break;
		default:
			break;
	}
	MemoryContextSwitchTo(caller);
}

// Statements that leave no trace in the overlay need no place in the log.
bool may_change(const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_CommentStmt:
			return false;
		case T_GrantStmt:
			return as<GrantStmt>(statement)->objtype == OBJECT_SCHEMA;
		default:
			return true;
	}
}

bool is_about_rows(const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
		case T_CopyStmt:
			return true;
		default:
			return false;
	}
}

bool is_new(const Overlay *overlay, const RangeVar *name)
{
	return name != nullptr && resolve(overlay, name).is_new();
}

bool attaches(const AlterTableStmt *alter)
{
	ListCell *cell;
	foreach (cell, alter->cmds) {
		if (lfirst_node(AlterTableCmd, cell)->subtype == AT_AttachPartition)
			return true;
	}
	return false;
}

// Does it leave everything that was there where it is, and depending on what it depended on, or
// less?  Before the statement is noted.
bool adds_no_ties(const Overlay *overlay, const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
		case T_CreateTableAsStmt:
		case T_CreateSeqStmt:
		case T_CreateEnumStmt:
		case T_CreateRangeStmt:
		case T_CompositeTypeStmt:
		case T_CreateDomainStmt:
		case T_CreateSchemaStmt:
		case T_DefineStmt:
		case T_DropStmt:
		case T_GrantStmt:
		case T_SelectStmt:
		case T_TruncateStmt:
		case T_VacuumStmt:
		case T_ReindexStmt:
		case T_RefreshMatViewStmt:
		case T_LockStmt:
			return true;
		case T_IndexStmt:
			return is_new(overlay, as<IndexStmt>(statement)->relation);
		case T_CreateTrigStmt:
			return is_new(overlay, as<CreateTrigStmt>(statement)->relation);
		case T_AlterTableStmt:
			return is_new(overlay, as<AlterTableStmt>(statement)->relation) &&
				   !attaches(as<AlterTableStmt>(statement));
		case T_RenameStmt:
			return is_new(overlay, as<RenameStmt>(statement)->relation);
		case T_AlterObjectSchemaStmt:
			return is_new(overlay, as<AlterObjectSchemaStmt>(statement)->relation);
		default:
			return false;
	}
}

bool is_of_session(const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_VariableSetStmt:
		case T_VariableShowStmt:
		case T_ConstraintsSetStmt:
		case T_DiscardStmt:
		case T_PrepareStmt:
		case T_DeallocateStmt:
			return true;
		case T_SelectStmt:
			return as<SelectStmt>(statement)->intoClause == nullptr;
		default:
			return false;
	}
}

void note_mentions(Overlay *overlay, const char *text, int length)
{
	Identifiers mentioned =
		identifiers_of(text, length > 0 ? length : static_cast<int>(strlen(text)));
	ListCell *cell;
	foreach (cell, mentioned.names)
		note_mention(overlay, static_cast<const char *>(lfirst(cell)));
	if (mentioned.all)
		overlay->mentions_all_by = overlay->statement_no;
}

// ---------------------------------------------------------------- strong locks

const HeldLock *find_held(const Overlay *overlay, Oid relation)
{
	ListCell *cell;
	foreach (cell, overlay->held) {
		if (static_cast<const HeldLock *>(lfirst(cell))->relation == relation)
			return static_cast<const HeldLock *>(lfirst(cell));
	}
	return nullptr;
}

const HeldLock *first_held_on_rows(const Overlay *overlay)
{
	ListCell *cell;
	foreach (cell, overlay->held) {
		if (!static_cast<const HeldLock *>(lfirst(cell))->on_empty)
			return static_cast<const HeldLock *>(lfirst(cell));
	}
	return nullptr;
}

bool is_strong_lock(const Finding &finding)
{
	return OidIsValid(finding.relation) && is_strong(finding.lock) &&
		   (finding.exempt == Exempt::no || finding.exempt == Exempt::empty);
}

void hold(Overlay *overlay, const Effects *effects, int n)
{
	MemoryContext caller = MemoryContextSwitchTo(overlay->parent_memory);
	for (int i = 0; i < n; i++) {
		const Finding &finding = effects->findings[i];
		if (!is_strong_lock(finding) || find_held(overlay, finding.relation) != nullptr)
			continue;
		auto *held = static_cast<HeldLock *>(palloc(sizeof(HeldLock)));
		*held = {finding.relation, overlay->statement_no, finding.exempt == Exempt::empty};
		overlay->held = lappend(overlay->held, held);
	}
	MemoryContextSwitchTo(caller);
}

const char *facts_of(const HeldLock *held)
{
	const char *name = get_rel_name(held->relation);
	return psprintf("the transaction holds a strong lock on %s since statement %d",
					name != nullptr
						? quote_qualified_identifier(
							  get_namespace_name(get_rel_namespace(held->relation)), name)
						: "a table",
					held->statement_no);
}

Finding *add_held(Analysis *analysis, const HeldLock *held, Cause cause, const Finding &like,
				  Effect effect)
{
	int64 bytes = like.bytes;
	Finding *finding = add_finding(analysis, cause, effect, like.relation, like.lock);
	finding->is_target = true;
	finding->bytes = bytes;
	finding->facts = facts_of(held);
	return finding;
}

bool is_new(const Finding &finding)
{
	return (finding.exempt == Exempt::created_here || finding.exempt == Exempt::temporary) &&
		   OidIsValid(finding.relation);
}

// Not the table matters, but how long the others wait for those that are locked.
void count_although_new(Finding *finding)
{
	finding->exempt = Exempt::no;
	finding->lock = Lock::none;
}

// Mirrors add_row_findings() of guard/transaction.cpp.
void add_rows_written(Overlay *overlay, Analysis *analysis, const HeldLock *held)
{
	if ((!OidIsValid(overlay->written) && !overlay->fills_new) || overlay->rows_were_told ||
		(overlay->rows >= 0 && overlay->rows < many_rows))
		return;
	Finding *finding =
		add_finding(analysis, Cause::work_after_strong_lock, Effect::scan, overlay->written,
					overlay->fills_new ? Lock::none : Lock::row_exclusive);
	if (is_new(*finding) || (finding->exempt == Exempt::empty && overlay->inserts))
		count_although_new(finding);
	if (finding->exempt != Exempt::no)
		return;
	overlay->rows_were_told = true;
	finding->is_target = true;
	finding->bytes = -1;
	finding->facts = overlay->rows >= 0
						 ? psprintf("about %.0f rows, while %s", overlay->rows, facts_of(held))
						 : psprintf("how many rows can't be estimated, while %s", facts_of(held));
}

// Mirrors guard/transaction.cpp, which does it for the live transaction.
void add_findings_of_block(Overlay *overlay, Analysis *analysis)
{
	const HeldLock *first = first_held_on_rows(overlay);
	int n = analysis->effects->n;
	if (first == nullptr)
		return;
	add_rows_written(overlay, analysis, first);
	bool told = false;
	for (int i = 0; i < n; i++) {
		const Finding finding = analysis->effects->findings[i]; // the array grows
		if (is_new(finding) && grows_with_size(finding.effect) && finding.bytes != 0)
			count_although_new(
				add_held(analysis, first, Cause::work_after_strong_lock, finding, finding.effect));
		if (finding.exempt != Exempt::no || !OidIsValid(finding.relation))
			continue;
		const HeldLock *same = find_held(overlay, finding.relation);
		if (grows_with_size(finding.effect) && !is_strong(finding.lock)) {
			if (same != nullptr && finding.cause == Cause::validate_constraint)
				add_held(analysis, same, Cause::validate_in_same_transaction, finding,
						 finding.effect)
					->lock = Lock::access_exclusive;
			else
				add_held(analysis, first, Cause::work_after_strong_lock, finding, finding.effect);
		}
		if (told || !is_strong(finding.lock) || same != nullptr)
			continue;
		told = true;
		add_held(analysis, first, Cause::several_strong_locks, finding, Effect::metadata);
	}
}

// An earlier statement may hold any lock: is there something to tell of such a one?
void add_dependence_of_block(Overlay *overlay, Analysis *analysis, int n)
{
	bool writes = OidIsValid(overlay->written) && (overlay->rows < 0 || overlay->rows >= many_rows);
	Oid relation = writes ? overlay->written : InvalidOid;
	for (int i = 0; i < n && !writes; i++) {
		const Finding &finding = analysis->effects->findings[i];
		if (finding.exempt == Exempt::no && OidIsValid(finding.relation) &&
			(is_strong(finding.lock) || grows_with_size(finding.effect)))
			relation = finding.relation;
	}
	if (!OidIsValid(relation))
		return;
	add_dependence(overlay, analysis, relation, overlay->unsure_by, "which locks it holds");
	overlay->unsure_by = 0;
}

void judge_prepared(const Overlay *overlay, Analysis *analysis)
{
	if (overlay->held == NIL && overlay->unsure_by != 0)
		add_dependence(overlay, analysis, InvalidOid, overlay->unsure_by, "which locks it holds");
	ListCell *cell;
	foreach (cell, overlay->held) {
		auto *held = static_cast<const HeldLock *>(lfirst(cell));
		Finding *finding = add_finding(analysis, Cause::prepare_with_strong_lock, Effect::metadata,
									   held->relation, Lock::access_exclusive);
		finding->exempt = Exempt::no; // empty or not
		finding->facts = psprintf("its lock is held since statement %d", held->statement_no);
	}
}

} // namespace

bool holds_strong_lock(const Overlay *overlay)
{
	return overlay->in_block && (overlay->unsure_by != 0 || first_held_on_rows(overlay) != nullptr);
}

void judge_in_block(Overlay *overlay, Analysis *analysis, const RawStmt *raw)
{
	if (!overlay->in_block)
		return;
	int n = analysis->effects->n;
	if (IsA(raw->stmt, TransactionStmt) &&
		reinterpret_cast<const TransactionStmt *>(raw->stmt)->kind == TRANS_STMT_PREPARE)
		judge_prepared(overlay, analysis);
	else if (overlay->held != NIL)
		add_findings_of_block(overlay, analysis);
	if (overlay->unsure_by != 0)
		add_dependence_of_block(overlay, analysis, n);
	else if (analysis->effects->depends_on != 0 || analysis->effects->runs_code)
		note_unsure(overlay);
	hold(overlay, analysis->effects, n);
}

void note_unsure(Overlay *overlay)
{
	if (overlay->in_block && overlay->unsure_by == 0)
		overlay->unsure_by = overlay->statement_no;
}

void note_statement(Overlay *overlay, const char *source, const RawStmt *raw)
{
	overlay->is_noting = true;
	if (IsA(raw->stmt, TransactionStmt))
		return note_transaction(overlay, reinterpret_cast<const TransactionStmt *>(raw->stmt));
	const Node *statement = carried_out(raw->stmt);
	if (statement == nullptr || !may_change(statement) ||
		(!overlay->in_block && is_dropped_at_commit(statement)))
		return;
	const char *text = nullptr;
	if (is_about_rows(statement)) {
		if (note_rows_added(overlay, statement))
			log_statement(overlay, nullptr, statement);
		return;
	}
	if (IsA(statement, DoStmt))
		text = pnstrdup(source + raw->stmt_location,
						raw->stmt_len > 0 ? raw->stmt_len : strlen(source + raw->stmt_location));
	if (!is_of_session(statement) && !adds_no_ties(overlay, statement)) {
		overlay->ties_by = overlay->statement_no;
		overlay->changes = true;
	}
	log_statement(overlay, text, statement);
	note_change(overlay, text, statement);
	if (!is_of_session(statement) && !IsA(statement, DropStmt))
		note_mentions(overlay, source + raw->stmt_location, raw->stmt_len);
}

} // namespace safe_migrate::statement::overlay
