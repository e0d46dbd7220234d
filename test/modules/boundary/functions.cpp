// Functions that fail in every way the boundary has to bear, above live C++ objects.
#include "pg/boundary.hpp"

#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <vector>

extern "C" {
#include "executor/spi.h"
#include "utils/builtins.h"

PG_MODULE_MAGIC;
}

namespace pg = safe_migrate::pg;

namespace {

int live_objects = 0;
int destroyed_objects = 0;

// Counts itself, and owns memory that a skipped destructor would leak.
class Tracked {
public:
	explicit Tracked(const char *what) : what_(what) { live_objects++; }
	Tracked(const Tracked &) = delete;
	Tracked &operator=(const Tracked &) = delete;
	~Tracked()
	{
		live_objects--;
		destroyed_objects++;
	}

private:
	std::string what_;
};

// A C++ frame `depth` deep, with objects in each, around `innermost`.
void below_objects(int depth, const std::function<void()> &innermost)
{
	Tracked here("an object in a frame that an error passes, too long for a small string");
	std::vector<std::unique_ptr<Tracked>> more;
	more.push_back(std::make_unique<Tracked>("one on the heap"));
	if (depth > 1)
		below_objects(depth - 1, innermost);
	else
		innermost();
}

void raise_everything()
{
	ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION), errmsg("refused with 100%% of its parts"),
					errdetail("The detail."), errhint("The hint."),
					err_generic_string(PG_DIAG_SCHEMA_NAME, "a_schema"),
					err_generic_string(PG_DIAG_TABLE_NAME, "a_table"),
					err_generic_string(PG_DIAG_COLUMN_NAME, "a_column"),
					err_generic_string(PG_DIAG_DATATYPE_NAME, "a_type"),
					err_generic_string(PG_DIAG_CONSTRAINT_NAME, "a_constraint")));
}

void execute(const char *sql)
{
	SPI_connect();
	SPI_execute(sql, false, 0);
	SPI_finish();
}

void note_in_context(void *) { errcontext("inside the call"); }

} // namespace

// An error of the server, three C++ frames below.
SAFE_MIGRATE_FUNCTION(test_server_error)
{
	below_objects(3, [] { pg::call(raise_everything); });
	PG_RETURN_VOID();
}

// An error from the depths of the executor: a violated constraint, a division by zero, …
SAFE_MIGRATE_FUNCTION(test_run_sql)
{
	const char *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
	below_objects(2, [sql] { pg::call([sql] { execute(sql); }); });
	PG_RETURN_VOID();
}

SAFE_MIGRATE_FUNCTION(test_exception)
{
	below_objects(2, [] { throw std::runtime_error("no such thing as a 100%s failure"); });
	PG_RETURN_VOID();
}

SAFE_MIGRATE_FUNCTION(test_strange_exception)
{
	below_objects(2, [] { throw 42; });
	PG_RETURN_VOID();
}

SAFE_MIGRATE_FUNCTION(test_out_of_range)
{
	below_objects(1, [] { (void)std::map<int, int>().at(1); });
	PG_RETURN_VOID();
}

// Really out of memory, by more than there are addresses.
SAFE_MIGRATE_FUNCTION(test_bad_alloc)
{
	below_objects(2, [] {
		volatile size_t size = PTRDIFF_MAX;
		::operator delete(::operator new(size));
	});
	PG_RETURN_VOID();
}

// An exception in a function that the server calls below a call(): C++ → C → C++ → C → C++.
SAFE_MIGRATE_FUNCTION(test_nested)
{
	const Oid function = PG_GETARG_OID(0);
	below_objects(1, [function] { pg::call([function] { (void)OidFunctionCall0(function); }); });
	PG_RETURN_VOID();
}

// An error within a call() within a call(): the inner pg::Error passes the outer frames as it is.
SAFE_MIGRATE_FUNCTION(test_call_in_call)
{
	below_objects(1, [] { pg::call([] { pg::call([] { pg::call(raise_everything); }); }); });
	PG_RETURN_VOID();
}

// Caught, looked at, thrown on; and one exception turned into another.
SAFE_MIGRATE_FUNCTION(test_catch_and_throw)
{
	const bool as_other = PG_GETARG_BOOL(0);
	below_objects(1, [as_other] {
		try {
			pg::call(raise_everything);
		} catch (const pg::Error &error) {
			if (as_other)
				throw std::runtime_error(std::string("while working: ") + error.what());
			if (error.sqlstate() != ERRCODE_CHECK_VIOLATION)
				throw std::runtime_error("wrong SQLSTATE");
			throw;
		}
	});
	PG_RETURN_VOID();
}

// An error that the entry's own frame raises, as plain C code would.
SAFE_MIGRATE_FUNCTION(test_plain_error)
{
	raise_everything();
	PG_RETURN_VOID();
}

// Values and memory context pass, and the server's stacks are as before: after success, after an
// error, and after an exception thrown through a call.
SAFE_MIGRATE_FUNCTION(test_stacks)
{
	sigjmp_buf *const exceptions = PG_exception_stack;
	ErrorContextCallback *const contexts = error_context_stack;
	const MemoryContext memory = CurrentMemoryContext;
	const auto same = [&] {
		return PG_exception_stack == exceptions && error_context_stack == contexts &&
			   CurrentMemoryContext == memory;
	};
	const int64 value = pg::call([] { return int64{42}; });
	bool good = value == 42 && same();
	try {
		pg::call([] { throw std::runtime_error("through a call"); });
		good = false;
	} catch (const std::runtime_error &) {
		good = good && same();
	}
	below_objects(1, [&] {
		try {
			pg::call([] {
				ErrorContextCallback note = {error_context_stack, note_in_context, nullptr};
				error_context_stack = &note;
				MemoryContextSwitchTo(TopTransactionContext);
				raise_everything();
			});
		} catch (const pg::Error &) {
			if (!good || !same())
				throw std::runtime_error("a stack of the server is not as it was");
			throw;
		}
	});
	PG_RETURN_VOID();
}

SAFE_MIGRATE_FUNCTION(test_live_objects) { PG_RETURN_INT32(live_objects); }

SAFE_MIGRATE_FUNCTION(test_destroyed_objects) { PG_RETURN_INT32(destroyed_objects); }
