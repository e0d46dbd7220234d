// Where C++ meets the server.  The server raises errors with siglongjmp, which skips
// destructors; a C++ exception that reaches the server's C code ends the whole cluster.
// So there are two kinds of frames, and two functions to pass between them:
//
//	 server frames	call the server freely, may be jumped over: they hold trivially
//					destructible objects only (palloc, plain structs), no std::string.
//	 C++ frames		hold std types and may throw; they reach the server through
//					pg::call() only.
//
//	 entry(f)	around every function that the server calls (SQL functions, hooks,
//				callbacks, worker mains): whatever leaves f becomes an ordinary ERROR.
//	 call(f)	runs f, a server frame, below a C++ frame: an ERROR raised in f becomes a
//				pg::Error, a C++ exception that unwinds the frames above properly.
//
// Catching a pg::Error is only legal to clean up and throw on: the transaction is broken.  To
// carry on after an error use run_subtransaction() or run_transaction() (pg/transaction.hpp).
// FATAL does not unwind: shared state is released in before_shmem_exit.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::pg {

// A server error on its way through C++ frames.  The ErrorData is whole (SQLSTATE, detail, hint,
// names, location) and lives in the memory context that was current where call() was called.
class Error : public std::exception {
public:
	explicit Error(ErrorData *data) noexcept : data_(data) {}
	const char *what() const noexcept override;
	ErrorData *data() const noexcept { return data_; }
	int sqlstate() const noexcept { return data_->sqlerrcode; }

private:
	ErrorData *data_;
};

namespace detail {
using Body = void (*)(void *);
void call_body(Body body, void *arg);
void entry_body(Body body, void *arg);

// Runs f through `run` and hands its value out.  A value passes through a frame that an error
// may jump over, so it has to be a plain one.
template <class F> auto pass_through(void (*run)(Body, void *), F &f)
{
	using Result = decltype(f());
	if constexpr (std::is_void_v<Result>) {
		struct Frame {
			F &f; // may be a function, which no void pointer points to
		} frame{f};
		run([](void *arg) { static_cast<Frame *>(arg)->f(); }, &frame);
	} else {
		static_assert(std::is_trivially_copyable_v<Result> &&
						  std::is_trivially_destructible_v<Result>,
					  "only plain values cross the boundary between C++ and the server");
		struct Frame {
			F &f;
			Result result;
		} frame{f, Result{}};
		run(
			[](void *arg) {
				auto *frame = static_cast<Frame *>(arg);
				frame->result = frame->f();
			},
			&frame);
		return frame.result;
	}
}
} // namespace detail

// From a C++ frame into the server.  Mirrors PG_TRY(): saves and restores PG_exception_stack and
// error_context_stack.  A server error is copied into the memory context that is current here,
// flushed, and thrown as pg::Error; std::bad_alloc where not even the copy fits into memory.
// C++ exceptions thrown by f (through nested calls) pass.  What f itself holds must be
// trivially destructible.
template <class F> auto call(F &&f) { return detail::pass_through(detail::call_body, f); }

// From the server into C++.  A pg::Error is raised again as it was (ReThrowError), std::bad_alloc
// as ERRCODE_OUT_OF_MEMORY, any other exception as ERRCODE_INTERNAL_ERROR with its text; always
// after its catch block has been left.  An ERROR that f raises by itself passes as in C, so f may
// be a server frame too.
template <class F> auto entry(F &&f) { return detail::pass_through(detail::entry_body, f); }

} // namespace safe_migrate::pg

// A function that SQL calls (CREATE FUNCTION … AS 'MODULE_PATHNAME', 'symbol'), inside or outside
// a namespace:
//
//	 SAFE_MIGRATE_FUNCTION(safe_migrate_pause)
//	 {
//		 int64 job = PG_GETARG_INT64(0);
//		 …
//		 PG_RETURN_VOID();
//	 }
//
// Libraries share one space of C symbols, so each begins with safe_migrate_.
#define SAFE_MIGRATE_FUNCTION(symbol)                                                              \
	static Datum symbol##_body(FunctionCallInfo fcinfo);                                           \
	extern "C" {                                                                                   \
	PGDLLEXPORT Datum symbol(FunctionCallInfo fcinfo);                                             \
	PG_FUNCTION_INFO_V1(symbol);                                                                   \
	Datum symbol(FunctionCallInfo fcinfo)                                                          \
	{                                                                                              \
		return ::safe_migrate::pg::entry([fcinfo] { return symbol##_body(fcinfo); });              \
	}                                                                                              \
	}                                                                                              \
	static Datum symbol##_body(FunctionCallInfo fcinfo)
