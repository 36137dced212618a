"""Cards of `compile.toolchain`, breaks, recompiles, cache, workers and debug."""

from __future__ import annotations

from .base import Card

CARDS: tuple[Card, ...] = ()
