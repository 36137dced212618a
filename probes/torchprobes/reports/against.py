"""What a report was judged against, in words; apart from the judging, which needs a comparison's rules."""

from __future__ import annotations

from torchprobes.model import Baseline, Verdict


def in_words(baseline: Baseline) -> str:
    """What a report was judged against, in a line: whose report, how much of it, and what was left out."""
    if baseline.unread:
        return f"{baseline.where} could not be read, nothing was judged against it: {baseline.unread}"
    whose = " ".join(part for part in (baseline.host, baseline.started, baseline.where) if part)
    verdict = f", itself {baseline.verdict.value}" if baseline.verdict not in (None, Verdict.PASS) else ""
    left = f"; not held against it: {', '.join(baseline.uncompared)}" if baseline.uncompared else ""
    return f"{whose}{verdict}: {baseline.figures} figures of {baseline.probes} probes{left}"
