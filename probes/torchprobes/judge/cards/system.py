"""Cards of `system.*`, `serving.*`, and `data.*` beyond the loader."""

from __future__ import annotations

from .base import Card

CARDS: tuple[Card, ...] = ()
