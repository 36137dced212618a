"""Reading: what somebody hands over is a report or one clear line."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import msgspec
import pytest
from report_material import make_run, random_report, report, result

from torchprobes.model import REPORT_SCHEMA, Verdict
from torchprobes.reports import read, write
from torchprobes.reports.export import to_json
from torchprobes.rundir import RunError


def refused(path: Path) -> str:
    with pytest.raises(RunError) as caught:
        read.read_file(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def complaint(path: Path) -> str:
    try:
        read.read_file(path)
    except RunError as error:
        return str(error)
    return ""


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    for seed in range(100):
        path.write_bytes(to_json(random_report(seed)))
        assert read.read_file(path) == random_report(seed)


def test_a_later_schema_is_refused_whatever_else_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "later.json"
    path.write_text(json.dumps({"schema": REPORT_SCHEMA + 1, "results": "of another shape"}))
    assert f"schema {REPORT_SCHEMA + 1}" in refused(path)
    assert "upgrade torchdoctor" in refused(path)


def test_fields_that_are_not_known_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps({**json.loads(to_json(report((result(),)))), "weather": "fine"}))
    assert read.read_file(path) == report((result(),))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b"{}", b'{"schema": 1}', b'{"schema": "1"}', b'{"schema": 1e99}', b"\x1f\x8b\x08",
        b"\xff" * 99,
        b'{"schema": 1, "torchdoctor": NaN}', b"{" * 100_000, b'{"schema":' + b"1" * 10_000 + b"}", b"<html></html>",
    ],
)  # fmt: skip
def test_what_is_no_report_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    assert "cannot be read" in refused(path)


def test_every_truncation_and_every_flipped_byte_is_a_report_or_one_line(tmp_path: Path) -> None:
    path, whole = tmp_path / "report.json", to_json(report((result(), result("compile.default", Verdict.FAIL))))
    dice = random.Random(0)
    for _ in range(300):
        broken = bytearray(whole)
        broken[dice.randrange(len(broken))] = dice.randrange(256)
        path.write_bytes(bytes(broken[: dice.choice([len(broken), dice.randrange(len(broken))])]))
        assert "\n" not in complaint(path)


def test_a_verdict_that_its_results_deny_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    lying = msgspec.structs.replace(report((result(verdict=Verdict.FAIL),)), verdict=Verdict.PASS)
    path.write_bytes(to_json(lying))
    assert "contradicts itself" in refused(path)


def test_a_missing_file_a_folder_a_pipe_and_a_huge_file_are_refused_without_waiting(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none")
    assert "no regular file" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in refused(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(read.MAX_BYTES + 1)
    assert "at most" in refused(tmp_path / "huge")


def test_a_run_gives_what_it_has_and_a_lone_report_is_enough(tmp_path: Path) -> None:
    run = make_run(tmp_path, ("env.identity", "export.signature"), (result(),))
    assert [r.verdict for r in read.read_run(run).results] == [Verdict.PASS, Verdict.ERROR]
    kept = write.write(run)
    run.results.unlink()
    assert read.read_run(run) == msgspec.structs.replace(kept, redaction="internal: masked nothing")


def test_a_report_of_the_first_schema_is_read_and_has_no_inventory_that_anybody_took(tmp_path: Path) -> None:
    path, document = tmp_path / "report.json", json.loads(to_json(report((result(),))))
    del document["machine"]["inventory"]
    path.write_text(json.dumps({**document, "schema": 1}))
    found = read.read_file(path)
    assert found.schema == REPORT_SCHEMA
    assert found.machine.inventory.parts == {}
    assert found.machine.inventory.unread == {"": "made by a torchdoctor that took no inventory"}
    assert found.results == (result(),)


@pytest.mark.parametrize("schema", [0, -1])
def test_a_schema_that_nobody_wrote_is_refused(tmp_path: Path, schema: int) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps({**json.loads(to_json(report((result(),)))), "schema": schema}))
    assert "which no torchdoctor wrote" in refused(path)
