"""Cards of `env.wheel`, `env.python`, `env.abi`, of the import's seconds and of the shell's interpreters."""

from __future__ import annotations

from ...model import Fix
from .base import Card

_INDEX = "https://pytorch.org/get-started/locally/"
_COMPILE = "torch/__init__.py (compile), torch/_dynamo/eval_frame.py (check_if_dynamo_supported)"

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-ENV-049",
        title="A running job has another PyTorch",
        why="A program of yours that runs now has loaded another version than the one that was examined: what is found "
        "here does not hold for it.",
        fix=Fix(command="torchdoctor check --python <the job's interpreter>    # or --like PID"),
        source="/proc/PID/maps",
    ),
    Card(
        id="TD-ENV-060",
        title="A CPU-only PyTorch beside an Intel GPU",
        why="The GPU could be used by a build for XPU. Integrated graphics need none.",
        fix=Fix(
            command="python -m pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/xpu"
        ),
        source=_INDEX,
    ),
    Card(
        id="TD-ENV-061",
        title="PyTorch was built for another maker's GPUs",
        why="A build for CUDA holds no code for AMD's GPUs, one for ROCm none for NVIDIA's: "
        "`torch.cuda.is_available()` is False whatever the driver does.",
        fix=Fix(
            command="python -m pip install --force-reinstall torch "
            "--index-url https://download.pytorch.org/whl/<cu130 or rocm6.4>"
        ),
        source=_INDEX,
    ),
    Card(
        id="TD-ENV-062",
        title="PyTorch's GPU library is missing",
        why="torch/version.py names the build, and the library that holds its kernels is not there: an installation "
        "that was stopped, or an image that was made smaller by hand.",
        fix=Fix(command="python -m pip install --force-reinstall --no-deps torch==<its version>"),
        source="torch/lib",
    ),
    Card(
        id="TD-ENV-064",
        title="`import torch` crawls on a network file system",
        why="An import reads thousands of small files one after another; cold, each is a round trip to the server, and "
        "every rank of a job pays it at once. The seconds are those without CPU time and time in the run queue.",
        fix=Fix(command="put the environment on a local disk, or into one image file (squashfs, apptainer)"),
        source="measured: warm from a local disk the import takes 1.3 s",
    ),
    Card(
        id="TD-ENV-065",
        title="`import torch` waits",
        why="The file system is a local one. With bytes from a disk it is a cold cache or a slow disk; without, "
        "something sleeps: a hook in sitecustomize or a .pth file, a name server, a licence server.",
        fix=Fix(
            command="python -X importtime -c 'import torch' 2>&1 | sort -t'|' -k2 -n | tail    "
            "# the module that waits; python -I ignores PYTHONPATH, and with it a hook there"
        ),
        source="measured: warm from a local disk the import takes 1.3 s",
    ),
    Card(
        id="TD-ENV-066",
        title="Python itself is slow to start",
        why="Before the first line of a program run site, sitecustomize, usercustomize and every .pth file: each "
        "worker and each rank pays for them.",
        fix=Fix(
            command="python -X importtime -c pass; ls <site-packages>/*.pth    "
            "# names what is slow: remove that .pth file"
        ),
        source="measured: Python starts in 0.02 s",
    ),
    Card(
        id="TD-ENV-067",
        title="The shell's python has another PyTorch",
        why="A script that is started with `python` runs with another PyTorch than the one that was examined.",
        fix=Fix(command="hash -r; type -a python python3    # then: <target python> your_script.py"),
        source="the files of both interpreters",
    ),
    Card(
        id="TD-ENV-068",
        title="torchrun starts another PyTorch",
        why="The script `torchrun` names its interpreter in its first line. Ranks run with that one, whatever `python` "
        "is.",
        fix=Fix(command="<target python> -m torch.distributed.run …    # instead of torchrun"),
        source="the first line of torchrun",
    ),
    Card(
        id="TD-ENV-069",
        title="torchrun starts another interpreter",
        why="The script `torchrun` names its interpreter in its first line. Ranks run in that environment, whatever "
        "`python` is.",
        fix=Fix(command="<target python> -m torch.distributed.run …    # instead of torchrun"),
        source="the first line of torchrun",
    ),
    Card(
        id="TD-ENV-070",
        title="torch.compile does not work on this Python",
        why="Dynamo reads Python's bytecode, which changes with every version: torch.compile() raises on a Python that "
        "is newer than this PyTorch, and on early free-threaded builds. With suppress_errors it is silent.",
        fix=Fix(command="python -m pip install --upgrade torch    # or an environment with an older Python"),
        source=_COMPILE,
        versions="to 2.3: Python 3.11; 2.4, 2.5: 3.12; 2.6 to 2.9: 3.13; 2.10 and later: 3.14",
    ),
    Card(
        id="TD-ENV-071",
        title="PyTorch was built for another Python",
        why="Its compiled core carries the version of Python in its name, and there is none for this one: the files "
        "were copied, shared by PYTHONPATH, or stayed when Python was upgraded.",
        fix=Fix(command="python -m pip install --force-reinstall torch"),
        source="importlib.machinery.EXTENSION_SUFFIXES against torch/_C.*",
    ),
    Card(
        id="TD-ENV-072",
        title="PyTorch does not claim to work on this Python",
        why="Its metadata names the Pythons that it was made for, and this is none of them.",
        fix=Fix(command="python -m pip install --force-reinstall torch"),
        source="Requires-Python of torch's METADATA",
    ),
    Card(
        id="TD-ENV-073",
        title="A Python without the GIL",
        why="Free-threaded Python is young: extensions that do not know it switch the GIL on again, and torch.compile "
        "takes it from 3.13.3 on.",
        fix=Fix(command="python -X gil=1 …    # to compare"),
        source=_COMPILE,
    ),
    Card(
        id="TD-ENV-074",
        title="A pre-release of Python",
        why="Wheels are built against released versions; the binary interface may differ before.",
        fix=Fix(command="make the environment anew with a released Python"),
        source="sys.version_info.releaselevel",
    ),
    Card(
        id="TD-ENV-075",
        title="OpenCV cannot be imported here",
        why="A library that it links is neither in its wheel nor on this system. `libGL.so.1` belongs to a screen, "
        "which a server has not: the headless OpenCV does without.",
        fix=Fix(
            command="python -m pip uninstall -y opencv-python opencv-contrib-python && "
            "python -m pip install opencv-python-headless"
        ),
        source="ELF DT_NEEDED, each library tried",
    ),
)
