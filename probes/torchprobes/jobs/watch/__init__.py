"""Watches one job on one node: a process of its own that holds the ranks' ends, follows what they say, and judges.

`attach` starts one beside a job that torchdoctor did not launch; the supervisor starts one beside a job that it did.
Everything that a watcher finds goes into the node's folder of a run directory, and consoles only read that.
"""

from .attached import Attached, attach, start
from .order import Order

__all__ = ["Attached", "Order", "attach", "start"]
