# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# What the scripts that make packages share; they have read lab/paths.sh.

# quietly <command>: what it says only if it fails
quietly()
{
	local said
	said=$("$@" 2>&1) || { echo "$said"; return 1; }
}

# kernel_tree <directory>: what a kernel tree with the series has for tools/cmem
kernel_tree()
{
	mkdir -p "$1/include/uapi/linux"
	cp "$top/include/uapi/linux/cmem.h" "$1/include/uapi/linux"
	(cd "$top" && git -c safe.directory='*' ls-files -z -co --exclude-standard -- tools/cmem |
		xargs -0 cp --parents -t "$1")
}

# ccache_first <directory>: compilers are found there, so that the second build of a file is none
ccache_first()
{
	local name
	mkdir -p "$1"
	for name in gcc x86_64-linux-gnu-gcc aarch64-linux-gnu-gcc; do
		ln -s "$(command -v ccache)" "$1/$name"
	done
	export PATH=$1:$PATH
}

# deb_build <architecture> <directory>: leaves the packages in <directory>/tools
deb_build()
(
	options=()
	kernel_tree "$2"
	cd "$2/tools/cmem" || return
	if [ "$1" != "$(dpkg --print-architecture)" ]; then
		# Debian's cross compilers have the C library elsewhere than another architecture's.
		export LD_LIBRARY_PATH=/usr/aarch64-linux-gnu/lib DEB_BUILD_OPTIONS=nocheck
		options=(-a"$1" -d)
	fi
	quietly dpkg-buildpackage -b -us -uc "${options[@]}"
)
