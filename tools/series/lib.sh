# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2016
# Functions and lists shared by the scripts of this folder. Sourced by bash.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
work=$top/.work
series_tree=${SERIES_TREE:-$work/series}
jobs=${JOBS:-$(nproc)}
self=${0##*/}

# The kernel tree that the series applies to: LINUX, or Debian's source package.
base=$work/base
[ -z "${LINUX:-}" ] || base=$work/linux

# Nothing of the user's configuration changes what these scripts produce.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_ATTR_NOSYSTEM=1
# Debian's own programs first: they see what Debian's packages bring.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
export LC_ALL=C.UTF-8 TZ=UTC PYTHONDONTWRITEBYTECODE=1
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE MAKEFLAGS KBUILD_OUTPUT ARCH CROSS_COMPILE
umask 022

# Existing kernel files that the series may change. Everything else it adds.
allow_list='
Documentation/userspace-api/index.rst
Documentation/userspace-api/ioctl/ioctl-number.rst
MAINTAINERS
drivers/vfio/Kconfig
drivers/vfio/Makefile
tools/Makefile
tools/testing/selftests/Makefile
'

# Kernel folders whose added files are mirrored at the top of this repository.
mirror_dirs='Documentation drivers include tools'

# Debian packages, by what needs them.
packages_build='bc bison build-essential ca-certificates ccache cpio flex git kmod
libelf-dev libssl-dev perl python3 quilt rsync xz-utils'
packages_qemu='busybox-static cpio qemu-system-x86'
packages_arm64='gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-system-arm'
packages_bench='gnuplot-nox python3'
packages_check='binutils clang-19 coccinelle codespell file
gcc-aarch64-linux-gnu gcc-powerpc64-linux-gnu gcc-s390x-linux-gnu
lld-19 llvm-19 pciutils python3-yaml shellcheck sparse'

# What the kernel prints when it has found a defect. Matched against lines that
# carry a kernel time stamp, so that a program may print the same words.
stamp='^\[ *[0-9]+\.[0-9]+\](\[ *[TC][0-9]+\])? '
splat="$stamp"'(------------\[ cut here|WARNING: |BUG: |INFO: (task .* blocked|rcu_|possible |trying to register)|Oops|general protection|Kernel panic|UBSAN: |=+ *KASAN|KASAN: |refcount_t: |ODEBUG: |kmemleak: .*suspected|kmemleak: .*disabled|Kernel BUG|kernel BUG|stack segment|double fault|watchdog: BUG|unreferenced object|DMA-API: |list_(add|del) corruption|sysfs: cannot create duplicate|Unable to handle|.*possible (recursive|circular|irq) lock|.*inconsistent lock state|.*suspicious RCU usage|.*sleeping function called|.*scheduling while atomic|.*held lock freed|.*lock held when returning)'

# Options for git where its output or commits must be the same everywhere.
git_fixed=(-c diff.algorithm=myers -c tar.umask=0022 -c core.abbrev=40 -c core.autocrlf=false
	   -c diff.noprefix=false -c diff.mnemonicPrefix=false
	   -c commit.gpgSign=false -c am.threeWay=false -c core.quotePath=true)

say() { printf '%s\n' "$*"; }
note() { printf '%s: %s\n' "$self" "$*" >&2; }
die() { note "$1"; exit "${2:-1}"; }

# step N TOTAL WORDS: progress
step() { printf '[%s/%s] %s\n' "$1" "$2" "$3"; }

# Print the comment below a script's SPDX line as its help.
help() { sed -n '3,/^[^#]/{/^#/!q;/^# shellcheck/d;s/^# \{0,1\}//p}' "$0"; }

# Call a command with its output in a file; show the end of it on failure.
logged() {
	local log=$1 rc=0
	shift
	mkdir -p "$(dirname "$log")"
	"$@" > "$log" 2>&1 < /dev/null || rc=$?
	[ $rc = 0 ] || { tail -n 40 "$log" >&2; note "failed ($rc): $*; log: ${log#"$top"/}"; }
	return $rc
}

# lock_work NAME: one script at a time; until unlock_work or the end of the shell
declare -A lock_fds
lock_work() {
	local fd
	mkdir -p "$work"
	exec {fd}> "$work/.lock-$1"
	flock -n "$fd" || { note "waiting for another run ($1)"; flock "$fd"; }
	lock_fds[$1]=$fd
}
unlock_work() {
	local fd=${lock_fds[$1]}
	exec {fd}>&-
}

#
# Packages
#
installed() { [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2> /dev/null | cut -c1-2)" = ii ]; }

as_root() {
	[ "$(id -u)" = 0 ] || die "not root: install with apt-get: $*" 3
}

# The Debian mirror, keyring and release of this machine, from its own apt.
# Prints lines "URI|RELEASE|KEYRING".
own_mirrors() {
	apt-get indextargets --format '$(REPO_URI)|$(CODENAME)|$(SIGNED_BY)|$(ORIGIN)|$(COMPONENT)' \
		'Created-By: Packages' 2> /dev/null |
		awk -F'|' '$4 ~ /^Debian/ && $5 == "main" && !seen[$1 $2]++ {print $1 "|" $2 "|" $3}'
}

# apt with own lists and sources, in which the given releases of the machine's
# mirror are added to its own ones: private_apt RELEASE...; then apt-get -c FILE.
apt_conf=$work/apt/apt.conf
private_apt() {
	local uri release key main='' mainkey='' r dir=$work/apt
	command -v apt-get > /dev/null || die "no apt-get here: set LINUX to a 7.3 tree and install: $packages_build" 3
	if [ -z "$(own_mirrors)" ]; then
		[ "$(id -u)" != 0 ] || apt-get -q update > /dev/null || true
	fi
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	: > "$dir/sources.list"
	while IFS='|' read -r uri release key; do
		[ -n "$uri" ] || continue
		case $key in *[!A-Za-z0-9/._-]* | '') key=/usr/share/keyrings/debian-archive-keyring.gpg ;; esac
		printf 'deb [signed-by=%s] %s %s main\n' "$key" "$uri" "$release" >> "$dir/sources.list"
		case $release in *-*) ;; *) main=$uri mainkey=$key ;; esac
	done < <(own_mirrors)
	[ -n "$main" ] || die "apt knows no Debian mirror here; set LINUX to a 7.3 tree" 3
	for r; do
		printf 'deb [signed-by=%s] %s %s main\n' "$mainkey" "$main" "$r" >> "$dir/sources.list"
	done
	cat > "$apt_conf" <<-CONF
	Dir::Etc::sourcelist "$dir/sources.list";
	Dir::Etc::sourceparts "-";
	Dir::State::lists "$dir/lists";
	Dir::Cache::pkgcache "";
	Dir::Cache::srcpkgcache "";
	APT::Sandbox::User "root";
	Acquire::Languages "none";
	Acquire::Retries "3";
	CONF
	logged "$work/log/apt-update.log" apt-get -q -c "$apt_conf" update
}

# need GROUP...: install what is missing of packages_GROUP
need() {
	local group list p missing='' late='' release
	for group; do
		list=packages_$group
		for p in ${!list}; do
			case $p in
			busybox-static) busybox > /dev/null && continue ;;
			qemu-system-x86) qemu_fits && continue ;;
			esac
			installed "$p" || missing="$missing $p"
		done
	done
	[ -n "$missing" ] || return 0
	as_root "$missing"
	say "installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC1091
	release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# The igb device came with QEMU 8.0; bookworm itself has 7.2. What comes
	# from backports comes last: it may take newer libraries with it.
	for p in qemu-system-x86 qemu-system-arm; do
		case "$release$missing " in
		*bookworm*" $p "*) late="$late $p" missing=${missing/ $p/} ;;
		esac
	done
	if [ -n "${missing// /}" ]; then
		logged "$work/log/apt-update.log" apt-get -q update || note "apt-get update failed, going on"
		# shellcheck disable=SC2086
		if ! apt-get -q -y --no-install-recommends install $missing > "$work/log/apt-install.log" 2>&1 < /dev/null; then
			# beside libraries from backports only backports fit
			[ "$release" = bookworm ] || { tail -n 20 "$work/log/apt-install.log" >&2; die "apt-get failed" 3; }
			late="$missing $late"
		fi
	fi
	[ -n "$late" ] || return 0
	private_apt "$release-backports"
	# shellcheck disable=SC2086
	logged "$work/log/apt-install-late.log" apt-get -q -y -c "$apt_conf" \
		--no-install-recommends -t "$release-backports" install $late
}

busybox() {
	local b
	for b in /bin/busybox /usr/bin/busybox; do
		[ -x $b ] || continue
		case $(head -c 4096 $b | tr -d '\0') in *ld-linux*) continue ;; esac
		echo $b
		return 0
	done
	return 1
}

# foreign_package ARCH PACKAGE DIR: unpack a package of another architecture there;
# nothing of it is installed.
foreign_package() {
	local dir=$work/apt/$1
	private_apt
	mkdir -p "$dir/lists/partial" "$dir/deb"
	sed "s,\"$work/apt/lists\",\"$dir/lists\"," "$apt_conf" > "$dir/apt.conf"
	cat >> "$dir/apt.conf" <<-CONF
	Dir::State::status "$dir/status";
	APT::Architecture "$1";
	APT::Architectures { "$1"; };
	CONF
	: > "$dir/status"
	rm -f "$dir/deb/$2"_*
	logged "$work/log/apt-$1.log" apt-get -q -c "$dir/apt.conf" update
	(cd "$dir/deb" && logged "$work/log/apt-$1.log" apt-get -q -c "$dir/apt.conf" download "$2")
	rm -rf "$3" "$3.new"
	dpkg-deb -x "$dir/deb/$2"_*.deb "$3.new"
	mv "$3.new" "$3"
}

# busybox_of ARCH: the static busybox of x86_64 or another architecture
busybox_of() {
	local dir=$work/busybox-$1
	[ "$1" != x86_64 ] || { busybox; return; }
	[ -d "$dir" ] || foreign_package "$1" busybox-static "$dir" > /dev/null
	find "$dir" -name busybox -type f -perm -u+x | head -n 1
}

qemu_fits() {
	command -v qemu-system-x86_64 > /dev/null &&
		qemu-system-x86_64 -M none -device help 2> /dev/null | grep -q '"igb"'
}

#
# Source trees
#
# The version of a tree, as in "7.3.4".
tree_version() {
	sed -nE '1,6s/^(VERSION|PATCHLEVEL|SUBLEVEL) = //p' "$1/Makefile" | paste -sd .
}

# What the base tree was made from; absent while it is not complete.
base_id() { cat "$base.done"; }
need_base() { "$here/base" --quiet "$@"; }

# A commit-independent digest of patches/ and series.
patches_digest() {
	(cd "$top" && {
		[ ! -e series ] || cat series
		for p in patches/*.patch; do [ ! -e "$p" ] || { echo "$p"; cat "$p"; }; done
	}) | sha256sum | cut -d' ' -f1
}

# Names in the series file, in order.
series_names() { [ ! -e "$top/series" ] || sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$top/series"; }

git_series() { git "${git_fixed[@]}" -C "$series_tree" "$@"; }

# overlay SRC COMMIT [SERIES-TREE]: make SRC the base with the files of COMMIT
# over it. SRC starts as links to the base, so files are replaced, never written.
# Files that do not change keep their time: builds stay incremental.
overlay() {
	local src=$1 commit=$2 tree=${3:-$series_tree} tmp f old
	if [ ! -e "$src.base" ] || [ "$(cat "$src.base")" != "$(base_id)" ]; then
		rm -rf "$src" "$src.new" "$src.overlay" "$src.base"
		mkdir -p "$(dirname "$src")"
		cp -al "$base" "$src.new" 2> /dev/null || { rm -rf "$src.new"; cp -a "$base" "$src.new"; }
		mv "$src.new" "$src"
		: > "$src.overlay"
		base_id > "$src.base"
	fi
	tmp=$(mktemp -d "$work/tmp.XXXXXX")
	git -c tar.umask=0022 -C "$tree" archive "$commit" | tar -x -C "$tmp"
	(cd "$tmp" && find . -type f -printf '%P\n' | sort) > "$tmp.list"
	sort -u "$src.overlay" "$tmp.list" > "$tmp.both" # survives an interruption
	mv "$tmp.both" "$src.overlay"
	while read -r f; do
		put_file "$tmp/$f" "$src/$f"
	done < "$tmp.list"
	comm -23 "$src.overlay" "$tmp.list" > "$tmp.gone"
	while read -r old; do
		if [ -e "$base/$old" ]; then
			put_file "$base/$old" "$src/$old"
		else
			rm -f "$src/$old"
			rmdir -p --ignore-fail-on-non-empty "$src/$(dirname "$old")" 2> /dev/null || true
		fi
	done < "$tmp.gone"
	mv "$tmp.list" "$src.overlay"
	rm -rf "$tmp" "$tmp.gone"
}

# put_file FROM TO: make TO a file of its own with FROM's content, if it differs.
put_file() {
	cmp -s "$1" "$2" && [ "$(stat -c %a "$1")" = "$(stat -c %a "$2")" ] && return 0
	mkdir -p "$(dirname "$2")"
	cp "$1" "$2.new~"
	chmod --reference="$1" "$2.new~"
	mv -f "$2.new~" "$2"
}

#
# Kernel builds
#
# The machine that the kernels of x86_64 are for
x86_config=("$here/config/base" "$here/config/x86")
plain_config=("${x86_config[@]}" "$here/config/plain" "$here/config/ia32")

# for_config CONFIG: sets arch, how to call make (kmake_args), the files of the
# configuration (fragments), and the image, which is also the name of its target.
for_config() {
	arch=x86_64 kmake_args='' image=arch/x86/boot/bzImage
	fragments=("${x86_config[@]}" "$here/config/$1")
	case $1 in
	plain | mod) fragments=("${plain_config[@]}") ;;
	san | memcg | gcov | kcsan) ;;
	builtin) fragments=("$here/config/builtin") ;;
	arm64 | arm64-64k)
		arch=arm64 kmake_args='ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-' image=arch/arm64/boot/Image
		fragments=("$here/config/base" "$here/config/plain" "$here/config/virt" "$here/config/virt-arm64"
			   "$here/config/$([ "$1" = arm64 ] && echo pages-4k || echo pages-64k)") ;;
	*) die "no configuration $1" 2 ;;
	esac
}

# kmake SRC OUT ARGUMENTS...: make with all that our builds have in common
kmake() {
	local src=$1 out=$2 cc=() cross='' word
	shift 2
	for word; do
		case $word in CROSS_COMPILE=*) cross=${word#*=} ;; esac
	done
	case " $* " in
	*" CC="* | *" LLVM="*) ;;
	*) ! command -v ccache > /dev/null || cc=("CC=ccache ${cross}gcc") ;;
	esac
	CCACHE_DIR=${CCACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-$work}/.cache}/uiommu-ccache} CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1 \
	CCACHE_DEPEND=1 CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-3G} \
		make --no-print-directory -C "$src" O="$out" -j"$jobs" ARCH=x86_64 \
		KBUILD_BUILD_TIMESTAMP=@0 KBUILD_BUILD_USER=series KBUILD_BUILD_HOST=series \
		"${cc[@]}" "$@"
}

# our_symbols SRC y|m: the symbols of our Kconfig files, all switched on
our_symbols() {
	find "$1/drivers/vfio/uiommu" -name Kconfig 2> /dev/null | sort | xargs -r awk -v want="$2" '
		$1 == "config" || $1 == "menuconfig" { sym = $2 }
		sym && $1 ~ /^(bool|tristate|def_bool|def_tristate)$/ {
			print "CONFIG_" sym "=" ($1 ~ /tristate/ ? want : "y"); sym = ""
		}'
}

# configure SRC OUT y|m|n FRAGMENT...: allnoconfig + fragments + our symbols,
# written only when it would differ. Extra make arguments in $kmake_args.
configure() {
	local src=$1 out=$2 ours=$3
	shift 3
	mkdir -p "$out"
	{
		cat "$@"
		[ "$ours" = n ] || our_symbols "$src" "$ours"
	} > "$out/.fragment.new"
	if [ -e "$out/.config" ] && cmp -s "$out/.fragment" "$out/.fragment.new" &&
	   [ -z "$(find "$src/drivers/vfio" -name Kconfig -newer "$out/.fragment")" ]; then
		return 0
	fi
	mv "$out/.fragment.new" "$out/.fragment"
	cp -p "$out/.config" "$out/.config.before" 2> /dev/null || true
	# shellcheck disable=SC2086
	kmake "$src" "$out" ${kmake_args:-} KCONFIG_ALLCONFIG="$out/.fragment" allnoconfig
	# an unchanged configuration keeps its time, so that nothing is rebuilt
	if cmp -s "$out/.config" "$out/.config.before"; then
		mv "$out/.config.before" "$out/.config"
	fi
	rm -f "$out/.config.before"
}

# clone_build FROM TO: a copy of a build folder that make takes for finished: only
# what depends on options that differ is built again. Without the kernel's images.
clone_build() {
	rm -rf "$2" "$2.new"
	mkdir -p "$(dirname "$2")"
	cp -a "$1" "$2.new" # with times to the nanosecond
	(cd "$2.new" && rm -rf vmlinux vmlinux.unstripped .tmp_vmlinux* arch/x86/boot/*bzImage modules)
	# the build of objtool writes down where it is
	find "$2.new/tools" -name '.*.cmd' -exec sed -i "s,$1/,$2/,g" {} +
	mv "$2.new" "$2"
}

# config_holds OUT: complain about each line of the fragment that was not taken.
config_holds() {
	local line bad=0
	while read -r line; do
		case $line in
		CONFIG_*=n) ! grep -q "^${line%n}" "$1/.config" || { note "not off: ${line%=n}"; bad=1; } ;;
		CONFIG_*) grep -qxF "$line" "$1/.config" || { note "not taken: $line"; bad=1; } ;;
		esac
	done < "$1/.fragment"
	return $bad
}

# Lines of a build log that are warnings or errors, and about what the series
# adds; from the linker, modpost and objtool all of them. Succeeds if there are.
our_messages() {
	grep -aE '([Ww]arning|[Ee]rror|note): |WARNING|ERROR|undefined reference|multiple definition' "$1" |
		grep -aE 'uiommu|modpost|objtool|multiple definition' | grep -avE '^  (CC|LD|AR|CALL|HDRTEST|CHECK)'
}
