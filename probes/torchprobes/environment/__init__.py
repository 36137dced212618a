"""What needs no torch: the machine, its interpreters, places and limits.

The inspector child imports this package without site-packages, so nothing but the standard library is imported here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..model import Machine


def describe_machine(deadline_s: float) -> Machine:
    """What identifies this node, read in a killable child; what could not be read in time is empty or 0."""
    from .machine import describe  # deferred: it needs msgspec, which the child does not have

    return describe(deadline_s)
