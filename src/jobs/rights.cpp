// Rights on jobs: see rights.hpp.  may_control() mirrors pg_signal_backend() of signalfuncs.c.
#include "jobs/rights.hpp"

#include "jobs/store.hpp"
#include "pg/boundary.hpp"
#include "pg/compat.hpp"
#include "pg/compat_analysis.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/syscache.h"
}

namespace safe_migrate::jobs {

namespace {

struct RoleFacts {
	bool exists, may_login, superuser;
};

RoleFacts facts_of(Oid role)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	if (!HeapTupleIsValid(tuple))
		return {};
	auto *form = reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple));
	RoleFacts facts = {true, form->rolcanlogin, form->rolsuper};
	ReleaseSysCache(tuple);
	return facts;
}

} // namespace

bool owner_is_gone(const JobRow &job) { return !facts_of(job.owner).exists; }

Oid connect_role(Oid owner, Oid session_role, const char **why)
{
	RoleFacts facts = facts_of(owner);
	if (!facts.exists) {
		*why = "the role that owns it does not exist any more";
		return InvalidOid;
	}
	if (facts.may_login || pg::can_bypass_login_check) {
		if (pg::may_connect(MyDatabaseId, owner))
			return owner;
		*why = "its owner has no CONNECT right on the database";
		return InvalidOid;
	}
	RoleFacts session = facts_of(session_role);
	if (!session.exists || !session.may_login) {
		*why = "neither its owner nor the role that queued it may log in";
		return InvalidOid;
	}
	if (session.superuser) {
		*why = "its owner may not log in, and it was queued by a superuser";
		return InvalidOid;
	}
	if (!pg::may_set_role(session_role, owner)) {
		*why = "its owner may not log in, and the role that queued it is no longer a member of it";
		return InvalidOid;
	}
	if (!pg::may_connect(MyDatabaseId, session_role)) {
		*why = "the role that queued it has no CONNECT right on the database";
		return InvalidOid;
	}
	return session_role;
}

void check_may_queue()
{
	const char *why = nullptr;
	RoleFacts facts = facts_of(GetUserId());
	if (facts.may_login || pg::can_bypass_login_check)
		return;
	if (GetUserId() != GetOuterUserId())
		why = "The call comes from a SECURITY DEFINER function.";
	else if (facts_of(GetSessionUserId()).superuser)
		why = "The session's user is a superuser, whose rights job code could get back.";
	if (why)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("a worker can't connect as role \"%s\", which may not log in",
							   GetUserNameFromId(GetUserId(), false)),
						errdetail("%s", why),
						errhint("Queue the job as a role that may log in, or from a session of an "
								"ordinary member of \"%s\" after SET ROLE.",
								GetUserNameFromId(GetUserId(), false))));
}

bool may_control(Oid owner)
{
	if (superuser())
		return true;
	if (superuser_arg(owner))
		return false;
	return has_privs_of_role(GetUserId(), owner) ||
		   has_privs_of_role(GetUserId(), ROLE_PG_SIGNAL_BACKEND);
}

bool may_see(Oid owner)
{
	return superuser() || has_privs_of_role(GetUserId(), owner) ||
		   has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) || may_control(owner);
}

void check_may_control(const JobRow *job)
{
	if (may_control(job->owner))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for job " INT64_FORMAT, job->id),
			 errhint("Only its owner, members of the owner and members of pg_signal_backend may "
					 "control a job; a superuser's job only a superuser.")));
}

void check_may_act_for_owner(const JobRow *job)
{
	check_may_control(job);
	if (superuser() || has_privs_of_role(GetUserId(), job->owner))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg("permission denied for job " INT64_FORMAT, job->id),
		 errhint("Only its owner and members of the owner may retry a job or set its throttle "
				 "query; members of pg_signal_backend may pause, resume, cancel and slow it.")));
}

} // namespace safe_migrate::jobs

SAFE_MIGRATE_FUNCTION(safe_migrate_may_see)
{
	PG_RETURN_BOOL(safe_migrate::jobs::may_see(PG_GETARG_OID(0)));
}
