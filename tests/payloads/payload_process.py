"""Run one payload as the runner does, in a process of its own through the bootstrap, and read what it said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

import torchprobes
from torchprobes.catalogue import PROBES
from torchprobes.judge.verdict import judge
from torchprobes.model import Event, Evidence, Fact, Figure, Judgement, Outcome, Readings

PAYLOADS = Path(torchprobes.__file__).parent / "payloads"
SWITCHES = ("TORCHDYNAMO_", "TORCH_COMPILE_", "TORCHINDUCTOR_", "TORCH_LOGS", "TRITON_", "CXX", "CC")


@dataclass(frozen=True)
class Said:
    """What one run of a payload said, and what is made of it."""

    readings: Readings
    judgement: Judgement
    stderr: str
    folder: Path

    @property
    def ids(self) -> list[str]:
        """The findings' ids, worst first."""
        return [finding.id for finding in self.judgement.findings]


def run_payload(
    folder: Path,
    name: str,
    device: str = "cpu",
    environ: Mapping[str, str] | None = None,
    limit_s: float = 300,
    python: str = sys.executable,
    more: Mapping[str, object] | None = None,
    through: Sequence[str] = (),
) -> Said:
    """Run the catalogue's probe `name` in `folder`, with `environ` over a clean environment, and judge it.

    `python` is the target's interpreter; `more` goes into the request ("params" of it over the row's own). `through`
    are words before the command that replace themselves by it, as `unshare` and `prlimit` do.
    """
    probe = next(p for p in PROBES if p.name == name)
    for part in ("events", "artifacts", "compile", "locks"):
        (folder / part).mkdir(parents=True)
    asked = dict(more or {})
    params = asked.pop("params", {})
    assert isinstance(params, Mapping)
    request = {
        "probe": name,
        "device": device,
        "params": {**probe.params, **params},
        "artifacts": str(folder / "artifacts"),
        "compile_dir": str(folder / "compile"),
        "locks": str(folder / "locks"),
        **asked,
    }
    (folder / "request.json").write_text(json.dumps(request))
    env = {key: value for key, value in os.environ.items() if not key.startswith(SWITCHES)}
    env |= {
        "TORCHDOCTOR_REQUEST": str(folder / "request.json"),
        "TORCHDOCTOR_EVENTS": str(folder / "events"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "compile" / "inductor"),
        "TRITON_CACHE_DIR": str(folder / "compile" / "triton"),
    }
    command = [*through, python, "-B", str(PAYLOADS / "bootstrap.py"), str(PAYLOADS / f"{probe.payload}.py")]
    with subprocess.Popen(
        command, env=env | dict(environ or {}), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        stderr = process.communicate(timeout=limit_s)[1].decode(errors="replace")
    readings = _readings(name, device, folder / "events", process.pid, stderr)
    return Said(readings, judge(probe, readings), stderr, folder)


_UNTOUCHED: dict[str, Said] = {}


def run_untouched(folder: Path, name: str) -> Said:
    """What the probe says in a clean environment: run once for all tests of a session, in a folder below `folder`."""
    if name not in _UNTOUCHED:
        _UNTOUCHED[name] = run_payload(folder / name, name, limit_s=600)
    return _UNTOUCHED[name]


def _readings(name: str, device: str, events: Path, main: int, stderr: str) -> Readings:
    said = [
        msgspec.json.decode(line, type=Event)
        for file in sorted(events.iterdir())
        for line in file.read_bytes().splitlines()
    ]
    end = next((e for e in said if e.ev == "end" and e.pid == main), None)
    if end is None:
        outcome = Outcome(ending="exited", cause=f"no end was said: {stderr[-2000:]}")
    elif not end.ok:
        outcome = Outcome(ending="raised", cause=end.error or "")
    else:
        outcome = Outcome(ending="ended", skip=end.skip)
    return Readings(
        probe=name,
        device=device,
        figures=tuple(_figure(e) for e in said if e.ev == "figure"),
        facts=tuple(Fact(name=e.name, value=e.value, evidence=e.evidence) for e in said if e.ev == "fact"),
        evidence=tuple(Evidence(kind=e.kind, text=e.text, artifact=e.path) for e in said if e.ev == "artifact"),
        outcome=outcome,
    )


def _figure(event: Event) -> Figure:
    assert isinstance(event.value, (int, float)), event
    return Figure(
        name=event.name,
        value=event.value,
        unit=event.unit,
        n=event.n,
        spread=event.spread,
        labels=event.labels,
    )
