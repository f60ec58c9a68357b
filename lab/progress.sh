# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: GPL-2.0
# Sourced by scripts that run a list of steps: says which step of how many runs, what
# it is and how long it usually takes; what the step itself prints goes to a log.
#
#   step_count=7
#   step NAME "what it is" "3 min" command [argument]...
#
# step returns the command's status. After a failure it has printed the end of the log
# and where the whole of it is; $step_log is that file either way.

step_number=0
step_logs=$lab/out/log
mkdir -p "$step_logs"

step()
{
	local name=$1 what=$2 usually=$3 start=$SECONDS status=0
	shift 3
	step_number=$((step_number + 1))
	step_log=$step_logs/$name.log
	printf '[%d/%d] %s (usually %s) ... ' "$step_number" "$step_count" "$what" "$usually"
	"$@" </dev/null >"$step_log" 2>&1 || status=$?
	if [ "$status" -eq 0 ]; then
		printf 'ok, %d s\n' $((SECONDS - start))
		return 0
	fi
	printf 'FAILED, %d s\n' $((SECONDS - start))
	tail -n 40 "$step_log" | sed 's/^/    /'
	printf '    the whole log: %s\n' "$step_log"
	return "$status"
}
