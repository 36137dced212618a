"""The host's side of a sample: CPU, memory, pressure, limits, disks, network, control groups, the kernel's set-up.

Everything is read from /proc, /sys, statvfs and getrlimit; a cell that cannot be read says why. See `reader`.
"""

import functools

from ...samples import HostSample
from .errands import HUNG_S
from .files import Roots
from .groups import Group
from .reader import HostReader

__all__ = ["HUNG_S", "Group", "HostReader", "Roots", "read"]


@functools.cache
def _reader() -> HostReader:
    reader = HostReader()
    reader.start()
    return reader


def read() -> HostSample:
    """One reading by a reader of this process: until the sampler has one of its own."""
    return _reader().read()
