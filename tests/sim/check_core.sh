#!/bin/sh
# The Raft core alone in simulated clusters: seeds, and the same seed twice.
set -eu
sim=$top_builddir/tests/sim/holdfast-sim
seeds=${HOLDFAST_SEEDS:-2000}
"$sim" --tier 1 --seeds "$seeds"
traces=$(mktemp -d)
trap 'rm -rf "$traces"' EXIT
for seed in 1 7 99; do
    "$sim" --tier 1 --seed $seed --trace > "$traces/once"
    "$sim" --tier 1 --seed $seed --trace > "$traces/twice"
    cmp "$traces/once" "$traces/twice"
done
