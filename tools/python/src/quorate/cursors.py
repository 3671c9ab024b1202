"""Named cursors: places in the log that the cluster keeps for consumers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType

from . import wire
from .errors import NAME_UNKNOWN, Refused
from .leader import Leader


class Cursors:
    """The cursors of a cluster, as its leader knows them.

    - `nodes`: addresses of nodes, `host:port`; one is enough, it names the others.
    - `patience`: seconds without any answer after which a call raises `Unreachable`.
    """

    def __init__(
        self,
        nodes: str | Iterable[str],
        *,
        cluster: str | None = None,
        patience: float = 30.0,
        timeout: float = 2.0,
    ) -> None:
        self._leader = Leader(nodes, cluster, patience, timeout)

    def __enter__(self) -> Cursors:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def set(self, name: str, offset: int, *, reset: bool = False) -> None:
        """Moves a cursor on, or anywhere if `reset`. On return a quorum of disks has it. Raises `Refused` if it would move back."""
        self._command(wire.set_cursor(name, offset, reset=reset))

    def delete(self, name: str) -> bool:
        """Forgets a cursor. Says whether there was one; after a lost answer, it may be gone already."""
        return self._command(wire.delete_cursor(name)) == 1

    def get(self, name: str) -> int | None:
        """Where a cursor stands; `None` if there is none of this name."""
        try:
            [found], _ = wire.read_cursors(self._leader.ask(wire.CURSORS, wire.cursor_named(name)))
        except Refused as refused:
            if refused.code == NAME_UNKNOWN:
                return None
            raise
        return found.offset

    def __iter__(self) -> Iterator[wire.Cursor]:
        """All cursors, by name."""
        last: str | None = None
        more = True
        while more:
            found, more = wire.read_cursors(self._leader.ask(wire.CURSORS, wire.cursors_after(last)))
            yield from found
            last = found[-1].name if found else None

    def close(self) -> None:
        """Ends the connection."""
        self._leader.close()

    def _command(self, command: bytes) -> int:
        return wire.read_command_reply(self._leader.ask(wire.COMMAND, b"", command))
