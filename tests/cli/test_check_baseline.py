"""`check --baseline`: what it takes as a known good node, and how it exits."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec
import pytest
from cli_process import torchdoctor

from torchdoctor.commands import _session
from torchdoctor.commands._baseline import known_good
from torchdoctor.settings import Settings
from torchprobes import catalogue, rundir
from torchprobes.model import REPORT_SCHEMA, Machine, Report, Result, Target, Tier, Verdict
from torchprobes.reports import baseline
from torchprobes.rundir import Owner, RunDir, RunError

TARGET = Target(python=sys.executable, torch="2.6.0")
MACHINE = Machine(host="good", boot_id="", kernel="", arch="", os="", cpu="", cores=0, memory_bytes=0)


def one(verdict: Verdict = Verdict.PASS) -> Result:
    reason = "why"
    return Result(
        name="env.identity", group="env", tier=Tier.QUICK, device="cpu", verdict=verdict, reason=reason, seconds=1.0
    )


def good(*results: Result, tier: str = "quick") -> Report:
    verdict = results[0].verdict if results else Verdict.SKIP
    return Report(
        torchdoctor="0", machine=MACHINE, target=TARGET, tier=tier, started="2026-01-01T00:00:00Z", seconds=1.0,
        verdict=verdict, results=results,
    )  # fmt: skip


def written(folder: Path, report: Report) -> str:
    path = folder / "good.json"
    path.write_bytes(msgspec.json.encode(report))
    return str(path)


def ended(place: Path, result: Result) -> RunDir:
    """A finished check whose owner is gone."""
    run = rundir.create(place, "check", target=TARGET, probes=("env.identity",), tier="quick", device="cpu")
    run.results.write_bytes(msgspec.json.encode(result) + b"\n")
    run.change(owner=Owner(pid=2**22, start_ticks=1, boot_id=rundir.boot_id()), finished="now", seconds=1.0)
    return run


def test_a_file_a_run_and_a_title_are_baselines(place: Path, tmp_path: Path) -> None:
    run = ended(place, one())
    rundir.rename(run, "known good")
    file = written(tmp_path, good(one()))
    found = [known_good(name, Settings()) for name in (file, str(run.path), run.name, "known good")]
    assert [each.where for each in found] == [file, *[str(run.path)] * 3]
    assert {each.report.results for each in found} == {(one(),)}


def test_what_has_nothing_to_judge_against_is_refused(place: Path, tmp_path: Path) -> None:
    for report in (good(), good(one(), tier="snapshot")):
        with pytest.raises(click.UsageError, match="no probe's result"):
            known_good(written(tmp_path, report), Settings())
    with pytest.raises(RunError, match="no run named"):
        known_good("nowhere", Settings())
    (tmp_path / "later.json").write_text(f'{{"schema": {REPORT_SCHEMA + 1}}}')
    with pytest.raises(RunError, match="upgrade torchdoctor"):
        known_good(str(tmp_path / "later.json"), Settings())


def test_a_bad_baseline_is_told(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known_good(written(tmp_path, good(one(Verdict.FAIL))), Settings())
    assert "the baseline itself is fail" in capsys.readouterr().err


def test_a_new_run_keeps_its_baseline(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_session, "chosen_target", lambda *_: TARGET)
    name = written(tmp_path, good(one()))
    run = _session.new_run(Settings(), catalogue.PROBES[:1], good=known_good(name, Settings()))
    assert run.info.baseline == name
    assert (run.path / baseline.FILE).read_bytes() == msgspec.json.encode(good(one()))


def test_a_check_ends_with_the_code_that_its_baseline_makes(tmp_path: Path) -> None:
    """A run of which nothing is missing runs no probe: it is judged, and its report written."""
    run = ended(tmp_path / "state" / "runs", one(Verdict.SKIP))
    run.change(baseline="/good.json")
    baseline.keep(run.path, good(one()))
    said = torchdoctor(tmp_path, "check", "--resume", run.name)
    assert said.code == 3, said
    assert "TD-BAS-001 warning: skip here, pass in the baseline" in said.out
    assert "judged against the baseline: good 2026-01-01T00:00:00Z /good.json: 0 figures of 1 probes" in said.out
    refused = torchdoctor(tmp_path, "check", "--resume", run.name, "--baseline", run.name)
    assert (refused.code, "--baseline" in refused.one_line()) == (2, True)
