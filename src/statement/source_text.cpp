// See source_text.hpp.
#include "statement/source_text.hpp"

extern "C" {
#include "common/keywords.h"
#include "parser/scanner.h"
#include "parser/scansup.h"
}

namespace safe_migrate::statement {

namespace {

// How far into the text the comma or semicolon is that no bracket encloses.
int find_end(const char *text)
{
	core_yy_extra_type extra;
	core_YYSTYPE value;
	YYLTYPE location = 0;
	int depth = 0;
	core_yyscan_t scanner = scanner_init(text, &extra, &ScanKeywords, ScanKeywordTokens);
	int token;
	while ((token = core_yylex(&value, &location, scanner)) != 0) {
		if (token == '(' || token == '[')
			depth++;
		else if (token == ')' || token == ']')
			depth--;
		else if (depth == 0 && (token == ',' || token == ';'))
			break;
	}
	scanner_finish(scanner);
	return token == 0 ? static_cast<int>(strlen(text)) : location;
}

} // namespace

const char *subcommand_text(const Analysis *analysis, int location)
{
	if (analysis->source == nullptr || location < 0)
		return nullptr;
	const char *begin = analysis->source + location;
	char *text = analysis->source_end > begin ? pnstrdup(begin, analysis->source_end - begin)
											  : pstrdup(begin);
	int end = find_end(text);
	while (end > 0 && scanner_isspace(text[end - 1]))
		end--;
	text[end] = '\0';
	return text;
}

} // namespace safe_migrate::statement
