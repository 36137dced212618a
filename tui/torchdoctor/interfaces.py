"""What the console asks of the machine half, as types: the real one is `engines`, tests give others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torchprobes.catalogue import Probe
from torchprobes.model import Finding, Report, Result, Sample, Target

from .settings import Settings


@dataclass(frozen=True, slots=True)
class History:
    """One recorded series: percent of its scale, oldest first; None where nothing was read."""

    values: tuple[float | None, ...] = ()
    seconds: float = 0.0


class SamplerLike(Protocol):
    """The source of samples; nothing in it waits."""

    @property
    def state(self) -> str:
        """What is wrong with it, in words; "" if nothing is."""

    def start(self) -> None:
        """Start the child."""

    def latest(self) -> tuple[int, Sample | None]:
        """The newest sample and its number."""

    def stop(self) -> None:
        """Let the child end."""


class ProbeViewLike(Protocol):
    """One probe of a check at one instant."""

    @property
    def name(self) -> str:
        """Its name in the catalogue."""

    @property
    def state(self) -> Any:
        """queued, starting, running or done."""

    @property
    def progress(self) -> str:
        """What it said last."""

    @property
    def done(self) -> float | None:
        """How far it is, 0 to 1, if it says so."""

    @property
    def started_s(self) -> float | None:
        """Seconds since it started."""

    @property
    def result(self) -> Result | None:
        """What it came to."""

    @property
    def folder(self) -> str:
        """Where it keeps what it says."""


class CheckViewLike(Protocol):
    """A check at one instant."""

    @property
    def revision(self) -> int:
        """Differs whenever anything else does."""

    @property
    def run(self) -> str:
        """The run directory."""

    @property
    def probes(self) -> Sequence[ProbeViewLike]:
        """Its probes, in request order."""

    @property
    def finished(self) -> bool:
        """Whether it is over."""


class CheckLike(Protocol):
    """A running check."""

    def start(self) -> None:
        """Begin; returns at once."""

    def view(self) -> CheckViewLike:
        """How it stands; returns at once."""

    def cancel(self, name: str | None = None) -> None:
        """Cancel a probe, or all."""

    def abandon(self) -> None:
        """Let go within milliseconds."""

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for its end; whether it came."""


class TargetLike(Protocol):
    """What the search for a target came to."""

    @property
    def chosen(self) -> Target | None:
        """The target."""

    @property
    def why(self) -> str:
        """Why this one, or why none."""


class RankLike(Protocol):
    """One rank of a job."""

    @property
    def rank(self) -> int:
        """Its number."""

    @property
    def pid(self) -> int:
        """Its process."""

    @property
    def host(self) -> str:
        """Its node."""

    @property
    def device(self) -> str:
        """Its device, as torch names it."""

    @property
    def state(self) -> str:
        """What it does."""

    @property
    def phase(self) -> str:
        """Where it is, by its heartbeat."""

    @property
    def why(self) -> str:
        """What made it fail, or where it hangs."""

    @property
    def steps(self) -> int:
        """Steps that it took."""

    @property
    def collective(self) -> str:
        """The last collective that it finished."""

    @property
    def collective_us(self) -> float | None:
        """How long that took."""

    @property
    def last_event_age_s(self) -> float | None:
        """How long ago it said something."""


@dataclass(frozen=True, slots=True)
class Engines:
    """What `Sources` calls, always in a thread of its own but `findings`, `verdict_line` and `history`."""

    sampler: Callable[[Settings], SamplerLike]
    findings: Callable[[Sample], tuple[Finding, ...]]
    verdict_line: Callable[[Sample, tuple[Finding, ...]], str]
    history: Callable[[Any, Sample], Mapping[str, History]]
    find_target: Callable[[Settings], TargetLike]
    make_check: Callable[[Settings, Target, Sequence[Probe]], tuple[Any, CheckLike]]
    finish: Callable[[Any, tuple[Finding, ...], float], None]
    last_report: Callable[[Settings], tuple[str, Report] | None]
    export: Callable[[Report, str], str]
    copy: Callable[[Settings, str], str]
    ranks: Callable[[str, bool], Callable[[], Sequence[RankLike]]]
