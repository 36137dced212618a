"""A job watched without a screen: where its views come from, and what is told of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click

from torchdoctor.settings import Settings
from torchprobes.distributed import JobView
from torchprobes.jobs.nodes import merged_view
from torchprobes.reports import exit_codes
from torchprobes.reports.text import plain
from torchprobes.rundir import RunDir

from ._job_follow import OVER, Followed, follow
from ._job_pick import Picked
from ._job_shown import shown
from ._job_text import document_of, exit_code, job_lines
from ._output import note, say, say_bytes
from .runs import place_of, terminal_width


@dataclass(frozen=True, slots=True)
class Source:
    """Where the views of a job come from, and whether somebody still writes them."""

    run: RunDir
    watched: Callable[[], bool]


@contextlib.contextmanager
def source_of(settings: Settings, picked: Picked) -> Iterator[Source]:
    """The run directory of a job of ours; of another, that of a watcher which ends when it is left.

    Raises:
        RunError: if a watcher cannot be started.
    """
    if picked.run is not None:
        yield Source(picked.run, lambda: True)
        return
    from torchprobes.jobs.watch import attach

    if picked.job is None:
        raise click.UsageError("no such job")
    attached = attach(place_of(settings), picked.job)
    try:
        yield Source(attached.run, attached.alive)
    finally:
        attached.close()


def once(source: Source, as_json: bool) -> int:
    """The first view that has ranks, or the last one of a job that has ended."""
    followed = follow(lambda: merged_view(source.run), lambda view: _told(view, source), lambda _: None)
    return _deliver(followed, as_json)


def _told(view: JobView | None, source: Source) -> bool:
    return not source.watched() or (view is not None and (bool(view.ranks) or view.state in OVER))


def to_the_end(source: Source, as_json: bool) -> int:
    """A line a change until the job is over."""
    tell = note if as_json else lambda line: say(line + "\n")
    followed = follow(shown(source.run), lambda view: _is_over(view, source), tell)
    if followed.signal is not None:
        note("left; the job goes on")
        return exit_codes.of_signal(followed.signal)
    return _deliver(followed, as_json)


def _is_over(view: JobView | None, source: Source) -> bool:
    return not source.watched() or (view is not None and view.state in OVER)


def _deliver(followed: Followed, as_json: bool) -> int:
    view = followed.view
    if followed.signal is not None:
        return exit_codes.of_signal(followed.signal)
    if view is None:
        note(plain("torchdoctor: nothing was seen of the job: its watcher ended without a view"))
        return exit_codes.INCOMPLETE
    if as_json:
        say_bytes(document_of(view))
    else:
        say("\n".join(job_lines(view, terminal_width())) + "\n")
    return exit_code(view)
