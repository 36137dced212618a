"""What the console asks of the machine half, as types: the real one is `engines`, tests give others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from torchprobes.catalogue import Probe
from torchprobes.model import Finding, Report, Target
from torchprobes.samples import Sample

from .settings import Settings

if TYPE_CHECKING:
    from torchprobes.jobs.ranks import RankRow
    from torchprobes.runner.snapshot import CheckView
    from torchprobes.target import TargetChoice
    from torchprobes.telemetry.health import Health

HOST_KEY: Final = "host"
"""The key of the host's CPU among the histories; those of GPUs are their UUIDs."""


@dataclass(frozen=True, slots=True)
class History:
    """One recorded series: percent of its scale, oldest first, `step_s` apart; None where nothing was read."""

    values: tuple[float | None, ...] = ()
    step_s: float = 1.0


class SamplerLike(Protocol):
    """The source of samples; nothing in it waits."""

    @property
    def state(self) -> str:
        """What is wrong with it, in words; "" if nothing is."""
        ...

    def start(self) -> None:
        """Start the child."""

    def judged(self) -> tuple[int, Sample | None, Health]:
        """The newest sample, its number, and what the rules of health say of it."""
        ...

    def stop(self) -> None:
        """Let the child end."""


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


@dataclass(frozen=True, slots=True)
class Engines:
    """What `Sources` calls, always in a thread of its own but `history`."""

    sampler: Callable[[Settings], SamplerLike]
    history: Callable[[Any, Sample], Mapping[str, History]]
    find_target: Callable[[Settings], TargetChoice]
    make_check: Callable[[Settings, Target, Sequence[Probe]], tuple[Any, CheckLike]]
    finish: Callable[[Any, tuple[Finding, ...], float], None]
    last_report: Callable[[Settings], tuple[str, Report] | None]
    export: Callable[[Report, str], str]
    copy: Callable[[Settings, str], str]
    ranks: Callable[[str, bool], Callable[[], Sequence[RankRow]]]
