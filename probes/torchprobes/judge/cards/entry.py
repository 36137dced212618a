"""Cards of the user's own model."""

from __future__ import annotations

from .base import Card

CARDS: tuple[Card, ...] = ()
