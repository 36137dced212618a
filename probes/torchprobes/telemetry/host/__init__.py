"""The host's side of a sample: CPU, memory, pressure, limits, disks, network, control groups, the kernel's set-up.

Everything is read from /proc, /sys, statvfs and getrlimit; a cell that cannot be read says why. See `reader`.
"""

from .errands import HUNG_S
from .files import Roots
from .groups import Group
from .reader import HostReader

__all__ = ["HUNG_S", "Group", "HostReader", "Roots"]
