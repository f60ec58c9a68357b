# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Sourced by lab/static/check: the checks that need no kernel, only the repository.

# absent <extended regular expression> <what is wrong with it> <files>
absent()
{
	local pattern=$1 why=$2
	shift 2
	[ $# -gt 0 ] || return 0
	(cd "$top" && grep -nIE -e "$pattern" -- "$@" /dev/null) || return 0
	echo "^ $why"
	bad=1
}

check_text()
{
	local bad=0 ours all
	mapfile -t ours < <(overlay)
	mapfile -t all < <(files . ':!patches')
	absent '\b(LINUX_VERSION_CODE|KERNEL_VERSION)\b' \
		'the overlay is for one kernel release' "${ours[@]}"
	# Spelt so that this line is no match itself.
	absent '\b(T[O]DO|F[I]XME|X[X]X)\b' 'unfinished' "${ours[@]}"
	absent '(^|[^[:alnum:]_.~}$])/(work|farm|home|root)/' 'a path of one machine' "${all[@]}"
	[ $bad = 0 ]
}

# scripts <interpreters> <suffix>: files with such a #! line or name
scripts()
{
	local f
	files . | while IFS= read -r f; do
		if [[ $f == *.$2 ]] || head -n 1 "$top/$f" | grep -qaE "^#!.*[/ ]($1)( |\$)"; then
			echo "$f"
		fi
	done
}

check_shell()
{
	local all
	mapfile -t all < <(scripts 'bash|sh' sh)
	(cd "$top" && silent shellcheck -x -P SCRIPTDIR -- "${all[@]}")
}

check_python()
{
	local all
	mapfile -t all < <(scripts 'python3' py)
	(cd "$top" && silent pyflakes3 "${all[@]}")
}

check_messages()
{
	"$static/messages"
}

check_properties()
{
	"$static/properties"
}

check_calls()
{
	"$static/calls"
}

# A mistake that changes nothing is found by nobody, and only the hours of check-all tell. A
# reason for what is not there any more tells nobody anything.
check_mistakes()
{
	local list file mistake function line status=0
	for list in lab/mutants/list lab/fuzz/planted; do
		while IFS=$'\t' read -r file mistake; do
			if ! [ -f "$top/$file" ] ||
			   sed -E "$mistake" "$top/$file" | cmp -s "$top/$file" -; then
				echo "$list: nothing in $file that this changes: $mistake"
				status=1
			fi
		done < <(awk -F '\t+' '/^[^#]/ { print $(NF - 1) "\t" $NF }' "$top/$list")
	done
	while IFS=$'\t' read -r file function line _; do
		file=drivers/misc/cmem/$file
		if ! grep -qs "\<${function//\*/}" "$top/$file" ||
		   { [ "$line" != '*' ] && ! grep -qF -e "$line" "$top/$file"; }; then
			echo "lab/fuzz/unreached: not in $file: $function: $line"
			status=1
		fi
	done < <(grep -v '^#' "$top/lab/fuzz/unreached" | grep . | tr -s '\t')
	return $status
}
