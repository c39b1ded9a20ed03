#!/bin/sh
# Simulated clusters: seeds of both tiers, the same seed twice, the planted bugs.
#
# HOLDFAST_SEEDS: how many of each tier; HOLDFAST_JOBS: processes; HOLDFAST_MUTANTS: --all for the
# slow ones, too.
set -eu
sim=$top_builddir/tests/sim/holdfast-sim
slow=no seeds=2000
# Sanitizers are slow; what they should find does not take many seeds.
if nm "$sim" | grep -q -e '__asan_init' -e '__tsan_init' -e '__gcov_'; then
    slow=yes seeds=200
fi
seeds=${HOLDFAST_SEEDS:-$seeds} jobs=${HOLDFAST_JOBS:-2}
"$sim" --tier 1 --seeds "$seeds" --jobs "$jobs"
"$sim" --tier 2 --seeds "$seeds" --jobs "$jobs"

# Seeds that once found something.
for seed in 105 127571 217102; do
    "$sim" --tier 1 --seed $seed > /dev/null
done
for seed in 121 1940 2844 25049 311714; do
    "$sim" --tier 2 --seed $seed > /dev/null
done

traces=$(mktemp -d)
trap 'rm -rf "$traces"' EXIT
for tier in 1 2; do
    for seed in 1 7 99; do
        "$sim" --tier $tier --seed $seed --trace > "$traces/once"
        "$sim" --tier $tier --seed $seed --trace > "$traces/twice"
        cmp "$traces/once" "$traces/twice"
    done
done

# None of the planted bugs is in the product.
if nm "$top_builddir/libraft.a" "$top_builddir/libnode.a" "$top_builddir/libstorage.a" \
    "$top_builddir/libstatemachine.a" 2>/dev/null | grep mutant; then
    echo "a planted bug is in the product's archives" >&2
    exit 1
fi
if [ $slow = no ]; then
    # shellcheck disable=SC2086
    "$sim" --mutants ${HOLDFAST_MUTANTS:-} --jobs "$jobs"
fi
