"""Cards of `env.*` beyond identity."""

from __future__ import annotations

from .base import Card

CARDS: tuple[Card, ...] = ()
