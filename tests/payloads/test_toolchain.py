"""compile.toolchain in real processes: sound, and with one thing broken at a time; no torch is imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from payload_modules import load
from payload_process import Said, run_payload

from torchprobes.model import Verdict

pytest.importorskip("torch")

NAME = "compile.toolchain"


def values(said: Said) -> dict[str, object]:
    return {fact.name: fact.value for fact in said.readings.facts}


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.compiles
def test_sound_tools_pass_by_what_they_built_and_torch_is_not_imported(tmp_path: Path) -> None:
    patch = tmp_path / "patch"
    patch.mkdir()
    hook = (
        "import os, sys\nsys.addaudithook(lambda e, a: os._exit(77) if e == 'import' and a[0] == 'torch' else None)\n"
    )
    (patch / "sitecustomize.py").write_text(hook)
    said = run_payload(tmp_path / "run", NAME, environ={"PYTHONPATH": str(patch)})
    told = values(said)
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    assert [told[f"toolchain.{tool}.works"] for tool in ("cxx", "cc", "python_h")] == ["right"] * 3
    assert told["toolchain.place.inductor.executable"] is True
    assert str(tmp_path) not in str(told["toolchain.place.inductor"]), "the runner's fresh folder is not the user's"
    assert not list(Path(str(told["toolchain.place.tmp"])).glob(".torchdoctor-*"))


@pytest.mark.parametrize(
    ("device", "environ", "ids"),
    [
        ("cpu", {"CXX": ""}, ["TD-CMP-001"]),
        ("xpu", {"PATH": "/nowhere"}, ["TD-CMP-002", "TD-CMP-007"]),
    ],
)
def test_one_missing_tool_is_one_finding(tmp_path: Path, device: str, environ: dict[str, str], ids: list[str]) -> None:
    said = run_payload(tmp_path / "run", NAME, device, environ)
    assert said.judgement.verdict is Verdict.FAIL
    assert said.ids == ids


def test_a_user_without_a_name_is_told_where_torch_would_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = load(monkeypatch, "toolchain_places")
    told: dict[str, object] = {}
    monkeypatch.setattr(places.kit, "fact", lambda name, value, evidence="": told.update({name: value}))
    monkeypatch.setattr(places.getpass, "getuser", lambda: (_ for _ in ()).throw(KeyError("uid not found: 1000")))
    path, _ = places._inductor({}, str(tmp_path), SimpleNamespace(survives_unknown_user=False))
    assert path == f"{tmp_path}/torchinductor_uid_{os.getuid()}"
    assert told == {"toolchain.user": None, "toolchain.user.needed": True}


# --- triton's own tools, emulated: this machine has no GPU ----------------------------------------------------------


@pytest.fixture
def triton_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "site" / "triton"
    (folder / "backends" / "nvidia").mkdir(parents=True)
    (folder / "__init__.py").write_text("__version__ = '3.2.0'\n")
    (folder / "backends" / "nvidia" / "compiler.py").write_text("suffix = 'a' if capability == 90 else ''\n")
    (folder / "backends" / "nvidia" / "driver.py").write_text("libraries = ['cuda']\nTRITON_LIBCUDA_PATH\n")
    knows = 'case "$2" in sm_80|sm_90a) : > "$5";; *) echo "ptxas fatal: $2 is not defined"; exit 1;; esac'
    program(
        folder / "backends" / "nvidia" / "bin" / "ptxas",
        f'[ "$1" = --version ] && echo "release 12.4, V12" && exit\n{knows}',
    )
    return folder


@pytest.mark.parametrize(("capability", "state"), [(80, "right"), (90, "right"), (120, "refused")])
def test_ptxas_is_asked_for_this_very_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, triton_folder: Path, capability: int, state: str
) -> None:
    gpu = load(monkeypatch, "toolchain_gpu")
    told: dict[str, tuple[object, str]] = {}
    monkeypatch.setattr(gpu.kit, "fact", lambda name, value, evidence="": told.update({name: (value, evidence)}))
    monkeypatch.setattr(sys, "path", [str(triton_folder.parent)])
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    triton = gpu.Triton()
    assert (triton.version, triton.folder) == ("3.2.0", str(triton_folder))
    gpu._tell_ptxas(str(tmp_path), triton, capability)
    value, evidence = told[f"toolchain.ptxas.{capability}"]
    assert value == state
    assert "bundled with triton 3.2.0, 12.4" in evidence


@pytest.mark.parametrize(
    ("requirement", "fits"),
    [
        ("triton==3.2.0; platform_system == 'Linux'", True),
        ("triton (==3.1.0) ; platform_system == 'Linux'", False),
        ("triton~=3.2.0", True),
        ("triton~=3.3.0", False),
        ("pytorch-triton-rocm==3.2.0", True),
        ("numpy>=1", None),
    ],
)
def test_the_pin_is_read_from_torchs_own_metadata(
    monkeypatch: pytest.MonkeyPatch, requirement: str, fits: bool | None
) -> None:
    gpu = load(monkeypatch, "toolchain_gpu")
    told: dict[str, object] = {}
    monkeypatch.setattr(gpu.kit, "fact", lambda name, value, evidence="": told.update({name: value}))
    monkeypatch.setattr(gpu.importlib.metadata, "requires", lambda _: [requirement])
    gpu._tell_pin(SimpleNamespace(version="3.2.0"))
    assert told.get("toolchain.triton.pinned") is fits


def test_the_mount_of_a_path_is_read_from_the_kernels_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    places = load(monkeypatch, "toolchain_places")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
        "30 21 0:40 / /home rw,nosuid,noexec - nfs4 server:/home rw\n"
        "broken line\n"
        "31 21 0:41 / /my\\040place rw - fuse.sshfs x rw\n"
    )
    monkeypatch.setattr(places, "_MOUNTS", str(mounts))
    assert places._mount("/home/me") == ("nfs4", "/home rw,nosuid,noexec")
    assert places._mount("/homework")[0] == "ext4"
    assert places._mount("/my place/x")[0] == "fuse.sshfs"
    assert [
        bool(places.NETWORK.match(k)) for k in ("nfs4", "fuse.sshfs", "ext4", "overlay", "fuse.fuse-overlayfs")
    ] == [
        True,
        True,
        False,
        False,
        False,
    ]
