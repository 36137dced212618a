"""Rules of `env.jupyter`: do Jupyter's kernels have the Python and the PyTorch that the terminal has?"""

from __future__ import annotations

from dataclasses import dataclass

from ...model import Readings, Severity, Verdict
from ..reading import facts, text
from ..rules import Positive, Rule
from .words import several

_ALL = ("env.jupyter",)

_COMPARED = ("CUDA_VISIBLE_DEVICES", "PYTHONPATH", "LD_LIBRARY_PATH")
"""Variables of a running kernel that make its answers differ from the terminal's."""


@dataclass(frozen=True, slots=True)
class _Kernel:
    """One kernelspec ("kernelspec.NAME") or running kernel ("kernel.PID"), as it was told."""

    key: str
    state: str
    torch: str
    python: str
    words: str
    same: bool | None

    @property
    def name(self) -> str:
        kind, _, name = self.key.partition(".")
        return f"the running kernel {name}" if kind == "kernel" else f"kernel {name!r}"


def _kernels(readings: Readings, kind: str) -> tuple[_Kernel, ...]:
    found = []
    for fact in facts(readings, f"{kind}.", ".state"):
        key = fact.name[: -len(".state")]
        same = readings.fact(f"{key}.same")
        found.append(
            _Kernel(
                key,
                str(fact.value),
                text(readings, f"{key}.torch"),
                text(readings, f"{key}.python"),
                fact.evidence,
                same.value if same is not None and isinstance(same.value, bool) else None,
            )
        )
    return tuple(found)


def _target(readings: Readings) -> str:
    return text(readings, "target.torch")


def _missing(readings: Readings) -> str | None:
    return several([f"{k.name}: {k.words}" for k in _kernels(readings, "kernelspec") if k.state == "missing"])


def _without_torch(readings: Readings) -> str | None:
    if not _target(readings):
        return None
    told = [k for k in _kernels(readings, "kernelspec") if k.state == "read" and not k.torch]
    return several([f"{k.name} ({k.python}) has no torch, the target has {_target(readings)}" for k in told])


def _other_torch(kind: str, readings: Readings) -> list[str]:
    own = _target(readings)
    told = [k for k in _kernels(readings, kind) if k.state == "read" and k.torch and k.torch != own]
    return [f"{k.name} ({k.python}) has torch {k.torch}, the target has {own}" for k in told] if own else []


def _spec_differs(readings: Readings) -> str | None:
    return several(_other_torch("kernelspec", readings))


def _running_differs(readings: Readings) -> str | None:
    own = _target(readings)
    bare = [k for k in _kernels(readings, "kernel") if own and k.state == "read" and not k.torch]
    words = [f"{k.name} ({k.python}) has no torch, the target has {own}" for k in bare]
    return several(_other_torch("kernel", readings) + words)


def _other_environment(readings: Readings) -> str | None:
    """Variables of running kernels against the shell's; one that neither has is no difference."""
    words = []
    for kernel in _kernels(readings, "kernel"):
        for name in _COMPARED:
            here, there = readings.fact(f"target.{name}"), readings.fact(f"{kernel.key}.{name}")
            if here is not None and there is not None and here.value != there.value:
                words.append(f"{kernel.name} has {name}={_value(there.value)}, the shell {_value(here.value)}")
    return several(words)


def _value(value: object) -> str:
    return "unset" if value is None else repr(value)


def _other_interpreter(readings: Readings) -> str | None:
    """The same version of PyTorch, from another environment: an upgrade of one leaves the other behind."""
    own = _target(readings)
    told = [k for kind in ("kernelspec", "kernel") for k in _kernels(readings, kind)]
    return several([f"{k.name} runs {k.python}" for k in told if k.same is False and own and k.torch == own])


def _unread(readings: Readings) -> str | None:
    told = [k for kind in ("kernelspec", "kernel") for k in _kernels(readings, kind)]
    words = [f"{k.name}: {k.words}" for k in told if k.state in ("hung", "unreadable")]
    for what, name in (("running kernels", "processes.state"), ("kernelspecs", "kernelspecs.state")):
        fact = readings.fact(name)
        words += [f"{what}: {fact.evidence}"] if fact is not None else []
    return several(words)


def _unresolved(readings: Readings) -> str | None:
    return several([f"{k.name}: {k.words}" for k in _kernels(readings, "kernelspec") if k.state == "unresolved"])


RULES: tuple[Rule, ...] = (
    Rule("TD-ENV-084", _ALL, Verdict.FAIL, Severity.CRITICAL, _missing),
    Rule("TD-ENV-085", _ALL, Verdict.DEGRADED, Severity.WARNING, _without_torch),
    Rule("TD-ENV-086", _ALL, Verdict.DEGRADED, Severity.WARNING, _spec_differs),
    Rule("TD-ENV-087", _ALL, Verdict.DEGRADED, Severity.WARNING, _running_differs),
    Rule("TD-ENV-088", _ALL, None, Severity.WARNING, _other_environment),
    Rule("TD-ENV-089", _ALL, None, Severity.INFO, _other_interpreter),
    Rule("TD-ENV-090", _ALL, Verdict.UNSURE, Severity.WARNING, _unread),
    Rule("TD-ENV-091", _ALL, None, Severity.INFO, _unresolved),
)


def _agree(readings: Readings) -> str | None:
    """At least one kernel was compared, and each that was has the target's PyTorch."""
    own = _target(readings)
    told = [k for kind in ("kernelspec", "kernel") for k in _kernels(readings, kind)]
    compared = [k for k in told if k.state == "read"]
    if not own or not compared or any(k.torch != own for k in compared):
        return None
    names = ", ".join(k.key.partition(".")[2] for k in compared[:5])
    return f"{len(compared)} of {len(told)} kernels, installed or running, have torch {own}: {names}"


POSITIVE: Positive = {"env.jupyter": _agree}
