# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: GPL-2.0
# Sourced by the lab's scripts: where the repository and the cache are, which
# kernel release is the base, and what a cross build needs to be told.
#
#   CMEM_CACHE   moves the cache (sources, builds, ccache, logs) elsewhere
#   CMEM_BASE    another one of the kernels in lab/kernel/releases than the main one
#   CMEM_TREE    a source that is to stand for that kernel: lab/series/check-tree makes it

lab=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$lab")
cache=${CMEM_CACHE:-${XDG_CACHE_HOME:-~/.cache}/ti-cmem}
main=$(awk '$2 == "package" { print $1; exit }' "$lab/kernel/releases")
base=${CMEM_BASE:-$main}

# A make that runs us must not steer the makes that we run.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL GNUMAKEFLAGS LLVM KBUILD_OUTPUT

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# The Debian version of the base's source package names everything made of it.
source_version()
{
	if [ -n "${CMEM_TREE:-}" ]; then
		basename "$CMEM_TREE"
		return
	fi
	case $(awk -v base="$base" '$1 == base { print $2 }' "$lab/kernel/releases") in
	'')	die "CMEM_BASE=$base: lab/kernel/releases names the kernels that there are" ;;
	-)	die "Debian has no source of $base: it can't be built here; make check-tree takes a tree" ;;
	package) dpkg-query -W -f '${Version}' "linux-source-$base" 2>/dev/null ||
			die "linux-source-$base is not installed: run lab/setup" ;;
	*)	"$lab/kernel/fetch" "$base" ;;
	esac
}

# The directory for what is made for one use, $1 (arm64, kunit, rootfs, ...): its
# patched kernel tree, and beside that what is built of it. So no use waits for
# another's build, and the way from one to the other is the same for every version,
# which ccache likes.
work_dir()
{
	local version
	version=$(source_version) || return
	echo "$cache/kernel/$version/$1"
}

# make variables for ARCH=$1. Debian's python3, because kernel scripts want its
# python3-* modules and PATH may name another one; a fixed build identity,
# because a changing one would defeat ccache.
make_arguments()
{
	local cross
	case $1 in
	arm64)	cross=aarch64-linux-gnu- ;;
	arm)	cross=arm-linux-gnueabihf- ;;
	x86_64)	cross=x86_64-linux-gnu- ;;
	i386)	cross=i686-linux-gnu- ;;	# for programs, beside an x86_64 kernel
	*)	die "no cross compiler known for ARCH=$1: arm64, arm, x86_64 or i386" ;;
	esac
	printf '%s\n' ARCH="$1" CROSS_COMPILE="$cross" CC="ccache ${cross}gcc" \
		HOSTCC="ccache gcc" PYTHON3=/usr/bin/python3 \
		KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=cmem KBUILD_BUILD_VERSION=1 \
		KBUILD_BUILD_TIMESTAMP="2025-01-01 00:00:00 UTC"
}

# What lab/boot has to be told of the selftests on the kernel $1, an argument a line
boot_arguments()
{
	case $1 in
	# CMA areas are multiples of 512 MiB then, so that there is room for the global one alone.
	*-64k)	printf '%s\n' --variant "$lab/bench/no-pool.dtso" --plain ;;
	esac
}

# Paths below the cache are hashed as relative ones, so that a cache that moved
# still hits; without debug information the working directory does not matter. The
# compiler's own list of headers spares the preprocessor a run (CCACHE_DEPEND).
export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$cache CCACHE_NOHASHDIR=1 \
	CCACHE_DEPEND=1 CCACHE_MAXSIZE=4G
export LC_ALL=C.UTF-8
