"""A live cluster of real processes for a test. `QUORATE` names the command; by default what cargo has built."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[3]
FLIGHTS = ROOT / "tools" / "quorate" / "data" / "flights.csv.gz"
# Its column says which airplane it was.
TAIL_NUMBER = 11


def command() -> str:
    """The `quorate` command."""
    named = os.environ.get("QUORATE")
    built = [ROOT / "target" / profile / "quorate" for profile in ("release", "debug")]
    for path in [pathlib.Path(named)] if named else built:
        if path.is_file():
            return str(path)
    raise unittest.SkipTest("no quorate command: cargo build, or set QUORATE")


class Cluster(unittest.TestCase):
    def setUp(self) -> None:
        self.command = command()
        self.place = tempfile.TemporaryDirectory(prefix="quorate-python-")
        self.addCleanup(self.place.cleanup)
        self.run_cluster("up", "--ports", "auto")
        self.addCleanup(self.run_cluster, "down")
        self.nodes = [node["address"] for node in self.statuses()]

    def run_cluster(self, verb: str, *more: str) -> str:
        arguments = [self.command, "cluster", verb, "--dir", self.place.name + "/c", *more]
        ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
        self.assertEqual(ended.returncode, 0, f"cluster {verb}: {ended.stderr}")
        return ended.stdout

    def statuses(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run_cluster("status", "--json"))
        return found

    def kill_leader(self) -> None:
        leader = next(node for node in self.statuses() if node.get("serves"))
        os.kill(leader["process"], signal.SIGKILL)
