"""Is a process of torch's compiling now, what, and for which line of whose program?

Any process of torch's, with no switch set and whoever started it. Nothing is sent to it and nothing stops it: its stack
is read by py-spy without blocking, where that is allowed; its children, caches and quota are read from /proc.
"""

from .asking import ask
from .verdict import Compiling

__all__ = ["Compiling", "ask"]
