// Finding jobs by id and name: see find_job.hpp.
#include "jobs/find_job.hpp"

#include "jobs/progress_meter.hpp"
#include "jobs/rights.hpp"
#include "jobs/shared.hpp"
#include "jobs/store.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "miscadmin.h"
#include "utils/acl.h"
}

namespace safe_migrate::jobs {

JobRow *job_or_error(JobId id)
{
	JobRow *job = load_job(id, false);
	if (!job || !may_see(job->owner))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("job " INT64_FORMAT " does not exist", id),
						errhint("The jobs that you may see are in safe_migrate.jobs.")));
	return job;
}

namespace {

// stranger: owner of a visible job of that name that does not count, if there is one
[[noreturn]] void say_missing(const char *name, Oid stranger)
{
	if (OidIsValid(stranger))
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("job \"%s\" does not exist", name),
			 errdetail("Role \"%s\", which role \"%s\" is not a member of, has one of "
					   "that name.",
					   GetUserNameFromId(stranger, true), GetUserNameFromId(GetUserId(), false)),
			 errhint("Ask as the role that queues the job or a member of it: any role "
					 "can give its jobs this name.")));
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("job \"%s\" does not exist", name),
					errhint("The jobs that you may see are in safe_migrate.jobs.")));
	pg_unreachable();
}

} // namespace

JobId job_by_name(const char *name, Named named)
{
	JobId own = 0, other = 0;
	int others = 0;
	Oid stranger = InvalidOid;
	const pg::Arg args[] = {pg::arg_text(name)};
	Oid user = GetUserId();
	struct Found {
		JobId id;
		Oid owner;
	};
	constexpr int room = 256;
	auto *found = static_cast<Found *>(palloc(room * sizeof(Found)));
	int n = 0;
	pg::query("SELECT id, owner FROM safe_migrate.job WHERE name = $1", args, 1,
			  [&](HeapTuple t, TupleDesc d) {
				  if (n < room)
					  found[n++] = {pg::column_int8(t, d, 1), pg::column_oid(t, d, 2)};
			  });
	for (int i = 0; i < n; i++) {
		if (found[i].owner == user)
			own = found[i].id;
		else if (!may_see(found[i].owner))
			continue;
		else if (named == Named::visible || is_member_of_role_nosuper(user, found[i].owner)) {
			other = found[i].id;
			others++;
		} else
			stranger = found[i].owner;
	}
	if (own != 0)
		return own;
	if (others > 1)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_FUNCTION),
				 errmsg("there are several jobs named \"%s\"", name),
				 named == Named::visible ? errhint("Give the job's id; safe_migrate.jobs has it.")
										 : errhint("Ask as the role that queues the job.")));
	if (others == 0)
		say_missing(name, stranger);
	return other;
}

char *describe_progress(JobId id, const LiveJob &live)
{
	if (live.id == 0)
		return psprintf("Job " INT64_FORMAT " has not started.", id);
	char line[progress_line_length];
	write_progress_line(line, meter_of(live));
	return psprintf("Job " INT64_FORMAT ": %s", id, line);
}

} // namespace safe_migrate::jobs
