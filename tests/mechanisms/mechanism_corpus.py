"""Runs programs of the corpus in a target and gives what the rules make of each."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from payload_process import PAYLOADS, SWITCHES

from torchprobes.judge.verdict import rule_hits
from torchprobes.model import Event, Fact, Figure, Outcome, Readings, Severity

HERE = Path(__file__).parent
PROBE = "compile.entry"


@dataclass(frozen=True)
class Examined:
    """One program: what was read of it, the cards of the rules that hold with what they saw, and those that warn."""

    readings: Readings
    cards: Mapping[str, str]
    alarms: Mapping[str, str]


def examine(
    folder: Path,
    programs: Sequence[str],
    backend: str = "through",
    environ: Mapping[str, str] | None = None,
    python: str = sys.executable,
    device: str = "cpu",
    payload: str = "mechanism_payload",
    limit_s: float = 900,
) -> dict[str, Examined]:
    """Each of `programs` examined in `python`, with `environ` over a clean environment; one import of torch for all."""
    for part in ("events", "artifacts", "compile"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    request = {
        "probe": PROBE,
        "device": device,
        "params": {"programs": list(programs), "backend": backend},
        "artifacts": str(folder / "artifacts"),
        "compile_dir": str(folder / "compile"),
    }
    (folder / "request.json").write_text(json.dumps(request))
    env = {key: value for key, value in os.environ.items() if not key.startswith(SWITCHES)}
    env |= {
        "TORCHDOCTOR_REQUEST": str(folder / "request.json"),
        "TORCHDOCTOR_EVENTS": str(folder / "events"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder.parent / f"inductor-{Path(python).parent.parent.name}"),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no pool of workers that a fork would share
        "TORCHINDUCTOR_VEC_ISA_OK": "1",  # spares a cold cache its trial compilation, where this PyTorch reads it
        "OMP_NUM_THREADS": "1",
        **(environ or {}),
    }
    command = [python, "-B", str(PAYLOADS / "bootstrap.py"), str(HERE / "target" / f"{payload}.py")]
    with (folder / "stderr.log").open("wb") as stderr:
        done = subprocess.run(
            command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, timeout=limit_s
        )
    found = dict(_by_program(folder / "events", device))
    said = (folder / "stderr.log").read_text(errors="replace")[-3000:]
    assert done.returncode == 0, said
    assert set(found) == set(programs), (set(programs) - set(found), said)
    return found


def _by_program(events: Path, device: str) -> list[tuple[str, Examined]]:
    found = []
    for file in sorted(events.iterdir()):
        said = [msgspec.json.decode(line, type=Event) for line in file.read_bytes().splitlines()]
        begins = [index for index, event in enumerate(said) if event.ev == "fact" and event.name == "program"]
        for begin, end in itertools.pairwise([*begins, len(said)]):
            found.append((str(said[begin].value), _examined(said[begin:end], device)))
    return found


def _examined(said: Sequence[Event], device: str) -> Examined:
    facts = tuple(Fact(name=e.name, value=e.value, evidence=e.evidence) for e in said if e.ev == "fact")
    figures = tuple(_figure(e) for e in said if e.ev == "figure")
    readings = Readings(probe=PROBE, device=device, figures=figures, facts=facts, outcome=Outcome(ending="ended"))
    assert readings.fact("program.failed") is None, readings
    hits = rule_hits(PROBE, readings)
    return Examined(
        readings,
        cards={rule.card: seen for rule, seen in hits},
        alarms={rule.card: seen for rule, seen in hits if rule.verdict or rule.severity is not Severity.INFO},
    )


def _figure(event: Event) -> Figure:
    assert isinstance(event.value, (int, float)), event
    return Figure(name=event.name, value=event.value, unit=event.unit, n=event.n, labels=event.labels)
