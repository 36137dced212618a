"""Faults put into an environment, each told as one root cause; the fix applied, it is gone."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from elf_file import library
from env_folders import environment, install, kernelspec
from payload_process import Said, run_payload

from torchprobes.model import Verdict

Change = Callable[[Path], Mapping[str, str]]
"""Changes the folder of a patient and says what is set in its environment."""


@dataclass(frozen=True)
class Fault:
    """What is put in, what is told of it, and what the card's fix does."""

    name: str
    probe: str
    card: str
    verdict: Verdict
    inject: Change
    cure: Change


def _site(folder: Path) -> Mapping[str, str]:
    """A whole torch 2.6.0 in the first folder, nothing in the second."""
    site = folder / "site"
    if not site.exists():
        install(site, "torch", "2.6.0", ["triton==3.2.0", "nvidia-cudnn-cu12==9.1.0.70"])
        install(site, "triton", "3.2.0")
        install(site, "nvidia-cudnn-cu12", "9.1.0.70")
    hide = folder / "hide"
    hide.mkdir(exist_ok=True)
    (hide / "sitecustomize.py").write_text(
        "import sys\nsys.path[:] = [p for p in sys.path if 'site-packages' not in p]"
    )
    return {"PYTHONPATH": f"{site}:{folder / 'second'}:{hide}"}


def _with(change: Callable[[Path], object]) -> Change:
    def both(folder: Path) -> Mapping[str, str]:
        environ = _site(folder)
        change(folder)
        return environ

    return both


def _rename(before: str, after: str) -> Change:
    return _with(lambda folder: (folder / "site" / before).rename(folder / "site" / after))


def _remove(below: str) -> Change:
    return _with(lambda folder: shutil.rmtree(folder / below))


def _kernel(python: Callable[[Path], str]) -> Change:
    def change(folder: Path) -> Mapping[str, str]:
        shutil.rmtree(folder / "data", ignore_errors=True)
        kernelspec(folder / "data", "work", [python(folder)])
        (folder / "proc").mkdir(exist_ok=True)
        return {"JUPYTER_PATH": str(folder / "data"), "HOME": str(folder), "JUPYTER_DATA_DIR": str(folder / "none")}

    return change


def _set(**environ: str) -> Change:
    return lambda _folder: environ


def _core(suffix: str) -> Change:
    def change(folder: Path) -> Mapping[str, str]:
        shutil.rmtree(folder / "site", ignore_errors=True)
        environ = _site(folder)
        (folder / "site" / "torch" / f"_C{suffix}").touch()
        return environ

    return change


def _opencv(*needed: str) -> Change:
    def change(folder: Path) -> Mapping[str, str]:
        library(folder / "cv" / "cv2" / "cv2.abi3.so", needed)
        (folder / "cv" / "cv2" / "__init__.py").touch()
        return {"PYTHONPATH": str(folder / "cv")}

    return change


_OWN = f".cpython-{sys.version_info[0]}{sys.version_info[1]}-x86_64-linux-gnu.so"
_D, _F = Verdict.DEGRADED, Verdict.FAIL

FAULTS = (
    Fault("two torches", "env.packages", "TD-ENV-013", _D,
          _with(lambda folder: install(folder / "second", "torch", "2.1.2")), _remove("second")),
    Fault("record of another version", "env.packages", "TD-ENV-050", _D,
          _rename("torch-2.6.0.dist-info", "torch-2.5.1.dist-info"),
          _rename("torch-2.5.1.dist-info", "torch-2.6.0.dist-info")),
    Fault("unmet pin", "env.packages", "TD-ENV-053", _D,
          _rename("triton-3.2.0.dist-info", "triton-3.1.0.dist-info"),
          _rename("triton-3.1.0.dist-info", "triton-3.2.0.dist-info")),
    Fault("cuDNN of two CUDAs", "env.packages", "TD-ENV-055", _D,
          _with(lambda folder: install(folder / "site", "nvidia-cudnn-cu13", "9.19.0.56")),
          _remove("site/nvidia_cudnn_cu13-9.19.0.56.dist-info")),
    Fault("torchvision for another torch", "env.packages", "TD-ENV-054", _D,
          _with(lambda folder: install(folder / "site", "torchvision", "0.16.2", ["torch==2.1.2"])),
          _remove("site/torchvision-0.16.2.dist-info")),
    Fault("kernel of a removed environment", "env.jupyter", "TD-ENV-084", _F,
          _kernel(lambda folder: str(folder / "gone" / "bin" / "python")), _kernel(lambda _folder: sys.executable)),
    Fault("kernel of another torch", "env.jupyter", "TD-ENV-086", _D,
          _kernel(lambda folder: environment(folder / "old", "1.13.1")), _kernel(lambda _folder: sys.executable)),
    Fault("suppress errors", "env.variables", "TD-ENV-100", _D, _set(TORCHDYNAMO_SUPPRESS_ERRORS="0"), _set()),
    Fault("blocking launches", "env.variables", "TD-ENV-120", _D, _set(CUDA_LAUNCH_BLOCKING="1"), _set()),
    Fault("torch of another Python", "env.python", "TD-ENV-071", _F,
          _core(".cpython-36m-x86_64-linux-gnu.so"), _core(_OWN)),
    Fault("OpenCV that wants a screen", "env.abi", "TD-ENV-075", _D,
          _opencv("libGL-of-no-system.so.1"), _opencv("libc.so.6")),
)  # fmt: skip


def said(fault: Fault, folder: Path, turn: str, environ: Mapping[str, str]) -> Said:
    more = {"params": {"proc": str(folder / "proc")}}
    return run_payload(folder / turn, fault.probe, environ=environ, more=more)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_one_root_cause_and_its_fix_cures_it(tmp_path: Path, fault: Fault) -> None:
    before = said(fault, tmp_path, "before", fault.inject(tmp_path))
    assert before.ids == [fault.card], before.judgement
    assert before.judgement.verdict is fault.verdict
    after = said(fault, tmp_path, "after", fault.cure(tmp_path))
    assert (after.judgement.verdict, after.ids) == (Verdict.PASS, []), after.judgement
