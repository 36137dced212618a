"""What the collecting program is told."""

from __future__ import annotations

from ...distributed import JobIdentity
from ...model import Frozen
from ...samples import Sample


class Order(Frozen, frozen=True, kw_only=True):
    """The arguments of `collect`. `node` is the path of the node's folder in our own run, "" for another's job."""

    job: JobIdentity
    node: str = ""
    deadline_s: float = 2.0
    looks: int = 2
    sample: Sample | None = None
