// A mark, local to this backend, on the one statement that a worker of this extension runs next for
// a job: what it breaks or loses was judged when the job was queued.
#pragma once

namespace safe_migrate::pg {

// The next utility statement of this backend is the extension's own.
void mark_own_statement();

// From the ProcessUtility hook: is this the one?  Takes the mark away, so that what runs inside it
// (triggers, functions) is judged like anybody's.
bool take_own_statement_mark();

// The same for rows: the next plan that this backend starts is the extension's own.
void mark_own_rows();
bool take_own_rows_mark(); // from the ExecutorStart hook

} // namespace safe_migrate::pg
