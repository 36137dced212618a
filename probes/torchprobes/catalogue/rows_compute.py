"""compute.*: right numbers at the speed that the device is sold for."""

from __future__ import annotations

from .probe import Probe

PROBES: tuple[Probe, ...] = ()
