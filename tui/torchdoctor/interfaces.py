"""What the console asks of the machine half, as types: the real one is `engines`, tests give others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from torchprobes.catalogue import Probe
from torchprobes.model import Finding, Report, Target
from torchprobes.samples import GpuSample, KernelEvent, Sample

from .settings import Settings

if TYPE_CHECKING:
    from torchprobes.child import Part
    from torchprobes.compilelog.engine import LogsView
    from torchprobes.distributed import JobView
    from torchprobes.runner.snapshot import CheckView
    from torchprobes.target import TargetChoice
    from torchprobes.telemetry.health import Health

HOST_KEY: Final = "host"
"""The subject of the host's own series and counters; GPUs have their UUID."""


class WindowLike(Protocol):
    """A series over a time, in columns, oldest first; None where nothing was read.

    `low` and `high` are the smallest and the largest value that went into a column.
    """

    @property
    def low(self) -> Sequence[float | None]:
        """The smallest of each column."""
        ...

    @property
    def mean(self) -> Sequence[float | None]:
        """The mean of each column."""
        ...

    @property
    def high(self) -> Sequence[float | None]:
        """The largest of each column."""
        ...


class HistoryLike(Protocol):
    """What was read before."""

    def window(self, subject: str, metric: str, seconds: float, columns: int) -> WindowLike | None:
        """The last `seconds` of a cell of a subject; None if it was never read."""
        ...


class PastLike(Protocol):
    """Counters since the start, and events."""

    @property
    def events(self) -> Sequence[KernelEvent]:
        """All that happened, oldest first."""
        ...

    @property
    def events_dropped(self) -> int:
        """How many of the oldest are no longer kept."""
        ...

    @property
    def seconds(self) -> float:
        """How long samples have been taken in."""
        ...

    def since_start(self, subject: str, cell: str) -> float | None:
        """What a counter came to since the first sample, None if it was never read."""
        ...

    def last_minute(self, subject: str, cell: str) -> float | None:
        """What a counter came to in the last minute, None before half a minute was seen."""
        ...

    def events_of(self, gpu: GpuSample) -> list[KernelEvent]:
        """The events that name this GPU, oldest first."""
        ...


class SamplerLike(Protocol):
    """The source of samples; nothing in it waits."""

    @property
    def state(self) -> str:
        """What is wrong with it, in words; "" if nothing is."""
        ...

    @property
    def history(self) -> HistoryLike:
        """What was read before."""
        ...

    @property
    def past(self) -> PastLike:
        """Counters and events up to the newest sample."""
        ...

    def start(self) -> None:
        """Start the child."""

    def judged(self) -> tuple[int, Sample | None, Health]:
        """The newest sample, its number, and what the rules of health say of it."""
        ...

    def stop(self) -> None:
        """Let the child end."""


@runtime_checkable
class ReplayLike(Protocol):
    """A sampler that plays a recording. Seconds count from its beginning; `pace` 1 is as it was."""

    pace: float
    paused: bool

    @property
    def position_s(self) -> float:
        """How far it has come."""
        ...

    @property
    def length_s(self) -> float:
        """How long it is."""
        ...

    @property
    def began_ns(self) -> int:
        """When it was recorded: the wall clock of its first sample."""
        ...

    def seek(self, seconds: float) -> None:
        """Go on from there."""


class AnswerLike(Protocol):
    """What a killable child answers, on its way (`torchprobes.child.Answer`); nothing in it waits."""

    @property
    def cause(self) -> str:
        """Why there is no answer."""
        ...

    def poll(self) -> str:
        """waiting, done, hung or failed."""
        ...

    def parts(self) -> Mapping[str, Part]:
        """What was answered so far, item by item."""
        ...


class CheckLike(Protocol):
    """A check; only `wait` waits."""

    def start(self) -> None:
        """Begin."""

    def view(self) -> CheckView:
        """How it stands."""
        ...

    def cancel(self, name: str | None = None) -> None:
        """Cancel a probe, or all."""

    def abandon(self) -> None:
        """Let go within milliseconds."""

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for its end; whether it came."""
        ...


class DeskLike(Protocol):
    """What answers questions, in a process of its own (`torchprobes.desks`)."""

    def ask(self, question: str, arguments: Mapping[str, Any], deadline_s: float) -> Any:
        """The answer; waits, in threads only."""
        ...

    def stop(self) -> None:
        """Let it end."""


class LogEngineLike(Protocol):
    """What follows a run's files and explains them, in a process of its own (`torchprobes.compilelog.engine`)."""

    def view(self) -> LogsView:
        """The newest snapshot; nothing in it waits."""
        ...

    def stop(self) -> None:
        """Let it end."""


@dataclass(frozen=True, slots=True)
class JobEngines:
    """What the Jobs pane's source calls, in threads: the desk; and of a run directory its views, evidence and export.

    `views` and `ranks` (of a probe's folder, and whether its processes may still live here) make readers.
    """

    desk: DeskLike
    views: Callable[[str], Callable[[], JobView | None]]
    ranks: Callable[[str, bool], Callable[[], JobView]]
    diagnose: Callable[[str], str]
    export: Callable[[JobView, str], str]


@dataclass(frozen=True, slots=True)
class Engines:
    """What `Sources` calls, in a thread of its own; only `inspect` returns at once and is called on the screen's."""

    sampler: Callable[[Settings], SamplerLike]
    find_target: Callable[[Settings], TargetChoice]
    make_check: Callable[[Settings, Target, Sequence[Probe]], tuple[Any, CheckLike]]
    finish: Callable[[Any, tuple[Finding, ...], float], None]
    last_report: Callable[[Settings], tuple[str, Report] | None]
    earlier: Callable[[Settings], Sequence[tuple[str, Report]]]
    reports: Callable[[Settings], DeskLike]
    copy: Callable[[Settings, str], str]
    jobs: Callable[[Settings], JobEngines]
    logs: Callable[[str], LogEngineLike]
    exports: Callable[[Settings], str]
    inspect: Callable[[int, int | None], AnswerLike]
    signal: Callable[[int, int | None, int], str]
