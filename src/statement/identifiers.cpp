// See identifiers.hpp.
#include "statement/identifiers.hpp"

#include "pg/compat_analysis.hpp"

extern "C" {
#include "parser/scanner.h"
#include "parser/scansup.h"
}

namespace safe_migrate::statement {

namespace {

// The first token of a text and how long the scanner takes it to be.
struct Scanner {
	core_yy_extra_type extra;
	core_YYSTYPE value;
	YYLTYPE location;
	core_yyscan_t state;

	void begin(const char *text)
	{
		state = scanner_init(text, &extra, &ScanKeywords, ScanKeywordTokens);
		pg::silence(&extra); // the parser has given them
	}
	int next() { return core_yylex(&value, &location, state); }
	void end() { scanner_finish(state); }
};

// The grammar's numbers of tokens are in no installed header: the scanner tells them.
int token_of(const char *text)
{
	Scanner scanner;
	scanner.begin(text);
	pg::read_unicode(&scanner.extra);
	int token = scanner.next();
	scanner.end();
	return token;
}

struct Tokens {
	int identifier;
	int unicode_identifier;
	int string;
	int unicode_string;
};

const Tokens &tokens()
{
	static Tokens known = {};
	if (known.identifier == 0) {
		known.unicode_identifier = token_of("U&\"x\"");
		known.string = token_of("'x'");
		known.unicode_string = token_of("U&'x'");
		known.identifier = token_of("x");
	}
	return known;
}

bool in_identifier(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
		   c == '$' || IS_HIGHBIT_SET(c);
}

// As written and folded to lower case: the text may be SQL, or one name.
void add_words(Identifiers *found, const char *text)
{
	while (*text != '\0') {
		const char *begin = text;
		while (in_identifier(static_cast<unsigned char>(*text)))
			text++;
		int length = static_cast<int>(text - begin);
		if (length > 0 && length < NAMEDATALEN) {
			char *word = pnstrdup(begin, length);
			char *folded = downcase_identifier(word, length, false, false);
			found->names = lappend(found->names, word);
			if (strcmp(word, folded) != 0)
				found->names = lappend(found->names, folded);
		}
		if (length == 0)
			text++;
	}
}

// A keyword may be a name too.
void add_keyword(Identifiers *found, const char *text)
{
	if (!in_identifier(static_cast<unsigned char>(*text)) || (*text >= '0' && *text <= '9'))
		return;
	int length = 0;
	while (in_identifier(static_cast<unsigned char>(text[length])))
		length++;
	found->names = lappend(found->names, downcase_identifier(text, length, false, false));
}

} // namespace

Identifiers identifiers_of(const char *text, int length)
{
	Identifiers found = {};
	const Tokens &known = tokens();
	char *own = pnstrdup(text, length);
	Scanner scanner;
	scanner.begin(own);
	for (int token = scanner.next(); token != 0; token = scanner.next()) {
		if (token == known.identifier)
			found.names = lappend(found.names, pstrdup(scanner.value.str));
		else if (token == known.string)
			add_words(&found, scanner.value.str);
		else if (token == known.unicode_identifier || token == known.unicode_string)
			found.all = true;
		else
			add_keyword(&found, own + scanner.location);
	}
	scanner.end();
	return found;
}

} // namespace safe_migrate::statement
