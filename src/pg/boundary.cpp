#include "pg/boundary.hpp"

extern "C" {
#include "utils/errcodes.h"
}

#include <setjmp.h>

namespace safe_migrate::pg {

const char *Error::what() const noexcept
{
	return data_->message != nullptr ? data_->message : "server error without a message";
}

namespace detail {
namespace {

struct SavedStacks {
	sigjmp_buf *exception_stack;
	ErrorContextCallback *context_stack;
};

SavedStacks save_stacks() { return {PG_exception_stack, error_context_stack}; }

void restore_stacks(const SavedStacks &saved)
{
	PG_exception_stack = saved.exception_stack;
	error_context_stack = saved.context_stack;
}

// Runs body with errors jumping back to here, as PG_TRY() does.  False: an error was raised and
// is still on the error stack; the stacks are the caller's again.
bool succeeds(Body body, void *arg)
{
	const SavedStacks saved = save_stacks();
	sigjmp_buf here;
	if (sigsetjmp(here, 0) != 0) {
		restore_stacks(saved);
		return false;
	}
	PG_exception_stack = &here;
	try {
		body(arg);
	} catch (...) {
		restore_stacks(saved);
		throw;
	}
	restore_stacks(saved);
	return true;
}

// The error on top of the server's stack as a copy in the current memory context; nullptr when
// there is no memory for it.  Copying may itself raise an error.
ErrorData *take_error()
{
	ErrorData *copy = nullptr;
	succeeds([](void *out) { *static_cast<ErrorData **>(out) = CopyErrorData(); }, &copy);
	FlushErrorState();
	return copy;
}

// What an exception was, in values that outlive it.
struct Caught {
	enum Kind : uint8_t { server_error, no_memory, other } kind;
	ErrorData *data;
	char text[256];
};

// Returns true when body ended without an exception, else fills *caught.
bool runs_without_exception(Body body, void *arg, Caught *caught)
{
	try {
		body(arg);
		return true;
	} catch (const Error &error) {
		caught->kind = Caught::server_error;
		caught->data = error.data();
	} catch (const std::bad_alloc &) {
		caught->kind = Caught::no_memory;
	} catch (const std::exception &error) {
		caught->kind = Caught::other;
		strlcpy(caught->text, error.what(), sizeof(caught->text));
	} catch (...) {
		caught->kind = Caught::other;
		strlcpy(caught->text, "not derived from std::exception", sizeof(caught->text));
	}
	return false;
}

[[noreturn]] void raise(const Caught &caught)
{
	if (caught.kind == Caught::server_error)
		ReThrowError(caught.data);
	if (caught.kind == Caught::no_memory)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("Failed in C++ code of safe_migrate.")));
	ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
					errmsg("unexpected exception in safe_migrate: %s", caught.text)));
	pg_unreachable();
}

} // namespace

void call_body(Body body, void *arg)
{
	const MemoryContext context = CurrentMemoryContext;
	if (succeeds(body, arg))
		return;
	MemoryContextSwitchTo(context);
	ErrorData *data = take_error();
	if (data == nullptr)
		throw std::bad_alloc();
	throw Error(data);
}

void entry_body(Body body, void *arg)
{
	const SavedStacks saved = save_stacks();
	Caught caught;
	if (runs_without_exception(body, arg, &caught))
		return;
	restore_stacks(saved);
	raise(caught);
}

} // namespace detail
} // namespace safe_migrate::pg
