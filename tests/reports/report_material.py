"""Reports and runs for tests: one at random from a seed, and one by hand."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec

from torchprobes import rundir
from torchprobes.catalogue import PROBES
from torchprobes.model import (
    Evidence,
    Fact,
    Figure,
    Finding,
    Fix,
    Machine,
    Report,
    Result,
    Scope,
    Severity,
    Target,
    Tier,
    Verdict,
    worst,
)
from torchprobes.rundir import RunDir

MACHINE = Machine(
    host="node7", boot_id="b", kernel="6.1", arch="x86_64", os="Debian 12", cpu="Xeon", cores=8, memory_bytes=1 << 34
)
TARGET = Target(python="/env/bin/python", origin="--python", torch="2.6.0", cuda="12.4", python_version="3.11.7")

HOSTILE = (
    "", "plain", "a|b `c` <script>alert(1)</script> & [x](http://y)", "\x1b[2J\x1b]0;title\x07", "tab\tand\nline\r",
    "\u202eright to left", "\x00\x01\ufffe\ud7ff", "]]>", "```", "é漢字🙂", "API_TOKEN=hunter2",
    "\x85\u2028", "x" * 5000,
)  # fmt: skip


def result(name: str = "env.identity", verdict: Verdict = Verdict.PASS, **fields: object) -> Result:
    base = Result(
        name=name,
        group=name.partition(".")[0],
        tier=Tier.QUICK,
        device="cpu",
        verdict=verdict,
        reason="why",
        seconds=1.5,
    )
    return msgspec.structs.replace(base, **fields)


def finding(severity: Severity = Severity.WARNING, text: str = "seen") -> Finding:
    fix = Fix(command=f"do {text}", scope=Scope.NODE, needs=("root",))
    return Finding(id="TD-HST-001", severity=severity, seen=text, why=text, fix=fix, source=text)


def report(results: tuple[Result, ...] = (), findings: tuple[Finding, ...] = ()) -> Report:
    return Report(
        torchdoctor="0.1.0", machine=MACHINE, target=TARGET, tier="quick", started="2026-01-02T03:04:05Z", seconds=2.0,
        verdict=worst([r.verdict for r in results]), results=results, findings=findings,
    )  # fmt: skip


def random_report(seed: int) -> Report:
    dice = random.Random(seed)

    def text() -> str:
        return "".join(dice.choice(HOSTILE) for _ in range(dice.randrange(3)))

    def one_result(name: str) -> Result:
        return result(
            name,
            dice.choice(list(Verdict)),
            reason=text(),
            seconds=dice.random() * 100,
            figures=tuple(Figure(name=text(), value=dice.uniform(-9, 9), unit="s") for _ in range(dice.randrange(3))),
            facts=tuple(Fact(name=text(), value=dice.choice([None, 1, 2.5, True, text()])) for _ in range(2)),
            findings=tuple(finding(dice.choice(list(Severity)), text()) for _ in range(dice.randrange(3))),
            evidence=(Evidence(kind="k", text=text(), artifact=None),),
        )

    names = dice.sample([p.name for p in PROBES], dice.randrange(len(PROBES) + 1))
    found = tuple(finding(dice.choice(list(Severity)), text()) for _ in range(dice.randrange(3)))
    return report(tuple(one_result(name) for name in names), found)


def make_run(place: Path, probes: tuple[str, ...], results: tuple[Result, ...] = (), *, dead: bool = False) -> RunDir:
    """A run that asked for `probes` and got `results`; `dead`: its owner is gone."""
    run = rundir.create(place, "check", target=TARGET, tier="quick", device="cpu", probes=probes)
    run.results.write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in results))
    if dead:
        gone = rundir.Owner(pid=2**22, start_ticks=1, boot_id=rundir.boot_id())
        run.write_info(msgspec.structs.replace(run.info, owner=gone))
    return run
