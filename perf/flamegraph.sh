#!/usr/bin/env bash
# A flame graph of three nodes under load, by node and thread, kernel included: perf/flamegraph.sh [OUT.svg] [ARGUMENT OF `quorate bench`..]
# It needs perf (linux-perf, linux-tools), and leave to use it: root, or kernel.perf_event_paranoid at most 1.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-flamegraph.svg}
shift || true
# How long it samples, in seconds, and how often a second. Both may be said in the environment.
seconds=${SECONDS_SAMPLED:-10}
frequency=${FREQUENCY:-499}
quorate=${QUORATE:-target/release/quorate}

command -v perf >/dev/null || { echo "perf is not there: apt-get install linux-perf (Debian), linux-tools-generic (Ubuntu)" >&2; exit 1; }
perf record -q -o /dev/null -- true 2>/dev/null || {
    echo "perf is not allowed to sample: run this as root, or sysctl -w kernel.perf_event_paranoid=1" >&2
    exit 1
}
[ -x "$quorate" ] || cargo build --release -p quorate
fold=$(cargo build -q -p quorate-bench --example flamegraph --message-format=json |
    sed -n 's/.*"executable":"\([^"]*flamegraph\)".*/\1/p')

work=$(mktemp -d "${TMPDIR:-/var/tmp}/quorate-flamegraph.XXXXXX")
load=
trap '[ -z "$load" ] || kill "$load" 2>/dev/null || true; rm -rf "$work"' EXIT

# The load goes on a little longer than the sampling.
"$quorate" bench --dir "$work/nodes" --warm-up 2 --duration "$((seconds + 3))" "$@" >"$work/report" &
load=$!
nodes() { pgrep -f -- "node --config $work/nodes/" || true; }
until [ "$(nodes | wc -l)" -ge 3 ]; do
    kill -0 "$load" 2>/dev/null || { echo "the load did not start" >&2; exit 1; }
    sleep 0.1
done
sleep 2

stacks=()
samplers=()
for process in $(nodes); do
    name=$(tr '\0' ' ' <"/proc/$process/cmdline" | grep -o 'node-[0-9]*' | head -1)
    perf record -q -F "$frequency" -g --call-graph dwarf,8192 -p "$process" -o "$work/$name.data" -- sleep "$seconds" &
    samplers+=($!)
    stacks+=("$name")
done
wait "${samplers[@]}"
wait "$load"
load=

arguments=()
for name in "${stacks[@]}"; do
    # Inlined functions would take minutes to find.
    perf script --no-inline -i "$work/$name.data" >"$work/$name.stacks" 2>"$work/perf.log"
    arguments+=("$name=$work/$name.stacks")
done
"$fold" "$out" "${arguments[@]}"
cat "$work/report"
echo "wrote $out; perf/README.md says how to read it"
