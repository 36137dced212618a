"""How much is masked, and how much of it each form masks when nobody says otherwise."""

from __future__ import annotations

import enum
from typing import Final


class Level(str, enum.Enum):
    """For whom a report is."""

    PUBLIC = "public"
    """For a ticket that strangers read: without secrets, people, hosts, addresses, serials, and paths of homes."""
    INTERNAL = "internal"
    """For colleagues and the vendor's RMA: host, bus id, serial and UUID stay, secrets do not."""
    NONE = "none"
    """As it was read."""


DEFAULTS: Final[dict[str, Level]] = {
    "json": Level.INTERNAL,
    "junit": Level.INTERNAL,
    "text": Level.INTERNAL,
    "markdown": Level.PUBLIC,
    "html": Level.PUBLIC,
    "svg": Level.PUBLIC,
}
"""Every form's own level. `text` is the terminal of who is on the node: the command that mends it must be one that can
be run, which with a masked path it is not."""


def level_for(form: str, wanted: Level | str | None = None) -> Level:
    """The level of a form: the one that was asked for, else its own; a form that nobody knows is for strangers."""
    return Level(wanted) if wanted else DEFAULTS.get(form, Level.PUBLIC)
