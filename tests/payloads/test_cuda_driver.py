"""cuda.driver and cuda.available against a driver of ours: built from C, on a node that is a folder of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest
from payload_modules import load
from payload_process import Said, run_payload

from torchprobes.model import Verdict

SOURCE = Path(__file__).parent / "fake_cuda.c"
VERSION = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder@U22)\n"
GPU = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 1\nGPU UUID: \t GPU-{uuid}\nDevice Minor: \t {minor}\n"
UUIDS = ("11111111-aaaa", "22222222-bbbb")


@pytest.fixture(scope="module")
def libcuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our libcuda.so.1."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("LOUD: no C compiler, so no driver of ours is asked")
    folder = tmp_path_factory.mktemp("driver")
    command = [compiler, "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", str(folder / "libcuda.so.580.95.05")]
    subprocess.run([*command, str(SOURCE)], check=True)
    (folder / "libcuda.so.1").symlink_to("libcuda.so.580.95.05")
    return folder


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node with two GPUs and their driver's module, as a folder; its device files are plain files."""
    root = tmp_path / "node"
    for name in ("dev/nvidia0", "dev/nvidia1", "dev/nvidiactl", "dev/nvidia-uvm"):
        write(root / name, "")
    write(root / "proc/driver/nvidia/version", VERSION)
    for minor, uuid in enumerate(UUIDS):
        write(root / f"proc/driver/nvidia/gpus/0000:0{minor}:00.0/information", GPU.format(uuid=uuid, minor=minor))
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def ask(tmp_path: Path, name: str, root: Path, environ: Mapping[str, str], **params: object) -> Said:
    more = {"params": {"root": str(root), **params}, "user_environ": {}}
    return run_payload(tmp_path / "run", name, environ=environ, more=more)


def value(said: Said, name: str) -> object:
    fact = said.readings.fact(name)
    assert fact is not None, f"{name} was not told: {said.readings.facts} {said.stderr}"
    return fact.value


def test_a_driver_that_answers_is_a_pass_with_its_numbers(tmp_path: Path, node: Path, libcuda: Path) -> None:
    said = ask(tmp_path, "cuda.driver", node, {"LD_LIBRARY_PATH": str(libcuda), "CUDA_VISIBLE_DEVICES": ""})
    assert said.judgement.verdict is Verdict.PASS, said
    assert said.judgement.reason.startswith("driver 580.95.05 answers: CUDA 13.0, 2 devices")
    assert value(said, "driver.library.kind") == "driver"
    assert value(said, "driver.library.from") == str(libcuda)


@pytest.mark.parametrize(
    ("environ", "card", "words"),
    [
        ({"FAKE_CUDA_INIT": "100"}, "TD-CUD-008", "CUDA_ERROR_OF_A_TEST: as the test says"),
        ({"FAKE_CUDA_INIT": "34"}, "TD-CUD-003", "stub"),
        ({"FAKE_CUDA_INIT": "807"}, "TD-CUD-015", "MPS"),
        ({"FAKE_CUDA_INIT": "777"}, "TD-CUD-009", "not in the table"),
        ({"FAKE_CUDA": "hang"}, "TD-CUD-010", "no answer within 0.5 s"),
    ],
)
def test_each_way_to_fail_has_its_one_cause(
    tmp_path: Path, node: Path, libcuda: Path, environ: dict[str, str], card: str, words: str
) -> None:
    said = ask(tmp_path, "cuda.driver", node, {"LD_LIBRARY_PATH": str(libcuda), **environ}, answer_s=0.5)
    if said.ids == ["TD-CUD-010"] and card != "TD-CUD-010":  # a busy machine needs more than half a second
        said = run_payload(tmp_path / "again", "cuda.driver", environ={"LD_LIBRARY_PATH": str(libcuda), **environ},
                           more={"params": {"root": str(node)}})  # fmt: skip
    assert (said.ids, said.judgement.verdict) == ([card], Verdict.FAIL), said.judgement
    assert words in said.judgement.reason


def test_a_stub_in_the_library_path_is_named(tmp_path: Path, node: Path, libcuda: Path) -> None:
    stubs = tmp_path / "cuda" / "lib64" / "stubs"
    stubs.mkdir(parents=True)
    shutil.copy(libcuda / "libcuda.so.1", stubs / "libcuda.so.1")
    said = ask(tmp_path, "cuda.driver", node, {"LD_LIBRARY_PATH": str(stubs), "FAKE_CUDA_INIT": "34"})
    assert said.ids == ["TD-CUD-003"]
    assert str(stubs) in said.judgement.reason


def test_a_node_without_nvidia_is_a_skip_with_the_reason(tmp_path: Path) -> None:
    said = ask(tmp_path, "cuda.driver", tmp_path / "nothing", {"LD_LIBRARY_PATH": ""})
    if said.readings.outcome.skip is None:
        pytest.skip("LOUD: this machine has a driver, so its absence is not tried")
    assert said.judgement.verdict is Verdict.SKIP
    assert "no NVIDIA device here" in said.judgement.reason


# --- parts ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def nvidia(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(monkeypatch, "nvidia", "files")


GPUS = [(f"GPU-{uuid}", str(minor)) for minor, uuid in enumerate(UUIDS)]


@pytest.mark.parametrize(
    ("text", "state", "count"),
    [
        (None, "unset", None),
        ("", "none", 0),
        (" ", "none", 0),
        ("-1", "none", 0),
        ("0", "all known", 1),
        ("1,0", "all known", 2),
        ("GPU-1111", "all known", 1),
        ("0,-1,1", "unknown", 1),
        ("2", "unknown", 0),
        ("0,7,1", "unknown", 1),
        ("GPU-3333", "unknown", 0),
        ("nonsense", "unknown", 0),
        ("MIG-GPU-11111111-aaaa/1/0", "mig", None),
        ("NoDevFiles", "unknown", 0),
    ],
)
def test_what_cuda_makes_of_a_list_of_devices(nvidia: ModuleType, text: str, state: str, count: int | None) -> None:
    assert nvidia.visible(text, GPUS)[:2] == (state, count)


def test_without_a_list_of_gpus_nothing_is_held_against_it(nvidia: ModuleType) -> None:
    assert nvidia.visible("0,1", [])[:2] == ("unread", None)
    assert nvidia.visible("", [])[:2] == ("none", 0)


def test_the_node_is_read_from_its_files(nvidia: ModuleType, node: Path) -> None:
    read = nvidia.Node(str(node))
    assert (len(read.nodes), read.module, read.gpus(), read.present) == (2, "580.95.05", GPUS, True)
    empty = nvidia.Node(str(node / "dev"))
    assert (empty.nodes, empty.module, empty.gpus(), empty.present) == ([], None, [], False)


def test_who_may_open_a_device_file_is_told_by_the_error(nvidia: ModuleType, node: Path) -> None:
    (node / "dev/nvidia-uvm").unlink()
    (node / "dev/nvidia1").chmod(0)
    found = nvidia.openings(nvidia.Node(str(node)))
    assert (found["/dev/nvidia0"], found["/dev/nvidia-uvm"]) == ("open", "ENOENT")
    assert found["/dev/nvidia1"] == ("open" if os.geteuid() == 0 else "EACCES")


@pytest.mark.parametrize(
    ("path", "version", "module", "kind"),
    [
        ("/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05", "580.95.05", "580.95.05", "driver"),
        ("/usr/local/cuda-13.0/compat/libcuda.so.580.82.07", "580.82.07", "535.86.10", "compat"),
        ("/usr/local/cuda/lib64/stubs/libcuda.so", None, "535.86.10", "stub"),
        ("/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.15", "550.54.15", "580.95.05", "other"),
        ("/usr/lib/wsl/lib/libcuda.so.1", None, None, "driver"),
    ],
)
def test_which_libcuda_it_is(monkeypatch: pytest.MonkeyPatch, path: str, version: str, module: str, kind: str) -> None:
    driver = load(monkeypatch, "cuda_driver", "files", "nvidia")
    assert driver.kind_of(path, version, module) == kind


@pytest.mark.parametrize(("number", "text"), [(21801, "2.18.1"), (23007, "2.30.7"), (2708, "2.7.8")])
def test_the_number_of_nccl_is_read(monkeypatch: pytest.MonkeyPatch, number: int, text: str) -> None:
    assert load(monkeypatch, "cuda_driver", "files", "nvidia").nccl_text(number) == text
