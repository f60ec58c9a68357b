# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Sourced by lab/static/check: the checks of what others read: the binding, the UAPI
# header, comments and patches.

# What the kernel's own check has to say of the binding and its examples
dt_binding_check()
{
	local said=$build/static-dt-binding-check binding=misc/ti,cmem
	set_tree
	configure arm64 gcc
	kmake arm64 gcc dt_binding_check DT_SCHEMA_FILES=$binding.yaml >"$said" 2>&1 ||
		{ cat "$said"; return 1; }
	# It goes over all bindings first: those of others do not count.
	if grep -F "$binding" "$said"; then
		return 1
	fi
	ls "$build/static-arm64-gcc/Documentation/devicetree/bindings/$binding.example.dtb"
}

# Debian's dt-schema is older than make dt_binding_check of the main kernel wants, so
# its parts are called one by one.
check_dt_schema()
{
	[ "$base" = "$main" ] || { dt_binding_check; return; }
	local bindings=Documentation/devicetree/bindings yaml board variant dtb seen=' '
	local dt=$build/static-dt-schema
	yaml=$bindings/misc/ti,cmem.yaml
	set_tree
	rm -rf "$dt"
	mkdir -p "$dt"
	cd "$tree" || return
	echo "== $yaml"
	silent yamllint -f parsable -c $bindings/.yamllint $yaml
	silent dt-doc-validate -u "$tree/$bindings" "$tree/$yaml"
	if ! grep -qF "$(sed -n 's/^M:\s*//p' "$top/MAINTAINERS.snippet")" $yaml; then
		echo "$yaml: its maintainer is not the one of MAINTAINERS.snippet"
		return 1
	fi

	echo "== examples"
	# Next to ours the bindings that its examples use; a lone file would be taken for
	# a processed schema.
	dt-mk-schema -j -o "$dt/schema.json" $yaml $bindings/sram/sram.yaml
	dt-extract-example $yaml >"$dt/example.dts"
	cpp -nostdinc -undef -x assembler-with-cpp -I include "$dt/example.dts" >"$dt/example.i"
	silent dtc -I dts -O dtb -@ -o "$dt/example.dtb" -Wno-avoid_unnecessary_addr_size \
		"$dt/example.i"
	# Where shared-dma-pool has its schema depends on the version of dt-schema.
	dt-validate -m -s "$dt/schema.json" "$dt/example.dtb" >"$dt/log" 2>&1
	silent sed "/failed to match any schema with compatible: \['shared-dma-pool'\]/d" "$dt/log"

	for board in "$lab"/boards/*/board.{dtso,conf} "$lab"/boards/*/*.{dtso,conf}; do
		variant=${board##*/}
		variant=${variant%.*}
		board=$(basename "${board%/*}")
		case $seen in *" $board/$variant "*) continue ;; esac
		[ -f "$lab/boards/$board/board.dtso" ] || continue
		seen+="$board/$variant "
		echo "== $board, $variant"
		if [ "$variant" = board ]; then
			dtb=$("$lab/boards/dtb" "$board")
		else
			dtb=$("$lab/boards/dtb" "$board" "$variant")
		fi
		case $variant in
		bad-cells)	# what is wrong there is not in our nodes
			;;
		bad-*)
			if silent dt-validate -l misc/ti,cmem -s "$dt/schema.json" "$dtb" >/dev/null; then
				echo "the schema finds nothing wrong with it"
				return 1
			fi
			;;
		*)
			silent dt-validate -l misc/ti,cmem -s "$dt/schema.json" "$dtb"
			;;
		esac
	done
}

# The boards that the series adds, by the kernel's own Makefiles, with W=1, and those that
# are overlays applied to the boards that they are for.
check_boards()
{
	# The folders are others in 6.1, and its series is made of the same files.
	[ "$base" = "$main" ] || return 0
	local dt=$build/static-boards arch file path dtb targets o
	set_tree
	rm -rf "$dt"
	mkdir -p "$dt"
	dt-mk-schema -j -o "$dt/schema.json" \
		"$tree"/Documentation/devicetree/bindings/{misc/ti,cmem,sram/sram}.yaml
	for arch in $architectures; do
		case $arch in
		arm)	targets="ti/omap/am57xx-beagle-x15-cmem.dtb ti/omap/am57xx-evm-cmem.dtb
				ti/keystone/keystone-k2hk-evm-cmem.dtb" ;;
		arm64)	targets="ti/k3-am625-sk-cmem.dtb ti/k3-j721e-sk-cmem.dtb" ;;
		*)	continue ;;
		esac
		for file in $(files "arch/$arch/boot/dts" | grep '\.dts[o]*$'); do
			path=$(basename "$file")
			path=${path/%.dtso/.dtbo} path=${path/%.dts/.dtb}
			if ! grep -qE "^(	|dtb-.* )$path( .)?$" "$tree/${file%/*}/Makefile"; then
				echo "$file: make dtbs does not build it"
				return 1
			fi
		done

		o=$build/static-$arch-dtbs
		mkdir -p "$o"
		printf 'CONFIG_%s=y\n' COMPILE_TEST OF_ALL_DTBS >"$o/requested"
		# What is made of dtb files has a rule of its own only if all are asked for.
		[ -f "$o/.config" ] ||
			KCONFIG_ALLCONFIG=$o/requested kmake "$arch" dtbs allnoconfig
		for dtb in $targets; do
			echo "== $arch, $dtb"
			rm -f "$o/arch/$arch/boot/dts/${dtb%/*}"/*-cmem.dtb*
			kmake "$arch" dtbs W=1 "$dtb" >"$o/log" 2>&1 || { cat "$o/log"; return 1; }
			if sed "s,$tree/,,g" "$o/log" | grep cmem; then
				return 1
			fi
			dtb=$o/arch/$arch/boot/dts/$dtb
			fdtget "$dtb" /cmem compatible
			silent dt-validate -l misc/ti,cmem -s "$dt/schema.json" "$dtb"
		done
	done
}

# As usr/include/Makefile does with CONFIG_UAPI_HEADER_TEST, with more warnings; then as
# C++; and the structs have one layout on all architectures.
check_uapi()
{
	local headers target std
	set_tree
	kmake arm64 gcc headers
	headers=$build/static-arm64-gcc/usr/include
	# The headers that it includes itself are the kernel's, and not pedantic.
	local own=$build/static-uapi
	rm -rf "$own"
	mkdir -p "$own/linux"
	cp "$headers/linux/cmem.h" "$own/linux"
	local flags=(-Wall -Wextra -Werror -fsyntax-only -nostdinc -I "$own"
		     -isystem "$headers" -isystem "$tree/usr/dummy-include"
		     -include linux/cmem.h -include linux/cmem.h)
	# Kernel headers end an enum with a comma, which C90 and C++98 do not know: it is
	# pedantry to say so, and only there.
	for std in c90 "c99 -pedantic" "gnu11 -pedantic"; do
		echo "== C: $std"
		# shellcheck disable=SC2086
		silent gcc "${flags[@]}" -x c -std=$std /dev/null
	done
	for std in c++98 "c++11 -pedantic" "gnu++20 -pedantic"; do
		echo "== C++: $std"
		# shellcheck disable=SC2086
		silent g++ "${flags[@]}" -x c++ -std=$std /dev/null
	done
	echo "== headers_check"
	(cd "$tree" && silent perl usr/include/headers_check.pl "$headers" arm64 \
		"$headers/linux/cmem.h")

	for target in aarch64-linux-gnu arm-linux-gnueabihf x86_64-linux-gnu i386-linux-gnu; do
		echo "== layout on $target"
		# A struct is laid out when something uses it.
		{
			echo '#include <linux/cmem.h>'
			sed -nE 's/^struct (cmem_[a-z_]+) \{$/int \1[sizeof(struct \1)];/p' \
				"$headers/linux/cmem.h"
		} | clang --target=$target -nostdinc -I "$headers" -x c -fsyntax-only \
			-Xclang -fdump-record-layouts-simple - >"$build/static-layout.$target"
		grep -c '^Layout' "$build/static-layout.$target"
		cmp "$build/static-layout.$target" "$build/static-layout.aarch64-linux-gnu"
	done
}

check_kernel_doc()
{
	local all options=(-none -Werror)
	set_tree
	mapfile -t all < <(driver_files)
	# Older ones have nothing more to warn of.
	! grep -q Wall "$tree/scripts/kernel-doc" || options+=(-Wall)
	(cd "$tree" && silent scripts/kernel-doc "${options[@]}" "${all[@]}")
}

# What of a patch checkpatch can say anything of
patch_text()
{
	sed -n '/^From [0-9a-f]* /d; /^index /d; s/^@@ .*/@@/; /^[+-]/p; /^Subject/,/^---$/p' "$1"
}

# Which messages do not count, checkpatch-ignore.txt says: types (with commas between
# them), a file or a pattern of files, and the reason.
check_checkpatch()
{
	local scratch said line type path types pattern reason ignored patch bad=0
	set_tree
	scratch=$(mktemp -d "$cache/static/checkpatch.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$scratch'" EXIT
	"$lab/series/generate" "$scratch" >/dev/null
	# For an older kernel, only the patches that are others there.
	if ! whole && [ "$base" != "$main" ]; then
		mkdir "$scratch/main"
		CMEM_BASE='' "$lab/series/generate" "$scratch/main" >/dev/null
		for patch in "$scratch"/*.patch; do
			! cmp -s <(patch_text "$patch") \
				<(patch_text "$scratch/main/${patch##*/}" 2>/dev/null) || rm "$patch"
		done
		rm -r "$scratch/main"
	fi
	cd "$tree" || return
	# A patch that adds a file is all of the file.
	said=$(find "$scratch" -name '*.patch' -print0 | xargs -0 -n 1 -P "$(nproc)" \
		scripts/checkpatch.pl --strict --terse --showfile --show-types --no-summary 2>&1 |
		sort -u) || :
	while IFS= read -r line; do
		[ -n "$line" ] || continue
		path=${line%%:*}
		type=$(sed -nE 's/^[^ ]* (ERROR|WARNING|CHECK):([A-Z0-9_]+): .*/\2/p' <<<"$line")
		ignored=0
		while read -r types pattern reason; do
			# shellcheck disable=SC2053
			if [ -n "$reason" ] && [[ ",$types," == *",$type,"* && $path == $pattern ]]; then
				ignored=1
			fi
		done < <(grep -v '^#' "$static/checkpatch-ignore.txt")
		[ $ignored = 1 ] || { echo "$line"; bad=1; }
	done <<<"$said"
	[ $bad = 0 ]
}
