"""The tables of docs/performance.md out of results: `tables.py perf/results/DATE` prints them in Markdown."""

import json
import sys
from pathlib import Path


def load(prefix: str, name: str):
    """A file of results, or None if it was not measured."""
    path = Path(f"{prefix}-{name}.json")
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def number(value) -> str:
    """With commas, or with digits behind the point where there is little before it."""
    if value is None:
        return "-"
    if isinstance(value, float) and abs(value) < 100:
        return f"{value:.3f}"
    return f"{round(value):,}"


def table(title: str, headings: list[str], rows: list[list[str]]) -> None:
    """Prints it, unless nothing of it was measured."""
    if not rows:
        return
    print(f"\n### {title}\n")
    print("| " + " | ".join(headings) + " |")
    print("|" + " --- |" * len(headings))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def load_row(label: str, run: dict) -> list[str]:
    latency = run["latency_us"]
    return [
        label,
        number(run["events_per_s"]),
        number(run["mb_per_s"]),
        number(latency["p50"]),
        number(latency["p99"]),
        number(latency["p999"]),
        number(latency["p9999"]),
        number(latency["max"]),
        number(run["server_cpu_us_per_event"]),
        number(run["rss_mib"]),
        number(run["host"]["oversleep_us"]["p99"]),
    ]


LOAD = [
    "load", "events/s", "MB/s", "p50 µs", "p99 µs", "p99.9 µs", "p99.99 µs", "max µs", "nodes' CPU µs/event", "MiB a node",
    "host's p99 µs",
]  # fmt: skip


def loads(prefix: str, title: str, names: list[tuple[str, str]]) -> None:
    measured = [(label, load(prefix, name)) for name, label in names]
    table(title, LOAD, [load_row(label, run) for label, run in measured if run])


def first_of(prefix: str, names: list[str]):
    return next((run for name in names if (run := load(prefix, name))), None)


def setting(prefix: str) -> None:
    run = first_of(prefix, ["closed-64-64", "closed-64-256", "closed-1-1024"])
    if run is None:
        return
    machine = run["machine"]
    print(f"**Machine**: {machine['cores']} cores ({machine['processor']}), {machine['memory_mib']:,} MiB, {machine['kernel']}; {run['disk']}.")
    print(f"**Durability**: {run['durability']}. **Program**: {run['version']}. Loads are `quorate bench` with what the first column says;")
    print("64 bytes an event where nothing else is said; figures are medians of the runs.")


def sources(prefix: str) -> None:
    """Which node did what: of the headline loads."""
    rows = []
    for name, label in HEADLINES:
        run = load(prefix, name)
        # Of several runs, the first one's: costs are the kernel's counts, and differ little.
        run = (run or {}).get("runs", [run])[0] or {}
        writes = {one["node"]: one for one in run.get("writes", [])}
        for cost in run.get("costs", []):
            wrote = writes.get(cost["node"], {})
            rows.append([
                label, f"{cost['node']}, {cost['role']}", number(cost["user_us_per_event"]), number(cost["system_us_per_event"]),
                number(cost["voluntary_switches_per_s"]), number(cost["involuntary_switches_per_s"]),
                number(cost["disk_bytes_per_event"]), number(cost["rss_mib"]),
                number(wrote.get("writes_per_s")), number(wrote.get("records_per_write")), number(wrote.get("bytes_per_write")),
            ])  # fmt: skip
    headings = ["load", "node", "user µs/event", "system µs/event", "sleeps/s", "preemptions/s", "bytes to disk an event", "MiB", "writes/s", "records a write", "bytes a write"]
    table("What each node does for it", headings, rows)


def ratios(prefix: str) -> None:
    rows = []
    for name, label in BARE:
        if report := load(prefix, name):
            for figure, ratio in report["ratio"].items():
                interval = ratio["interval"]
                span = f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else "-"
                rows.append([label, figure, number(ratio["bare"]), number(ratio["real"]), f"{ratio['ratio']:.2f}", span])
    table("Against the bare path", ["load", "figure", "bare", "real", "ratio", "95 % of draws"], rows)


def reads(prefix: str) -> None:
    rows = []
    for name, label in [("read", "asked for"), ("read-push", "pushed")]:
        for turn in (1, 2, 3):
            if one := load(prefix, f"{name}-{turn}"):
                p99s = [one[part]["latency_us"]["p99"] for part in ("alone", "beside")]
                figures = [one["tail"]["events_per_s"], one["cold"]["mb_per_s"], one["beside"]["mb_per_s"], *p99s]
                rows.append([label, *map(number, figures), f"{one['beside']['p99_ratio']:.2f}"])
    headings = ["each batch", "events/s at the end", "MB/s from the start", "... under load", "producers' p99 µs alone", "... beside reads", "ratio"]
    table("One consumer, and 70,000 events/s beside it", headings, rows)


def upkeep(prefix: str) -> None:
    rows = []
    for work in ("rolling", "members"):
        for turn in (1, 2, 3):
            if one := load(prefix, f"{work}-{turn}"):
                p99s = [one[part]["latency_us"]["p99"] for part in ("alone", "beside")]
                rows.append([work, f"{one['work_s']:.1f}", *map(number, p99s), f"{one['p99_ratio']:.2f}", f"{one['longest_ms']:.1f}"])
    table("Upkeep under 100,000 events/s", ["work", "s", "p99 µs alone", "... meanwhile", "ratio", "longest ms"], rows)


def sweeps(prefix: str) -> None:
    for name, title in [("sweep-rates", "Open loop, single events of 512 bytes"), ("sweep-windows", "Closed loop, 64 events a request")]:
        sweep = load(prefix, name)
        points = sweep["sweep"] if sweep else []
        label = lambda run: f"{run['rate']:,}/s due" if run["rate"] else f"{run['in_flight']:,} in flight"  # noqa: E731
        table(title, LOAD, [load_row(label(run), run) for run in points])


def idle(prefix: str) -> None:
    measured = load(prefix, "idle")
    rows = [[number(node["cpu_percent"]), number(node["switches_per_s"])] for node in (measured or {}).get("nodes", [])]
    table("Idle nodes", ["% of a core", "sleeps and preemptions/s"], rows)


def outages(prefix: str) -> None:
    rows = []
    for mode in ["kill", "freeze", "cut"]:
        if measured := load(prefix, f"failover-{mode}"):
            figures = [measured[key] for key in ("best_ms", "median_ms", "p99_ms", "worst_ms")]
            rows.append([mode, number(measured["runs"]), *[f"{figure:.1f}" for figure in figures]])
    table("Outages", ["the leader's", "runs", "best ms", "median ms", "p99 ms", "worst ms"], rows)


HEADLINES = [
    ("closed-64-64", "`--batch 64 --in-flight 64`"),
    ("closed-64-256", "`--batch 64 --in-flight 256`"),
    ("closed-1-1024", "`--batch 1 --in-flight 1024`"),
    ("stock-64-64", "`--batch 64 --in-flight 64 --stock 14`"),
    ("stock-64-256", "`--batch 64 --in-flight 256 --stock 14`"),
    ("steady-64-64", "`--batch 64 --in-flight 64 --retain 128 --warm-up 4`"),
    ("steady-64-256", "`--batch 64 --in-flight 256 --retain 128 --warm-up 4`"),
    ("steady-1-1024", "`--batch 1 --in-flight 1024 --retain 128 --warm-up 4`"),
    ("open-70k", "`--rate 70k --batch 1 --event-size 512`"),
    ("steady-open-70k", "`--rate 70k --batch 1 --event-size 512 --retain 128 --warm-up 14`"),
    ("open-5k", "`--rate 5k --batch 1 --event-size 512`"),
    ("stock-open-5k", "`--rate 5k --batch 1 --event-size 512 --stock 2`"),
]
BARE = [
    ("bare-64-64", "64 a request, 64 in flight"),
    ("bare-stock-64-64", "64, 64, on segments that were prepared before"),
    ("bare-steady-64-64", "64, 64, in the place of what was let go"),
    ("bare-steady-64-256", "64, 256, the same"),
    ("bare-steady-1-1024", "1, 1,024, the same"),
]
GROWTH = [
    *[(f"size-{size}", f"`--event-size {size}`") for size in (16, 256, 1024, 4096)],
    *[(f"batch-{batch}", f"`--batch {batch}`") for batch in (4, 16, 256)],
    *[(f"producers-{count}", f"`--producers {count} --in-flight 16`") for count in (4, 16)],
    ("consumers-1", "`--consumers 1`"),
]


def main() -> None:
    prefix = sys.argv[1]
    setting(prefix)
    loads(prefix, "Headline loads", HEADLINES)
    sources(prefix)
    ratios(prefix)
    sweeps(prefix)
    loads(prefix, "How the cost grows (`--batch 64 --in-flight 64` unless said otherwise)", GROWTH)
    reads(prefix)
    upkeep(prefix)
    idle(prefix)
    outages(prefix)


main()
