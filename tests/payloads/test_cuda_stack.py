"""cuda.toolkits, cuda.arch, cuda.libraries, cuda.cudnn and compute.launch: folders of ours, and one real run each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from payload_modules import load
from payload_process import Said, run_payload

from torchprobes.judge.reading import figure, number
from torchprobes.model import Verdict

JSON = '{"cuda": {"name": "CUDA SDK", "version": "%s.0"}}'


def toolkit(root: Path, version: str, how: str = "version.json") -> Path:
    """A toolkit in /usr/local of `root`, its version where that generation of CUDA has it."""
    folder = root / "usr/local" / f"cuda-{version}"
    (folder / "bin").mkdir(parents=True)
    nvcc = folder / "bin/nvcc"
    nvcc.write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {version}, V{version}.99'\n")
    nvcc.chmod(0o755)
    if how == "version.json":
        (folder / "version.json").write_text(JSON % version)
    elif how == "version.txt":
        (folder / "version.txt").write_text(f"CUDA Version {version}.89\n")
    elif how == "cuda.h":
        major, minor = version.split(".")
        (folder / "include").mkdir()
        (folder / "include/cuda.h").write_text(f"#define CUDA_VERSION {int(major) * 1000 + int(minor) * 10}\n")
    return folder


def fake_torch(folder: Path, cuda: str) -> str:
    """A folder for PYTHONPATH with the files of a torch that cannot be imported: this probe does not."""
    package = folder / "site" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('nobody may import this')\n")
    (package / "version.py").write_text(f"__version__ = '2.1.2+cu'\ncuda = {cuda!r}\nhip = None\n")
    return str(package.parent)


def look(tmp_path: Path, cuda: str, environ: Mapping[str, str]) -> Said:
    clean = {"CUDA_HOME": "", "CUDA_PATH": "", "CONDA_PREFIX": "", "PATH": "/nowhere", **environ}
    site = fake_torch(tmp_path, cuda)
    more = {"params": {"root": str(tmp_path)}}
    return run_payload(tmp_path / "run", "cuda.toolkits", environ={**clean, "PYTHONPATH": site}, more=more)


def value(said: Said, name: str) -> object:
    fact = said.readings.fact(name)
    assert fact is not None, f"{name} was not told: {said.readings.facts} {said.stderr}"
    return fact.value


@pytest.mark.parametrize("how", ["version.json", "version.txt", "cuda.h", "nvcc"])
def test_the_version_of_a_toolkit_is_read_where_it_is(tmp_path: Path, how: str) -> None:
    toolkit(tmp_path, "12.1", how)
    (tmp_path / "usr/local/cuda").symlink_to("cuda-12.1")
    said = look(tmp_path, "12.1", {})
    assert (value(said, "toolkit.0"), value(said, "link.version"), value(said, "home.version")) == ("12.1",) * 3
    assert (said.judgement.verdict, said.ids) == (Verdict.PASS, []), said.judgement


def test_compiler_and_link_that_disagree_are_told_with_both_versions(tmp_path: Path) -> None:
    toolkit(tmp_path, "12.4")
    toolkit(tmp_path, "12.1")
    (tmp_path / "usr/local/cuda").symlink_to("cuda-12.1")
    said = look(tmp_path, "12.4", {"PATH": "/usr/local/cuda-12.4/bin"})
    assert (said.judgement.verdict, said.ids) == (Verdict.DEGRADED, ["TD-CUD-042"])
    assert "/usr/local/cuda is 12.1; nvcc on PATH is 12.4" in said.judgement.reason


@pytest.mark.parametrize(("target", "state"), [("cuda-9.9", "dangling"), ("other", "circular")])
def test_a_link_that_leads_nowhere(tmp_path: Path, target: str, state: str) -> None:
    link = tmp_path / "usr/local/cuda"
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    if state == "circular":
        (link.parent / "other").symlink_to("cuda")
    said = look(tmp_path, "12.1", {})
    assert (value(said, "link"), said.ids, said.judgement.verdict) == (state, ["TD-CUD-040"], Verdict.DEGRADED)


def test_a_name_without_a_toolkit_and_a_link_over_two_steps(tmp_path: Path) -> None:
    folder = toolkit(tmp_path, "12.1")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/cuda").symlink_to("/usr/local/cuda-12.1")
    (folder.parent / "cuda").symlink_to("/etc/cuda")
    said = look(tmp_path, "12.1", {"CUDA_HOME": "/opt/gone"})
    assert (said.ids, said.judgement.verdict) == (["TD-CUD-043"], Verdict.DEGRADED), said.judgement
    fact = said.readings.fact("link")
    assert fact is not None
    assert (fact.value, fact.evidence) == ("link", "/usr/local/cuda -> /etc/cuda -> /usr/local/cuda-12.1")


def test_no_toolkit_is_no_fault(tmp_path: Path) -> None:
    said = look(tmp_path, "12.1", {})
    assert (said.judgement.verdict, said.judgement.reason) == (
        Verdict.PASS,
        "no CUDA toolkit is here: only builds of extensions would need one",
    )


# --- libraries ------------------------------------------------------------------------------------------------------


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(monkeypatch, "cuda_libraries", "files", "nvidia")


def test_copies_are_counted_by_soname_and_real_file(libraries: ModuleType, tmp_path: Path) -> None:
    for name in ("libcudnn.so.9.1.0", "libcudart-d0da41ae.so.11.0"):
        (tmp_path / name).touch()
    (tmp_path / "libcudnn.so.9").symlink_to("libcudnn.so.9.1.0")
    here = str(tmp_path)
    found = libraries.loaded(
        [
            f"{here}/libcudnn.so.9",
            f"{here}/libcudnn.so.9.1.0",
            "/usr/local/cuda/lib64/libcudnn.so.9",
            f"{here}/libcudart-d0da41ae.so.11.0",
            "/x/libcudart.so.12",
            "/x/libcudnn_graph.so.9",
            "/usr/lib/libcuda.so.580.95.05",
            "/x/libcudart_not_this.txt",
            "/usr/lib/libstdc++.so.6.0.30",
        ]
    )
    assert {name: len(files) for name, files in found.items()} == {
        "libcudnn.so.9": 2,
        "libcudart.so.11": 1,
        "libcudart.so.12": 1,
        "libcudnn_graph.so.9": 1,
        "libcuda.so.1": 1,
        "libstdc++.so.6": 1,
    }


def test_where_a_library_comes_from(libraries: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/cuda/lib64::/opt/empty")
    monkeypatch.setenv("LD_PRELOAD", "/pre/libcublas.so.12 libname.so")
    named = libraries.named_folders()
    torch = "/env/site-packages/torch"
    for path, name, origin in (
        ("/env/site-packages/torch/lib/libcudnn.so.9", "libcudnn.so.9", "torch"),
        ("/env/site-packages/nvidia/cudnn/lib/libcudnn.so.9", "libcudnn.so.9", "wheel"),
        ("/opt/cuda/lib64/libcudnn.so.9", "libcudnn.so.9", "environment: LD_LIBRARY_PATH /opt/cuda/lib64"),
        ("/pre/libcublas.so.12", "libcublas.so.12", "environment: LD_PRELOAD /pre/libcublas.so.12"),
        ("/usr/lib/libcuda.so.580.1", "libcuda.so.1", "driver"),
        ("/usr/lib/libstdc++.so.6", "libstdc++.so.6", "system"),
    ):
        assert libraries.origin(path, name, torch, named) == origin


def test_a_build_without_cuda_has_no_such_libraries(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "cuda.libraries")
    if said.readings.fact("use.answer") is None:
        assert (said.judgement.verdict, "built without CUDA" in said.judgement.reason) == (Verdict.SKIP, True)
    else:  # this PyTorch is built for CUDA, and loads its libraries on the CPU too
        assert said.judgement.verdict is Verdict.PASS, said.judgement


# --- what runs on any device ----------------------------------------------------------------------------------------


def test_convolutions_are_held_against_float64_with_the_switch_on_and_off(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "cuda.cudnn")
    assert said.judgement.verdict is Verdict.PASS, (said.judgement, said.stderr)
    for switch in ("on", "off"):
        error = number(said.readings, "conv_error", dtype="float32", part="weight gradient", switch=switch)
        assert error is not None
        assert 0 < error < 1e-5
    # A toggle is told as one, beside what is there.
    toggle = said.readings.fact("cudnn.enabled")
    assert toggle is not None
    assert "toggle" in toggle.evidence


def test_dispatch_is_timed_on_the_cpu_and_told_as_such(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "compute.launch", environ={"CUDA_LAUNCH_BLOCKING": "1"})
    assert said.judgement.verdict is Verdict.PASS, (said.judgement, said.stderr)
    assert said.judgement.reason.startswith("the CPU launches nothing: dispatch of an operation takes")
    assert (value(said, "launch.answer"), value(said, "launch.blocking")) == (True, True)
    issued = figure(said.readings, "issue_us", of="median")
    assert issued is not None
    assert issued.n >= 15
    assert issued.spread is not None


@pytest.mark.parametrize("name", ["cuda.arch", "compute.memory"])
def test_what_needs_a_cuda_device_says_so_on_the_cpu(tmp_path: Path, name: str) -> None:
    said = run_payload(tmp_path / "run", name)
    assert said.judgement.verdict is Verdict.SKIP
    assert "needs a CUDA device" in said.judgement.reason


def test_memory_is_filled_run_out_of_and_had_again_within_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps on a stand-in for the CUDA allocator: the CPU's, with a limit, and no fragmentation."""
    torch = pytest.importorskip("torch")
    memory = load(monkeypatch, "memory", "measure")
    monkeypatch.setattr(memory, "SEGMENT", 40 << 20)
    monkeypatch.setattr(memory, "LEAST", 64 << 20)
    said: dict[str, object] = {}
    monkeypatch.setattr(memory.kit, "emit", lambda ev, **field: said.setdefault(field["name"], field["value"]))
    total, fractions = 1 << 40, []

    def empty(size: int, **how: object) -> object:
        if size > total:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return torch.empty(size, dtype=how["dtype"])

    cuda = SimpleNamespace(
        OutOfMemoryError=torch.cuda.OutOfMemoryError,
        mem_get_info=lambda _where: (4 << 30, total),
        set_per_process_memory_fraction=lambda share, _where: fractions.append(share),
        get_allocator_backend=lambda: "native",
        memory_stats=lambda _where: {"num_alloc_retries": 1},
        memory_reserved=lambda _where: 3,
        memory_allocated=lambda _where: 1,
        reset_peak_memory_stats=lambda _where: None,
        empty_cache=lambda: None,
    )
    stand_in = SimpleNamespace(empty=empty, uint8=torch.uint8, int64=torch.int64, arange=torch.arange, cuda=cuda)
    monkeypatch.setattr(memory.kit, "import_torch", lambda: stand_in)
    monkeypatch.setattr(memory.measure, "device", lambda _torch, name: name)
    memory.run(SimpleNamespace(device="cuda:0", data={"memory_limit_bytes": 100 << 20}))
    assert fractions == [(100 << 20) / total]
    assert (said["budget"], said["pieces"], said["memory.large"]) == (100 << 20, 2 * 8, "given")
    assert (said["memory.too_much"], said["memory.recovered"], said["memory.content"]) == (
        "out of memory",
        True,
        "right",
    )
    assert (said["unused"], said["alloc_retries"]) == (2, 1)

    with pytest.raises(memory.kit.Skip, match="this needs 64"):
        memory.run(SimpleNamespace(device="cuda:0", data={"memory_limit_bytes": 50 << 20}))


def test_a_kernel_in_user_space_is_known_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    launch = load(monkeypatch, "launch", "measure", "cpu")
    gvisor = launch.GVISOR
    assert gvisor.search("Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016")
    assert gvisor.search("Linux version 4.19.0-gvisor #1 SMP")
    assert not gvisor.search("Linux version 6.8.0-45-generic (buildd@lcy02-amd64-115) #45-Ubuntu SMP")
    assert os.path.exists("/proc/version")
