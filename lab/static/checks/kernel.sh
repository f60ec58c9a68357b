# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Sourced by lab/static/check: the checks with the kernel's own tools of how the series
# fits into it: its defconfigs, its MAINTAINERS, its test of exported headers.

# The defconfigs that Kconfig.fragment is for, each with its architecture; arm64's is always
# looked at, the others with --all. A kernel of
# omap2plus_defconfig runs on ARMv6 as well.
defconfigs="
arm	multi_v7_defconfig
arm	omap2plus_defconfig
arm64	defconfig
"
# shellcheck disable=SC2154
[ "$base" != "$newest" ] || defconfigs+="x86_64	x86_64_defconfig
"

# The fragment on top of a defconfig, as a user merges it: all that it requests arrives,
# and what the series adds builds like that.
check_defconfigs()
{
	local arch defconfig o arguments objects
	set_tree
	while read -r arch defconfig; do
		[ -n "$arch" ] || continue
		whole || [ "$arch" = arm64 ] || continue
		echo "== $arch, $defconfig"
		o=$build/static-$arch-$defconfig
		mkdir -p "$o/merged"
		kmake "$arch" "$defconfig" "$defconfig"
		mapfile -t arguments < <(make_arguments "$arch")
		# Without -m, so that it tells what was requested and did not arrive.
		(cd "$tree" && env "${arguments[@]}" MAKEFLAGS=-s scripts/kconfig/merge_config.sh \
			-O "$o/merged" "$o/.config" "$top/Kconfig.fragment") >"$o/merge.log" 2>&1 ||
			{ cat "$o/merge.log"; return 1; }
		# shellcheck disable=SC2251
		! grep -A2 'not in final .config' "$o/merge.log" || return 1
		merged "$o/merged/.config" || return 1
		cp "$o/merged/.config" "$o/.config"
		objects=$("$lab/series/set-tree" --touched |
			sed -nE "s,^((kernel|mm|arch/$arch)/.*)\.c$,\1.o,p" | wanted "$o/.config")
		# shellcheck disable=SC2086
		kmake "$arch" "$defconfig" $driver/ $objects
	done <<<"$defconfigs"
}

# wanted <.config>: those of the objects on standard input that are not left out of it
wanted()
{
	local object option
	while IFS= read -r object; do
		option=$(sed -nE "s/^obj-\\$\((CONFIG_\w+)\).*\b${object##*/}.*/\1/p" \
			"$tree/${object%/*}/Makefile")
		[ -n "$option" ] && ! grep -qx "$option=y" "$1" || echo "$object"
	done
}

# merged <.config>: every line of Kconfig.fragment that requests something is in it
merged()
{
	local request bad=0
	while IFS= read -r request; do
		grep -qxF "$request" "$1" || { echo "no '$request' in $1"; bad=1; }
	done < <(grep '^CONFIG_' "$top/Kconfig.fragment")
	[ $bad = 0 ]
}

# get_maintainer.pl names our section for each new file.
check_maintainers()
{
	local section path bad=0
	set_tree
	section=$(sed -n '/^#/d; /./{p;q}' "$top/MAINTAINERS.snippet")
	cd "$tree" || return
	# shellcheck disable=SC2016
	while IFS= read -r path; do
		echo "$path: get_maintainer.pl does not name $section"
		bad=1
	done < <(overlay | xargs -d '\n' -P "$(nproc)" -I '{}' sh -c '
		scripts/get_maintainer.pl --nogit --nogit-fallback --subsystem --no-email --no-l \
			-f "$1" | grep -qxF "$2" || echo "$1"' sh '{}' "$section")
	[ $bad = 0 ]
}

# The kernel's own test of exported headers, which compiles each of them alone.
check_headers()
{
	local o=$build/static-arm64-headers request
	set_tree
	mkdir -p "$o"
	printf 'CONFIG_%s=y\n' HEADERS_INSTALL UAPI_HEADER_TEST >"$o/requested"
	KCONFIG_ALLCONFIG=$o/requested kmake arm64 headers allnoconfig
	while IFS= read -r request; do
		grep -qxF "$request" "$o/.config"
	done <"$o/requested"
	rm -f "$o/usr/include/linux/cmem.hdrtest"
	kmake arm64 headers headers
	kmake arm64 headers usr/
	[ -f "$o/usr/include/linux/cmem.hdrtest" ] || {
		echo "UAPI_HEADER_TEST did not look at linux/cmem.h"
		return 1
	}
}
