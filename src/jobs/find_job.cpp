// Finding jobs by id and name: see find_job.hpp.
#include "jobs/find_job.hpp"

#include "jobs/progress_meter.hpp"
#include "jobs/rights.hpp"
#include "jobs/shared.hpp"
#include "jobs/store.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "lib/stringinfo.h"
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

struct NamedJob {
	JobId id;
	Oid owner;
	JobState state;
};

struct NamedJobs {
	static constexpr int room = 256;
	NamedJob *jobs;
	int n;
};

// The user's own first, then the newest: all owners may have one of that name.
NamedJobs find_named(const char *name)
{
	NamedJobs found = {static_cast<NamedJob *>(palloc(sizeof(NamedJob) * NamedJobs::room)), 0};
	const pg::Arg args[] = {pg::arg_text(name), pg::arg_oid(GetUserId()),
							pg::arg_int4(NamedJobs::room)};
	pg::query("SELECT id, owner, state::text FROM safe_migrate.job WHERE name = $1"
			  " ORDER BY owner = $2 DESC, id DESC LIMIT $3",
			  args, lengthof(args), [&](HeapTuple t, TupleDesc d) {
				  found.jobs[found.n++] = {pg::column_int8(t, d, 1), pg::column_oid(t, d, 2),
										   parse_state(pg::column_text(t, d, 3))};
			  });
	return found;
}

// Leaves those that the name may mean; tells the owner of a visible job that it may not.
Oid keep_meant(NamedJobs *found, Named named)
{
	Oid stranger = InvalidOid;
	int n = 0;
	for (int i = 0; i < found->n; i++) {
		const NamedJob job = found->jobs[i];
		if (job.owner != GetUserId() && !may_see(job.owner))
			continue;
		if (job.owner == GetUserId() || named == Named::visible ||
			is_member_of_role_nosuper(GetUserId(), job.owner))
			found->jobs[n++] = job;
		else
			stranger = job.owner;
	}
	found->n = n;
	return stranger;
}

[[noreturn]] void say_ambiguous(const char *name, const NamedJobs &found, Named named)
{
	constexpr int most_told = 5;
	StringInfoData list;
	initStringInfo(&list);
	for (int i = 0; i < Min(found.n, most_told); i++) {
		const char *owner = GetUserNameFromId(found.jobs[i].owner, true);
		appendStringInfo(&list, "%s" INT64_FORMAT " of role %s%s%s is %s",
						 i > 0 ? ", job " : "Job ", found.jobs[i].id, owner ? "\"" : "",
						 owner ? owner : "that is gone", owner ? "\"" : "",
						 name_of(found.jobs[i].state));
	}
	appendStringInfoString(&list, found.n > most_told ? ", and there are more." : ".");
	ereport(ERROR, (errcode(ERRCODE_AMBIGUOUS_FUNCTION),
					errmsg("there are several jobs named \"%s\"", name),
					errdetail_internal("%s", list.data),
					named == Named::visible ? errhint("Give the job's id.")
											: errhint("Ask as the role that queues the job.")));
	pg_unreachable();
}

} // namespace

JobId job_by_name(const char *name, Named named, bool (*fits)(JobState))
{
	NamedJobs found = find_named(name);
	Oid stranger = keep_meant(&found, named);
	if (found.n == 0)
		say_missing(name, stranger);
	if (found.n == 1 || found.jobs[0].owner == GetUserId())
		return found.jobs[0].id;
	const NamedJob *fitting = nullptr;
	for (int i = 0; i < found.n && fits; i++) {
		if (!fits(found.jobs[i].state))
			continue;
		if (fitting)
			say_ambiguous(name, found, named);
		fitting = &found.jobs[i];
	}
	if (!fitting)
		say_ambiguous(name, found, named);
	return fitting->id;
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
