"""What the console's real engines read of earlier runs."""

from __future__ import annotations

from pathlib import Path

import msgspec
from fake_reports import keep_run
from fakes import REPORT

from torchdoctor.engines import real
from torchdoctor.settings import Settings
from torchprobes.model import Fact, Report


def with_secret() -> Report:
    result = msgspec.structs.replace(
        REPORT.results[0], facts=(Fact(name="env.API_TOKEN", value="hunter2"),), reason="sent --password hunter2"
    )
    return msgspec.structs.replace(REPORT, results=(result, *REPORT.results[1:]))


def test_what_the_screen_gets_of_earlier_runs_has_no_secret(tmp_path: Path) -> None:
    run = keep_run(tmp_path / "runs", "20260101T000000Z-gpu-node-07-aaaaaa", with_secret())
    assert "hunter2" in (run / "results.jsonl").read_text()
    settings, engines = Settings(out=str(tmp_path / "runs")), real()
    last, earlier = engines.last_report(settings), engines.earlier(settings)
    assert last is not None
    assert [path for path, _ in earlier] == [str(run)] == [last[0]]
    for report in (last[1], earlier[0][1]):
        assert report.results[0].name == REPORT.results[0].name
        assert "hunter2" not in str(report)
