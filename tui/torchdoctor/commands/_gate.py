"""What the looker of `check --gate prolog` does: one passive sample, and which of its findings are sure."""

from __future__ import annotations

from torchdoctor.settings import Settings, SettingsError, load
from torchprobes.child import sampler_command
from torchprobes.model import Finding, Severity
from torchprobes.samples import Sample
from torchprobes.telemetry import take_sample
from torchprobes.telemetry.health import Health, Judge
from torchprobes.telemetry.sure import silence, sure

SAMPLE_S = 1.4
"""For the whole sampler; the gate's own limit comes soon after."""

GPUS_S = 0.8
"""For GPUs that do not answer: what the others say is still in time then."""


def look() -> tuple[str, str]:
    """("drain", the sure findings), ("unsure", what could not be judged) or ("fine", what was seen)."""
    try:
        settings = load({})
    except SettingsError as error:
        return "unsure", f"not judged: {error}"
    sample = take_sample(SAMPLE_S, (*sampler_command(None), "--within", str(GPUS_S)))
    return judged(sample, settings)


def judged(sample: Sample, settings: Settings) -> tuple[str, str]:
    """The answer to one sample under these settings; without the person's thresholds nothing is sure."""
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
    doubts += [f"not judged: {silence(sample)}"] if silence(sample) else _unread(health)
    return ("unsure", "; ".join(doubts)) if doubts else ("fine", health.line)


def _words(finding: Finding) -> str:
    return f"{finding.id} {finding.seen}"


def _unread(health: Health) -> list[str]:
    if not health.unread:
        return []
    reasons = ", ".join(reason for reason, _ in health.reasons[:3])
    return [f"no sure fault; {health.unread} of {health.checked + health.unread} checks unreadable: {reasons}"]
