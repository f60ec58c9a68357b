# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Sourced by lab/static/check: the checks that need a kernel prepared for building.
# Only the directories that the series touches are built, never a whole kernel.

architectures="arm64 arm"
[ "$base" != "$main" ] || architectures+=" x86_64"
driver=drivers/misc/cmem

# Each has a build directory of its own, so that going from one to the next, or back to
# an earlier commit, builds only what differs: $build/static-<arch>-<gcc|clang|off>, with
# gcc in the last one, but without the driver.

# kmake <arch> <gcc|clang|off> <make arguments>
kmake()
{
	local arch=$1 variant=$2 arguments
	shift 2
	mapfile -t arguments < <(make_arguments "$arch")
	[ "$variant" != clang ] || arguments+=(LLVM=1 CC="ccache clang")
	make -s -C "$tree" O="$build/static-$arch-$variant" -j"$(nproc)" \
		"${arguments[@]}" "$@"
}

# configure <arch> <gcc|clang|off>: the lab's kernel, with the tests of the driver. A
# warning is no error here, so that all of them are seen.
configure()
{
	local arch=$1 variant=$2 o=$build/static-$1-$2 on=y option options key fragments
	[ "$variant" != off ] || on=n
	options=(WERROR=n KUNIT=y TI_CMEM="$on" TI_CMEM_KUNIT_TEST="$on")
	fragments=("$lab/kernel/configs"/{"base","$arch"}.config)
	[[ $arch != *64 ]] || fragments+=("$lab/kernel/configs/64bit.config")
	# x86_64 is for what is there without a device tree.
	if [ "$arch" != x86_64 ]; then
		options+=(OF_OVERLAY=y)
		fragments+=("$lab/kernel/configs/virt.config")
	fi
	[ ! -f "$lab/kernel/configs/v$base.config" ] ||
		fragments+=("$lab/kernel/configs/v$base.config")
	[[ $arch != *64 ]] || [ ! -f "$lab/kernel/configs/v$base-64bit.config" ] ||
		fragments+=("$lab/kernel/configs/v$base-64bit.config")
	mkdir -p "$o"
	{
		printf 'CONFIG_%s\n' "${options[@]}"
		sed -E "/^(# )?CONFIG_($(IFS='|'; echo "${options[*]%=*}"))[ =]/d" \
			"${fragments[@]}" "$top/Kconfig.fragment"
	} >"$o/requested"
	key=$(cd "$tree" && cat "$o/requested" drivers/misc/Kconfig "arch/$arch/mm/Kconfig" \
		$driver/Kconfig 2>/dev/null | sha256sum) || :
	if [ ! -f "$o/.config" ] || [ "$(cat "$o/configured" 2>/dev/null)" != "$key" ]; then
		rm -f "$o/configured"
		KCONFIG_ALLCONFIG=$o/requested kmake "$arch" "$variant" allnoconfig
	fi
	for option in TI_CMEM TI_CMEM_KUNIT_TEST; do
		if [ $on = y ] && grep -qs "^config $option$" "$tree/$driver/Kconfig" &&
			! grep -q "^CONFIG_$option=y" "$o/.config"; then
			echo "$arch: CONFIG_$option can not be had: its dependencies are not met"
			return 1
		fi
	done
	echo "$key" >"$o/configured"
}

# The directories with code for $1 that the series touches, less those below others, as far
# as the tree has them by now. Not mm, which takes minutes: what the series changes there, the
# defconfigs compile, and the lab's kernels.
code_directories()
{
	local arch=$1 directory
	"$lab/series/set-tree" --touched | sed -nE "/\/boot\/dts\//d
		s,^((drivers|kernel|arch/$arch)/.*/)([^/]*\.[chS]|Makefile|Kconfig)$,\1,p" |
		sort -u | awk '!above || index($0, above) != 1 { print; above = $0 }' |
		while IFS= read -r directory; do
			[ ! -d "$tree/$directory" ] || echo "$directory"
		done
}

# unresolved <arch> <directories>: what their objects need from elsewhere
unresolved()
{
	local o=$build/static-$1-gcc objects
	shift
	objects=$(cd "$o" && find "$@" -name '*.o' ! -name 'built-in*')
	[ -n "$objects" ] || return 0
	(cd "$o" && xargs -d '\n' nm -g <<<"$objects") |
		awk '$1 == "U" { need[$2] } NF == 3 { have[$3] }
		     END { for (s in need) if (!(s in have)) print s }' | sort
}

# Objects that were built at a later state of the tree are not there at an earlier one.
forget_objects()
{
	local path
	"$lab/series/set-tree" --touched | while IFS= read -r path; do
		[ -e "$tree/$path" ] || rm -f "$build"/static-*/"${path%.*}"{,.dtb,.dtbo}.o
	done
}

# Each state between two commits builds, with the option on and off: for arm64, for arm
# where it is about arm, and without the driver where it is about more than the driver, or
# all of it with --all. That it links, too,
# is seen without linking: whatever it needs from outside of the directories that the
# series touches, the whole series needs from there, too, and the lab's kernels link.
check_prefixes()
{
	local count k arch variant directories touched
	# Between two commits, what differs on x86_64 has no device tree: that is seen at
	# the end of the series, by gcc, clang and sparse.
	local architectures=${architectures% x86_64}
	count=$("$lab/series/set-tree" --count)
	local scratch
	scratch=$(mktemp -d "$cache/static/prefixes.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$scratch'" EXIT
	for ((k = 1; k <= count; k++)); do
		set_tree "$k"
		forget_objects
		for arch in $architectures; do
			# The same ones for each state: what one commit needs from a directory
			# that a later one touches is not resolved by that one.
			directories=$(code_directories "$arch")
			[ -n "$directories" ] || continue
			# A commit without code changes nothing of what was built before it.
			touched=$("$lab/series/set-tree" --touched "$k")
			[ $k = "$count" ] ||
				grep -qE '^(drivers|kernel|mm|arch|include)/' <<<"$touched" || continue
			whole || [ $k = "$count" ] || [ "$arch" = arm64 ] ||
				grep -q "^arch/$arch/" <<<"$touched" || continue
			for variant in off gcc; do
				whole || [ $variant = gcc ] || [ $k = "$count" ] || grep -v "^$driver/" <<<"$touched" |
					grep -qE '^(drivers|kernel|mm|arch|include)/' || continue
				echo "== $k of $count commits, $arch, $variant"
				configure "$arch" $variant
				# shellcheck disable=SC2086
				kmake "$arch" $variant $directories
			done
			# shellcheck disable=SC2086
			unresolved "$arch" $directories >"$scratch/$arch-$k"
		done
	done
	for arch in $architectures; do
		for ((k = 1; k < count; k++)); do
			[ -f "$scratch/$arch-$k" ] || continue
			if comm -23 "$scratch/$arch-$k" "$scratch/$arch-$count" | grep .; then
				echo "$arch: needed after $k commits, but only a later one has it"
				return 1
			fi
		done
	done
}

# configured <arch> <compiler> <objects>: those that the configuration has, as far as a line
# of a Makefile with one option tells
configured()
{
	local o=$build/static-$1-$2 object option
	for object in "${@:3}"; do
		option=$(sed -nE "s/^obj-\\$\\((CONFIG_[A-Z0-9_]+)\\).*[ 	]${object##*/}( .*)?$/\1/p" \
			"$tree/${object%/*}/Makefile")
		[ -n "$option" ] && ! grep -q "^$option=" "$o/.config" || echo "$object"
	done
}

# remarks <arch> <compiler> <make arguments>: builds anew the files that the series touches,
# and fails if anything is said of one of them. What make has to say of others does not count,
# nor what it says of a file of the kernel as that was before.
remarks()
{
	local arch=$1 compiler=$2 o=$build/static-$1-$2 touched objects log path line bad=0
	set_tree
	configure "$arch" "$compiler"
	touched=$("$lab/series/set-tree" --touched)
	objects=$(sed -nE "s,^((drivers|kernel|mm|arch/$arch)/.*)\.[cS]$,\1.o,p" <<<"$touched" |
		grep -v "^$driver/" | sort -u)
	# shellcheck disable=SC2086 # names of files
	objects=$(configured "$arch" "$compiler" $objects)
	(cd "$o" && xargs -d '\n' rm -f) <<<"$objects"
	rm -f "$o/$driver"/*.o
	echo "== $arch, $compiler:" "${@:3}"
	log=$o/remarks
	# shellcheck disable=SC2086 # names of files
	kmake "$@" $driver/ $objects >"$log" 2>&1 || { cat "$log"; return 1; }
	while IFS= read -r path; do
		if [[ $path != *.c ]] || [ ! -f "$pristine/$path" ]; then
			continue
		fi
		cp "$pristine/$path" "$tree/${path%.c}-before.c"
		kmake "$@" "${path%.c}-before.o" </dev/null >>"$o/before" 2>&1 || :
		rm -f "$tree/${path%.c}-before.c" "$o/${path%.c}-before.o"
	done < <(grep -F "$touched" "$log" | sed "s,^$tree/,,; s,:.*,," | sort -u)
	while IFS= read -r line; do
		grep -qsF -e ": ${line#*: }" "$o/before" || { echo "$line"; bad=1; }
	done < <(grep -F "$touched" "$log")
	rm -f "$o/before"
	[ $bad = 0 ]
}

# sparse looks at what gcc compiles, in one pass. That nothing is said without W=1 is seen when
# the lab's kernels are built, where a warning is an error.
check_gcc()
{
	local arch
	for arch in $architectures; do
		if whole || [ "$arch" = arm64 ]; then
			remarks "$arch" gcc W=1 C=1
		fi
	done
}

check_clang()
{
	local arch
	for arch in $architectures; do
		if whole || [ "$arch" = arm64 ]; then
			remarks "$arch" clang W=1
		fi
	done
}

check_selftests()
{
	local arch arguments o
	set_tree
	for arch in $architectures; do
		kmake "$arch" gcc headers
		mapfile -t arguments < <(make_arguments "$arch")
		o=$build/static-selftests-$arch
		rm -rf "$o"
		mkdir "$o"
		echo "== $arch"
		# lib.mk names what it compiles even so.
		make -s -C "$tree/tools/testing/selftests/cmem" -j"$(nproc)" OUTPUT="$o" \
			"${arguments[@]}" \
			KHDR_INCLUDES="-isystem $build/static-$arch-gcc/usr/include" >"$o.log" 2>&1 ||
			{ cat "$o.log"; return 1; }
		silent sed '/^  CC  /d' "$o.log"
	done
}

# One script at a time over the driver's directory, as many at once as there are CPUs.
check_coccicheck()
{
	local said
	set_tree
	configure arm64 gcc
	said=$(find "$tree/scripts/coccinelle" -name '*.cocci' | sort |
		xargs -n 1 -P "$(nproc)" "$static/coccicheck" "$tree" "$driver")
	printf '%s' "$said"
	[ -z "$said" ]
}
