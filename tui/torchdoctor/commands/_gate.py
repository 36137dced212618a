"""What the looker of `check --gate prolog` does: one passive sample, and which of its findings are sure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchprobes import child
from torchprobes.child import sampler_command

if TYPE_CHECKING:
    import subprocess

    from torchdoctor.settings import Settings
    from torchprobes.model import Finding
    from torchprobes.samples import Sample
    from torchprobes.telemetry.health import Health

SAMPLE_S = 1.5
"""For the whole sampler; the gate's own limit comes soon after."""

GPUS_S = 0.6
"""For GPUs that do not answer: what the others say is still in time then."""

OPENING = "opening the driver"
"""The driver's state as long as it has not said whether it is there: a console waits on, a gate does not."""


def look() -> tuple[str, str]:
    """("drain", the sure findings), ("unsure", what could not be judged) or ("fine", what was seen)."""
    sampler = _sampler()  # before all else: while we import, it opens the driver
    from torchdoctor.settings import SettingsError, load
    from torchprobes.telemetry import take_sample

    try:
        settings = load({})
    except SettingsError as error:
        return "unsure", f"not judged: {error}"
    return judged(take_sample(SAMPLE_S, first_child=lambda: sampler), settings)


def _sampler() -> subprocess.Popen[bytes]:
    command = (*sampler_command(None), "--within", str(GPUS_S))
    return child.Piped(list(command), roomy=True, apart=True)


def judged(sample: Sample, settings: Settings) -> tuple[str, str]:
    """The answer to one sample under these settings; without the person's thresholds nothing is sure."""
    from torchprobes.model import Severity
    from torchprobes.telemetry.health import Judge
    from torchprobes.telemetry.sure import sure
    from torchprobes.telemetry.verdict import silence

    if settings.note:
        return "unsure", f"not judged: {settings.note}"
    judge = Judge(settings.thresholds)
    past = judge.new_past()
    past.add(sample)
    health = judge.judge(sample, past)
    proven = sure(health, sample)
    if proven:
        return "drain", "; ".join(map(_words, proven))
    doubts = [f"{_words(f)} (not sure enough to drain)" for f in health.findings if f.severity is Severity.CRITICAL]
    silent = silence(sample) or (sample.driver_state if sample.driver_state == OPENING else "")
    doubts += [f"not judged: {silent}"] if silent else _unread(health)
    return ("unsure", "; ".join(doubts)) if doubts else ("fine", health.line)


def _words(finding: Finding) -> str:
    return f"{finding.id} {finding.seen}"


def _unread(health: Health) -> list[str]:
    if not health.unread:
        return []
    reasons = ", ".join(reason for reason, _ in health.reasons[:3])
    return [f"no sure fault; {health.unread} of {health.checked + health.unread} checks unreadable: {reasons}"]
