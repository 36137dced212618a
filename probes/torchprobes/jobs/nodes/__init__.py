"""A job on more than one machine: every node is asked at once, and one view is made of what they say.

Nothing here starts anything on a node by itself: a person's own prefix (`srun --overlap`, `ssh`, `kubectl exec`)
does, and what it runs there is passive.
"""

from .asking import Via, ViaError
from .fan_out import AT_ONCE, DEADLINE_S, ask_nodes
from .merged import judged_view, merged_view, newest_evidence, same_clock

__all__ = [
    "AT_ONCE", "DEADLINE_S", "Via", "ViaError", "ask_nodes", "judged_view", "merged_view", "newest_evidence",
    "same_clock",
]  # fmt: skip
