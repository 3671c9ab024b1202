#!/usr/bin/env bash
# Everything that docs/performance.md has tables of, measured anew: perf/run.sh [--failover]
# Writes perf/results/DATE-NAME.json for each, and prints the tables. Half an hour; with --failover, 50 outages of each kind more:
# some minutes. Nothing else may run on the machine meanwhile. RUNS=5 takes more runs than 3 of the headline figures, DIR=/mnt/disk
# another disk than that of the temporary directory.
set -euo pipefail
cd "$(dirname "$0")/.."

failover=
case "${1:-}" in
'') ;;
--failover) failover=yes ;;
*) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
esac

runs=${RUNS:-3}
quorate=${QUORATE:-target/release/quorate}
[ -n "${QUORATE:-}" ] || cargo build --release -p quorate -p quorate-bare
results=perf/results/$(date -u +%Y-%m-%d)
mkdir -p perf/results
home=$(mktemp -d "${DIR:-${TMPDIR:-/var/tmp}}/quorate-run.XXXXXX")
trap 'rm -rf "$home"' EXIT
export TMPDIR=$home

# measure NAME COMMAND..: one file of results. What fails is said, and the others are measured all the same.
failed=0
measure() {
    local name=$1
    shift
    # What was written before would be flushed beside it, and a disk may be busy for a while with what was removed.
    sync
    sleep 5
    printf '%s  %s: %s\n' "$(date -u +%T)" "$name" "quorate $*" >&2
    if "$quorate" "$@" --json >"$home/$name.json" 2>"$home/$name.log"; then
        mv "$home/$name.json" "$results-$name.json"
    else
        tail -3 "$home/$name.log" >&2
        failed=1
    fi
}

# The headline loads, closed and open.
measure closed-64-64 bench --runs "$runs" --batch 64 --in-flight 64
measure closed-64-256 bench --runs "$runs" --batch 64 --in-flight 256
measure closed-1-1024 bench --runs "$runs" --batch 1 --in-flight 1024
# The same on segments that were prepared before, as the bare path's file is: 14 of 64 MiB last for so long a run.
measure stock-64-64 bench --runs "$runs" --batch 64 --in-flight 64 --stock 14 --duration 3
measure stock-64-256 bench --runs "$runs" --batch 64 --in-flight 256 --stock 14 --duration 3
# And in the place of what is let go, as in a log that has run for long.
measure steady-64-64 bench --runs "$runs" --batch 64 --in-flight 64 --retain 128 --warm-up 4
measure steady-64-256 bench --runs "$runs" --batch 64 --in-flight 256 --retain 128 --warm-up 4
measure steady-1-1024 bench --runs "$runs" --batch 1 --in-flight 1024 --retain 128 --warm-up 4
measure open-70k bench --runs "$runs" --rate 70k --batch 1 --event-size 512
measure steady-open-70k bench --runs "$runs" --rate 70k --batch 1 --event-size 512 --retain 128 --warm-up 14
measure open-5k bench --runs "$runs" --rate 5k --batch 1 --event-size 512
measure stock-open-5k bench --runs "$runs" --rate 5k --batch 1 --event-size 512 --stock 2

# How far that is from what the machine allows.
measure bare-64-64 bench bare --runs "$runs" --batch 64 --in-flight 64 --duration 3
measure bare-stock-64-64 bench bare --runs "$runs" --batch 64 --in-flight 64 --duration 3 --stock 14
measure bare-steady-64-64 bench bare --runs "$runs" --batch 64 --in-flight 64 --duration 3 --retain 128 --warm-up 4
measure bare-steady-64-256 bench bare --runs "$runs" --batch 64 --in-flight 256 --duration 3 --retain 128 --warm-up 4
measure bare-steady-1-1024 bench bare --runs "$runs" --batch 1 --in-flight 1024 --duration 3 --retain 128 --warm-up 4

# The throughput-latency curves: where the knee is.
measure sweep-rates bench sweep --rates 1k,5k,20k,70k,200k,500k --batch 1 --event-size 512 --duration 3
measure sweep-windows bench sweep --in-flights 1,4,16,64,256,1024 --batch 64 --duration 3

# How the cost grows: with the size of events, events a request, producers, consumers.
for size in 16 256 1024 4096; do
    measure "size-$size" bench --event-size "$size" --batch 64 --in-flight 64 --duration 2
done
for batch in 4 16 256; do
    measure "batch-$batch" bench --batch "$batch" --in-flight 64 --duration 2
done
for producers in 4 16; do
    measure "producers-$producers" bench --producers "$producers" --batch 64 --in-flight 16 --duration 2
done
measure consumers-1 bench --consumers 1 --batch 64 --in-flight 64 --duration 2

# What consumers get, at the end and from the disk, and what that and upkeep cost the producers.
for turn in 1 2 3; do
    measure "read-$turn" bench read --duration 4
    measure "read-push-$turn" bench read --push --duration 4
    measure "rolling-$turn" bench upkeep --work rolling
    measure "members-$turn" bench upkeep --work members
done

# What nodes cost that have nothing to do: processor time of each in ten seconds.
printf '%s  idle\n' "$(date -u +%T)" >&2
"$quorate" cluster up --dir "$home/idle" --ports auto >/dev/null 2>&1
trap '"$quorate" cluster down --dir "$home/idle" >/dev/null 2>&1 || true; rm -rf "$home"' EXIT
sleep 2
python3 perf/idle.py 10 $(pgrep -f -- "node --config $home/idle/") >"$results-idle.json"
"$quorate" cluster down --dir "$home/idle" >/dev/null 2>&1

if [ -n "$failover" ]; then
    for mode in kill freeze cut; do
        measure "failover-$mode" bench failover --mode "$mode" --runs 50
    done
fi

python3 perf/tables.py "$results"
exit "$failed"
