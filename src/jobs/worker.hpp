// What the parts of a worker process share: who it is and how its transactions run.
#pragma once
#include "jobs/shared.hpp"
#include "jobs/step_context.hpp"
#include "jobs/store.hpp"
#include "pg/transaction.hpp"

namespace safe_migrate::jobs {

struct Worker {
	int slot; // in Shared::workers
	Home home;
	JobId job_id;
	int number;
	Oid connect_as, owner;	 // differ where the owner may not log in: SET ROLE
	const char *activity;	 // for pg_stat_activity
	TimestampTz noted_start; // of the leading worker, until it is forgotten
	bool ended_well;		 // told to stop, finished, or its failure is recorded
	// between batches
	uint32 control_seen;
	bool control_known;
	int attempts;			// errors since the last batch that committed
	TimestampTz retry_over; // that batch, as long as the job's row still tells of a retry; 0 = not
	TimestampTz not_before; // end of the pause after an error
	int64 last_batch_us;
};
extern Worker worker;

// A transaction of this worker under its owner's role, whatever the session may be.
ErrorData *job_transaction(pg::Body body, void *arg);
template <class F> ErrorData *job_transaction(F &&body)
{
	using Fn = std::remove_reference_t<F>;
	return job_transaction([](void *a) { (*static_cast<Fn *>(a))(); },
						   const_cast<void *>(static_cast<const void *>(&body)));
}

// The error of one whose failure is nobody's business.
inline void forget(ErrorData *error)
{
	if (error)
		FreeErrorData(error);
}

// In a transaction: whether the extension that has the job is still there.  What such a transaction
// has read or written of the extension's tables before is of this extension where it is.
bool extension_is_there();
// The job's row, nullptr where it is gone, whatever another extension has under its id.
JobRow *load_own_job(bool lock);

// Fills in what a step starts with.
void begin_step(StepContext *context, const JobRow &job);

} // namespace safe_migrate::jobs
