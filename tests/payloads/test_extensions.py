"""env.extensions for real: libraries of ours in a site folder, held against a driver of ours that says 9.0."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from elf_file import library
from payload_process import Said, run_payload

from torchprobes.model import Verdict

NAME = "env.extensions"
LINKS = ("libtorch.so", "libc10.so", "libcudart.so.12")


@pytest.fixture(scope="module")
def libcuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libcuda.so.1 that shows two devices of capability 9.0."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("LOUD: no C compiler, so no device of ours is asked for its capability")
    folder = tmp_path_factory.mktemp("driver")
    source = Path(__file__).parent / "fake_cuda.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(folder / "libcuda.so.1"), str(source)], check=True)
    return folder


def said(tmp_path: Path, libcuda: Path | None, libraries: Mapping[str, Sequence[str]]) -> Said:
    """What the probe says where these extensions are installed."""
    site = tmp_path / "site"
    for name, archs in libraries.items():
        library(site / name, LINKS, **({"nv_fatbin": [archs]} if archs else {}))
    environ = {"PYTHONPATH": str(site), "TORCH_EXTENSIONS_DIR": str(tmp_path / "built")}
    return run_payload(tmp_path / "run", NAME, environ=environ | ({"LD_LIBRARY_PATH": str(libcuda)} if libcuda else {}))


def value(told: Said, name: str) -> object:
    fact = told.readings.fact(name)
    return fact.value if fact else None


@pytest.mark.parametrize(
    ("archs", "card", "verdict"),
    [
        (["sm_80", "sm_90a"], None, Verdict.PASS),
        (["sm_80", "compute_80"], "TD-ENV-081", Verdict.DEGRADED),
        (["sm_80", "sm_100f"], "TD-ENV-080", Verdict.FAIL),
        (["sm_80", "sm_89", "compute_90a"], "TD-ENV-081", Verdict.DEGRADED),
    ],
)
def test_an_extension_is_held_against_the_device(
    tmp_path: Path, libcuda: Path, archs: Sequence[str], card: str | None, verdict: Verdict
) -> None:
    told = said(tmp_path, libcuda, {"flash/ops.so": archs})
    assert value(told, "extension.flash/ops.so.archs") == " ".join(archs)
    assert value(told, "device.0.capability") == "9.0"
    assert told.judgement.verdict is verdict, told.judgement
    assert told.ids == ([card] if card else [])


def test_a_package_with_a_library_a_generation_is_sound(tmp_path: Path, libcuda: Path) -> None:
    told = said(tmp_path, libcuda, {"kernels/sm90.so": ["sm_90a"], "kernels/sm100.so": ["sm_100a"]})
    assert (told.judgement.verdict, told.ids) == (Verdict.PASS, [])
    assert "Fake GPU is 9.0: machine code for it in kernels" in told.judgement.reason


def test_what_was_built_at_run_time_is_looked_at_too(tmp_path: Path, libcuda: Path) -> None:
    library(tmp_path / "built" / "py311_cu121" / "mine" / "mine.so", LINKS, nv_fatbin=[["sm_70"]])
    told = said(tmp_path, libcuda, {})
    assert told.judgement.verdict is Verdict.FAIL
    assert "torch_extensions/py311_cu121/mine holds sm_70" in told.judgement.reason


def test_without_a_device_nothing_is_judged(tmp_path: Path) -> None:
    told = said(tmp_path, None, {"flash/ops.so": ["sm_70"]})
    assert told.judgement.verdict is Verdict.SKIP
    assert "no NVIDIA device" in told.judgement.reason
    assert value(told, "extension.flash/ops.so.archs") == "sm_70"


def test_without_extensions_it_says_how_many_libraries_it_read(tmp_path: Path) -> None:
    told = said(tmp_path, None, {"cpu/ops.so": []})
    assert told.judgement.verdict is Verdict.SKIP
    assert told.judgement.reason == "1 extensions link PyTorch, and none holds GPU code"
    assert (told.readings.number("libraries_read") or 0) > 10
