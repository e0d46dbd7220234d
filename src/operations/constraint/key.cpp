// UNIQUE and PRIMARY KEY.
#include "operations/constraint/add.hpp"

namespace safe_migrate::operations::constraint {

void add_key_steps(ddl::Recipe *recipe, Relation relation, const Definition &definition)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("unique and primary key constraints can't be added by a job yet")));
}

} // namespace safe_migrate::operations::constraint
