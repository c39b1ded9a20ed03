#!/bin/sh
# Simulated clusters: seeds of both tiers, the same seed twice, the planted bugs.
set -eu
sim=$top_builddir/tests/sim/holdfast-sim
"$sim" --tier 1 --seeds "${HOLDFAST_SEEDS:-2000}"
"$sim" --tier 2 --seeds "${HOLDFAST_SEEDS:-2000}" --jobs "${HOLDFAST_JOBS:-2}"
traces=$(mktemp -d)
trap 'rm -rf "$traces"' EXIT
for tier in 1 2; do
    for seed in 1 7 99; do
        "$sim" --tier $tier --seed $seed --trace > "$traces/once"
        "$sim" --tier $tier --seed $seed --trace > "$traces/twice"
        cmp "$traces/once" "$traces/twice"
    done
done
# A build that should find bugs and has none of them in the product.
if nm "$top_builddir/libraft.a" "$top_builddir/libnode.a" "$top_builddir/libstorage.a" \
    "$top_builddir/libstatemachine.a" 2>/dev/null | grep mutant; then
    echo "a planted bug is in the product's archives" >&2
    exit 1
fi
"$sim" --mutants --jobs "${HOLDFAST_JOBS:-2}"
