"""`runs` and `report` on runs of every state."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import msgspec
import pytest
from cli_process import environment, torchdoctor

from torchdoctor.commands._kept import age_of
from torchdoctor.commands.runs import keep_quota
from torchdoctor.settings import Settings
from torchprobes import rundir
from torchprobes.model import REPORT_SCHEMA, Result, Target, Tier, Verdict
from torchprobes.rundir import Owner, RunDir


def make(home: Path, stamp: str = "20260101T000000Z", size: int = 0, verdict: Verdict = Verdict.PASS) -> RunDir:
    """A finished run in the state place, whose owner is gone."""
    target = Target(python=sys.executable, torch="2.6.0")
    place = home / "state" / "runs"
    run = rundir.create(place, "check", name=f"{stamp}-node-abcdef", target=target, probes=("env.identity",))
    gone = Owner(pid=2**22, start_ticks=1, boot_id=rundir.boot_id())
    run.write_info(msgspec.structs.replace(run.info, owner=gone, finished="now", seconds=1.0))
    result = Result(
        name="env.identity", group="env", tier=Tier.QUICK, device="cpu", verdict=verdict, reason="r\x1b[2J", seconds=1.0
    )
    run.results.write_bytes(msgspec.json.encode(result) + b"\n")
    (run.path / "ballast").write_bytes(b"x" * size)
    return run


def names(home: Path) -> list[str]:
    return [run.name for run in rundir.list_runs(home / "state" / "runs")]


def test_runs_lists_the_newest_first_with_verdict_and_sizes(tmp_path: Path) -> None:
    old, new = make(tmp_path), make(tmp_path, "20260202T000000Z", 3000, Verdict.FAIL)
    (make(tmp_path, "20251212T000000Z").path / "run.json").write_text("{")
    first, second, third, total = torchdoctor(tmp_path, "runs").out.splitlines()
    assert first.split()[:2] == [new.name, "fail"]
    assert second.split()[:2] == [old.name, "pass"]
    assert third.split()[1] == "unreadable"
    assert total.startswith("3 runs, ")


def test_prune_deletes_the_oldest_until_all_fit(tmp_path: Path) -> None:
    kept, gone = make(tmp_path, "20260202T000000Z"), make(tmp_path, size=3 << 20)
    said = torchdoctor(tmp_path, "runs", "prune", "--max-mib", "1")
    assert said.out.splitlines() == [f"deleted {gone.name}", "1 runs deleted, 3 MiB"]
    assert names(tmp_path) == [kept.name]


def test_delete_asks_and_without_somebody_to_ask_does_nothing(tmp_path: Path) -> None:
    run = make(tmp_path)
    said = torchdoctor(tmp_path, "runs", "delete", run.name)
    assert (said.code, "say --yes" in said.one_line()) == (2, True)
    assert names(tmp_path) == [run.name]
    assert torchdoctor(tmp_path, "runs", "delete", run.name, "--yes").code == 0
    assert names(tmp_path) == []


def test_the_quota_is_told_before_it_is_full_and_kept_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    old, new = make(tmp_path, size=4000), make(tmp_path, "20260202T000000Z", 4000)
    held = rundir.size_bytes(old.path) + rundir.size_bytes(new.path)
    monkeypatch.setattr(rundir, "QUOTA_BYTES", held * 2)
    keep_quota(new, Settings())
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(rundir, "QUOTA_BYTES", held + 1)
    keep_quota(new, Settings())
    assert "runs prune" in capfd.readouterr().err
    monkeypatch.setattr(rundir, "QUOTA_BYTES", held - 1)
    keep_quota(new, Settings(out="/chosen"))
    assert names(tmp_path) == [new.name, old.name]
    keep_quota(new, Settings())
    assert old.name in capfd.readouterr().err
    assert names(tmp_path) == [new.name]


@pytest.mark.parametrize("arguments", [["prune"], ["delete", "x", "--yes"]])
def test_read_only_deletes_nothing(arguments: list[str], tmp_path: Path) -> None:
    run = make(tmp_path, size=3 << 20)
    said = torchdoctor(tmp_path, "--read-only", "runs", *arguments)
    assert (said.code, "--read-only is set" in said.one_line()) == (2, True)
    assert names(tmp_path) == [run.name]


def test_report_of_a_run_is_text_without_control_sequences(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "report", make(tmp_path).name)
    assert said.code == 0
    assert "pass     env.identity" in said.out
    assert "\x1b" not in said.out
    assert said.out.splitlines()[-1] == "pass: 1 pass in 1.0 s"


def test_signs_are_ascii_where_the_language_is(tmp_path: Path) -> None:
    run = make(tmp_path)
    assert torchdoctor(tmp_path, "report", run.name, environ=environment(tmp_path, LANG="C")).out.isascii()
    assert "✔ pass" in torchdoctor(tmp_path, "report", run.name).out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (json.dumps({"schema": REPORT_SCHEMA + 1}), "upgrade torchdoctor"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"schema": 1}', "missing required field"),
    ],
)
def test_a_report_that_is_none_is_one_line_and_2(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)
    said = torchdoctor(tmp_path, "report", str(path))
    assert (said.code, words in said.one_line()) == (2, True)


@pytest.mark.parametrize("name", ["20990101", "/no/such/folder", "../../etc/passwd", "", "a\nb", "/dev/zero"])
def test_a_run_that_does_not_exist_is_one_line_and_2(name: str, tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "report", name)
    assert said.code == 2
    said.one_line()


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert torchdoctor(tmp_path, "report", str(tmp_path / "pipe")).code == 2


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "report", make(tmp_path).name, "--markdown", "/no/such/file")
    assert (said.code, "--markdown /no/such/file" in said.one_line()) == (2, True)


# --- titles, ages and disk use ---------------------------------------------------------------------------------


def test_a_run_is_renamed_and_listed_and_found_by_its_title(tmp_path: Path) -> None:
    run = make(tmp_path)
    said = torchdoctor(tmp_path, "runs", "rename", run.name[:8], "node 7 before")
    assert (said.code, said.out) == (0, f"{run.name} is now 'node 7 before'\n")
    assert torchdoctor(tmp_path, "runs").out.splitlines()[0].endswith("B  node 7 before")
    assert f"run: {run.path} (node 7 before)" in torchdoctor(tmp_path, "report", "node 7 before").out
    refused = torchdoctor(tmp_path, "runs", "rename", run.name, "a\x1b[2J")
    assert (refused.code, "a title is one line" in refused.one_line()) == (2, True)


def test_a_title_from_outside_is_harmless(tmp_path: Path) -> None:
    run = make(tmp_path)
    run.change(title="\x1b]0;gone\x07 token=ghp_" + "a" * 36 + "x" * 400)
    line = torchdoctor(tmp_path, "runs").out.splitlines()[0]
    assert "\x1b" not in line
    assert "ghp_aaaa" not in line
    assert len(line) < 200


def test_runs_as_json_say_what_is_held_and_what_cannot_be_read(tmp_path: Path) -> None:
    new, old = make(tmp_path, "20260202T000000Z", 3000, Verdict.FAIL), make(tmp_path)
    rundir.rename(new, "after")
    (old.path / "run.json").write_text('{"schema": 99}')
    document = json.loads(torchdoctor(tmp_path, "runs", "list", "--json").out)
    first, second = document["runs"]
    assert (first["name"], first["title"], first["state"], first["kind"]) == (new.name, "after", "fail", "check")
    assert (second["state"], second["title"], second["kind"]) == ("unreadable", None, None)
    assert "upgrade torchdoctor" in second["why"]
    assert document["held_bytes"] == first["bytes"] + second["bytes"] > 3000
    assert document["free_bytes"] > 0


def test_prune_by_age_names_what_would_go_and_then_deletes_it(tmp_path: Path) -> None:
    old, kept = make(tmp_path, "20250101T000000Z"), make(tmp_path, "20260202T000000Z")
    for run, ended in ((old, "2025-01-01T00:10:00Z"), (kept, "2999-01-01T00:00:00Z")):
        run.change(finished=ended)
    would = torchdoctor(tmp_path, "runs", "prune", "--older-than", "30d", "--keep", "0", "--dry-run")
    assert would.out.splitlines()[0] == f"{old.name} would be deleted"
    assert names(tmp_path) == [kept.name, old.name]
    assert torchdoctor(tmp_path, "runs", "prune", "--older-than", "30d", "--keep", "0").out.startswith("deleted ")
    assert names(tmp_path) == [kept.name]


@pytest.mark.parametrize("age", ["", "30", "d", "-1d", "1.5h", "9999999d"])
def test_an_age_that_is_none_is_refused(age: str) -> None:
    with pytest.raises(ValueError, match="30d"):
        age_of(age)
