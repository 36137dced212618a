"""env.wheel, env.variables, env.abi, env.python and env.image for real; imports that wait, really waiting."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path

import pytest
from elf_file import library
from payload_modules import load
from payload_process import Said, run_payload

from torchprobes.model import Verdict

TORCH = importlib.metadata.version("torch")


def value(told: Said, name: str) -> object:
    fact = told.readings.fact(name)
    assert fact is not None, f"{name} was not told"
    return fact.value


def fake_torch(folder: Path, version: str, extension: str = "") -> dict[str, str]:
    """An environment in which another torch comes first; importing it fails the test's process."""
    package = folder / "site" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('torch must not be imported')")
    (package / "version.py").write_text(f"__version__ = {version!r}\ncuda = '12.1'\nhip = None\n")
    if extension:
        (package / extension).touch()
    return {"PYTHONPATH": str(folder / "site")}


# --- wheel and Python ----------------------------------------------------------------------------------------------


def test_the_build_is_read_without_an_import(tmp_path: Path) -> None:
    told = run_payload(tmp_path / "run", "env.wheel", environ=fake_torch(tmp_path, "2.1.2+cu121"))
    assert (value(told, "torch.version"), value(told, "torch.build.cuda")) == ("2.1.2+cu121", "12.1")
    assert value(told, "torch.library.cuda") is False


def test_this_python_and_torch_know_each_other(tmp_path: Path) -> None:
    told = run_payload(tmp_path / "run", "env.python")
    assert (told.judgement.verdict, told.ids) == (Verdict.PASS, []), told.judgement
    assert f"torch {TORCH}" in told.judgement.reason


def test_a_torch_of_another_python_is_a_fail_that_names_both_files(tmp_path: Path) -> None:
    other = "_C.cpython-36m-x86_64-linux-gnu.so"
    told = run_payload(tmp_path / "run", "env.python", environ=fake_torch(tmp_path, TORCH, other))
    assert told.judgement.verdict is Verdict.FAIL
    assert other in told.judgement.reason
    assert f"_C.cpython-{sys.version_info[0]}{sys.version_info[1]}" in told.judgement.reason


# --- variables -------------------------------------------------------------------------------------------------------


def test_what_is_set_is_told_masked_and_what_the_runner_sets_is_not(tmp_path: Path) -> None:
    environ = {
        "CUDA_LAUNCH_BLOCKING": "1",
        "TORCHDYNAMO_SUPPRESS_ERRORS": "0",
        "NCCL_DEBUG_FILE": "https://me:secretpassword@proxy/x",
        "TORCH_ACCESS_TOKEN": "secretpassword",
    }
    told = run_payload(tmp_path / "run", "env.variables", environ=environ)
    assert (told.judgement.verdict, sorted(told.ids)) == (Verdict.DEGRADED, ["TD-ENV-100", "TD-ENV-120"])
    assert "secretpassword" not in "".join(path.read_text() for path in (tmp_path / "run" / "events").iterdir())
    names = {f.name for f in told.readings.facts}
    assert not names & {"environ.TRITON_CACHE_DIR", "environ.TORCHDOCTOR_REQUEST"}


# --- image -----------------------------------------------------------------------------------------------------------


def test_caches_are_measured_and_the_machines_kind_is_read(tmp_path: Path) -> None:
    cache = tmp_path / "pip"
    cache.mkdir()
    (cache / "wheel").write_bytes(b"x" * (1 << 20))
    (cache / "again").hardlink_to(cache / "wheel")
    told = run_payload(tmp_path / "run", "env.image", environ={"PIP_CACHE_DIR": str(cache), "container": "podman"})
    sizes = {f.labels["place"]: f.value for f in told.readings.figures if f.name == "cache_bytes"}
    assert 1 << 20 <= sizes["pip"] < 2 << 20
    assert value(told, "container") != "none"
    assert value(told, "python.arch") == value(told, "torch.arch") == platform.machine()
    assert told.judgement.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "by"),
    [
        ("x86_64", "processor\t: 0\nflags\t\t: fpu vme\n", "none"),
        ("x86_64", "processor\t: 0\nCPU implementer\t: 0x41\n", "QEMU"),
        ("aarch64", "processor\t: 0\nflags\t\t: fpu\n", "QEMU"),
        ("x86_64", "vendor_id\t: VirtualApple\nflags\t\t: fpu\n", "Rosetta"),
        ("riscv64", "hart\t: 0\n", None),
    ],
)
def test_emulation_is_known_by_the_cpus_own_words(
    monkeypatch: pytest.MonkeyPatch, machine: str, cpuinfo: str, by: str | None
) -> None:
    assert load(monkeypatch, "hygiene", "files", "requirements", "packages").emulation(machine, cpuinfo) == by


def test_an_elf_files_machine_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hygiene = load(monkeypatch, "hygiene", "files", "requirements", "packages")
    path = library(tmp_path / "a.so")
    assert hygiene.elf_machine(str(path)) == "x86_64"
    data = bytearray(path.read_bytes())
    data[18:20] = b"\xb7\x00"
    path.write_bytes(data)
    assert hygiene.elf_machine(str(path)) == "aarch64"
    assert hygiene.elf_machine(str(tmp_path / "none")) is None


# --- imports that wait -----------------------------------------------------------------------------------------------

SLEEPER = """
import sys, time
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "torch._utils" and Finder.armed:
            Finder.armed = False
            time.sleep(5.2)
    armed = True
sys.meta_path.insert(0, Finder)
"""


@pytest.mark.trials
def test_an_import_that_sleeps_is_told_with_what_it_waited(tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(SLEEPER)
    told = run_payload(tmp_path / "run", "env.identity", environ={"PYTHONPATH": str(hook)})
    waited, took = told.readings.number("import_waited_s"), told.readings.number("import_s")
    assert waited is not None
    assert took is not None
    assert 5.0 <= waited <= took
    assert "TD-ENV-065" in told.ids
    (finding,) = [f for f in told.judgement.findings if f.id == "TD-ENV-065"]
    assert "of it waiting" in finding.seen
    assert "PyTorch lies on" in finding.seen


def test_a_start_that_sleeps_is_told(tmp_path: Path) -> None:
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text("import time; time.sleep(2.2)\n")
    (hook / "torch").mkdir()
    (hook / "torch" / "__init__.py").write_text("raise ImportError('not needed here')")
    told = run_payload(tmp_path / "run", "env.identity", environ={"PYTHONPATH": str(hook)})
    assert {"TD-ENV-002", "TD-ENV-066"} <= set(told.ids)


MOUNTS = """22 1 254:1 / / rw,relatime - ext4 /dev/root rw
30 22 0:30 / /envs rw - nfs4 server:/envs rw,vers=4.2
31 22 0:31 / /envs/with\\040space rw - fuse.sshfs host:/x rw
32 22 0:32 / /top rw - tmpfs tmpfs rw
33 22 0:33 / /top rw - lustre mgs:/lus rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/usr/lib", ("ext4", "/dev/root", "/")),
        ("/envs/a/torch", ("nfs4", "server:/envs", "/envs")),
        ("/envsother", ("ext4", "/dev/root", "/")),
        ("/envs/with space/torch", ("fuse.sshfs", "host:/x", "/envs/with space")),
        ("/top/torch", ("lustre", "mgs:/lus", "/top")),
    ],
)
def test_the_file_system_below_a_path_is_that_of_the_nearest_mount(
    monkeypatch: pytest.MonkeyPatch, path: str, found: tuple[str, str, str]
) -> None:
    assert load(monkeypatch, "import_cost", "files").filesystem(path, MOUNTS) == found
