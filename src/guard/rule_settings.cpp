// See rule_settings.hpp.  Check and assign hooks as guc's README asks for: the parsed list travels
// as the value's "extra", which the server keeps and frees with it.
#include "guard/rule_settings.hpp"

#include "pg/compat.hpp"
#include "settings.hpp"

extern "C" {
#include "lib/stringinfo.h"
#include "utils/guc.h"
}

namespace safe_migrate::guard {

namespace {

constexpr RuleLevels nothing_changed = no_levels();
const RuleLevels *current = &nothing_changed;

constexpr const char *levels_hint =
	"The rules are listed in docs/rules; a level is allow, warn or reject.";

// What is wrong, as a sentence; palloc'd.
char *complaint(BadLevels bad, const char *at, int length)
{
	switch (bad) {
		case BadLevels::rule:
			return psprintf("There is no rule \"%.*s\".", length, at);
		case BadLevels::level:
			return psprintf("There is no level \"%.*s\".", length, at);
		default:
			return pstrdup("It is a list of rule=level, separated by commas.");
	}
}

bool check(char **value, void **extra, GucSource)
{
	RuleLevels levels = no_levels();
	const char *at = nullptr;
	int length = 0;
	BadLevels bad = parse_levels(*value ? *value : "", &levels, &at, &length);
	if (bad != BadLevels::no) {
		GUC_check_errdetail("%s", complaint(bad, at, length));
		GUC_check_errhint("%s", levels_hint);
		return false;
	}
	*extra = pg::guc_malloc_extra(sizeof(RuleLevels));
	if (*extra == nullptr)
		return false;
	*static_cast<RuleLevels *>(*extra) = levels;
	return true;
}

void assign(const char *, void *extra)
{
	current = extra ? static_cast<const RuleLevels *>(extra) : &nothing_changed;
}

} // namespace

const RuleLevels *session_levels() { return current; }

void check_levels(const char *text)
{
	RuleLevels levels = no_levels();
	const char *at = nullptr;
	int length = 0;
	BadLevels bad = parse_levels(text, &levels, &at, &length);
	if (bad != BadLevels::no)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid list of rule levels: \"%s\"", text),
						errdetail("%s", complaint(bad, at, length)), errhint("%s", levels_hint)));
}

void install_rule_settings() { use_text_hooks("safe_migrate.rule_levels", check, assign); }

} // namespace safe_migrate::guard
