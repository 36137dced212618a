"""Writing: exactly what was asked for, in that order, whatever became of it."""

from __future__ import annotations

import os
import random
from pathlib import Path

import msgspec
import pytest
from report_material import MACHINE, TARGET, finding, make_run, result

from torchprobes.catalogue import PROBES
from torchprobes.cells import Absent, CellState
from torchprobes.model import REPORT_ORDER, Report, Verdict
from torchprobes.reports import write
from torchprobes.rundir import RunError
from torchprobes.samples import GpuSample, HostSample, Sample

NAMES = tuple(probe.name for probe in PROBES)


def test_results_are_the_requested_probes_in_request_order(tmp_path: Path) -> None:
    for seed in range(60):
        dice = random.Random(seed)
        asked = tuple(dice.sample(NAMES, dice.randrange(1, len(NAMES))))
        finished = [result(name, dice.choice(list(Verdict))) for name in NAMES if dice.random() < 0.6]
        dice.shuffle(finished)
        report = write.collect(make_run(tmp_path, asked, tuple(finished)))
        assert tuple(r.name for r in report.results) == asked
        said = {r.name: r for r in finished}
        for r in report.results:
            assert r == said[r.name] if r.name in said else (r.verdict, r.reason[:11]) == (Verdict.ERROR, "interrupted")
        assert report.verdict is next(v for v in REPORT_ORDER if v in {r.verdict for r in report.results})


def test_the_last_result_of_a_probe_counts(tmp_path: Path) -> None:
    run = make_run(tmp_path, ("env.identity",), (result(verdict=Verdict.ERROR), result(verdict=Verdict.PASS)))
    assert write.collect(run).verdict is Verdict.PASS


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_line_that_a_full_disk_cut_is_an_interrupted_probe_and_costs_no_other(tmp_path: Path, cut: int) -> None:
    run = make_run(tmp_path, ("env.identity", "export.signature"), (result(), result("export.signature")))
    whole = run.results.read_bytes()
    run.results.write_bytes(whole[:-cut])
    report = write.collect(run)
    assert report.results[0].verdict is Verdict.PASS
    # Without its newline alone the line is whole.
    assert report.results[1].verdict is (Verdict.PASS if cut == 1 else Verdict.ERROR)


def test_hostile_lines_are_passed_over(tmp_path: Path) -> None:
    run = make_run(tmp_path, ("env.identity",), (result(),))
    with run.results.open("ab") as file:
        file.write(b"\xff\xfe\n[" + b"[" * 50_000 + b'\n{"name": 3}\nnull\n\n')
    assert write.collect(run).verdict is Verdict.PASS


def test_the_node_and_its_findings_are_kept_in_the_run(tmp_path: Path) -> None:
    run = make_run(tmp_path, ("env.identity",), (result(),))
    assert write.collect(run).machine.host == run.info.host
    write.record_machine(run, MACHINE, (finding(),))
    report = write.write(run)
    assert (report.machine, report.findings, report.target) == (MACHINE, (finding(),), TARGET)
    kept = msgspec.json.decode(run.report.read_bytes(), type=Report)
    assert kept == msgspec.structs.replace(report, redaction="internal: masked nothing")


def test_the_gpus_of_a_report_are_those_that_telemetry_saw(tmp_path: Path) -> None:
    unread = Absent(state=CellState.LOST, why="the GPU has fallen off the bus", code=15)
    gpus = (
        GpuSample(index=0, uuid="GPU-a", bus_id="0000:00:06.0", name="NVIDIA H200", memory_total_bytes=1 << 37),
        GpuSample(index=1, uuid="GPU-b", bus_id="0000:00:07.0", name=unread),
    )
    host = HostSample(host="h", cores=2)
    seen = Sample(
        t_ns=0, m_ns=0, driver="580.1", cuda="13.0", driver_state="ok", gpus=gpus, processes=(), host=host
    )  # fmt: skip
    run = make_run(tmp_path, ("env.identity",), (result(),))
    write.record_machine(run, MACHINE, (), seen)
    machine = write.write(run).machine
    assert (machine.driver, machine.cuda) == ("580.1", "13.0")
    assert [(gpu["uuid"], gpu["bus_id"]) for gpu in machine.gpus] == [(g.uuid, g.bus_id) for g in gpus]
    assert machine.gpus[0]["name"] == "NVIDIA H200"
    assert machine.gpus[1]["name"]["state"] == "lost"


def test_a_report_that_cannot_be_written_leaves_the_old_one_and_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, ("env.identity",), (result(),))
    write.write(run)
    before = run.report.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match=r"No space left on device; what could be written stays in "):
        write.write(run)
    assert run.report.read_bytes() == before
    assert sorted(p.name for p in run.path.iterdir()) == ["probes", "report.json", "results.jsonl", "run.json"]
