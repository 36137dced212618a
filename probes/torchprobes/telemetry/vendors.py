"""The vendors' libraries that this machine has use for."""

from __future__ import annotations

from pathlib import Path

from .nvidia.vendor import Nvidia
from .readings import Vendor


def present(_root: Path = Path("/")) -> tuple[Vendor, ...]:
    """NVIDIA always, so that its absence can be told."""
    return (Nvidia(),)
