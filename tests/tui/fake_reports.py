"""The report desk without a process: the real answers, in the asker's thread, through JSON as over the pipe."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from torchdoctor.desk import DeskError
from torchprobes.model import Report, Verdict
from torchprobes.reports.desk import Desk

PLACE = "/state/runs"
"""What a place is called on screen, wherever it really is."""


class FakeReportDesk:
    """Answers from `place`; without one there is no run. `asked` is what it was asked, in order."""

    def __init__(self, place: Path | None = None) -> None:
        self.place = str(place or "/nowhere/runs")
        self.desk = Desk(Path(self.place))
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.held = threading.Event()
        """While it is clear nothing is answered."""
        self.held.set()
        self.stopped = False

    def ask(self, question: str, arguments: Mapping[str, Any], deadline_s: float) -> Any:
        """What the real one would answer, with its own words where there is none."""
        self.asked.append((question, dict(arguments)))
        assert self.held.wait(deadline_s)
        asked = json.loads(json.dumps(arguments).replace(PLACE, self.place))
        try:
            return json.loads(json.dumps(self.desk.answer(question, asked)).replace(self.place, PLACE))
        except Exception as error:
            raise DeskError(str(error).replace(self.place, PLACE)) from None

    def stop(self) -> None:
        """Nothing to end."""
        self.stopped = True


def keep_run(place: Path, name: str, report: Report, *, title: str = "", pid: int = 0) -> Path:
    """A finished run of this report below `place`; with a pid it is one that is owned by that process."""
    path = place / name
    path.mkdir(parents=True)
    owner = {"pid": pid, "start_ticks": 1, "boot_id": "b"}
    info = {
        "schema": 1, "kind": "check", "name": name, "host": report.machine.host, "started": report.started,
        "owner": owner, "target": msgspec.to_builtins(report.target), "tier": report.tier, "title": title,
        "probes": [result.name for result in report.results], "finished": report.started, "seconds": report.seconds,
    }  # fmt: skip
    (path / "run.json").write_text(json.dumps(info))
    (path / "results.jsonl").write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in report.results))
    machine = {"schema": report.schema, "machine": msgspec.to_builtins(report.machine), "findings": []}
    (path / "machine.json").write_text(json.dumps(machine))
    (path / "report.json").write_bytes(msgspec.json.encode(report))
    return path


def on(report: Report, host: str, started: str = "", **verdicts: Verdict) -> Report:
    """The same on another node; `verdicts` (with `_` for `.`) are other ones of probes."""
    results = tuple(
        msgspec.structs.replace(r, verdict=verdicts.get(r.name.replace(".", "_").replace("-", "_"), r.verdict))
        for r in report.results
    )
    machine = msgspec.structs.replace(report.machine, host=host)
    return msgspec.structs.replace(report, machine=machine, results=results, started=started or report.started)


def write_files(folder: Path, reports: Mapping[str, Report]) -> Path:
    """Reports as files of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, report in reports.items():
        (folder / name).write_bytes(msgspec.json.encode(report))
    return folder
