"""Everything passive that this node can say of a job, collected within a deadline."""

from .apart import collect_in_child
from .collecting import collect
from .together import together

__all__ = ["collect", "collect_in_child", "together"]
