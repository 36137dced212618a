"""Faults of the driver, of toolkits and extensions: a libcuda.so.1 of ours that says what a broken one does."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from elf_file import library
from env_folders import install
from fault import Change, Fault, State, other_python, write

from torchprobes.model import Verdict

_DEGRADED, _FAIL = Verdict.DEGRADED, Verdict.FAIL

SOURCE = Path(__file__).parent.parent / "payloads" / "fake_cuda.c"

# --- a node with two GPUs, a PyTorch for CUDA 12.6, and a driver that does as it is told -----------------------------

_TORCH = '''
"""As much of a PyTorch as cuda.available asks: CUDA is there if this libcuda.so.1 initialises and shows a device."""

import ctypes
import os

from . import version

__version__ = version.__version__
float64 = "float64"


def device(name):
    return name


class _Numbers(list):
    def __mul__(self, other): return _Numbers(a * other for a in self)
    def __add__(self, other): return _Numbers(a + other for a in self)
    def sum(self): return float(sum(self))


def arange(count, dtype, device):
    return _Numbers(range(count))


class cuda:
    @staticmethod
    def is_available():
        count = ctypes.c_int()
        lib = ctypes.CDLL("libcuda.so.1")
        return lib.cuInit(0) == 0 and lib.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0

    @staticmethod
    def init():
        if not cuda.is_available():
            raise RuntimeError("No CUDA GPUs are available")

    @staticmethod
    def get_device_name(where):
        return "Fake GPU"
'''


def driver(folder: Path) -> Path:
    """The folder of our libcuda.so.1, built once for all faults."""
    built = folder.parent / "driver"
    if not built.exists():
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("LOUD: no C compiler, so no driver of ours is asked")
        built.mkdir()
        command = [compiler, "-shared", "-fPIC", "-o", str(built / "libcuda.so.580.95.05")]
        subprocess.run([*command, str(SOURCE)], check=True)
        (built / "libcuda.so.1").symlink_to("libcuda.so.580.95.05")
    return built


def node(folder: Path, module: str = "580.95.05") -> str:
    """The node as a folder: device files, the kernel module, two GPUs."""
    root = folder / "node"
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        write(root / "dev" / name, "")
    said = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {module}  Release Build  (dvs-builder@U22)\n"
    write(root / "proc/driver/nvidia/version", said)
    for minor in (0, 1):
        words = f"GPU UUID: \t GPU-{minor * 11111111:08d}-aaaa\nDevice Minor: \t {minor}\n"
        write(root / f"proc/driver/nvidia/gpus/0000:0{minor}:00.0/information", words)
    return str(root)


def site(folder: Path, cuda: str = "12.6") -> str:
    """A PyTorch built for that CUDA, as files and as much of a module as is needed."""
    place = folder / "site"
    if not place.exists():
        install(place, "torch", "2.6.0")
    write(place / "torch" / "__init__.py", _TORCH)
    write(place / "torch" / "version.py", f"__version__ = '2.6.0'\ncuda = {cuda!r}\nhip = None\n")
    return str(place)


def _on_node(cuda: str = "12.6", **environ: str) -> Change:
    def change(folder: Path) -> State:
        base = {"LD_LIBRARY_PATH": str(driver(folder)), "PYTHONPATH": site(folder, cuda)}
        return State(environ={**base, **environ}, params={"root": node(folder)}, device="cuda:0")

    return change


def _stub(folder: Path) -> State:
    """The stubs of a toolkit, copied with its lib64 into LD_LIBRARY_PATH, before the driver's folder."""
    stubs = folder / "cuda" / "lib64" / "stubs"
    if not stubs.exists():
        stubs.mkdir(parents=True)
        shutil.copy(driver(folder) / "libcuda.so.1", stubs / "libcuda.so.1")
    state = _on_node(FAKE_CUDA_INIT="34")(folder)
    path = f"{stubs}:{state.environ['LD_LIBRARY_PATH']}"
    return State(environ={**state.environ, "LD_LIBRARY_PATH": path}, params=state.params, device=state.device)


def _no_library(folder: Path) -> State:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("LOUD: this machine has a driver, so its absence is not tried")
    return State(environ={"PYTHONPATH": site(folder)}, params={"root": node(folder)})


def _no_module(folder: Path) -> State:
    for name, text in (("vendor", "0x10de\n"), ("class", "0x030200\n")):
        write(folder / "bare/sys/bus/pci/devices/0000:17:00.0" / name, text)
    return State(environ={"PYTHONPATH": site(folder)}, params={"root": str(folder / "bare")})


def _later_nccl(folder: Path) -> State:
    state = _on_node(FAKE_CUDA_VERSION="12080")(folder)
    install(folder / "site", "nvidia-nccl-cu13", "2.28.9")
    return state


def _own_nccl(folder: Path) -> State:
    shutil.rmtree(folder / "site" / "nvidia_nccl_cu13-2.28.9.dist-info")
    return _on_node(FAKE_CUDA_VERSION="12080")(folder)


def _cpu_wheel(folder: Path) -> State:
    """The target's own PyTorch, which is built for the CPU where these tests run."""
    return State(environ={"LD_LIBRARY_PATH": str(driver(folder))}, params={"root": node(folder)}, device="cuda:0")


def _code(name: str, code: int, card: str, fix: str) -> Fault:
    return Fault(
        name, "cuda.driver", card, _FAIL, _on_node(FAKE_CUDA_INIT=str(code)), _on_node(), fix, says=f"code {code}"
    )


_SOUND = _on_node()

DRIVER = (
    Fault("a driver for CUDA 11 under a PyTorch for 12", "cuda.driver", "TD-CUD-004", _FAIL,
          _on_node(FAKE_CUDA_VERSION="11080"), _on_node("11.8", FAKE_CUDA_VERSION="11080"),
          "cu<a major that the driver takes>"),
    _code("no fabric manager (802)", 802, "TD-CUD-005", "systemctl restart nvidia-fabricmanager"),
    _code("library and module of two versions (803)", 803, "TD-CUD-006", "modprobe nvidia"),
    _code("forward compatibility on a GeForce (804)", 804, "TD-CUD-007", "without the folder compat"),
    _code("an MPS daemon that is gone (805)", 805, "TD-CUD-015", "nvidia-cuda-mps-control"),
    Fault("a stub in LD_LIBRARY_PATH", "cuda.driver", "TD-CUD-003", _FAIL, _stub, _SOUND,
          "take the folder that ends in /stubs out of it", says="/lib64/stubs"),
    Fault("a container without the driver's library", "cuda.driver", "TD-CUD-002", _FAIL, _no_library, _SOUND,
          "docker run --gpus all", says="libcuda.so.1"),
    Fault("a GPU without its kernel module", "cuda.driver", "TD-CUD-001", _FAIL, _no_module, _SOUND, "modprobe nvidia"),
    Fault("a driver that kills who asks it", "cuda.driver", "TD-CUD-011", _FAIL, _on_node(FAKE_CUDA="kill"), _SOUND,
          "-u LD_LIBRARY_PATH", says="killed by SIGSEGV"),
    Fault("an NCCL for CUDA 13 over a driver for 12", "cuda.driver", "TD-CUD-018", _FAIL, _later_nccl, _own_nccl,
          "uninstall nvidia-nccl-cu<the later one>"),
    Fault("CUDA_VISIBLE_DEVICES is empty", "cuda.available", "TD-CUD-013", _DEGRADED,
          _on_node(CUDA_VISIBLE_DEVICES=""), _SOUND, "unset CUDA_VISIBLE_DEVICES"),
    Fault("a PyTorch for the CPU on a GPU node", "cuda.available", "TD-ENV-004", _FAIL, _cpu_wheel, _SOUND,
          "--force-reinstall torch"),
)  # fmt: skip

# --- toolkits --------------------------------------------------------------------------------------------------------


def _toolkit(folder: Path, version: str) -> Path:
    place = folder / "usr/local" / f"cuda-{version}"
    write(place / "bin/nvcc", f"#!/bin/sh\necho 'Cuda compilation tools, release {version}, V{version}.99'\n", 0o755)
    write(place / "version.json", json.dumps({"cuda": {"name": "CUDA SDK", "version": f"{version}.0"}}))
    return place


def _toolkits(*versions: str, link: str, **environ: str) -> Change:
    """Toolkits in /usr/local, and where the link `cuda` leads; a PyTorch for CUDA 12.6."""

    def change(folder: Path) -> State:
        for version in versions:
            _toolkit(folder, version)
        place = folder / "usr/local/cuda"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(link)
        clean = {"CUDA_HOME": "", "CUDA_PATH": "", "CONDA_PREFIX": "", "PATH": "/nowhere"}
        return State(environ={**clean, "PYTHONPATH": site(folder), **environ}, params={"root": str(folder)})

    return change


_NAMED: Mapping[str, str] = {"CUDA_HOME": "/usr/local/cuda-12.6", "PATH": "/usr/local/cuda-12.6/bin"}

TOOLKITS = (
    Fault("/usr/local/cuda leads nowhere", "cuda.toolkits", "TD-CUD-040", _DEGRADED,
          _toolkits("12.6", link="cuda-12.1"), _toolkits("12.6", link="cuda-12.6"), "ln -sfn /usr/local/cuda-"),
    Fault("the link is on another major version", "cuda.toolkits", "TD-CUD-041", _DEGRADED,
          _toolkits("11.8", "12.6", link="cuda-11.8", PATH="/usr/local/cuda/bin"),
          _toolkits("11.8", "12.6", link="cuda-11.8", **_NAMED), "export CUDA_HOME=", says="from nvcc on PATH"),
    Fault("two nvcc", "cuda.toolkits", "TD-CUD-042", _DEGRADED,
          _toolkits("12.4", "12.6", link="cuda-12.4", PATH="/usr/local/cuda-12.6/bin"),
          _toolkits("12.4", "12.6", link="cuda-12.4", **_NAMED), "export CUDA_HOME="),
    Fault("CUDA_HOME names no toolkit", "cuda.toolkits", "TD-CUD-043", _DEGRADED,
          _toolkits("12.6", link="cuda-12.6", CUDA_HOME="/opt/gone"), _toolkits("12.6", link="cuda-12.6"),
          "unset CUDA_HOME"),
)  # fmt: skip

# --- extensions ------------------------------------------------------------------------------------------------------


def _extension(archs: tuple[str, ...], runtime: str = "libcudart.so.12") -> Change:
    """An extension with code for these, beside devices of capability 9.0."""

    def change(folder: Path) -> State:
        library(Path(site(folder)) / "flash" / "ops.so", ("libtorch.so", runtime), nv_fatbin=[archs])
        environ = {"LD_LIBRARY_PATH": str(driver(folder)), "PYTHONPATH": site(folder)}
        return State(environ={**environ, "TORCH_EXTENSIONS_DIR": str(folder / "built")})

    return change


_FITTING = _extension(("sm_80", "sm_90a"))

EXTENSIONS = (
    Fault("an extension for other GPUs", "env.extensions", "TD-ENV-080", _FAIL, _extension(("sm_80", "sm_100a")),
          _FITTING, "TORCH_CUDA_ARCH_LIST=<capability>"),
    Fault("an extension with PTX alone", "env.extensions", "TD-ENV-081", _DEGRADED,
          _extension(("sm_80", "compute_80")), _FITTING, "TORCH_CUDA_ARCH_LIST=<capability>"),
    Fault("an extension for another CUDA", "env.extensions", "TD-ENV-082", _DEGRADED,
          _extension(("sm_90a",), "libcudart.so.11.0"), _FITTING, "--no-build-isolation <package>"),
)  # fmt: skip

# --- libraries: a PyTorch for CUDA, whose wheels bring their own ----------------------------------------------------


def _python() -> str:
    return other_python(lambda _, torch: "+cu12" in torch, "torch for CUDA 12")


def _preloaded(folder: Path) -> State:
    """A copy of the runtime is loaded before torch's: LD_LIBRARY_PATH alone does not win over the wheels' RPATH."""
    python = _python()
    code = "import glob, os, torch; print(*glob.glob(os.path.join(os.path.dirname(torch.__path__[0]), "
    code += "'nvidia/cuda_runtime/lib/libcudart.so.12')))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    (folder / "toolkit").mkdir()
    copy = shutil.copy(done.stdout.strip(), folder / "toolkit")
    return State(environ={"LD_PRELOAD": str(copy)}, python=python)


LIBRARIES = (
    Fault("a toolkit's libcudart before the wheel's", "cuda.libraries", "TD-CUD-051", _DEGRADED, _preloaded,
          lambda _folder: State(python=_python()), "unset LD_LIBRARY_PATH LD_PRELOAD", (pytest.mark.trials,)),
)  # fmt: skip

FAULTS = DRIVER + TOOLKITS + EXTENSIONS + LIBRARIES
