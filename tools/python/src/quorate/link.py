"""One connection with one node: greeting, frames out, frames in."""

from __future__ import annotations

import select
import socket
import time
from types import TracebackType

from . import wire
from .errors import ProtocolError, Refused, may_retry

_READ_BYTES = 256 << 10


class LinkLost(Exception):
    """The connection is gone; what was not answered may or may not have been done."""


class Link:
    """A greeted connection. Blocking, with a time limit on each wait."""

    def __init__(self, address: str, cluster: str | None, timeout: float) -> None:
        host, _, port = address.rpartition(":")
        self._inbox = bytearray()
        self._correlation = 0
        try:
            self._socket = socket.create_connection((host.strip("[]"), int(port)), timeout)
        except OSError as error:
            raise LinkLost(f"{address}: {error}") from error
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            frame = self.ask(wire.HELLO, wire.hello(cluster), timeout=timeout)
            self.greeting = wire.read_greeting(frame)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Link:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends it."""
        self._socket.close()

    def send(
        self, kind: int, message: bytes, tail: bytes = b"", *, timeout: float, correlation: int | None = None
    ) -> int:
        """Sends a request, under an own correlation or under the given one, and returns that."""
        if correlation is None:
            self._correlation += 1
            correlation = self._correlation
        data = wire.Frame(kind, correlation, message, tail).encode()
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(data)
        except OSError as error:
            raise LinkLost(str(error)) from error
        return correlation

    def receive(self, timeout: float) -> wire.Frame | None:
        """The next frame, or `None` if none comes in time."""
        deadline = time.monotonic() + timeout
        while (frame := self._take()) is None:
            left = max(0.0, deadline - time.monotonic())
            try:
                if not select.select([self._socket], [], [], left)[0]:
                    return None
                data = self._socket.recv(_READ_BYTES)
            except OSError as error:
                raise LinkLost(str(error)) from error
            if not data:
                raise LinkLost("the node closed the connection")
            self._inbox += data
        return frame

    def ask(self, kind: int, message: bytes, tail: bytes = b"", *, timeout: float) -> wire.Frame:
        """Sends a request and waits for its answer. No other request may be open."""
        correlation = self.send(kind, message, tail, timeout=timeout)
        frame = self.receive(timeout)
        if frame is None:
            raise LinkLost("the node does not answer")
        check(frame)
        if frame.kind != kind | 0x80 or frame.correlation != correlation:
            raise ProtocolError(f"a frame of kind {frame.kind:#04x} answers one of kind {kind:#04x}")
        return frame

    def _take(self) -> wire.Frame | None:
        if len(self._inbox) < wire.FRAME_BYTES:
            return None
        size = wire.frame_bytes(bytes(self._inbox[: wire.FRAME_BYTES]))
        if len(self._inbox) < size:
            return None
        frame = wire.parse_frame(bytes(self._inbox[:size]))
        del self._inbox[:size]
        return frame


def check(frame: wire.Frame) -> None:
    """Raises what an Error says: `LinkLost` if the same may succeed later, or elsewhere."""
    if frame.kind != wire.ERROR:
        return
    refusal = wire.read_refusal(frame)
    if may_retry(refusal.code):
        raise LinkLost(refusal.text)
    raise Refused(refusal.code, refusal.text, refusal.expected, refusal.limit)
