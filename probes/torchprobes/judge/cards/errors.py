"""Cards of errors that are pasted into `explain -`."""

from __future__ import annotations

from .base import Card

CARDS: tuple[Card, ...] = ()
