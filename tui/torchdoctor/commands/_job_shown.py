"""The newest view of a run as a command reads it, again and again."""

from __future__ import annotations

from collections.abc import Callable

from torchprobes.distributed import JobView
from torchprobes.jobs.looking import Looking
from torchprobes.jobs.nodes import merged_view
from torchprobes.rundir import RunDir


def shown(run: RunDir) -> Callable[[], JobView | None]:
    """What reads the newest view of a run; its watchers are told, again and again, that somebody looks."""
    looking = Looking(str(run.path))

    def read() -> JobView | None:
        looking.keep_up()
        return merged_view(run)

    return read
