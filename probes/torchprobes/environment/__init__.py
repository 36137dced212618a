"""What needs no torch: the machine, its interpreters, places and limits.

The inspector child imports this package without site-packages, so nothing but the standard library is imported here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..model import Inventory, Machine, Target
    from ..samples import Sample


def describe_machine(deadline_s: float) -> Machine:
    """What identifies this node, read in a killable child; what could not be read in time is empty or 0."""
    from .machine import describe  # deferred: it needs msgspec, which the child does not have

    return describe(deadline_s)


def describe_node(target: Target | None, deadline_s: float) -> Machine:
    """The machine with its inventory: what a report keeps of a node and its target."""
    from .machine import describe_with_inventory

    return describe_with_inventory(target, deadline_s)


def take_inventory(target: Target | None, deadline_s: float) -> Inventory:
    """What this node and the target are made of, read passively in a killable child; raw: variables may hold secrets.

    What gave no answer within the deadline is `unread`, with its reason.
    """
    from .taking import take

    return take(target, deadline_s)


def sampled_inventory(sample: Sample) -> Inventory:
    """What a sample says of the same: the settings of GPUs, driver, links and ports."""
    from .sampled import inventory

    return inventory(sample)
