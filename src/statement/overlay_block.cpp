// Transaction blocks in a script: which strong locks they hold, what they undo.
#include "statement/overlay_note.hpp"

#include "statement/identifiers.hpp"
#include "statement/relations.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace safe_migrate::statement {

namespace {

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
	set_savepoint(overlay, nullptr);
}

void end(Overlay *overlay, const TransactionStmt *statement, bool commit)
{
	if (overlay->in_block && !commit)
		roll_back(overlay, static_cast<const Savepoint *>(linitial(overlay->savepoints)));
	else if (overlay->path_after_block != nullptr)
		set_search_path(overlay, overlay->path_after_block);
	overlay->path_after_block = nullptr;
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
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
		case T_CopyStmt:
		case T_CommentStmt:
		case T_GrantStmt:
		case T_ExplainStmt:
			return false;
		default:
			return true;
	}
}

// What may make something that is there depend on what it names.
bool is_of_catalog(const Node *statement)
{
	switch (nodeTag(statement)) {
		case T_AlterTableStmt:
		case T_IndexStmt:
		case T_CreateTrigStmt:
		case T_CreatePolicyStmt:
		case T_AlterPolicyStmt:
		case T_RuleStmt:
		case T_AlterSeqStmt:
		case T_CreateStatsStmt:
		case T_CreateStmt:
		case T_ViewStmt:
			return true;
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
}

// ---------------------------------------------------------------- strong locks

bool holds(const Overlay *overlay, Oid relation)
{
	ListCell *cell;
	foreach (cell, overlay->held) {
		if (static_cast<const HeldLock *>(lfirst(cell))->relation == relation)
			return true;
	}
	return false;
}

bool is_strong_lock(const Finding &finding)
{
	return OidIsValid(finding.relation) && finding.exempt == Exempt::no && is_strong(finding.lock);
}

void hold(Overlay *overlay, const Effects *effects, int n)
{
	MemoryContext caller = MemoryContextSwitchTo(overlay->parent_memory);
	for (int i = 0; i < n; i++) {
		const Finding &finding = effects->findings[i];
		if (!is_strong_lock(finding) || holds(overlay, finding.relation))
			continue;
		auto *held = static_cast<HeldLock *>(palloc(sizeof(HeldLock)));
		*held = {finding.relation, overlay->statement_no};
		overlay->held = lappend(overlay->held, held);
	}
	MemoryContextSwitchTo(caller);
}

// The statement takes time, for as long as which the block's locks are held.
const Finding *work_of(const Effects *effects, int n)
{
	for (int i = 0; i < n; i++) {
		const Finding &finding = effects->findings[i];
		if (finding.exempt == Exempt::no && grows_with_size(finding.effect) && finding.bytes != 0)
			return &finding;
	}
	return nullptr;
}

Finding *add_held(Analysis *analysis, const HeldLock *held, Cause cause, Effect effect)
{
	Finding *finding = add_finding(analysis, cause, effect, held->relation, Lock::access_exclusive);
	finding->facts =
		psprintf("statement %d has taken a strong lock on it, which is held up to the end of the "
				 "transaction",
				 held->statement_no);
	return finding;
}

} // namespace

void judge_in_block(Overlay *overlay, Analysis *analysis, const RawStmt *raw)
{
	Effects *effects = analysis->effects;
	int n = effects->n;
	if (!overlay->in_block)
		return;
	auto *transaction = reinterpret_cast<const TransactionStmt *>(raw->stmt);
	if (IsA(raw->stmt, TransactionStmt) && transaction->kind == TRANS_STMT_PREPARE) {
		ListCell *cell;
		foreach (cell, overlay->held)
			add_held(analysis, static_cast<const HeldLock *>(lfirst(cell)),
					 Cause::prepare_with_strong_lock, Effect::metadata);
		return;
	}
	if (overlay->held == NIL)
		return hold(overlay, effects, n);
	auto *first = static_cast<const HeldLock *>(linitial(overlay->held));
	bool another = false;
	for (int i = 0; i < n; i++) {
		if (is_strong_lock(effects->findings[i]) && !holds(overlay, effects->findings[i].relation))
			another = true;
	}
	if (const Finding *work = work_of(effects, n)) {
		int64 bytes = work->bytes;
		add_held(analysis, first, Cause::work_after_strong_lock, work->effect)->bytes = bytes;
	}
	if (another)
		add_held(analysis, first, Cause::several_strong_locks, Effect::metadata);
	hold(overlay, effects, n);
}

void note_statement(Overlay *overlay, const char *source, const RawStmt *raw)
{
	if (IsA(raw->stmt, TransactionStmt))
		return note_transaction(overlay, reinterpret_cast<const TransactionStmt *>(raw->stmt));
	if (!may_change(raw->stmt))
		return;
	const char *text = nullptr;
	if (IsA(raw->stmt, DoStmt))
		text = pnstrdup(source + raw->stmt_location,
						raw->stmt_len > 0 ? raw->stmt_len : strlen(source + raw->stmt_location));
	log_statement(overlay, text, raw->stmt);
	note_change(overlay, text, raw->stmt);
	if (is_of_catalog(raw->stmt))
		note_mentions(overlay, source + raw->stmt_location, raw->stmt_len);
}

} // namespace safe_migrate::statement
