"""What the tests of the screen share."""

from __future__ import annotations

from fixed_catalogue import fixed_catalogue
from log_bench import bench

__all__ = ["bench", "fixed_catalogue"]
