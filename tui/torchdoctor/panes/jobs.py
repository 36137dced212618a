"""The Jobs pane: every distributed job of this node, and of the opened one which rank is guilty, and why."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from torchdoctor import later
from torchdoctor.paint import BLANK, Page, line, text_of
from torchdoctor.widgets.bars import Rows
from torchdoctor.widgets.lines import Lines
from torchprobes.distributed import JOB_OVER

from .base import SnapshotPane, console

if TYPE_CHECKING:
    from torchdoctor.job_source import Jobs, JobSource
    from torchdoctor.sources import Snapshot
    from torchprobes.distributed import JobSummary

TAIL_LINES: Final = 14
TAIL_S: Final = 2.0

_VIEWS: Final = (
    ("v", "evidence", "What the verdict rests on"),
    ("t", "stacks", "Stacks of all ranks, equal ones together"),
    ("u", "sources", "What can be read of each rank, and what would obtain the rest"),
    ("l", "logs", "The logs of all ranks, merged by time"),
)
"""Views of a job: key, name, and what it shows."""


class _Looking:
    """Before anything is known."""

    page = Page([BLANK, line(("  looking for distributed jobs", "dim"))])
    foot = ()


class JobsPane(SnapshotPane):
    """A list of jobs; from there one job: its ranks, evidence, stacks, sources and logs."""

    HELP = """\
A job is a distributed run; its processes are ranks. Jobs of others are watched by reading only: they get no signal,
nothing stops them, and nothing is written into their folders. A verdict names rank, host, call site and cause, and
says "not sure" where two pieces of evidence disagree or it may yet go on by itself; v shows what it rests on, u which
sources could not be read, and the command that would obtain them. waits: how long a rank has been in a collective
that others have not joined, or (dim) how long it has said nothing. lag: how long after the first rank it arrives.
d collects evidence now, in two seconds. A launched job goes on when this console ends.
"""
    DEFAULT_CSS = """
    JobsPane > #jobs-head { dock: top; background: $background; }
    JobsPane > #jobs-foot { dock: bottom; }
    """
    BINDING_GROUP_TITLE = "Jobs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", key_display="enter", id="jobs.open",
                tooltip="This job; in it, everything about this rank"),
        Binding("z", "open", "Open", show=False, id="jobs.zoom", tooltip="As enter"),
        *(Binding(key, f"view('{name}')", name.title(), show=False, id=f"jobs.{name}", tooltip=text)
          for key, name, text in _VIEWS),
        Binding("right_square_bracket", "next(1)", "Next view", show=False, id="jobs.next", tooltip="The next view"),
        Binding("left_square_bracket", "next(-1)", "View back", show=False, id="jobs.back.view",
                tooltip="The view before"),
        Binding("d", "diagnose", "Diagnose", id="jobs.diagnose", tooltip="Collect evidence of all ranks now"),
        Binding("s", "sort", "Sort", id="jobs.sort", tooltip="Sort by rank, state, lag or step rate"),
        Binding("c", "stop", "Stop", id="jobs.stop", tooltip="Stop a job that torchdoctor launched; asks first"),
        Binding("L", "launch", "Launch", id="jobs.launch", tooltip="Launch a script or module through torchrun"),
        Binding("x", "export_job", "Export", show=False, id="jobs.export", tooltip="Write this job as JSON"),
        Binding("escape", "back", "Back", id="jobs.back", tooltip="Back: to the ranks, then to the list"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.head, self.foot = Rows(id="jobs-head"), Rows(id="jobs-foot")
        self.look: Any = None
        """How the opened job is looked at (`jobs_views.Look`), None while the list is shown."""
        self.merged: Any = None
        """The merged logs (`widgets.merged_lines.MergedLines`) while they are shown."""
        self._held: Jobs | None = None
        self._may_open = True
        """Whether the first list may open a job by itself."""
        self._works: list[bool] = []
        self._tail_s = 0.0
        self._list_cursor: str | None = None
        self._pointed = False
        self._form: dict[str, Any] = {}
        """What the form that launches was filled in with last."""
        self._tail: tuple[str, Any] = ("", None)
        """The rank whose log was read, and its last lines."""

    def compose(self) -> ComposeResult:
        """What stays at the top, the page, what stays at the bottom."""
        yield self.head
        yield self.lines
        yield self.foot

    # --- for the app -----------------------------------------------------------------------------------------------

    @property
    def source(self) -> JobSource:
        """Where jobs come from."""
        return console(self).sources.jobs

    @property
    def jobs(self) -> Jobs:
        """All that is known of jobs, or was when the pane was paused."""
        return self._held or self.source.snapshot()

    def on_mount(self) -> None:
        """The job that the command line named is opened at once."""
        self.head.styles.height = self.foot.styles.height = 0
        self.source.hurry = lambda: self.call_later(self.refresh_data)
        wanted = console(self).settings.open_job
        if wanted:
            self._enter(wanted, wanted if wanted.startswith("/") else "")

    def on_show(self) -> None:
        """Look from now on."""
        self.source.watch(True)

    def on_hide(self) -> None:
        """Nobody looks."""
        self.source.watch(False)

    def refresh_data(self) -> None:
        """Open what may be opened by itself, then show what is new."""
        if self._may_open and self.look is None and (job := _obvious(self.jobs.listed)) is not None:
            self._enter(job.key, job.run)
        if self.look is not None and self.look.rank:
            self._read_tail()
        if self.merged is not None:
            self.merged.refresh_data()
        super().refresh_data()

    def stamp(self, snapshot: Snapshot) -> object:
        """Jobs have a revision of their own; ages are told by the second."""
        return self.jobs.revision, int(time.monotonic())

    def state(self) -> object:
        """The look, and where the cursor stands."""
        log = (self.merged.feed.got, self.merged.follows) if self.merged is not None else None
        return self.look, self.lines.cursor, self._held is not None, self._tail, log

    def draw(self, snapshot: Snapshot) -> None:
        """The three parts, and the keys where others work now."""
        jobs, size = self.jobs, (self.size.width - 1, self.size.height)
        if self.look is None:
            made = self._list(jobs, size)
            self._place((), made.page, made.foot)
        else:
            read_of, tail = self._tail
            look = replace(self.look, cursor=self.lines.cursor, tail=tail if read_of == self.look.rank else None)
            made = later.job_views().shown(jobs, look, size)
            foot = made.foot if self.merged is None else (self.merged.status(size[0]),)
            self._place(made.head, made.page, foot)
            self._point(jobs)
        works = [allowed(self) for allowed in self._allowed.values()]
        if works != self._works:
            self._works = works
            self.refresh_bindings()

    def _point(self, jobs: Jobs) -> None:
        """Put the cursor on the guilty rank as soon as there is one, once."""
        if jobs.view is None or self._pointed or not jobs.view.verdict.ranks or self.look != later.job_views().Look():
            return
        self._pointed = True
        if (key := later.job_views().guilty_key(jobs.view)) is not None:
            self.lines.select(key)

    def _list(self, jobs: Jobs, size: tuple[int, int]) -> Any:
        if jobs.listed is None and not jobs.note:
            return _Looking
        return later.job_views().listing(jobs, self.lines.cursor, size)

    def _place(self, head: tuple[Any, ...], page: Page, foot: tuple[Any, ...]) -> None:
        for rows, shown in ((self.head, head), (self.foot, foot)):
            if len(shown) != len(rows.rows):
                rows.styles.height = len(shown)
            rows.show(*shown)
        self.lines.show(page)

    # --- what works now --------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what would do something."""
        allowed = self._allowed.get(action)
        return True if allowed is None or not self.is_attached else bool(allowed(self))

    def _has_view(self) -> bool:
        return self.look is not None and self.jobs.view is not None

    def _subject(self) -> JobSummary | None:
        """The job that is open, or that the cursor stands on."""
        if self.look is not None:
            return self.jobs.job
        return next((job for job in self.jobs.listed or () if job.key == self.lines.cursor), None)

    def _may_change(self) -> bool:
        settings = console(self).settings
        return not settings.read_only and settings.replay is None

    def _may_diagnose(self) -> bool:
        """Evidence of our own jobs is asked for by a signal to their ranks."""
        return self._has_view() and bool(self.jobs.run) and (self._may_change() or not self.jobs.ours)

    def _may_stop(self) -> bool:
        job = self._subject()
        return job is not None and job.state not in JOB_OVER and self._may_change()

    _allowed: ClassVar[dict[str, Callable[[JobsPane], bool]]] = {
        "open": lambda pane: pane.look is None or (pane.look.view == "ranks" and not pane.look.rank),
        "view": _has_view,
        "next": _has_view,
        "sort": lambda pane: pane._has_view() and pane.look.view == "ranks" and not pane.look.rank,
        "diagnose": _may_diagnose,
        "stop": _may_stop,
        "launch": _may_change,
        "export_job": lambda pane: pane._has_view() and bool(pane.jobs.run),
        "back": lambda pane: pane.look is not None,
    }

    def on_lines_selected(self, event: Lines.Selected) -> None:
        """Another rank is told in full."""
        event.stop()
        self.refresh_data()
        self.refresh_bindings()

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """As enter."""
        event.stop()
        if self._allowed["open"](self):
            self.action_open()

    # --- going about -----------------------------------------------------------------------------------------------

    def _enter(self, key: str, run: str) -> None:
        """Open a job."""
        self._may_open, self._pointed, self._held, self.paused = False, False, None, None
        self._list_cursor = self.lines.cursor
        self.look = later.job_views().Look()
        self.source.open(key, run)
        self._turn()

    def _turn(self, **changes: Any) -> None:
        """Look another way, from the top."""
        if changes:
            self.look = replace(self.look, **changes)
        self._show_log(self.look is not None and self.look.view == "logs" and bool(self.jobs.run))
        self.refresh_data()
        self.lines.scroll_to(y=0, animate=False, immediate=True)
        self.refresh_bindings()

    def _show_log(self, wanted: bool) -> None:
        """Put the merged logs in the place of the page, or take them away."""
        if wanted == (self.merged is not None):
            return
        self.lines.display = not wanted
        if wanted:
            self.merged = later.merged_lines(self.source, self.jobs.run)
            self.mount(self.merged, after=self.lines)
            self.merged.focus()
        else:
            self.merged.feed.stop()
            self.merged.remove()
            self.merged = None
            self.lines.focus()

    def action_open(self) -> None:
        """This job, or this rank."""
        if self.look is None:
            job = self._subject()
            if job is not None:
                self._enter(job.key, job.run)
        elif self.lines.cursor:
            self._tail_s = 0.0
            self._turn(rank=self.lines.cursor)

    def action_view(self, name: str) -> None:
        """Another view of the job; the same key again leads back to the ranks."""
        self._turn(view="ranks" if self.look.view == name else name, rank="")

    def action_next(self, by: int) -> None:
        """The next view."""
        views = tuple(later.job_views().VIEWS)
        self._turn(view=views[(views.index(self.look.view) + by) % len(views)], rank="")

    def action_sort(self) -> None:
        """The next order."""
        orders = later.job_views().ORDERS
        self._turn(sort=orders[(orders.index(self.look.sort) + 1) % len(orders)])

    def action_back(self) -> None:
        """One level up."""
        self.go_back()

    def go_back(self) -> bool:
        """From a rank or a view to the ranks, from there to the list."""
        if self.look is None:
            return False
        if self.look.rank:
            at = self.look.rank
            self._turn(rank="")
            self.lines.select(at)
        elif self.look.view != "ranks":
            self._turn(view="ranks")
        else:
            self._leave()
        return True

    def _leave(self) -> None:
        self.look, self._held, self.paused = None, None, None
        self.source.close()
        self._turn()
        if self._list_cursor is not None:
            self.lines.select(self._list_cursor)

    def action_pause(self) -> None:
        """Hold what is on screen."""
        self._held = None if self._held is not None else self.source.snapshot()
        super().action_pause()

    def _read_tail(self) -> None:
        """The last lines of the log of the rank that is open, anew every two seconds."""
        now = time.monotonic()
        if now - self._tail_s < TAIL_S or self.jobs.view is None:
            return
        self._tail_s = now
        views, key = later.job_views(), self.look.rank
        rank = views.rank_of(key, self.jobs.view.ranks)
        path = (rank.stderr or rank.stdout) if rank is not None else ""
        if not path:
            self._tail = key, views.Tail(why="its output goes to no file that could be read")
            return
        self.source.tail(path, TAIL_LINES, lambda lines, why: self._keep_tail(key, views.Tail(path, tuple(lines), why)))

    def _keep_tail(self, key: str, tail: Any) -> None:
        self._tail = key, tail

    # --- actions ---------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Let go of the logs."""
        if self.merged is not None:
            self.merged.feed.stop()

    def plain_text(self) -> str:
        """What `y` copies: what stays at the top, and the whole page."""
        head = "\n".join(text_of(row).rstrip() for row in self.head.rows).strip("\n")
        return (head + "\n\n" if head else "") + super().plain_text()

    def action_diagnose(self) -> None:
        """Evidence now."""
        self.source.diagnose()

    def action_export_job(self) -> None:
        """The job as a document."""
        self.source.export()

    def action_stop(self) -> None:
        """Stop a job of ours, after a question."""
        job = self._subject()
        if job is None:
            return
        if not job.ours:
            self.notify(later.job_views().not_ours(job), severity="warning", markup=False)
            return
        source = self.source
        asked = later.question(later.job_views().stop_text(job), "stop it")
        self.app.push_screen(asked, lambda yes: source.end(job) if yes else None)

    def action_launch(self) -> None:
        """Ask what to launch."""
        form = later.launch_form(self.source, console(self), self._form)

        def answered(run: str | None) -> None:
            self._form = form.last()
            if run:
                self._enter(run, run)

        self.app.push_screen(form, answered)


def _obvious(listed: tuple[JobSummary, ...] | None) -> JobSummary | None:
    """The job that needs no choice: the only one of ours that runs, or the only one at all."""
    running = [job for job in listed or () if job.ours and job.state not in JOB_OVER]
    if len(running) == 1:
        return running[0]
    return listed[0] if listed is not None and len(listed) == 1 else None
