"""`check --entry`: the user's own model, named on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_process import torchdoctor

MINE = """
import torch

def model(device):
    torch.manual_seed(0)
    with open("weights.txt") as file:
        scale = float(file.read())
    return torch.nn.Linear(4, 2).to(device), (torch.full((3, 4), scale, device=device),)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "weights.txt").write_text("2.0")
    return tmp_path


def test_an_entry_is_run_from_where_the_user_stands(folder: Path) -> None:
    done = torchdoctor(folder, "check", "export", "--entry", "mine.py:model", "--device", "cpu", "--json", "-")
    report = json.loads(done.out)
    assert [(r["name"], r["verdict"]) for r in report["results"]] == [("export.entry", "pass")], report["results"]
    assert {f["labels"]["case"] for f in report["results"][0]["figures"] if f["name"] == "entry.distance"} == {
        "strict",
        "non-strict",
    }


def test_an_entry_that_breaks_is_an_error_in_one_line(folder: Path) -> None:
    (folder / "weights.txt").unlink()
    done = torchdoctor(folder, "check", "export.entry", "--entry", "mine:model", "--device", "cpu", "--json", "-")
    result = json.loads(done.out)["results"][0]
    assert (done.code, result["verdict"]) == (4, "error")
    assert "mine:model('cpu') raised FileNotFoundError" in result["reason"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--entry", "mine.py"), "is not MODULE:F or PATH.py:F"),
        (("--entry", "other.py:model"), "there is no file other.py"),
        (("ddp", "--entry", "mine.py:model"), "ddp has no use for a model"),
        (("export.entry",), "name it with --entry"),
    ],
)
def test_what_is_wrong_with_the_words_is_said_before_anything_runs(
    folder: Path, words: tuple[str, ...], said: str
) -> None:
    done = torchdoctor(folder, "check", *words, "--device", "cpu")
    assert done.code == 2
    assert said in done.one_line()
