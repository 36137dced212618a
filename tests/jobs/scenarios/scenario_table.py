"""What the trials came to: one row a scenario, as the reference's table 2.2, and the figures over all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of one scenario. Seconds are since the fault; None is "never", or "not read".

    `causes` are the words that are right. `named_s` is when a view first had the right rank and cause, `sure_s` when
    it was sure of it; `told_s` when any cause was told. `wrong_sure` are verdicts of any view, sure and wrong.
    `after_exit_s` is `named_s` from the end of the faulty rank, which an interpreter that shuts down delays.
    `pressed_s` is the same as `named_s` from a request to look closely, where one was made. `baseline` is the rank
    that torchrun calls the root cause, None if it names none.
    """

    name: str
    rank: int
    causes: tuple[str, ...]
    ranks: tuple[int, ...] = ()
    cause: str = ""
    sure: bool = False
    line: str = ""
    named_s: float | None = None
    sure_s: float | None = None
    told_s: float | None = None
    after_exit_s: float | None = None
    pressed_s: float | None = None
    wrong_sure: tuple[str, ...] = ()
    baseline: int | None = None
    seconds: float = 0.0
    skip: str = ""
    error: str = ""
    run: str = ""

    @property
    def right(self) -> bool:
        """Whether the last verdict names the rank, no other, and the cause."""
        return self.ranks == (self.rank,) and self.cause in self.causes

    @property
    def unsure(self) -> bool:
        """Whether it is not right and says that it is not sure."""
        return not self.right and not self.sure

    @property
    def counts(self) -> bool:
        """Whether the trial took place."""
        return not self.skip


@dataclass(frozen=True, slots=True)
class Healthy:
    """One run of a sound job. `alarms` are verdicts that were sure of a fault, `hints` those that were not."""

    name: str
    alarms: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    cause: str = ""
    state: str = ""
    seconds: float = 0.0
    error: str = ""
    run: str = ""

    @property
    def right(self) -> bool:
        """Whether nothing was ever sure, and the end was an end."""
        return not self.alarms and not self.error and self.cause == "none"


def quantile(values: Iterable[float | None], share: float) -> float | None:
    """The value below which `share` of them lie (nearest rank); a None is later than all."""
    ordered = sorted(math.inf if value is None else value for value in values)
    if not ordered:
        return None
    found = ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]
    return None if math.isinf(found) else found


def told(seconds: float | None) -> str:
    """Seconds for a person."""
    return "-" if seconds is None else f"{seconds:.2f}"


TIMES = (
    ("named p50", "named_s", 0.5, 11), ("p99", "named_s", 0.99, 7), ("sure p50", "sure_s", 0.5, 10),
    ("p99", "sure_s", 0.99, 7), ("exit p50", "after_exit_s", 0.5, 10), ("p99", "after_exit_s", 0.99, 7),
    ("key p50", "pressed_s", 0.5, 9), ("p99", "pressed_s", 0.99, 7),
)  # fmt: skip
"""Columns of the table: title, which seconds, which quantile, how wide."""


def table(trials: Sequence[Trial]) -> str:
    """A row a scenario, and their sum."""
    head = f"{'scenario':<18}{'trials':>7}{'right':>7}{'unsure':>8}{'WRONG':>7}{'torchrun':>10}"
    columns = "".join(f"{title:>{width}}" for title, _, _, width in TIMES)
    lines = [f"{head}{columns}   causes that were told"]
    names = list(dict.fromkeys(trial.name for trial in trials))
    for name in [*names, ""]:
        rows = [t for t in trials if t.counts and (not name or t.name == name)]
        lines.append(_row(name or "all", rows, with_causes=bool(name)))
    skipped = dict.fromkeys((t.name, t.skip) for t in trials if t.skip)
    lines += [f"SKIPPED {name}: {why}" for name, why in skipped]
    lines += [f"ERROR {t.name}: {t.error} ({t.run})" for t in trials if t.error]
    lines += [
        f"NOT RIGHT {t.name}: rank {t.rank}, told {t.line!r} ({t.run})" for t in trials if t.counts and not t.right
    ]
    lines += [f"SURE AND WRONG {t.name}: {text} ({t.run})" for t in trials for text in t.wrong_sure]
    return "\n".join(lines)


def _row(name: str, rows: Sequence[Trial], *, with_causes: bool) -> str:
    right, unsure = sum(t.right for t in rows), sum(t.unsure for t in rows)
    counts = f"{len(rows):>7}{right:>7}{unsure:>8}{len(rows) - right - unsure:>7}"
    baseline = sum(t.baseline == t.rank for t in rows)
    times = "".join(
        f"{told(quantile([getattr(t, which) for t in rows], share)):>{width}}" for _, which, share, width in TIMES
    )
    causes = ", ".join(dict.fromkeys(t.cause or "nothing" for t in rows)) if with_causes else ""
    return f"{name:<18}{counts}{baseline:>10}{times}   {causes}"


def healthy_table(rows: Sequence[Healthy]) -> str:
    """A row a job."""
    lines = [f"{'sound job':<34}{'right':>6}{'alarms':>8}{'hints':>7}{'end':>14}{'s':>7}"]
    for row in rows:
        end = f"{row.state} {row.cause}"
        lines.append(
            f"{row.name:<34}{'yes' if row.right else 'NO':>6}{len(row.alarms):>8}{len(row.hints):>7}{end:>14}"
            f"{row.seconds:>7.1f}"
        )
        lines += [f"    ALARM {text}" for text in row.alarms] + ([f"    ERROR {row.error}"] if row.error else [])
    lines.append(f"{sum(row.right for row in rows)} of {len(rows)} right")
    return "\n".join(lines)
