"""Which rank failed first, and why: pure rules over what all nodes saw of a job."""

from .judged import Judged, judge

__all__ = ["Judged", "judge"]
