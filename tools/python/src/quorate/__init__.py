"""Client of Quorate, a replicated event log.

    with Producer("127.0.0.1:9001") as producer:
        producer.send(Event(b"hello", key=key_of("greetings")))

    for delivered in Consumer("127.0.0.1:9001"):
        print(delivered.offset, delivered.event.payload)
"""

from . import wire
from .consumer import Consumer, Delivered
from .errors import ProtocolError, QuorateError, Refused, Unreachable
from .link import Link, LinkLost
from .producer import Producer, Receipt
from .reading import ANY, LINEARIZABLE, START, TAIL, Consistency, Filter, ReadFrom, at, at_least, since, slot_of
from .wire import Event, Status, key_of

__all__ = [
    "ANY",
    "Consistency",
    "Consumer",
    "Delivered",
    "Event",
    "Filter",
    "LINEARIZABLE",
    "Producer",
    "ProtocolError",
    "QuorateError",
    "ReadFrom",
    "Receipt",
    "Refused",
    "START",
    "Status",
    "TAIL",
    "Unreachable",
    "at",
    "at_least",
    "key_of",
    "since",
    "slot_of",
    "status",
]


def status(address: str, *, timeout: float = 2.0) -> Status:
    """How the node at this address is. Raises `Unreachable` if it does not answer."""
    try:
        with Link(address, None, timeout) as link:
            return wire.read_status(link.ask(wire.STATUS, b"", timeout=timeout))
    except LinkLost as lost:
        raise Unreachable(str(lost)) from lost
