# safe_migrate: the build that ships (PGXS).  `make`, `make install`, `make installcheck`,
# for another server: PG_CONFIG=/path/to/pg_config.
EXTENSION = safe_migrate
MODULE_big = safe_migrate
DATA = $(wildcard safe_migrate--*.sql)
PGFILEDESC = "safe_migrate - schema changes and backfills on live tables"

SOURCES = $(sort $(shell find src -name '*.cpp'))
OBJS = $(SOURCES:.cpp=.o)

PG_CPPFLAGS = -I$(srcdir)/src
PG_CXXFLAGS = -std=gnu++20 -Wall -Wextra -Werror -Wno-register -Wno-unused-parameter \
	-Wno-sign-compare -Wno-missing-field-initializers -fvisibility=hidden -MMD -MP
SHLIB_LINK += -lstdc++

REGRESS = $(sort $(patsubst sql/%.sql,%,$(wildcard sql/*.sql)))
EXTRA_CLEAN = $(OBJS:.o=.d)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

COMPILE.cxx.bc += $(PG_CXXFLAGS)
-include $(OBJS:.o=.d)
