"""InfiniBand and RoCE ports. Their counters are asked of the card's firmware: each card is a reading of its own."""

from __future__ import annotations

import os
import time
from typing import Any, Final

from ...cells import Absent, Cell, CellState
from ...samples import PortSample
from .errands import Errands, Reading
from .files import Roots, cell, names, number, words
from .rates import Rate

PACE_S: Final = 5.0
LIST_PACE_S: Final = 30.0
MAX_CARDS: Final = 64
MAX_PORTS: Final = 8

WORD_BYTES: Final = 4
"""PortRcvData and PortXmitData count words of four bytes (IBTA, 16.1.3.5)."""

TRAFFIC: Final = {
    "rx_bytes_per_s": (("counters/port_rcv_data", WORD_BYTES), ("hw_counters/rx_bytes", 1)),
    "tx_bytes_per_s": (("counters/port_xmit_data", WORD_BYTES), ("hw_counters/tx_bytes", 1)),
}
"""Cell -> its counter and what a count is worth: that of InfiniBand and RoCE, and that of EFA."""

COUNTERS: Final = {"link_downed": "counters/link_downed", "symbol_errors": "counters/symbol_error"}

_FULL: Final = Absent(state=CellState.ERROR, why="the counter is full at 32 bits and counts no more: perfquery -R")


class Card:
    """One card: its ports, read together."""

    def __init__(self, roots: Roots, name: str) -> None:
        self._name = name
        self._folder = f"{roots.sys}/class/infiniband/{name}/ports"
        self._rates: dict[tuple[int, str], Rate] = {}
        self.ports: Reading[tuple[PortSample, ...]] = Reading(self.read, PACE_S)

    def read(self) -> tuple[PortSample, ...]:
        """All its ports."""
        numbers = sorted(int(name) for name in names(self._folder) if name.isascii() and name.isdigit())
        return tuple(self._port(one, f"{self._folder}/{one}") for one in numbers[:MAX_PORTS])

    def rows(self, now: float) -> tuple[PortSample, ...]:
        """Its ports as last read; when it gives no answer, they say so, and one that never answered is one port."""
        why = self.ports.why_not(now)
        known = self.ports.value or ()
        if why is None:
            return known
        silent = dict.fromkeys(_CELLS, why)
        numbers = [port.port for port in known] or [1]
        return tuple(PortSample(device=self._name, port=one, **silent) for one in numbers)

    def _port(self, port: int, at: str) -> PortSample:
        now = time.monotonic()
        cells: dict[str, Any] = {
            "state": cell(lambda: _word(f"{at}/state")),
            "physical_state": cell(lambda: _word(f"{at}/phys_state")),
            "link_layer": cell(lambda: words(f"{at}/link_layer")),
            "rate_gbits_per_s": cell(lambda: _rate(f"{at}/rate")),
        }
        for name, file in COUNTERS.items():
            cells[name] = cell(lambda file=file: number(f"{at}/{file}"))  # type: ignore[misc]
        for name, ways in TRAFFIC.items():
            file, worth = next(((f, w) for f, w in ways if os.path.exists(f"{at}/{f}")), ways[0])
            count = cell(lambda file=file: number(f"{at}/{file}"))  # type: ignore[misc]
            rate = self._rates.setdefault((port, name), Rate(worth))
            cells[name] = _FULL if count == 0xFFFFFFFF else rate.of(count, now)
        return PortSample(device=self._name, port=port, **cells)


_CELLS: Final = tuple(name for name in PortSample.__struct_fields__ if name not in ("device", "port"))


def _word(path: str) -> str:
    """The word after the number: "4: ACTIVE" is active."""
    return words(path).rpartition(":")[2].strip().lower()


def _rate(path: str) -> Cell:
    """The number in "400 Gb/sec (4X NDR)"."""
    said = words(path)
    figure, _, unit = said.partition(" ")
    if not unit.startswith("Gb/sec"):
        raise ValueError(f"{path} says {said[:40]!r} instead of a rate")
    return float(figure)


class Ports:
    """All cards: one that comes is read from then on, one that goes is left out."""

    def __init__(self, roots: Roots, errands: Errands) -> None:
        self._roots = roots
        self._errands = errands
        self._cards: dict[str, Card] = {}
        self.there: Reading[None] = errands.add(Reading(self._look, LIST_PACE_S))

    def rows(self, now: float) -> tuple[PortSample, ...]:
        """The ports of all cards."""
        return tuple(row for card in self._cards.values() for row in card.rows(now))

    def _look(self) -> None:
        """Which cards there are. They are read next, so that a single look waits for them too."""
        before = self._cards
        there = names(f"{self._roots.sys}/class/infiniband")[:MAX_CARDS]
        self._cards = now = {name: before.get(name) or Card(self._roots, name) for name in there}
        for name in now.keys() - before.keys():
            self._errands.add(now[name].ports)
        for name in before.keys() - now.keys():
            self._errands.drop(before[name].ports)
