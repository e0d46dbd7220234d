# shellcheck shell=bash disable=SC2154
# scripts/demo to its end, and interrupted (test/demo).  Sourced by scripts/test.

run_demo() { side_by_side demo; }

# As the one who called, from a checkout that nobody else may read.
demo() {
	local folder=$workspace/demo start=$SECONDS status=0
	mkdir -p "$folder/runs"
	mkdir -m 700 "$folder/checkout"
	checkout_archive | tar -C "$folder/checkout" --no-same-owner -xf -
	"$source/test/demo/run.py" --checkout "$folder/checkout" --built "$source" --work "$folder/runs" \
		${names[@]+"${names[@]}"} >"$logs/demo.log" 2>&1 || status=$?
	count_truth demo $status $((SECONDS - start))
	grep '^# .*: [0-9]* s$' "$logs/demo.log" >&2 || true
}
