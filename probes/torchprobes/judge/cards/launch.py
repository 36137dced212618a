"""Cards of `compute.launch` and `compute.memory`."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

_ALLOCATOR = "https://docs.pytorch.org/docs/stable/notes/cuda.html#memory-management"

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-CPT-100",
        title="Additions on this device do not add up",
        why="The same number was incremented many times, and its value at the end is not the count. Nothing that "
        "follows can be trusted.",
        fix=Fix(command="torchdoctor gpus    # XIDs, ECC errors and a lost GPU come first", scope=Scope.GPU),
        source="measured",
    ),
    Card(
        id="TD-CPT-101",
        title="Every launch waits for its kernel: CUDA_LAUNCH_BLOCKING",
        why="It is there to find the line of an asynchronous error. While it is set, the host does nothing until the "
        "device is done, and small kernels cost many times more.",
        fix=Fix(command="unset CUDA_LAUNCH_BLOCKING"),
        source="https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html",
    ),
    Card(
        id="TD-CPT-102",
        title="Launches are dear under gVisor",
        why="The sandbox's kernel runs in user space and takes part in what the driver asks of the system.",
        fix=Fix(
            command="docker run --runtime=nvidia ...    # a runtime other than runsc, if its isolation is not needed",
            scope=Scope.NODE,
        ),
        source="https://gvisor.dev/docs/user_guide/gpu/; /proc/version",
    ),
    Card(
        id="TD-CPT-103",
        title="A CPU quota stops the process that launches",
        why="When the control group's share of a period is spent, all its threads stop until the next one: launches "
        "come in bursts, and the GPU waits.",
        fix=Fix(
            command="cat /sys/fs/cgroup/cpu.max; ask for more cores, or fewer threads: export OMP_NUM_THREADS=<cores>"
        ),
        source="https://docs.kernel.org/scheduler/sched-bwc.html",
    ),
    Card(
        id="TD-CPT-104",
        title="The CPU's governor lets the cores that launch sleep",
        why="A core that is clocked up slowly is slow at short bursts, and launches are short bursts.",
        fix=Fix(command="cpupower frequency-set -g performance", scope=Scope.NODE, needs=("root",)),
        source="https://docs.kernel.org/admin-guide/pm/cpufreq.html",
    ),
    Card(
        id="TD-CPT-105",
        title="Launches are dear, and nothing that was looked at explains it",
        why="Blocking launches, gVisor, a quota and the governor were ruled out. A tool that listens to CUDA (a "
        "profiler, a tracer), a slow core, or neighbours on it are left.",
        fix=Fix(command="env | grep -i -e CUDA_INJECTION -e NSIGHT -e LD_PRELOAD; torchdoctor check system.cpu"),
        source="measured",
    ),
    Card(
        id="TD-CPT-110",
        title="Memory does not come back after the device ran out of it",
        why="All tensors were freed and the cache was emptied, and most of what there was before cannot be had again.",
        fix=Fix(command="torchdoctor gpus    # who else holds memory on this GPU?", scope=Scope.GPU),
        source="measured",
    ),
    Card(
        id="TD-CPT-111",
        title="Memory does not keep what is written to it",
        why="A block of known numbers was written after a recovery and read back as another sum.",
        fix=Fix(
            command="nvidia-smi -q -d ECC,ROW_REMAPPER    # and take the GPU out of use",
            scope=Scope.GPU,
            needs=("idle",),
        ),
        source="measured",
    ),
    Card(
        id="TD-CPT-112",
        title="Running out of memory raises something else than OutOfMemoryError",
        why="Programs that catch torch.cuda.OutOfMemoryError and go on with less cannot do so here.",
        fix=Fix(command="unset PYTORCH_CUDA_ALLOC_CONF PYTORCH_ALLOC_CONF PYTORCH_NO_CUDA_MEMORY_CACHING"),
        source=_ALLOCATOR,
    ),
    Card(
        id="TD-CPT-113",
        title="The caching of CUDA memory is off",
        why="Every tensor asks the driver for memory and gives it back, each time waiting for the device. It is "
        "there for memory checkers.",
        fix=Fix(command="unset PYTORCH_NO_CUDA_MEMORY_CACHING"),
        source=_ALLOCATOR,
    ),
    Card(
        id="TD-CPT-114",
        title="Freed memory in small pieces does not serve a large request",
        why="A segment with one living tensor in it cannot be given back or joined. This was made so on purpose, to "
        "show what it costs; with expandable segments the same request is served.",
        fix=Fix(command="export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True    # PYTORCH_ALLOC_CONF from 2.9 on"),
        source=_ALLOCATOR,
    ),
    Card(
        id="TD-CPT-115",
        title="More memory was given than the device has",
        why="The allocator hands out managed memory, which moves between host and device as it is used: nothing runs "
        "out, and what does not fit is slow.",
        fix=Fix(command="unset PYTORCH_CUDA_ALLOC_CONF PYTORCH_ALLOC_CONF PYTORCH_NO_CUDA_MEMORY_CACHING"),
        source=_ALLOCATOR,
    ),
)
