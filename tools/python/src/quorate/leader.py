"""The way to the leader, for questions that may be asked twice."""

from __future__ import annotations

import time
from collections.abc import Iterable

from . import wire
from .errors import Unreachable
from .link import Link, LinkLost
from .route import Route


class Leader:
    """Whoever leads. Blocking; one question at a time."""

    def __init__(self, nodes: str | Iterable[str], cluster: str | None, patience: float, timeout: float) -> None:
        self._route = Route(nodes, cluster)
        self._link: Link | None = None
        self._patience = patience
        self._timeout = timeout

    def close(self) -> None:
        """Ends the connection."""
        if self._link is not None:
            self._link.close()
        self._link = None

    def ask(self, kind: int, message: bytes, tail: bytes = b"") -> wire.Frame:
        """Asks the leader, until it answers: to do the same twice does no harm."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                if self._link is None:
                    time.sleep(self._route.pause())
                    self._link = self._route.dial(self._timeout)
                    leader = self._link.greeting.leader
                    if leader is not None and leader != self._link.greeting.node and self._route.turn_to(leader):
                        self.close()
                        continue
                frame = self._link.ask(kind, message, tail, timeout=self._timeout)
                self._route.progress()
                return frame
            except LinkLost as lost:
                self.close()
                self._route.turn_away()
                if time.monotonic() >= deadline:
                    raise Unreachable(f"no node answered for {self._patience} s: {lost}") from lost
