"""Cards of `cuda.*` and `accel.*`."""

from __future__ import annotations

from .base import Card

CARDS: tuple[Card, ...] = ()
