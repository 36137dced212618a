"""data.image and data.csv in real processes: where the packages are, where a fake stands for them, where none is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from payload_modules import load
from payload_process import Said, run_payload

from torchprobes.model import Verdict


def package(folder: Path, name: str, **modules: str) -> Path:
    """A package of that name in `folder`; the text of each module."""
    (folder / name).mkdir(parents=True)
    for module, text in {"__init__": "", **modules}.items():
        (folder / name / f"{module}.py").write_text(text)
    return folder


def hidden(folder: Path, *names: str) -> Path:
    """A folder of a sitecustomize that makes these packages impossible to find."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hides:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {names!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hides)\n"
    )
    return folder


def run(tmp_path: Path, name: str, place: Path, **params: object) -> Said:
    return run_payload(tmp_path / "run", name, environ={"PYTHONPATH": str(place)}, more={"params": params})


def facts(said: Said) -> dict[str, object]:
    return {f.name: f.value for f in said.readings.facts}


# A Pillow that keeps the pixels as they are: its "JPEG" is a header and the bytes.
FAKE_IMAGE = """
class _Image:
    def __init__(self, data): self.data = data
    def save(self, file, kind, quality): file.write(b"JPEG" + self.data)
    def convert(self, mode): return self
    def tobytes(self): return CHANGED(self.data)

CHANGED = bytes

def frombytes(mode, size, data): return _Image(data)
def open(file): return _Image(file.read()[4:])
"""
FAKE_FEATURES = "def check_feature(name): return name == 'libjpeg_turbo'\n"
SWAPPED = "CHANGED = lambda data: bytes(b for n in range(0, len(data), 3) for b in data[n:n+3][::-1])"


def test_without_a_decoder_the_probe_is_skipped_with_what_to_install(tmp_path: Path) -> None:
    said = run(tmp_path, "data.image", hidden(tmp_path / "hidden", "PIL", "cv2"))
    assert said.judgement.verdict is Verdict.SKIP
    assert "pip install pillow" in said.judgement.reason


def test_one_decoder_is_enough_and_the_other_is_told_as_absent(tmp_path: Path) -> None:
    place = package(hidden(tmp_path / "place", "cv2"), "PIL", Image=FAKE_IMAGE, features=FAKE_FEATURES)
    said = run(tmp_path, "data.image", place)
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    assert said.judgement.reason.startswith("a 1280 x 720 JPEG became the right tensor: pil ")
    assert (facts(said)["image.cv2"], facts(said)["image.pil.libjpeg_turbo"]) == (None, True)
    assert said.readings.number("image_error") == 0
    timed = said.readings.figure("decode_us")
    assert timed is not None
    assert timed.n >= 4
    assert timed.value > 0


def test_the_picture_is_the_same_each_time_and_its_colours_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    image: Any = load(monkeypatch, "image")
    pixels = image.picture()
    assert pixels == image.picture()
    assert len(pixels) == 3 * image.WIDTH * image.HEIGHT
    swapped = sum(abs(a - b) for a, b in zip(pixels[0::3], pixels[2::3], strict=True)) / (len(pixels) / 3)
    assert swapped > 20


REAL = [name for name in ("PIL", "cv2") if importlib.util.find_spec(name)]


@pytest.mark.skipif(not REAL, reason="neither Pillow nor OpenCV is in this environment")
def test_real_decoders_give_back_the_picture(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "data.image")
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    decoders = {f.labels["decoder"] for f in said.readings.figures if f.name == "image_error"}
    assert decoders == {{"PIL": "pil", "cv2": "cv2"}[name] for name in REAL}


# --- tables --------------------------------------------------------------------------------------------------------

FAKE_PANDAS = """
import csv
__version__ = "0.fake"

class _Cell(int):
    def item(self): return CHANGED(self)

class _Column(list):
    def sum(self):
        total = sum(float(v) for v in self)
        cell = _Cell(total)
        cell.item = lambda: CHANGED(total)
        return cell
    @property
    def iloc(self): return self

CHANGED = lambda value: value

class _Usage:
    def sum(self): return 12345

class _Frame(dict):
    def __len__(self): return len(self["id"])
    def memory_usage(self, deep): return _Usage()

def read_csv(path, engine):
    with open(path, newline="") as file:
        rows = csv.reader(file)
        names = next(rows)
        return _Frame(zip(names, map(_Column, zip(*rows))))
"""


def csv_with(tmp_path: Path, pandas: str, *absent: str) -> Said:
    place = package(hidden(tmp_path / "place", "pyarrow", *absent), "pandas", __init__=pandas)
    return run(tmp_path, "data.csv", place, bytes=1)


def test_a_table_is_read_in_a_process_of_its_own_and_compared(tmp_path: Path) -> None:
    said = csv_with(tmp_path, FAKE_PANDAS)
    assert said.judgement.verdict is Verdict.PASS, (said.judgement, facts(said))
    assert (facts(said)["csv.c.ending"], facts(said)["csv.pyarrow"]) == (0, None)
    size, memory = said.readings.number("csv_bytes"), said.readings.number("csv_memory")
    assert size is not None
    assert memory is not None
    assert size > 500_000
    assert memory > size  # the rows are Python objects here
    assert not list((tmp_path / "run" / "artifacts").glob("*.csv"))


def test_without_pandas_the_probe_is_skipped(tmp_path: Path) -> None:
    said = run(tmp_path, "data.csv", hidden(tmp_path / "place", "pandas"))
    assert (said.judgement.verdict, said.judgement.reason) == (
        Verdict.SKIP,
        "pandas is not in this Python: pip install pandas",
    )


@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="pandas is not in this environment")
def test_real_pandas_reads_the_values(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "data.csv", more={"params": {"bytes": 1}})
    assert said.judgement.verdict is Verdict.PASS, said.judgement


def test_the_file_keeps_to_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = load(monkeypatch, "csv_frame")
    size = len(module.block()[0])
    request = type("Request", (), {"params": {"bytes": 100 * size}})
    monkeypatch.setattr(module, "_available_memory", lambda: None)
    assert module._blocks(request, str(tmp_path)) == 100
    monkeypatch.setattr(module, "_available_memory", lambda: 40 * 3 * size)
    assert module._blocks(request, str(tmp_path)) == 3
    monkeypatch.setattr(module, "_available_memory", lambda: 0)
    assert module._blocks(request, str(tmp_path)) == 1
