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
arm	keystone_defconfig
arm64	defconfig
"
# shellcheck disable=SC2154
[ "$base" != "$main" ] || defconfigs+="x86_64	x86_64_defconfig
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

# Configurations that nobody thought of, 20 of each architecture or as many as SEEDS says, with
# CMEM in all of them: what the series adds compiles without a word. The seed is the number, so
# that each can be had again.
check_randconfigs()
{
	local arch seed o objects said bad=0
	set_tree
	for arch in $architectures; do
		for ((seed = 1; seed <= ${SEEDS:-20}; seed++)); do
			o=$build/static-$arch-random
			echo "== $arch, KCONFIG_SEED=$seed"
			mkdir -p "$o"
			# What TI_CMEM depends on, and nothing that takes a tool that is not here
			printf 'CONFIG_%s\n' TI_CMEM=y PROC_FS=y MMU=y HAS_IOMEM=y \
				WERROR=n GCC_PLUGINS=n DEBUG_INFO_NONE=y RUST=n MODULE_SIG=n \
				COMPILE_TEST=n KCOV=n CPU_BIG_ENDIAN=n >"$o.requested"
			if [ "$arch" = arm ]; then
				printf 'CONFIG_%s\n' ARCH_MULTIPLATFORM=y ARCH_MULTI_V7=y >>"$o.requested"
			elif [ "$arch" = x86_64 ]; then
				printf 'CONFIG_%s\n' 64BIT=y >>"$o.requested"
			fi
			KCONFIG_SEED=$seed KCONFIG_ALLCONFIG=$o.requested kmake "$arch" random randconfig >"$o.log" 2>&1 ||
				{ cat "$o.log"; return 1; }
			grep -qx CONFIG_TI_CMEM=y "$o/.config" || { echo "CONFIG_TI_CMEM can not be had"; return 1; }
			objects=$("$lab/series/set-tree" --touched |
				sed -nE "s,^((kernel|mm|arch/$arch|drivers/dma-buf)/.*)\.c$,\1.o,p" | wanted "$o/.config")
			# shellcheck disable=SC2086
			kmake "$arch" random $driver/ $objects >"$o.log" 2>&1 || { tail -n 30 "$o.log"; return 1; }
			said=$(grep -F -e "$driver" -e 'cmem' "$o.log" || :)
			[ -z "$said" ] || { echo "$said"; bad=1; }
		done
	done
	[ $bad = 0 ]
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
