"""Faults of an installation: packages, kernels of Jupyter, ABI, and variables."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from elf_file import library
from env_folders import environment, install, kernelspec
from fault import Change, Fault, State, customised, in_memory, mounted, other_python, setting, write

from torchprobes.model import Verdict

TRIALS = (pytest.mark.trials,)
_PASS, _DEGRADED, _FAIL, _UNSURE = Verdict.PASS, Verdict.DEGRADED, Verdict.FAIL, Verdict.UNSURE

# --- packages: a whole torch 2.6.0 in the first folder, nothing in the second ---------------------------------------


def _site(folder: Path) -> State:
    site = folder / "site"
    if not site.exists():
        install(site, "torch", "2.6.0", ["triton==3.2.0", "nvidia-cudnn-cu12==9.1.0.70"])
        install(site, "triton", "3.2.0")
        install(site, "nvidia-cudnn-cu12", "9.1.0.70")
    environ = customised(folder, "import sys\nsys.path[:] = [p for p in sys.path if 'site-packages' not in p]")
    return State(environ={"PYTHONPATH": f"{site}:{folder / 'second'}:{environ['PYTHONPATH']}"})


def _with(change: Callable[[Path], object]) -> Change:
    def both(folder: Path) -> State:
        state = _site(folder)
        change(folder)
        return state

    return both


def _installed(where: str, name: str, version: str, *requires: str) -> Change:
    return _with(lambda folder: install(folder / where, name, version, requires))


def _renamed(before: str, after: str) -> Change:
    return _with(lambda folder: (folder / "site" / before).rename(folder / "site" / after))


def _removed(below: str) -> Change:
    return _with(lambda folder: shutil.rmtree(folder / below))


def _core(suffix: str) -> Change:
    def change(folder: Path) -> State:
        shutil.rmtree(folder / "site", ignore_errors=True)
        state = _site(folder)
        (folder / "site" / "torch" / f"_C{suffix}").touch()
        return state

    return change


_OWN = f".cpython-{sys.version_info[0]}{sys.version_info[1]}-x86_64-linux-gnu.so"

PACKAGES = (
    Fault("two torches", "env.packages", "TD-ENV-013", _DEGRADED,
          _installed("second", "torch", "2.1.2"), _removed("second"), "uninstall torch"),
    Fault("record of another version", "env.packages", "TD-ENV-050", _DEGRADED,
          _renamed("torch-2.6.0.dist-info", "torch-2.5.1.dist-info"),
          _renamed("torch-2.5.1.dist-info", "torch-2.6.0.dist-info"), "pip install torch"),
    Fault("an upgrade stopped half-way", "env.packages", "TD-ENV-052", _PASS,
          _with(lambda folder: (folder / "site" / "~orch").mkdir()), _removed("site/~orch"),
          "rm -r <site-packages>/~*"),
    Fault("unmet pin", "env.packages", "TD-ENV-053", _DEGRADED,
          _renamed("triton-3.2.0.dist-info", "triton-3.1.0.dist-info"),
          _renamed("triton-3.1.0.dist-info", "triton-3.2.0.dist-info"), "brings what it is pinned to"),
    Fault("torchvision for another torch", "env.packages", "TD-ENV-054", _DEGRADED,
          _installed("site", "torchvision", "0.16.2", "torch==2.1.2"),
          _with(lambda folder: (shutil.rmtree(folder / "site/torchvision-0.16.2.dist-info"),
                                install(folder / "site", "torchvision", "0.21.0", ["torch==2.6.0"]))),
          "the release that names this torch"),
    Fault("cuDNN of two CUDAs", "env.packages", "TD-ENV-055", _DEGRADED,
          _installed("site", "nvidia-cudnn-cu13", "9.19.0.56"),
          _removed("site/nvidia_cudnn_cu13-9.19.0.56.dist-info"), "uninstall -y <both>"),
    Fault("torch of another Python", "env.python", "TD-ENV-071", _FAIL,
          _core(".cpython-36m-x86_64-linux-gnu.so"), _core(_OWN), "--force-reinstall torch"),
)  # fmt: skip

# --- kernels of Jupyter ----------------------------------------------------------------------------------------------


def _kernel(python: Callable[[Path], str]) -> Change:
    """One installed kernel of that interpreter, and no process that runs one."""

    def change(folder: Path) -> State:
        shutil.rmtree(folder / "data", ignore_errors=True)
        kernelspec(folder / "data", "work", [python(folder)])
        return _looking(folder)

    return change


def _looking(folder: Path) -> State:
    (folder / "proc").mkdir(exist_ok=True)
    environ = {"JUPYTER_PATH": str(folder / "data"), "HOME": str(folder), "JUPYTER_DATA_DIR": str(folder / "none")}
    return State(environ=environ, params={"proc": str(folder / "proc")})


def _torn(folder: Path) -> State:
    write(folder / "data" / "kernels" / "work" / "kernel.json", '{"argv": ["python", "-m", "ipyk')
    return _looking(folder)


_own_kernel = _kernel(lambda _folder: sys.executable)

KERNELS = (
    Fault("kernel of a removed environment", "env.jupyter", "TD-ENV-084", _FAIL,
          _kernel(lambda folder: str(folder / "gone" / "bin" / "python")), _own_kernel, "ipykernel install"),
    Fault("kernel of a Python without torch", "env.jupyter", "TD-ENV-085", _DEGRADED,
          _kernel(lambda folder: environment(folder / "bare", None)), _own_kernel, "ipykernel install"),
    Fault("kernel of another torch", "env.jupyter", "TD-ENV-086", _DEGRADED,
          _kernel(lambda folder: environment(folder / "old", "1.13.1")), _own_kernel, "ipykernel install"),
    Fault("a kernelspec that was torn", "env.jupyter", "TD-ENV-090", _UNSURE, _torn, _own_kernel,
          "ipykernel install"),
)  # fmt: skip

# --- what imports, and what waits ------------------------------------------------------------------------------------


def _opencv(*needed: str) -> Change:
    def change(folder: Path) -> State:
        library(folder / "cv" / "cv2" / "cv2.abi3.so", needed)
        (folder / "cv" / "cv2" / "__init__.py").touch()
        return State(environ={"PYTHONPATH": str(folder / "cv")})

    return change


def _two_opencvs(folder: Path) -> State:
    for name in ("opencv-python", "opencv-python-headless"):
        install(folder / "cv", name, "4.11.0.86")
    return _imaged(folder, folder / "cv")


def _one_opencv(folder: Path) -> State:
    install(folder / "one", "opencv-python-headless", "4.11.0.86")
    return _imaged(folder, folder / "one")


def _imaged(folder: Path, site: Path) -> State:
    """An image without caches: those of this machine are no part of the fault."""
    places = (folder / "none", "/var/cache/apt/archives", "/var/lib/apt/lists", "/var/cache/dnf")
    through = mounted(*(in_memory(place, "size=1m") for place in places if Path(place).is_dir()))
    environ = {"PYTHONPATH": str(site), "XDG_CACHE_HOME": str(folder / "none"), "PIP_CACHE_DIR": str(folder / "none")}
    return State(environ=environ, through=through)


def _shadow(folder: Path) -> State:
    write(folder / "work" / "torch.py", "raise ImportError('this is my script, not PyTorch')\n")
    return State(environ={"PYTHONPATH": str(folder / "work")})


def _no_bridge(folder: Path) -> State:
    """What a torch before 2.3 does beside numpy 2, by a hook that takes the bridge away."""
    hook = (
        "import builtins\nreal = builtins.__import__\n"
        "def other(name, *rest, **more):\n    module = real(name, *rest, **more)\n"
        "    if name == 'torch' and hasattr(module, 'Tensor'):\n"
        "        def numpy(self): raise RuntimeError('Numpy is not available')\n"
        "        module.Tensor.numpy = numpy\n    return module\nbuiltins.__import__ = other\n"
    )
    return State(environ=customised(folder, hook))


def _old_python() -> str:
    """A torch that was built for numpy 1, on this Python's minor version: this environment's numpy can be put there."""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}."
    fits = lambda python, torch: python.startswith(own) and torch.startswith(("2.0.", "2.1.", "2.2."))  # noqa: E731
    return other_python(fits, f"torch 2.0 to 2.2 on Python {own}x")


def _numpy_2(folder: Path) -> State:
    """This environment's numpy 2 before the numpy 1 of an older torch's."""
    spec = importlib.util.find_spec("numpy")
    if spec is None or spec.origin is None or importlib.metadata.version("numpy").startswith("1."):
        pytest.skip("LOUD: there is no numpy 2 here")
    package = Path(spec.origin).parent
    (folder / "upgraded").mkdir()
    for part in (package, package.parent / "numpy.libs"):
        if part.is_dir():
            (folder / "upgraded" / part.name).symlink_to(part)
    return State(environ={"PYTHONPATH": str(folder / "upgraded")}, python=_old_python())


def _slow_start(folder: Path) -> State:
    write(folder / "site" / "plugin.pth", "import time; time.sleep(2.3)\n")
    return State(environ=customised(folder, f"import site; site.addsitedir({str(folder / 'site')!r})"))


def _fast_start(folder: Path) -> State:
    (folder / "site" / "plugin.pth").unlink()
    return State(environ=customised(folder, f"import site; site.addsitedir({str(folder / 'site')!r})"))


_SLEEPER = """
import sys, time
class Finder:
    armed = True
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "torch._utils" and Finder.armed:
            Finder.armed = False
            time.sleep(5.5)
sys.meta_path.insert(0, Finder)
"""


def _other_shell(folder: Path) -> State:
    python = Path(environment(folder / "old", "1.13.1"))
    (python.parent / "python3").symlink_to("python")
    return State(environ={"PATH": f"{python.parent}:/usr/bin:/bin"})


def _own_shell(_folder: Path) -> State:
    return State(environ={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"})


IMPORTS = (
    Fault("OpenCV that wants a screen", "env.abi", "TD-ENV-075", _DEGRADED,
          _opencv("libGL-of-no-system.so.1"), _opencv("libc.so.6"), "opencv-python-headless"),
    Fault("two OpenCVs in one folder", "env.image", "TD-ENV-094", _DEGRADED, _two_opencvs, _one_opencv,
          "pip install opencv-python-headless"),
    Fault("numpy that torch cannot use", "env.abi", "TD-ENV-012", _DEGRADED, _no_bridge, setting(), "numpy<2",
          says="Numpy is not available"),
    Fault("numpy 2 beside torch 2.1", "env.abi", "TD-ENV-012", _DEGRADED, _numpy_2,
          lambda _folder: State(python=_old_python()), "numpy<2", TRIALS),
    Fault("a script called torch.py", "env.identity", "TD-ENV-002", _FAIL, _shadow, setting(), "-u PYTHONPATH"),
    Fault("the shell's python has another torch", "env.identity", "TD-ENV-067", _DEGRADED, _other_shell, _own_shell,
          "<target python>"),
    Fault("a .pth file that sleeps", "env.identity", "TD-ENV-066", _DEGRADED, _slow_start, _fast_start,
          "remove that .pth file", TRIALS),
    Fault("an import of torch that waits", "env.identity", "TD-ENV-065", _DEGRADED,
          lambda folder: State(environ=customised(folder, _SLEEPER)), setting(),
          "python -I ignores PYTHONPATH", TRIALS),
)  # fmt: skip

# --- variables -------------------------------------------------------------------------------------------------------


def _variable(card: str, name: str, value: str) -> Fault:
    return Fault(f"{name}={value}", "env.variables", card, _DEGRADED, setting(**{name: value}), setting(),
                 f"unset {name}")  # fmt: skip


VARIABLES = (
    _variable("TD-ENV-100", "TORCHDYNAMO_SUPPRESS_ERRORS", "0"),
    _variable("TD-ENV-101", "TORCHDYNAMO_DISABLE", "1"),
    _variable("TD-ENV-102", "TORCH_COMPILE_DISABLE", "1"),
    _variable("TD-ENV-103", "TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1"),
    _variable("TD-ENV-120", "CUDA_LAUNCH_BLOCKING", "1"),
    _variable("TD-ENV-121", "PYTORCH_NO_CUDA_MEMORY_CACHING", "0"),
    _variable("TD-ENV-125", "NVIDIA_TF32_OVERRIDE", "0"),
    _variable("TD-ENV-126", "NVIDIA_TF32_OVERRIDE", "1"),
)

# --- libraries -------------------------------------------------------------------------------------------------------


def _preloaded(folder: Path) -> State:
    """A copy of the OpenMP runtime that torch's wheel brings is loaded before it."""
    torch = importlib.util.find_spec("torch")
    assert torch is not None
    assert torch.origin is not None
    (folder / "outside").mkdir()
    copy = shutil.copy(Path(torch.origin).parent / "lib" / "libgomp.so.1", folder / "outside")
    return State(environ={"LD_PRELOAD": str(copy)})


LIBRARIES = (
    Fault("another libgomp before the wheel's", "env.libraries", "TD-CUD-051", _DEGRADED, _preloaded, setting(),
          "unset LD_LIBRARY_PATH LD_PRELOAD"),
)  # fmt: skip

FAULTS = PACKAGES + KERNELS + IMPORTS + VARIABLES + LIBRARIES
