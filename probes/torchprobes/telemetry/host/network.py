"""Network interfaces: state and speed, and bytes a second.

The speed of a link is asked under the kernel's network lock, which a card that does not answer can hold: links and
traffic are two readings, so that the one goes on when the other hangs.
"""

from __future__ import annotations

import os
import time
from typing import Final, NamedTuple

from ...cells import UNREAD, Absent, Cell, CellState
from ...samples import NetworkSample
from .errands import Reading
from .files import Roots, Unexpected, cell, names, text, whole, words
from .rates import Rate

LINKS_PACE_S: Final = 10.0
TRAFFIC_PACE_S: Final = 2.0
MAX_INTERFACES: Final = 32
_SWITCHED_ON: Final = 1
"""IFF_UP (netdevice(7))."""

_NO_SPEED: Final = Absent(state=CellState.NOT_SUPPORTED, why="the interface does not say its speed")


class Link(NamedTuple):
    """State and speed of an interface that is switched on."""

    name: str
    state: Cell
    speed: Cell


def links(roots: Roots) -> list[Link]:
    """The cards and bonds that are switched on; where there is no card, as in most containers, whatever is.

    A node of a cluster has hundreds of virtual interfaces, one a container, whose traffic passes the cards anyhow.
    """
    folder = f"{roots.sys}/class/net"
    there = [name for name in names(folder) if name != "lo" and _is_on(f"{folder}/{name}/flags")]
    real = [name for name in there if any(os.path.exists(f"{folder}/{name}/{mark}") for mark in ("device", "bonding"))]
    return [
        Link(name, cell(lambda at=f"{folder}/{name}/operstate": words(at)), cell(lambda at=name: _speed(folder, at)))  # type: ignore[misc]
        for name in (real or there)[:MAX_INTERFACES]
    ]


def _is_on(path: str) -> bool:
    try:
        return bool(int(words(path), 16) & _SWITCHED_ON)
    except (OSError, ValueError):
        return False


def _speed(folder: str, name: str) -> Cell:
    path = f"{folder}/{name}/speed"
    said = words(path)
    return _NO_SPEED if said in ("-1", "0", "4294967295") else whole(said, path)


class Traffic:
    """Bytes a second of each interface, received and sent."""

    def __init__(self, roots: Roots) -> None:
        self._path = f"{roots.proc}/net/dev"
        self._rates: dict[str, tuple[Rate, Rate]] = {}

    def read(self) -> dict[str, tuple[Cell, Cell]]:
        """From /proc/net/dev: a name, then 8 numbers received, of which bytes is the first, and 8 sent."""
        now = time.monotonic()
        rates, found = {}, {}
        for line in text(self._path).splitlines()[2:]:
            name, _, rest = line.rpartition(":")
            counts = rest.split()
            if len(counts) < 9:
                raise Unexpected(f"{self._path} says {line[:40]!r}")
            pair = rates[name.strip()] = self._rates.get(name.strip()) or (Rate(), Rate())
            received, sent = (whole(counts[column], self._path) for column in (0, 8))
            found[name.strip()] = (pair[0].of(received, now), pair[1].of(sent, now))
        self._rates = rates
        return found


class Network:
    """The interfaces as rows."""

    def __init__(self, roots: Roots) -> None:
        self.links: Reading[list[Link]] = Reading(lambda: links(roots), LINKS_PACE_S)
        self.traffic: Reading[dict[str, tuple[Cell, Cell]]] = Reading(Traffic(roots).read, TRAFFIC_PACE_S)

    def rows(self, now: float) -> tuple[NetworkSample, ...]:
        """What is known of each; when the links give no answer, the interfaces that carry traffic are there still."""
        held_up, silent = self.links.why_not(now), self.traffic.why_not(now)
        bytes_of = self.traffic.value or {}
        known = self.links.value
        if known is None:
            known = [Link(name, UNREAD, UNREAD) for name in bytes_of if name != "lo"][:MAX_INTERFACES]
        rows = []
        for link in known:
            received, sent = bytes_of.get(link.name, (UNREAD, UNREAD))
            rows.append(NetworkSample(
                name=link.name, state=held_up or link.state, speed_mbits_per_s=held_up or link.speed,
                rx_bytes_per_s=silent or received, tx_bytes_per_s=silent or sent,
            ))  # fmt: skip
        return tuple(rows)
