"""What the tests of the screen share."""

from __future__ import annotations

from fixed_catalogue import fixed_catalogue

__all__ = ["fixed_catalogue"]
