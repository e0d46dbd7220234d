# safe_migrate: the build that ships (PGXS).
#   make, make install, make installcheck      for another server: PG_CONFIG=/path/to/pg_config
#   make CXX=clang++                           another compiler
EXTENSION = safe_migrate
MODULE_big = safe_migrate
DATA = $(wildcard safe_migrate--*.sql)
PGFILEDESC = "safe_migrate - schema changes and backfills on live tables"

SOURCES = $(sort $(shell find src -name '*.cpp'))
OBJS = $(SOURCES:.cpp=.o)
OWN_CXXFLAGS = -std=gnu++20 -Wall -Wextra -Werror -Wno-register -Wno-unused-parameter \
	-Wno-sign-compare -Wno-missing-field-initializers -Wno-unknown-warning-option -Wno-ignored-attributes \
	-Wno-volatile -Wno-deprecated-volatile -fvisibility=hidden

PG_CPPFLAGS = -I$(srcdir)/src
PG_CXXFLAGS = $(OWN_CXXFLAGS) -MMD -MP
SHLIB_LINK += -lstdc++

# installcheck runs against a server that preloads the library (test/preload.conf);
# `make installcheck TEMP_INSTANCE=1` starts one of its own.  Not as root.
TEMP_CONFIG = $(srcdir)/test/preload.conf
REGRESS = $(sort $(patsubst sql/%.sql,%,$(wildcard sql/*.sql)))
ISOLATION = $(sort $(patsubst test/specs/%.spec,%,$(wildcard test/specs/*.spec)))
REGRESS_OPTS = --encoding=UTF8 --no-locale
ISOLATION_OPTS = --inputdir=$(srcdir)/test --encoding=UTF8 --no-locale
ifdef TEMP_INSTANCE
REGRESS_OPTS += --temp-instance=tmp_check_regress --temp-config=$(TEMP_CONFIG)
ISOLATION_OPTS += --temp-instance=tmp_check_iso --temp-config=$(TEMP_CONFIG)
endif
# (in the tests' own sessions, whatever the server's setting: what the guard says is tested where it is the matter)
installcheck: export PGOPTIONS += -c safe_migrate.guard=off
TAP_TESTS = $(if $(wildcard test/t/*.pl),1)
PROVE_TESTS ?= $(sort $(wildcard test/t/*.pl))
EXTRA_CLEAN = $(shell find src -name "*.d") tmp_check_regress

# No bitcode: it lets the JIT inline functions into queries, and nothing here is called per row.
# `make with_llvm=yes` builds and installs it, with the clang that the server was built with.
ifneq ($(origin with_llvm),command line)
override with_llvm = no
endif

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

BITCODE_CXXFLAGS += $(OWN_CXXFLAGS)

PG_PROVE_FLAGS += -I $(srcdir)/test/lib
-include $(OBJS:.o=.d)
