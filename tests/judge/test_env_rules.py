"""env.* judged: a sound run passes with its evidence, each single fault gives its one finding and verdict."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from env_material import EXTENSIONS, FACTS, FIGURES, IMAGE, JUPYTER, PROOFS
from sound import IDENTITY, figure, ids, judged, readings

from torchprobes.model import Judgement, Verdict

F, D, P, U = Verdict.FAIL, Verdict.DEGRADED, Verdict.PASS, Verdict.UNSURE


def broken(name: str, change: Mapping[str, object], *figures: tuple[str, float]) -> Judgement:
    told = {**FACTS[name], **change}
    evidence = dict.fromkeys(told, "as seen") | {"node.nvidia": "/dev/nvidia0", "node.amd": "/dev/kfd"}
    more = tuple(figure(n, v) for n, v in figures)
    return judged(readings(name, told, FIGURES.get(name, ()) + more, evidence=evidence))


@pytest.mark.parametrize("name", sorted(FACTS))
def test_a_sound_run_passes_and_says_on_what_that_rests(name: str) -> None:
    judgement = broken(name, {})
    assert (judgement.verdict, judgement.findings) == (P, ())
    assert judgement.reason == PROOFS[name]


@pytest.mark.parametrize(
    ("name", "change", "card", "verdict"),
    [
        ("env.packages", {"torch.copies": 2}, "TD-ENV-013", D),
        ("env.packages", {"torch.from_user_site": True}, "TD-ENV-013", D),
        ("env.packages", {"torch.recorded": "2.6.0"}, "TD-ENV-050", D),
        ("env.packages", {"torch.records": 2}, "TD-ENV-050", D),
        ("env.packages", {"torch.records": 0, "torch.recorded": ...}, "TD-ENV-051", P),
        ("env.packages", {"leftover": "~orch"}, "TD-ENV-052", P),
        ("env.packages", {"found.triton": "3.5.1"}, "TD-ENV-053", D),
        ("env.packages", {"found.nvidia-cudnn-cu13": None}, "TD-ENV-053", D),
        ("env.packages", {"wants.torchvision": "==2.6.0"}, "TD-ENV-054", D),
        ("env.packages", {"installed.nvidia-cudnn-cu12": "9.1.0.70"}, "TD-ENV-055", D),
        ("env.packages", {"installed.nvidia-cublas-cu12": "12.4.5.8"}, "TD-ENV-056", P),
        ("env.packages", {"managers.numpy": "pip"}, "TD-ENV-057", D),
        ("env.libraries", {"nccl.plugin.missing": "NCCL_NET_PLUGIN=ofi"}, "TD-ENV-059", D),
        ("env.libraries", {"copies.libgomp.so.1": 2}, "TD-CUD-050", F),
        ("env.libraries", {"origin.libgomp.so.1": "environment: LD_PRELOAD /x/libgomp.so.1",
                           "own.libgomp.so.1": False}, "TD-CUD-051", D),
        ("env.jupyter", {"kernelspec.old.state": "missing"}, "TD-ENV-084", F),
        ("env.jupyter", {"kernelspec.python3.torch": None}, "TD-ENV-085", D),
        ("env.jupyter", {"kernelspec.python3.torch": "2.6.0"}, "TD-ENV-086", D),
        ("env.jupyter", {"kernel.4711.torch": "2.6.0"}, "TD-ENV-087", D),
        ("env.jupyter", {"kernel.4711.torch": None}, "TD-ENV-087", D),
        ("env.jupyter", {"kernel.4711.CUDA_VISIBLE_DEVICES": "3"}, "TD-ENV-088", P),
        ("env.jupyter", {"kernel.4711.same": False}, "TD-ENV-089", P),
        ("env.jupyter", {"kernelspec.old.state": "hung"}, "TD-ENV-090", U),
        ("env.jupyter", {"processes.state": "hung"}, "TD-ENV-090", U),
        ("env.jupyter", {"kernelspecs.state": "hung"}, "TD-ENV-090", U),
        ("env.jupyter", {"kernelspec.old.state": "unresolved"}, "TD-ENV-091", P),
        ("env.wheel", {"torch.build.cuda": None}, "TD-ENV-004", F),
        ("env.wheel", {"torch.build.cuda": None, "node.nvidia": ..., "node.amd": 1}, "TD-ENV-005", D),
        ("env.wheel", {"torch.build.cuda": None, "node.nvidia": ..., "node.intel": 1}, "TD-ENV-060", P),
        ("env.wheel", {"node.nvidia": ..., "node.amd": 1}, "TD-ENV-061", F),
        ("env.wheel", {"torch.build.cuda": None, "torch.build.hip": "6.4", "torch.library.hip": True}, "TD-ENV-061", F),
        ("env.wheel", {"torch.library.cuda": False}, "TD-ENV-062", F),
        ("env.python", {"python.version": "3.15.0"}, "TD-ENV-070", D),
        ("env.python", {"python.version": "3.14.1", "torch.version": "2.8.0"}, "TD-ENV-070", D),
        ("env.python", {"python.version": "3.12.1", "torch.version": "2.1.2+cu121"}, "TD-ENV-070", D),
        ("env.python", {"python.version": "3.13.2", "python.free_threaded": True}, "TD-ENV-070", D),
        ("env.python", {"python.free_threaded": True, "torch.version": "2.6.0"}, "TD-ENV-070", D),
        ("env.python", {"torch.extension": None}, "TD-ENV-071", F),
        ("env.python", {"torch.requires_python": ">=3.12"}, "TD-ENV-072", D),
        ("env.python", {"python.version": "3.13.4", "python.free_threaded": True}, "TD-ENV-073", P),
        ("env.python", {"python.release": "candidate"}, "TD-ENV-074", P),
        ("env.abi", {"numpy.bridge": "builtins.RuntimeError"}, "TD-ENV-012", D),
        ("env.abi", {"numpy.bridge": "wrong"}, "TD-ENV-012", D),
        ("env.abi", {"opencv.missing": 1, "opencv.missing.libGL.so.1": "cannot open"}, "TD-ENV-075", D),
        ("env.extensions", {"device.0.capability": "12.0", "device.1.capability": "12.0"}, "TD-ENV-080", F),
        ("env.extensions", {"extension.kernels/sm90/ops.so.archs": "sm_80 compute_80",
                            "extension.flash_attn_2_cuda.cpython-311.so.archs": "compute_80"}, "TD-ENV-081", D),
        ("env.extensions", {"extension.old.so.links": "libcudart.so.11.0"}, "TD-ENV-082", D),
        ("env.extensions", {"search.complete": False}, "TD-ENV-083", P),
        ("env.image", {"conda.root": "/opt/conda"}, "TD-ENV-093", P),
        ("env.image", {"opencv.opencv-python": True}, "TD-ENV-094", D),
        ("env.image", {"opencv.opencv-python": True, "opencv.opencv-python-headless": ...}, "TD-ENV-095", P),
        ("env.image", {"torch.arch": "aarch64"}, "TD-ENV-096", F),
        ("env.image", {"emulation": "QEMU"}, "TD-ENV-097", D),
        ("env.image", {"cache.pip.state": "hung"}, "TD-ENV-098", U),
        ("env.image", {"conda.state": "hung", "path.state": "hung"}, "TD-ENV-098", U),
    ],
)  # fmt: skip
def test_one_fault_is_told_once(name: str, change: Mapping[str, object], card: str, verdict: Verdict) -> None:
    judgement = broken(name, change)
    assert ids(judgement) == [card]
    assert judgement.verdict is verdict, judgement.reason
    assert judgement.findings[0].seen


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("env.packages", {"found.triton": "3.6.2"}),
        ("env.packages", {"torch.recorded": "2.11.0+cu130"}),
        ("env.libraries", {"nccl.plugin.missing": "NCCL_NET_PLUGIN=ofi", "nccl.version": None}),  # nobody looks for it
        ("env.jupyter", {"kernelspec.ir.state": "other language"}),
        ("env.python", {"python.version": "3.14.2"}),
        ("env.python", {"torch.version": "2.99.0"}),
        ("env.abi", {"numpy.version": None, "numpy.bridge": ..., "opencv.found": False, "opencv.missing": ...}),
        ("env.extensions", {"extension.kernels/sm100/ops.so.archs": ...}),
        ("env.image", {"container": "none", "opencv.opencv-python": True, "opencv.opencv-python-headless": ...}),
        ("env.image", {"conda.root": "/opt/conda", "conda.owns_target": True}),
        ("env.image", {"emulation": None}),
    ],
)
def test_what_is_no_fault_is_no_finding(name: str, change: Mapping[str, object]) -> None:
    judgement = broken(name, change)
    assert (judgement.verdict, judgement.findings) == (P, ()), judgement.reason


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("env.packages", {"torch.version": ...}),
        ("env.packages", {"found.triton": "as built"}),
        ("env.jupyter", {"kernelspec.python3.state": "unreadable", "kernel.4711.state": "hung"}),
        ("env.wheel", {"torch.library.cuda": ...}),
        ("env.python", {"torch.version": "2.99.0", "python.version": "3.19.0"}),
        ("env.abi", {"numpy.bridge": ...}),
        ("env.extensions", {"device.0.capability": ..., "device.1.capability": ...}),
        ("env.image", {"python.arch": None}),
        ("env.libraries", {"use.answer": ...}),
    ],
)
def test_without_its_evidence_nothing_passes(name: str, change: Mapping[str, object]) -> None:
    assert broken(name, change).verdict is U


def test_caches_count_in_an_image_only() -> None:
    sizes = (figure("cache_bytes", 2 << 30, place="pip"),)
    inside = judged(readings("env.image", IMAGE, sizes))
    assert (ids(inside), inside.verdict) == (["TD-ENV-092"], P)
    assert "2 GiB" in inside.findings[0].seen
    assert judged(readings("env.image", {**IMAGE, "container": "none"}, sizes)).findings == ()


def test_an_extension_says_what_it_holds_and_how_to_build_it() -> None:
    (finding,) = broken("env.extensions", {"device.0.capability": "10.3", "device.1.capability": "10.3"}).findings
    assert finding.seen == (
        "flash_attn_2_cuda holds sm_80 sm_90, NVIDIA H200 is 10.3: build it with TORCH_CUDA_ARCH_LIST=10.3; "
        "kernels holds sm_100a sm_90a, NVIDIA H200 is 10.3: build it with TORCH_CUDA_ARCH_LIST=10.3"
    )


@pytest.mark.parametrize(
    ("archs", "capability", "card"),
    [
        ("sm_90a", "9.0", None),
        ("sm_90a", "10.0", "TD-ENV-080"),
        ("sm_90 compute_90", "10.0", "TD-ENV-081"),
        ("compute_90a", "10.0", "TD-ENV-080"),
        ("sm_100f", "10.3", None),
        ("sm_100a", "10.3", "TD-ENV-080"),
        ("sm_100f", "12.0", "TD-ENV-080"),
        ("sm_120", "12.1", None),
        ("sm_86", "8.0", "TD-ENV-080"),
    ],
)
def test_suffixes_count_exactly(archs: str, capability: str, card: str | None) -> None:
    """a: that device alone; f: later minor versions of its major; none: the same, and PTX later majors too."""
    told = {k: v for k, v in EXTENSIONS.items() if not k.startswith("extension.")}
    told |= {"extension.op.so.archs": archs, "device.0.capability": capability, "device.1.capability": capability}
    judgement = judged(readings("env.extensions", told, FIGURES["env.extensions"]))
    assert ids(judgement) == ([card] if card else [])


def test_a_kernel_without_the_targets_torch_is_named_with_both() -> None:
    told = {**JUPYTER, "kernelspec.python3.torch": "2.6.0"}
    (finding,) = judged(readings("env.jupyter", told)).findings
    assert finding.seen == "kernel 'python3' (/env/bin/python) has torch 2.6.0, the target has 2.11.0+cu130"


@pytest.mark.parametrize(
    ("filesystem", "figures", "card"),
    [
        ("nfs4", {"import_s": 42.0, "import_waited_s": 40.0, "import_modules": 1900}, "TD-ENV-064"),
        ("fuse.sshfs", {"import_s": 12.0, "import_waited_s": 10.0}, "TD-ENV-064"),
        ("ext4", {"import_s": 31.0, "import_waited_s": 29.0, "import_disk_bytes": 1.5e9}, "TD-ENV-065"),
        ("ext4", {"import_s": 31.0, "import_waited_s": 0.2}, None),  # a busy CPU is no slow file system
        ("nfs4", {"import_s": 2.0, "import_waited_s": 0.4}, None),
        ("nfs4", {"import_s": 42.0}, None),  # what it waited was not read
        ("ext4", {"python_start_s": 6.0, "python_start_waited_s": 5.9}, "TD-ENV-066"),
        ("ext4", {"python_start_s": 6.0, "python_start_waited_s": 0.1}, None),
    ],
)
def test_an_import_that_waits_is_a_finding_of_its_own(
    filesystem: str, figures: Mapping[str, float], card: str | None
) -> None:
    told = {**IDENTITY, "torch.filesystem": filesystem}
    evidence = {"torch.filesystem": "server:/envs on /envs"}
    numbers = tuple(figure(name, value) for name, value in figures.items())
    judgement = judged(readings("env.identity", told, numbers, evidence))
    assert ids(judgement) == ([card] if card else [])
    assert judgement.verdict is (D if card else P)


def test_a_slow_import_is_told_with_seconds_files_and_mount() -> None:
    told = {**IDENTITY, "torch.filesystem": "nfs4"}
    names = {"import_s": 42.0, "import_waited_s": 40.0, "import_modules": 1900.0, "import_read_bytes": float(300 << 20)}
    numbers = tuple(figure(name, value) for name, value in names.items())
    evidence = {"torch.filesystem": "server:/envs on /envs"}
    (finding,) = judged(readings("env.identity", told, numbers, evidence)).findings
    assert finding.seen == (
        "`import torch` took 42 s, 40 s of it waiting; 1,900 modules imported; 300 MiB read; "
        "PyTorch lies on nfs4 (server:/envs on /envs)"
    )
