// Step runners by the kind that is stored with a step: see registry.hpp.
#include "operations/registry.hpp"

#include "jobs/step_runner.hpp"
#include "operations/apply/later_step.hpp"
#include "operations/apply/undo.hpp"
#include "operations/backfill/step.hpp"
#include "operations/column/steps.hpp"
#include "operations/ddl/step.hpp"
#include "operations/index/steps.hpp"
#include "operations/partition/steps.hpp"
#include "operations/vacuum.hpp"

namespace safe_migrate::operations {

namespace {

constexpr jobs::StepRunner step_runners[] = {
	{"backfill", backfill::run_step},
	{"delete", backfill::run_step},
	{"vacuum", run_vacuum},
	{"statement", ddl::run_statement_step},
	{"top level", ddl::run_top_level_step},
	{"build index", index::run_build_step},
	{"index frame", index::run_only_step},
	{"apply", apply::run_apply_step},
	{"reindex", index::run_reindex_step},
	{"detach", partition::run_detach_step},
	{"column part", column::run_part_step},
};

} // namespace

void register_all()
{
	jobs::register_step_runners(step_runners, lengthof(step_runners));
	ddl::tell_undo_by(apply::undo_of_text);
}

} // namespace safe_migrate::operations
