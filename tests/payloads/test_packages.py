"""env.packages for real: site folders of ours with whole, double, mixed and half-removed installations."""

from __future__ import annotations

from pathlib import Path

import pytest
from env_folders import install
from payload_modules import load
from payload_process import Said, run_payload

from torchprobes.model import Verdict

NAME = "env.packages"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site folder with a whole torch 2.6.0 and what it requires."""
    folder = tmp_path / "site"
    install(folder, "torch", "2.6.0", ["triton==3.2.0", 'nvidia-cudnn-cu12 (==9.1.0.70) ; sys_platform == "linux"'])
    install(folder, "triton", "3.2.0")
    install(folder, "nvidia-cudnn-cu12", "9.1.0.70")
    return folder


def said(tmp_path: Path, *sites: Path) -> Said:
    """What the probe says of these folders alone: without the site-packages of the tests' own interpreter."""
    hide = tmp_path / "hide"
    hide.mkdir()
    (hide / "sitecustomize.py").write_text(
        "import sys\nsys.path[:] = [p for p in sys.path if 'site-packages' not in p]\n"
    )
    path = ":".join(map(str, (*sites, hide)))
    return run_payload(tmp_path / "run", NAME, environ={"PYTHONPATH": path, "PYTHONNOUSERSITE": "1"})


def test_a_whole_installation_passes_and_nothing_was_imported(tmp_path: Path, site: Path) -> None:
    told = said(tmp_path, site)
    assert (told.judgement.verdict, told.ids) == (Verdict.PASS, []), told.judgement
    assert told.judgement.reason == "one torch, 2.6.0, among 3 packages; 2 requirements compared, all met"


def test_two_torches_are_both_told_the_imported_one_first(tmp_path: Path, site: Path) -> None:
    other = tmp_path / "other"
    install(other, "torch", "2.1.2")
    told = said(tmp_path, site, other)
    assert (told.judgement.verdict, told.ids) == (Verdict.DEGRADED, ["TD-ENV-013"])
    assert told.judgement.reason.index("(2.6.0)") < told.judgement.reason.index("(2.1.2)")


def test_a_half_finished_upgrade_is_seen_in_files_and_records(tmp_path: Path, site: Path) -> None:
    (site / "torch" / "version.py").write_text("__version__ = '2.7.1+cu126'\n")
    (site / "~orch").mkdir()
    told = said(tmp_path, site)
    assert told.ids == ["TD-ENV-050", "TD-ENV-052"]
    assert "the record says 2.6.0, the files say 2.7.1+cu126" in told.judgement.reason


def test_an_unmet_pin_and_wheels_of_two_cudas_are_told(tmp_path: Path, site: Path) -> None:
    install(site, "nvidia-cudnn-cu13", "9.19.0.56")
    (site / "triton-3.2.0.dist-info").rename(site / "triton-3.1.0.dist-info")
    told = said(tmp_path, site)
    assert sorted(told.ids) == ["TD-ENV-053", "TD-ENV-055"]
    assert "torch 2.6.0 requires triton==3.2.0, and 3.1.0 is installed" in " ".join(
        f.seen for f in told.judgement.findings
    )


def test_a_package_for_another_torch_is_told(tmp_path: Path, site: Path) -> None:
    install(site, "torchvision", "0.16.2", ["torch (==2.1.2)", "numpy"])
    told = said(tmp_path, site)
    assert told.ids == ["TD-ENV-054"]
    assert "torchvision 0.16.2 requires torch==2.1.2, and 2.6.0 is installed" in told.judgement.reason


def test_a_torch_without_a_record_is_told_and_passes(tmp_path: Path, site: Path) -> None:
    (site / "torch-2.6.0.dist-info").rename(site / "gone")
    told = said(tmp_path, site)
    assert (told.judgement.verdict, told.ids) == (Verdict.PASS, ["TD-ENV-051"])


def test_condas_records_are_read_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packages = load(monkeypatch, "packages", "files", "requirements")
    for name in ("pytorch-2.5.1-py3.11_cuda12.4_0.json", "numpy-2.1.0-py311h1_0.json", "history", "x.json"):
        (tmp_path / name).touch()
    assert packages.conda_records(str(tmp_path)) == {"torch": "2.5.1", "numpy": "2.1.0"}
