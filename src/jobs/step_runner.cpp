// See step_runner.hpp.
#include "jobs/step_runner.hpp"

#include <cstring>

#include "pg/pure.hpp"

namespace safe_migrate::jobs {

namespace {

const StepRunner *step_runners = nullptr;
int n_step_runners = 0;

} // namespace

void register_step_runners(const StepRunner *runners, int n)
{
	step_runners = runners;
	n_step_runners = n;
}

const StepRunner *find_step_runner(const char *kind)
{
	for (int i = 0; i < n_step_runners; i++)
		if (strcmp(step_runners[i].kind, kind) == 0)
			return &step_runners[i];
	return nullptr;
}

} // namespace safe_migrate::jobs
