"""Cards of `env.*`."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

_INDEX = "https://pytorch.org/get-started/locally/"

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-ENV-001",
        title="There is no PyTorch in this Python",
        why="The interpreter that was examined finds no package `torch`. Often another interpreter on PATH has it.",
        fix=Fix(command="torchdoctor status --python <the interpreter of your job>"),
        source="importlib.util.find_spec",
    ),
    Card(
        id="TD-ENV-002",
        title="`import torch` raises an error",
        why="The package is there and cannot be loaded: usually a shared library that is missing or of another "
        "version, put in front by LD_LIBRARY_PATH or by a half-finished upgrade.",
        fix=Fix(command="env -u LD_LIBRARY_PATH -u PYTHONPATH python -c 'import torch'"),
        source="measured",
    ),
    Card(
        id="TD-ENV-003",
        title="PyTorch kills the process that imports it",
        why="A signal ended the process before it could raise anything. SIGILL: the build uses instructions that this "
        "CPU lacks; SIGSEGV or SIGABRT: libraries that do not belong together; SIGKILL: no memory left.",
        fix=Fix(command="env -u LD_LIBRARY_PATH -u LD_PRELOAD python -X faulthandler -c 'import torch'"),
        source="measured",
    ),
    Card(
        id="TD-ENV-004",
        title="A CPU-only PyTorch on a node with NVIDIA GPUs",
        why="torch.version.cuda is None: this wheel holds no CUDA code, so `torch.cuda.is_available()` is False "
        "whatever the driver does. pip keeps a CPU wheel that it finds in its cache, in a constraint, or on the CPU "
        "index.",
        fix=Fix(
            command="python -m pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126"
        ),
        source="https://github.com/pytorch/pytorch/issues/30664",
    ),
    Card(
        id="TD-ENV-005",
        title="A CPU-only PyTorch on a node with an AMD GPU",
        why="/dev/kfd is there, and this wheel holds no ROCm code.",
        fix=Fix(
            command="python -m pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/rocm6.4"
        ),
        source=_INDEX,
    ),
    Card(
        id="TD-ENV-012",
        title="numpy and PyTorch do not work together",
        why="`tensor.numpy()` fails: a PyTorch before 2.3 was built against numpy 1 and does not see numpy 2.",
        fix=Fix(command="python -m pip install 'numpy<2'    # or upgrade torch to 2.3 or later"),
        source="https://github.com/pytorch/pytorch/issues/132179",
        versions="2.2 and earlier",
    ),
    Card(
        id="TD-ENV-013",
        title="More than one PyTorch on the path",
        why="The first on sys.path is imported. An upgrade of another one changes nothing, and a job that starts with "
        "another environment gets another one.",
        fix=Fix(command="python -m pip uninstall torch    # repeat until one is left; or set PYTHONNOUSERSITE=1"),
        source="measured",
    ),
    Card(
        id="TD-ENV-014",
        title="`python` in this shell is another interpreter",
        why="What was examined here is not what a script started with `python` gets.",
        fix=Fix(command="hash -r; type -a python python3"),
        source="measured",
    ),
    Card(
        id="TD-ENV-015",
        title="An environment is activated, and PATH leads elsewhere",
        why="VIRTUAL_ENV or CONDA_PREFIX names one environment, while the first `python` on PATH lies outside it.",
        fix=Fix(command='hash -r; source "$VIRTUAL_ENV/bin/activate"'),
        source="measured",
    ),
    Card(
        id="TD-ENV-018",
        title="There is no C++ compiler",
        why="torch.compile on a CPU, and Triton's launchers on a GPU, need one. Runtime images often leave it out.",
        fix=Fix(command="apt-get install g++", scope=Scope.NODE, needs=("root",)),
        source="https://github.com/pytorch/pytorch/issues/116696",
    ),
    Card(
        id="TD-ENV-019",
        title="A CUDA PyTorch without triton",
        why="torch.compile makes its GPU kernels with triton; without it compilation on the GPU fails.",
        fix=Fix(command="python -m pip install --force-reinstall torch    # brings the triton that it is pinned to"),
        source="torch/_inductor/scheduler.py",
    ),
    Card(
        id="TD-ENV-020",
        title="The CPU gave a wrong answer",
        why="A product with the identity in double precision must be exact. A library that does not belong, or a fault "
        "of the machine.",
        fix=Fix(command="env -u LD_PRELOAD -u LD_LIBRARY_PATH python -c 'import torch; print(torch.ones(8).sum())'"),
        source="measured",
    ),
    Card(
        id="TD-ENV-058",
        title="What the shell would start gives no answer",
        why="A folder of PATH, or a program in it, lies on a file system that hangs. Whoever looks for a program "
        "there, the shell, torchrun or a compiler, waits for ever; only what lies in a folder before it is found.",
        fix=Fix(command="findmnt -T FOLDER; export PATH=<PATH without that folder>"),
        source="a child that looked there and was killed at its deadline",
    ),
)
