# shellcheck shell=bash disable=SC2013,SC2154
# What the sources must be besides working.  Sourced by scripts/test; each check counts as one.

check() { # WHAT CMD…
	local log=$logs/lint-${1//[^a-z+]/-}.log start=$SECONDS what=$1
	shift
	if "$@" >"$log" 2>&1; then
		count 1 0 "$what" $((SECONDS - start))
	else
		count 0 1 "$what" $((SECONDS - start))
		show_failure "$log"
	fi
}

check_format() { "$source/scripts/format" --check; }

check_shell() {
	cd "$source" && shellcheck -x scripts/* .ci/run test/demo/compiler
}

check_tidy() {
	local build=$workspace/tidy
	as_server cmake -S "$source" -B "$build" -DCMAKE_CXX_COMPILER=clang++ -DPG_CONFIG="$pg_config" \
		-DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON &&
		find "$source/src" -name '*.cpp' -print0 |
		xargs -0 -n 4 -P "$(cores)" "$source/scripts/tidy" "$build"
}

check_clang_build() {
	# objects only to see that they build: no optimizing
	as_server make -C "$source" -j"$(cores)" PG_CONFIG="$pg_config" CXX=clang++ COPT=-O0 with_llvm=yes all
}

# Version #ifs and the server's error trap stay in one folder.
check_boundary() {
	! grep -rnE '^[[:space:]]*#.*PG_VERSION_NUM|\b(PG_TRY|PG_CATCH|sigsetjmp)\b' "$source/src" \
		--include='*.cpp' --include='*.hpp' --exclude-dir=pg
}

# Pure files include pg/pure.hpp, last; nothing else in them reaches the server.
check_pure() {
	local file status=0
	for file in $(grep -rl '^#include "pg/pure.hpp"' "$source/src" --include='*.cpp'); do
		[ "$(grep '^#include' "$file" | tail -n 1)" = '#include "pg/pure.hpp"' ] || {
			echo "$file: pg/pure.hpp is not the last include"
			status=1
		}
	done
	return $status
}

# Which folder may include which besides itself; all may include settings.hpp.
check_layers() {
	local file from to status=0
	while IFS=: read -r file to; do
		from=${file#"$source/src/"} from=${from%%/*} to=${to#*\"} to=${to%%/*}
		case $from/$to in
			*.cpp/* | */settings.hpp* | */pg) ;;
			guard/guard | guard/statement | jobs/jobs | statement/statement) ;;
			operations/operations | operations/jobs | operations/statement) ;;
			*) echo "$file includes $to" && status=1 ;;
		esac
	done < <(grep -roE '^#include "[a-z_]+[./][^"]*hpp' "$source/src" --include='*.cpp' --include='*.hpp')
	! grep -rn '^#include "statement/overlay/' "$source"/src/statement/*.?pp && return $status
}

run_lint() {
	private_server "$major" "$workspace/server"
	check 'no server in pure files' check_pure
	check 'versions only in src/pg' check_boundary
	check 'includes point downwards' check_layers
	check clang-format check_format
	check shellcheck check_shell
	check 'clang++ and bitcode' check_clang_build
	check clang-tidy check_tidy
}
