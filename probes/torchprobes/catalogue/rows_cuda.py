"""cuda.* and accel.*: driver, toolkits, libraries and devices, and whether a kernel runs on them."""

from __future__ import annotations

from .probe import Probe

PROBES: tuple[Probe, ...] = ()
