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
        id="TD-ENV-006",
        title="The NVIDIA driver is too old for this PyTorch",
        why="Within one major version of CUDA any driver does; a later major needs a later driver.",
        fix=Fix(
            command="python -m pip install torch --index-url https://download.pytorch.org/whl/cu<what the driver takes>"
        ),
        source="https://docs.nvidia.com/deploy/cuda-compatibility/",
    ),
    Card(
        id="TD-ENV-007",
        title="PyTorch is built for CUDA and cannot use it on this node",
        why="The device nodes are there, and CUDA could not be started. 802: the fabric manager is not ready; 803: the "
        "driver was upgraded under a running kernel module; 804: a cuda-compat library stands before the driver's.",
        fix=Fix(command="nvidia-smi; systemctl status nvidia-fabricmanager", scope=Scope.NODE),
        source="https://github.com/pytorch/pytorch/issues/30528",
    ),
    Card(
        id="TD-ENV-008",
        title="CUDA_VISIBLE_DEVICES hides all GPUs",
        why="An empty value, or one that begins with -1, shows no GPU to CUDA.",
        fix=Fix(command="unset CUDA_VISIBLE_DEVICES"),
        source="https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables",
    ),
    Card(
        id="TD-ENV-009",
        title="This PyTorch holds no kernel for this GPU",
        why="Neither machine code of the device's major version nor PTX that the driver could compile is in the wheel: "
        "every kernel ends in `no kernel image is available`, while torch.cuda.is_available() stays True.",
        fix=Fix(command="python -m pip install --upgrade torch    # a build whose arch list names the device"),
        source="https://github.com/pytorch/pytorch/issues/17966",
    ),
    Card(
        id="TD-ENV-010",
        title="Kernels are compiled by the driver on first use",
        why="The wheel holds only PTX of an older architecture for this GPU. It works, with a long first use, and "
        "without what the newer architecture could do.",
        fix=Fix(command="python -m pip install --upgrade torch    # a build whose arch list names the device"),
        source="https://docs.nvidia.com/cuda/cuda-c-programming-guide/#just-in-time-compilation",
    ),
    Card(
        id="TD-ENV-011",
        title="A kernel on this GPU failed or gave a wrong answer",
        why="One small kernel was launched and its answer read back. Nothing that follows can be trusted.",
        fix=Fix(command="torchdoctor gpus    # XIDs, ECC errors and a lost GPU come first", scope=Scope.GPU),
        source="measured",
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
        id="TD-ENV-016",
        title="cuDNN is missing, or not the one that PyTorch was built with",
        why="PyTorch compares the cuDNN it was built with to the one that was loaded; LD_LIBRARY_PATH often puts a "
        "toolkit's in front. `cudnn.enabled` is a toggle and says nothing about it.",
        fix=Fix(command="unset LD_LIBRARY_PATH"),
        source="https://github.com/pytorch/pytorch/issues/80637",
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
        id="TD-ENV-021",
        title="Two copies of one CUDA library are loaded",
        why="The wheel's and a toolkit's: which one answers depends on the order of loading.",
        fix=Fix(command="unset LD_LIBRARY_PATH"),
        source="/proc/self/maps",
    ),
)
