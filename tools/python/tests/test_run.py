"""The whole run: flights are produced while leaders are killed, and read by a group of three processes of which one is killed.

`QUORATE_FLIGHTS=1000000` takes a million of them, and some minutes.
"""

import concurrent.futures
import csv
import gzip
import itertools
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest

import quorate

from cluster import FLIGHTS, TAIL_NUMBER, Cluster

COUNT = int(os.environ.get("QUORATE_FLIGHTS", "20000"))
RATE = 4_000
GROUP = "readers"


class Flights:
    """Lines of the flights' file, over and over, each with its number in front."""

    def __init__(self) -> None:
        with gzip.open(FLIGHTS, "rt") as lines:
            self._rows = list(csv.reader(lines))[1:]

    def take(self, count: int) -> "itertools.islice[quorate.Event]":
        rows = enumerate(itertools.cycle(self._rows))
        every = (
            quorate.Event(f"{nth},{','.join(row)}".encode(), key=quorate.key_of(row[TAIL_NUMBER]), topic="flights")
            for nth, row in rows
        )
        return itertools.islice(every, count)


class Member:
    """A process, and what it wrote."""

    def __init__(self, nodes: list[str], path: pathlib.Path) -> None:
        self._path = path
        program = pathlib.Path(__file__).with_name("member.py")
        source = str(pathlib.Path(quorate.__file__).parents[1])
        environment = os.environ | {"PYTHONPATH": source}
        self._process = subprocess.Popen([sys.executable, str(program), ",".join(nodes), GROUP, str(path)], env=environment)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout=60)

    def wrote(self, what: str) -> list[tuple[int, int, int]]:
        """Of each event: its offset, key and number. A line that was cut by the process's death is left out."""
        lines = self._path.read_text().split("\n")[:-1] if self._path.exists() else []
        cells = [line.split(" ") for line in lines]
        return [(int(offset), int(key), int(number)) for said, offset, key, number in cells if said == what]


class Run(Cluster):
    def test_each_flight_is_read_once_and_in_order_while_leaders_and_a_member_are_killed(self) -> None:
        place = pathlib.Path(self.place.name)
        members = [Member(self.nodes, place / f"member-{nth}") for nth in range(3)]
        for member in members:
            self.addCleanup(member.kill)
        produced = threading.Event()
        with concurrent.futures.ThreadPoolExecutor() as beside:
            killing = beside.submit(self.kill_leaders, produced, members[0])
            try:
                self.produce()
            finally:
                produced.set()
            killing.result()
        self.wait_read(members)
        self.assertEqual([member.stop() for member in members[1:]], [0, 0])
        self.check(members)

    def produce(self) -> None:
        with quorate.Producer(self.nodes, patience=60.0) as producer:
            start = time.monotonic()
            for nth, event in enumerate(Flights().take(COUNT)):
                producer.send(event)
                if nth % 100 == 0:
                    producer.poll()
                    time.sleep(max(0.0, start + nth / RATE - time.monotonic()))

    def kill_leaders(self, produced: threading.Event, victim: Member) -> None:
        for second in itertools.count(1):
            if produced.wait(1.0) and second > 2:
                return
            self.kill_leader()
            self.run_cluster("up")
            if second == 2:
                victim.kill()

    def wait_read(self, members: list[Member]) -> None:
        """Waits until everything is committed, as long as there is progress."""
        before, since = -1, time.monotonic()
        while before < COUNT:
            read = len({offset for member in members for offset, _, _ in member.wrote("given")})
            if read > before:
                before, since = read, time.monotonic()
            self.assertLess(time.monotonic() - since, 60.0, f"{read} of {COUNT} are read, and nothing more comes")
            time.sleep(0.2)

    def check(self, members: list[Member]) -> None:
        done: dict[int, int] = {}
        for member in members:
            latest: dict[int, int] = {}
            for offset, key, number in member.wrote("done"):
                self.assertFalse(offset in done, f"offset {offset} is in the commits of two members, or in two commits")
                self.assertLess(latest.get(key, -1), number, "in order, by key")
                done[offset] = latest[key] = number
            self.assertTrue(latest, "each member has read something")
        for member in members:
            # Who was killed may not have heard that its last commit counts; nor who was told by a leader that was.
            for offset, _, number in member.wrote("given"):
                done.setdefault(offset, number)
        wrong = [offset for offset in range(COUNT) if done.get(offset) != offset]
        self.assertEqual(wrong[:10], [], f"{len(wrong)} offsets have nothing, or another flight than was sent there")
        self.assertEqual(len(done), COUNT, "and nothing more")


if __name__ == "__main__":
    unittest.main()
