"""What needs no torch: the machine, its interpreters, places and limits.

The inspector child imports this package without site-packages, so nothing but the standard library is imported here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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


def gpu_settings(gpu: dict[str, Any]) -> dict[str, str]:
    """What a report keeps of a GPU (cells of its sample by name), in the words and under the names of an inventory."""
    from .sampled import gpu_settings as settings

    return settings(gpu)


def is_settled(sample: Sample) -> bool:
    """Whether every setting that an inventory tells was read or cannot be, so that none still has its turn to come."""
    from .sampled import settled

    return settled(sample)
