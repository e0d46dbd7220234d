// Text into a buffer: cut off between two characters where it does not fit.
#pragma once
#include "pg/postgres.hpp"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace safe_migrate::pg {

inline void copy_clipped(char *to, size_t size, const char *from)
{
	int length = pg_mbcliplen(from, static_cast<int>(strlen(from)), static_cast<int>(size) - 1);
	memcpy(to, from, static_cast<size_t>(length));
	to[length] = '\0';
}

} // namespace safe_migrate::pg
