"""What processes cost that have nothing to do: `idle.py SECONDS PROCESS..` prints the share of a processor that each takes."""

import json
import os
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(process: int) -> float:
    """Processor time so far, in user mode and in the kernel (proc(5))."""
    with open(f"/proc/{process}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def switches(process: int) -> int:
    """How often its threads went to sleep or lost the processor."""
    total = 0
    for thread in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{thread}/status", encoding="ascii") as status:
            total += sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)
    return total


def main() -> None:
    seconds = float(sys.argv[1])
    processes = [int(process) for process in sys.argv[2:]]
    before = [(cpu_seconds(process), switches(process)) for process in processes]
    time.sleep(seconds)
    nodes = []
    for process, (cpu, count) in zip(processes, before, strict=True):
        nodes.append(
            {
                "cpu_percent": round(100 * (cpu_seconds(process) - cpu) / seconds, 3),
                "switches_per_s": round((switches(process) - count) / seconds, 1),
            }
        )
    json.dump({"seconds": seconds, "nodes": nodes}, sys.stdout, indent=2)
    print()


main()
