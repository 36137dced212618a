"""export.signature: the user's case, a forward with annotated arguments and result, for real."""

from __future__ import annotations

from pathlib import Path

import pytest
from payload_modules import load
from payload_process import run_payload

from torchprobes.model import Verdict


def test_an_annotated_forward_is_read_called_scripted_and_traced(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "export.signature")
    facts = {f.name: f.value for f in said.readings.facts}
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    assert [facts[f"forward.{n}"] for n in ("annotated", "bare", "unresolved")] == ["complete", "open", "unresolved"]
    assert [facts[f"forward.{n}"] for n in ("call", "script", "fx")] == ["right"] * 3
    states = [f.value for f in said.readings.figures if f.name == "library_forwards"]
    assert sum(states) == facts["forward.library"]


def whole(x: int, scale: float = 1.0) -> int:
    return int(x * scale)


def no_result(x: int):
    return x


def nothing(x, y):
    return x, y


def many(x: int, *rest: int) -> int:
    return x + len(rest)


def broken(x: NoSuchType) -> int:  # type: ignore[name-defined]  # noqa: F821 # pyright: ignore
    return x


@pytest.mark.parametrize(
    ("function", "state"),
    [
        (whole, "complete"), (no_result, "partial"), (nothing, "bare"), (many, "open"), (broken, "unresolved"),
        (3, "unreadable"),
    ],
)  # fmt: skip
def test_every_kind_of_signature_is_told_apart(monkeypatch: pytest.MonkeyPatch, function: object, state: str) -> None:
    assert load(monkeypatch, "signature").read(function)[0] == state
