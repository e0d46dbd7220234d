# shellcheck shell=bash disable=SC2154
# Roots of newer suites of the distribution, one a PostgreSQL major: made once by mmdebstrap, reused
# afterwards, entered by chroot in a mount namespace of one's own.  Sourced by scripts/test.

roots_folder() {
	echo "${SAFE_MIGRATE_ROOTS:-${XDG_CACHE_HOME:-$HOME/.cache}/safe_migrate/roots}"
}

root_packages() { # MAJOR
	echo "postgresql-$1 postgresql-server-dev-$1 g++ make perl python3 libipc-run-perl cmake libgtest-dev"
}

# Address of the distribution's archive, from apt's own configuration.
debian_mirror() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Identifier: Packages' |
		sed -n 's/^Debian|Debian|//p' | head -n 1
}

sources_for() { # SUITE: lines of a sources.list; experimental is an addition to sid
	[ "$1" != experimental ] || echo "deb $mirror sid main"
	echo "deb $mirror $1 main"
}

# What experimental has of a server comes from there (apt takes nothing else from it by itself).
pin_for() { # SUITE MAJOR
	[ "$1" != experimental ] ||
		printf 'Package: src:postgresql-%s\nPin: release a=experimental\nPin-Priority: 600\n' "$2"
}

# The first newer suite that has the server, asked from apt with lists of its own.
suite_with() { # MAJOR
	local suite folder options
	folder=$(mktemp -d)
	mkdir -p "$folder"/{lists,cache}/partial
	options=(-qq -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder/cache"
		-o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o APT::Sandbox::User=)
	for suite in trixie forky sid experimental; do
		sources_for "$suite" >"$folder/sources.list"
		apt-get "${options[@]}" update >/dev/null 2>&1 || continue
		if [ -n "$(apt-cache "${options[@]}" madison "postgresql-server-dev-$1")" ]; then
			echo "$suite"
			break
		fi
	done
	rm -rf "$folder"
}

make_root() { # MAJOR FOLDER
	local suite mirror include pin
	install_packages mmdebstrap
	mirror=$(debian_mirror)
	[ -n "$mirror" ] || die "apt's configuration names no Debian archive"
	suite=$(suite_with "$1")
	[ -n "$suite" ] || die "no suite of the distribution has PostgreSQL $1"
	say "making a root with PostgreSQL $1 from $suite in $2 (minutes, once)"
	include=$(root_packages "$1" | tr ' ' ',')
	pin=$(mktemp)
	pin_for "$suite" "$1" >"$pin"
	as_root mkdir -p "$(dirname "$2")"
	# shellcheck disable=SC2016
	sources_for "$suite" | as_root mmdebstrap --quiet --variant=apt --include="$include" \
		--aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
		--setup-hook='mkdir -p "$1/etc/apt/preferences.d"' \
		--setup-hook="upload $pin /etc/apt/preferences.d/server" \
		--dpkgopt=force-confold --essential-hook='mkdir -p "$1/etc/postgresql-common"' \
		--essential-hook='echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"' \
		"$suite" "$2.new" - >&2 || die "mmdebstrap failed"
	rm -f "$pin"
	as_root mv "$2.new" "$2"
}

# A command inside a root, with /proc and /dev mounted for this command only; without them where
# that is not allowed (inside a container): the tests need no more than chroot.
in_root() { # FOLDER CMD…
	if as_root unshare --mount true 2>/dev/null; then
		# shellcheck disable=SC2016
		as_root unshare --mount -- sh -c 'mount -t proc proc "$1/proc" 2>/dev/null
			mount --rbind /dev "$1/dev" 2>/dev/null; exec chroot "$@"' - "$@"
	else
		as_root chroot "$@"
	fi
}

complete_root() { # MAJOR FOLDER: adds packages that an older root lacks
	local missing
	# shellcheck disable=SC2016,SC2046,SC2086
	missing=$(comm -23 <(printf '%s\n' $(root_packages "$1") ${3:-} | sort) <(as_root chroot "$2" \
		dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort))
	[ -n "$missing" ] || return 0
	say "installing into $2: ${missing//$'\n'/ }"
	# shellcheck disable=SC2086
	quietly in_root "$2" sh -c 'apt-get -qq -o Acquire::Check-Valid-Until=false update; exec env \
		DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@"' - $missing ||
		die "could not install into $2: $missing"
}

# scripts/test --pg MAJOR: the same script on a copy of the checkout inside the root.
run_in_root() { # MAJOR ARGUMENT…
	local root extra='' status=0
	root=$(roots_folder)/$1
	shift
	[ "$cxx" = g++ ] || extra=clang
	as_root test -x "$root/usr/lib/postgresql/$major/bin/postgres" || make_root "$major" "$root"
	complete_root "$major" "$root" "$extra"
	make_workspace_in_root "$root"
	in_root "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
		SAFE_MIGRATE_TAIL="${SAFE_MIGRATE_TAIL:-40}" SAFE_MIGRATE_IN_ROOT="$root" \
		SAFE_MIGRATE_WITHOUT_NPM="${SAFE_MIGRATE_WITHOUT_NPM:-}" \
		"${workspace#"$root"}/source/scripts/test" "$@" --inside "${workspace#"$root"}" || status=$?
	exit $status
}

make_workspace_in_root() { # ROOT
	workspace=$(as_root mktemp -d "$1/tmp/safe_migrate.XXXXXX")
	trap remove_root_workspace EXIT
	trap 'exit 130' INT TERM
	as_root mkdir "$workspace/source"
	checkout_archive | as_root tar -C "$workspace/source" -xf -
	as_root chmod -R a+rX "$workspace"
	as_root chroot "$1" chown -R postgres: "${workspace#"$1"}"
}

remove_root_workspace() {
	end_background
	stop_servers_under "$workspace"
	[ -n "${keep_workspace:-}" ] || as_root rm -rf "$workspace"
}
