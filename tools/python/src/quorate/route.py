"""Which node to turn to next."""

from __future__ import annotations

from collections.abc import Iterable

from .link import Link

_PAUSE_MIN, _PAUSE_MAX = 0.01, 0.2


class Route:
    """The known addresses, and a pause that grows while nothing works."""

    def __init__(self, nodes: str | Iterable[str], cluster: str | None) -> None:
        named = nodes.split(",") if isinstance(nodes, str) else nodes
        self._addresses = [address.strip() for address in named if address.strip()]
        if not self._addresses:
            raise ValueError("no node is named: at least one address, host:port, is needed")
        self._at = 0
        self._of_node: dict[int, str] = {}
        self._attempts = 0
        self.cluster = cluster

    def count(self) -> int:
        """How many addresses are known."""
        return len(self._addresses)

    def dial(self, timeout: float) -> Link:
        """Connects with the node whose turn it is. From the first answer on, only with nodes of the same cluster."""
        link = Link(self._addresses[self._at], self.cluster, timeout)
        self.cluster = link.greeting.cluster
        for node, address in link.greeting.nodes.items():
            if self._of_node.get(node) != address:
                self._of_node[node] = address
                if address not in self._addresses:
                    self._addresses.append(address)
        return link

    def turn_to(self, node: int) -> bool:
        """The next dial goes to this node, if it is known."""
        address = self._of_node.get(node)
        if address is None:
            return False
        self._at = self._addresses.index(address)
        return True

    def turn_away(self) -> None:
        """The next dial goes to another node, if there is one."""
        self._at = (self._at + 1) % len(self._addresses)

    def progress(self) -> None:
        """Something worked: the next trouble starts from the beginning."""
        self._attempts = 0

    def pause(self) -> float:
        """Seconds to wait before the next dial: none for the first round."""
        self._attempts += 1
        rounds = self._attempts - len(self._addresses)
        if rounds <= 0:
            return 0.0
        return min(_PAUSE_MAX, _PAUSE_MIN * float(1 << min(rounds - 1, 10)))
