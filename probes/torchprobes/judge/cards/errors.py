"""Cards of errors that are pasted into `explain -`."""

from __future__ import annotations

from . import errors_gpu, errors_python, errors_ranks
from .base import Card

CARDS: tuple[Card, ...] = errors_gpu.CARDS + errors_python.CARDS + errors_ranks.CARDS
