"""Two to many reports held against each other: what works where, which figures differ, and what explains it."""

from __future__ import annotations

from .comparing import compared
from .platforms import platforms
from .timeline import timeline

__all__ = ["compared", "platforms", "timeline"]
