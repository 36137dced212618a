"""Verdicts for a person: a sign and a word each, and how many there are of which."""

from __future__ import annotations

from typing import Final

from torchprobes.model import Result, Verdict

SIGNS: Final = {
    Verdict.PASS: "✔",
    Verdict.DEGRADED: "▲",
    Verdict.FAIL: "✘",
    Verdict.SKIP: "–",
    Verdict.UNSURE: "?",
    Verdict.ERROR: "!",
}
ASCII_SIGNS: Final = {
    Verdict.PASS: "+",
    Verdict.DEGRADED: "^",
    Verdict.FAIL: "x",
    Verdict.SKIP: "-",
    Verdict.UNSURE: "?",
    Verdict.ERROR: "!",
}
"""The sign in a terminal without Unicode."""


def counts(results: tuple[Result, ...]) -> str:
    """How many probes came to what, in the order of weight: `1 fail, 3 pass`."""
    verdicts = [result.verdict for result in results]
    said = [f"{verdicts.count(v)} {v.value}" for v in SIGNS if v in verdicts]
    return ", ".join(said) or "no probe was asked for"
