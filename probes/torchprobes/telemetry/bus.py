"""PCI bus ids, which NVML, the kernel's log and /sys each write in their own way."""

from __future__ import annotations

import re
from typing import Final

_BUS_ID: Final = re.compile(r"(?:PCI:)?(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})(?:\.[0-7])?", re.IGNORECASE)


def short_bus_id(text: str) -> str:
    """`00000000:17:00.0`, `PCI:0000:17:00` and `0000:17:00.0` as `0000:17:00`; "" if it is no bus id."""
    found = _BUS_ID.fullmatch(text.strip())
    if found is None:
        return ""
    domain, bus, device = found.groups()
    return f"{int(domain or '0', 16):04x}:{bus}:{device}".lower()
