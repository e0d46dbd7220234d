// The one way to include the server's headers: standard C++ headers first,
// then postgres.h, because the server's macros break <locale> and others when
// the order is reversed.  Every file that talks to the server includes this
// first; files with pure decisions must not include it at all (they include
// pg/pure.hpp, which says so if they do).
#pragma once
#define SAFE_MIGRATE_SERVER_HEADERS 1

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

// Before 16 this is empty, and -fvisibility=hidden would hide what the server looks up by name.
#ifndef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/elog.h"
#include "utils/memutils.h"
}
