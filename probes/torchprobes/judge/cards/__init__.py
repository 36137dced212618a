"""Every card by its id. A family's cards are a tuple `CARDS` in its own module; adding one is a line there."""

from __future__ import annotations

import difflib

from .accel import CARDS as _ACCEL
from .base import Card
from .baseline import CARDS as _BASELINE
from .compiler import CARDS as _COMPILER
from .compute import CARDS as _COMPUTE
from .cuda import CARDS as _CUDA
from .cudagraph import CARDS as _CUDAGRAPH
from .data import CARDS as _DATA
from .ddp import CARDS as _DDP
from .entry import CARDS as _ENTRY
from .env import CARDS as _ENV
from .errors import CARDS as _ERRORS
from .export import CARDS as _EXPORT
from .graph import CARDS as _GRAPH
from .identity import CARDS as _IDENTITY
from .jobs import CARDS as _JOBS
from .launch import CARDS as _LAUNCH
from .machine import CARDS as _MACHINE
from .mechanisms import CARDS as _MECHANISMS
from .runner import CARDS as _RUNNER
from .system import CARDS as _SYSTEM
from .toolchain import CARDS as _TOOLCHAIN

_STACK = _IDENTITY + _ENV + _CUDA + _ACCEL + _COMPUTE + _LAUNCH
_TORCH = _EXPORT + _COMPILER + _MECHANISMS + _TOOLCHAIN + _ENTRY + _GRAPH + _CUDAGRAPH + _ERRORS
CARDS: tuple[Card, ...] = _STACK + _TORCH + _DDP + _JOBS + _DATA + _SYSTEM + _RUNNER + _MACHINE + _BASELINE

_BY_ID = {card.id: card for card in CARDS}


class UnknownCard(LookupError):
    """An id that no card has; the text says what is near it."""


def card(card_id: str) -> Card:
    """The card of an id, in any case.

    Raises:
        UnknownCard: if there is none.
    """
    found = _BY_ID.get(card_id.strip().upper())
    if found is None:
        near = difflib.get_close_matches(card_id.strip().upper(), _BY_ID, n=1)
        hint = f": did you mean {near[0]}?" if near else ""
        raise UnknownCard(f"there is no card {card_id!r}{hint}")
    return found
