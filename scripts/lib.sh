# shellcheck shell=bash
# What scripts/test, scripts/demo and scripts/bench share.  Source it after `set -euo pipefail`:
#
#	root_of_checkout            folder of this checkout
#	as_root CMD…                with sudo where not root
#	install_packages PKG…       what is missing, by apt; never makes or starts a cluster
#	make_workspace              $workspace: a temporary folder, removed at exit with its servers
#	as_server CMD…              as a user that may run a server: postgres for root, else oneself
#	copy_checkout FOLDER        sources without build results, readable by that user
#	private_server MAJOR FOLDER copy of the installed server there; sets $pg_config and $bindir
#	in_background CMD…          in a process group that ends with the script
#	build_and_install SOURCE    make, make install into the private server

umask 022 # whatever that of the caller is: servers run as another user and read what is made here

say() { printf '%s\n' "$*" >&2; }
die() {
	say "$(basename "$0"): $*"
	exit 2
}

root_of_checkout() { cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd; }

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

cores() { nproc 2>/dev/null || echo 2; }

# ---------------------------------------------------------------- packages

missing_packages() {
	local package
	for package in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			echo "$package"
	done
}

# Runs quietly; what it printed is shown when it fails.
quietly() {
	local printed status=0
	printed=$("$@" 2>&1) || status=$?
	[ $status = 0 ] || tail -n 40 <<<"$printed" >&2
	return $status
}

apt_install() {
	quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Acquire::Check-Valid-Until=false \
		install "$@"
}

# Debian makes and starts a cluster when a server package is installed, unless its configuration
# says no; it says so for the time of the installation only, however that ends.
createcluster_conf=/etc/postgresql-common/createcluster.conf

without_clusters() {
	[ -e "$createcluster_conf.safe_migrate" ] || as_root cp -p "$createcluster_conf" "$createcluster_conf.safe_migrate"
	trap with_clusters EXIT
	trap 'exit 130' INT TERM
	echo 'create_main_cluster = false' | as_root tee -a "$createcluster_conf" >/dev/null
}

with_clusters() {
	trap '' INT TERM
	as_root mv "$createcluster_conf.safe_migrate" "$createcluster_conf"
	trap - EXIT INT TERM
}

install_packages() {
	local missing
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	mapfile -t missing <<<"$missing"
	say "installing: ${missing[*]}"
	as_root apt-get -qq -o Acquire::Check-Valid-Until=false update >&2 || true
	[ -z "$(missing_packages postgresql-common)" ] || apt_install postgresql-common
	local status=0
	without_clusters
	apt_install "${missing[@]}" || status=$?
	with_clusters
	[ $status = 0 ] || die "apt could not install: ${missing[*]}"
}

# ---------------------------------------------------------------- workspace and server

# Stops the servers whose data is under a folder: by the pid in postmaster.pid, never by name.
stop_servers_under() {
	local file pid
	find "$1" -name postmaster.pid 2>/dev/null | while IFS= read -r file; do
		pid=$(head -n 1 "$file" 2>/dev/null) || continue
		[ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$(dirname "$file")" ] || continue
		kill -QUIT "$pid" 2>/dev/null || true
	done || true # folders vanish while find looks
}

# In the background as a process group of its own, so that ^C can end it with all it started.
background_groups=()
in_background() {
	set -m
	"$@" </dev/null &
	set +m
	background_groups+=($!)
}

wait_background() {
	wait
	background_groups=()
}

end_background() {
	local group
	for group in ${background_groups[@]+"${background_groups[@]}"}; do
		as_root kill -TERM -- "-$group" 2>/dev/null || true
	done
}

remove_workspace() {
	end_background
	stop_servers_under "$workspace"
	if [ -n "${keep_workspace:-}" ]; then
		say "kept: $workspace"
	else
		rm -rf "$workspace" 2>/dev/null || { sleep 2 && rm -rf "$workspace"; } || true
	fi
}

make_workspace() {
	workspace=$(mktemp -d "${TMPDIR:-/tmp}/safe_migrate.XXXXXX")
	chmod 755 "$workspace"
	trap remove_workspace EXIT
	trap 'exit 130' INT TERM
	[ "$(id -u)" != 0 ] || chown postgres: "$workspace"
}

as_server() {
	if [ "$(id -u)" = 0 ]; then
		runuser -u postgres -- env HOME="$workspace" USER=postgres LOGNAME=postgres LC_ALL=C.UTF-8 "$@"
	else
		env LC_ALL=C.UTF-8 "$@"
	fi
}

# Sources without build results, as a tar archive.
checkout_archive() {
	tar -C "$(root_of_checkout)" --exclude=./.git --exclude='*.o' --exclude='*.bc' --exclude='*.so' \
		--exclude='*.d' --exclude=./build --exclude=./results --exclude='tmp_check*' \
		--exclude=./output_iso --exclude=./log --exclude=.cache -cf - .
}

copy_checkout() {
	mkdir -p "$1"
	checkout_archive | tar -C "$1" -xf -
	chmod -R a+rX "$1"
	[ "$(id -u)" != 0 ] || chown -R postgres: "$1"
}

# PostgreSQL finds its files relative to its programs, so a copy of its tree is a server of its
# own: nothing is installed into the system's.
private_server() {
	local major=$1 to=$2/usr part
	[ -x "/usr/lib/postgresql/$major/bin/postgres" ] || die "PostgreSQL $major is not installed"
	for part in lib/postgresql share/postgresql include/postgresql; do
		mkdir -p "$to/$part"
		[ ! -d "/usr/$part/$major" ] || cp -a "/usr/$part/$major" "$to/$part/"
	done
	find "/usr/include/postgresql" -mindepth 1 -maxdepth 1 ! -regex '.*/[0-9]+' \
		-exec cp -a {} "$to/include/postgresql/" ';'
	[ "$(id -u)" != 0 ] || chown -R postgres: "$2"
	bindir=$to/lib/postgresql/$major/bin
	pg_config=$bindir/pg_config
}

build_and_install() {
	local source=$1
	shift
	as_server make -C "$source" -j"$(cores)" PG_CONFIG="$pg_config" "$@" all &&
		as_server make -C "$source" PG_CONFIG="$pg_config" "$@" install
}
