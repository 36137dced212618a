"""accel.backends with a device of ours: PrivateUse1 in Python, loaded through the entry point of a package of ours.

What is emulated: allocation, copies, add and mul with a number (fake_device.py). Vendors' plug-ins differ in all the
rest, and take the same way into PyTorch.
"""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from payload_process import Said, run_payload

from torchprobes.model import Verdict

DEVICE = Path(__file__).parent / "fake_device.py"
VERSION = tuple(int(n) for n in importlib.metadata.version("torch").split("+")[0].split(".")[:2])
pytestmark = pytest.mark.skipif(VERSION < (2, 10), reason="LOUD: no torch._C._acc, so no device of ours in Python")


def site(tmp_path: Path, entry: bool = True) -> str:
    """A folder for PYTHONPATH with the plug-in, installed so that `import torch` finds it."""
    folder = tmp_path / "site"
    folder.mkdir()
    shutil.copy(DEVICE, folder / "fake_device.py")
    if entry:
        info = folder / "fake_device-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-device\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[torch.backends]\ndoctor = fake_device:autoload\n")
    return str(folder)


def ask(tmp_path: Path, environ: Mapping[str, str]) -> Said:
    return run_payload(tmp_path / "run", "accel.backends", environ={"PYTHONPATH": site(tmp_path), **environ})


def test_a_plug_in_of_ours_answers(tmp_path: Path) -> None:
    said = ask(tmp_path, {})
    assert (said.judgement.verdict, said.ids) == (Verdict.PASS, []), (said.judgement, said.stderr)
    assert said.judgement.reason == "doctor:0: a kernel's answer is right; torch.accelerator is doctor"


@pytest.mark.trials
def test_wrong_numbers_are_counted(tmp_path: Path) -> None:
    said = ask(tmp_path, {"FAKE_DEVICE": "wrong"})
    assert (said.judgement.verdict, said.ids) == (Verdict.FAIL, ["TD-ACC-002"]), said.judgement
    assert "63 of 64 numbers differ" in said.judgement.reason


def test_a_plug_in_that_breaks_import_torch_is_named_once(tmp_path: Path) -> None:
    said = ask(tmp_path, {"FAKE_DEVICE": "broken"})
    assert (said.judgement.verdict, said.ids) == (Verdict.FAIL, ["TD-ACC-003"]), said.judgement
    assert "Failed to load the backend extension" in said.judgement.reason


@pytest.mark.trials
def test_a_plug_in_that_is_not_loaded_by_itself_still_answers(tmp_path: Path) -> None:
    said = ask(tmp_path, {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"})
    assert (said.judgement.verdict, said.ids) == (Verdict.PASS, ["TD-ACC-004"]), said.judgement
    assert "TORCH_DEVICE_BACKEND_AUTOLOAD='0'" in said.judgement.findings[0].seen
