// For files with pure decisions: include this LAST in the .cpp.  It asserts that no server
// header got in, so that the file is tested without a server; the build finds the sources of the
// unit tests by this include.
#pragma once

#if defined(SAFE_MIGRATE_SERVER_HEADERS) || defined(PG_VERSION_NUM) || defined(POSTGRES_H) ||      \
	defined(C_H)
#error "a pure file must not include the server's headers, not even by way of another header"
#endif
