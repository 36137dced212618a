"""Cards of `system.*` and `serving.*`."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

_CACHES = "export TORCHINDUCTOR_CACHE_DIR=/local/inductor TRITON_CACHE_DIR=/local/triton    # a local disk, not noexec"
_UVICORN = "https://fastapi.tiangolo.com/async/"

_CPU: tuple[Card, ...] = (
    Card(
        id="TD-SYS-001",
        title="torch runs more threads than it has cores",
        why="OpenMP counts the cores of the machine and knows nothing of a control group's quota. Threads that share "
        "too little time wait for each other in every parallel loop.",
        fix=Fix(command="export OMP_NUM_THREADS=$(nproc)    # or the quota in cores, in every process that uses torch"),
        source="https://docs.kernel.org/scheduler/sched-bwc.html; measured",
    ),
    Card(
        id="TD-SYS-002",
        title="torch uses few of the cores that it may use",
        why="OMP_NUM_THREADS, MKL_NUM_THREADS or the library's own choice leaves cores idle: preprocessing, optimisers "
        "on the CPU and compilation are slower than they need be. torchrun sets OMP_NUM_THREADS=1 for its ranks.",
        fix=Fix(command="unset OMP_NUM_THREADS MKL_NUM_THREADS    # or set them to cores divided by processes"),
        source="https://pytorch.org/docs/stable/notes/cpu_threading_torchscript_inference.html",
    ),
    Card(
        id="TD-SYS-003",
        title="The cores are far from the GPU",
        why="None of the cores that this process may use is on the NUMA node that the GPU hangs at: copies from host "
        "memory and launches cross the link between the sockets.",
        fix=Fix(
            command="numactl --cpunodebind=NODE --membind=NODE ...    # NODE is the GPU's; Slurm: --gpu-bind=closest"
        ),
        source="https://docs.kernel.org/PCI/sysfs-pci.html (numa_node, local_cpulist)",
    ),
    Card(
        id="TD-SYS-004",
        title="Some GPUs are far from the cores",
        why="A rank that uses one of them should run on the cores beside it; the others are near.",
        fix=Fix(command="torchrun --numa-binding=node ...    # PyTorch 2.9 and later; else numactl --cpunodebind"),
        source="https://docs.kernel.org/PCI/sysfs-pci.html (numa_node, local_cpulist)",
    ),
    Card(
        id="TD-SYS-005",
        title="The cores are kept at a low clock",
        why="The governor holds the clock down, and with it everything that the host does for the GPU: launches, "
        "tokenising, decoding. Under intel_pstate and amd-pstate `powersave` still goes to full speed and is not told.",
        fix=Fix(command="cpupower frequency-set -g performance", scope=Scope.NODE, needs=("root",)),
        source="https://docs.kernel.org/admin-guide/pm/cpufreq.html",
    ),
    Card(
        id="TD-SYS-006",
        title="torch does not use the vector units that are there",
        why="Its kernels are chosen at start, by what the processor offers or by ATEN_CPU_CAPABILITY.",
        fix=Fix(command="unset ATEN_CPU_CAPABILITY"),
        source="aten/src/ATen/native/DispatchStub.cpp",
        versions="2.1 and later",
    ),
    Card(
        id="TD-SYS-007",
        title="The quota of cores runs out",
        why="Since its control group was made, it was stopped until the next period in a large part of them: whatever "
        "is timed in it has pauses of up to 100 ms.",
        fix=Fix(command="# a higher cpu limit for this container or job, or fewer threads", needs=("root",)),
        source="https://docs.kernel.org/scheduler/sched-bwc.html",
    ),
)

_DISK: tuple[Card, ...] = (
    Card(
        id="TD-SYS-020",
        title="A folder gives no answer",
        why="Whoever asks for it waits, as on a network file system whose server is gone. A program that touches it "
        "hangs and may not even be killed.",
        fix=Fix(command="findmnt -T FOLDER; umount -f -l MOUNT", scope=Scope.NODE, needs=("root",)),
        source="statvfs in a child that was killed at its deadline",
    ),
    Card(
        id="TD-SYS-021",
        title="A folder cannot be examined",
        why="It could not be read, so nothing is known about its room and its permissions. A relative path is another "
        "folder in each working directory.",
        fix=Fix(command="export VARIABLE=/an/absolute/path    # the variable that the message names"),
        source="statvfs",
    ),
    Card(
        id="TD-SYS-022",
        title="Temporary or compiled files cannot be written",
        why="torch.compile writes generated code, and almost every library a temporary file. Below a HOME that cannot "
        "be written lie Triton's cache, downloads of models and settings, unless variables say otherwise.",
        fix=Fix(command="export HOME=<writable folder>    # or what the message names: TMPDIR=/local/tmp; " + _CACHES),
        source="torch/_inductor/runtime/cache_dir_utils.py; triton/runtime/cache.py",
    ),
    Card(
        id="TD-SYS-023",
        title="Models and settings cannot be kept",
        why="Downloads of models and hubs go below HOME unless TORCH_HOME and HF_HOME say otherwise; a read-only HOME "
        "makes the first download fail, or be repeated by every process.",
        fix=Fix(command="export TORCH_HOME=/data/torch HF_HOME=/data/huggingface"),
        source="https://pytorch.org/docs/stable/hub.html; https://huggingface.co/docs/huggingface_hub",
    ),
    Card(
        id="TD-SYS-024",
        title="A disk is nearly full",
        why="Writing stops in the middle of a download, a checkpoint or a compilation, with an error that seldom "
        "names the disk.",
        fix=Fix(
            command="df -h FOLDER; du -xsh FOLDER/* | sort -h | tail    # or: export TMPDIR=<folder with room>, "
            "or the variable that the message names",
            scope=Scope.NODE,
        ),
        source="design",
    ),
    Card(
        id="TD-SYS-025",
        title="A file system has hardly any inodes left",
        why="It says `No space left on device` although bytes are free: caches hold very many small files.",
        fix=Fix(
            command="df -i FOLDER; find FOLDER -xdev -type d -size +1M    "
            "# or: export TMPDIR=<folder with inodes left>, or the variable that the message names",
            scope=Scope.NODE,
        ),
        source="statvfs",
    ),
    Card(
        id="TD-SYS-026",
        title="Compiled code lies on a noexec mount",
        why="Inductor and Triton load shared objects from their caches; on a noexec mount the load ends with `failed "
        "to map segment from shared object`.",
        fix=Fix(command=_CACHES),
        source="https://github.com/pytorch/pytorch/issues/91005",
    ),
    Card(
        id="TD-SYS-027",
        title="A cache of compiled code is on a network file system",
        why="Each compilation writes and locks many small files there, and every rank of every node does so at once.",
        fix=Fix(command=_CACHES),
        source="design",
    ),
    Card(
        id="TD-SYS-028",
        title="Models are kept in a container's own layer",
        why="They are gone with the container, and each new one downloads them again.",
        fix=Fix(command="docker run -v /data/huggingface:/root/.cache/huggingface ..."),
        source="https://docs.docker.com/engine/storage/drivers/",
    ),
)

_SERVING: tuple[Card, ...] = (
    Card(
        id="TD-SRV-001",
        title="The server does not start",
        why="FastAPI, uvicorn and torch were started in one process on the loopback; the message says what stood in "
        "the way.",
        fix=Fix(command="python -m pip install --upgrade fastapi uvicorn"),
        source="https://www.uvicorn.org/",
    ),
    Card(
        id="TD-SRV-002",
        title="The server died while it served",
        why="A signal (-11: a crash in native code; -9: out of memory) ended it between two requests.",
        fix=Fix(command="PYTHONFAULTHANDLER=1 torchdoctor check serving.fastapi    # stderr.log names the frame"),
        source="measured",
    ),
    Card(
        id="TD-SRV-003",
        title="Requests to the model fail",
        why="The handler runs in a worker thread of the server. What raises there and not in a plain script needs a "
        "context of its own in every thread, or was forked after CUDA had been initialised.",
        fix=Fix(
            command="uvicorn --workers 1 ...    # and load the model in the process that serves, never before a fork"
        ),
        source="https://pytorch.org/docs/stable/notes/multiprocessing.html#cuda-in-multiprocessing",
    ),
    Card(
        id="TD-SRV-004",
        title="The server gives wrong answers",
        why="Answers from worker threads were compared with the same model on the CPU in another process.",
        fix=Fix(
            command="NVIDIA_TF32_OVERRIDE=0 torchdoctor check serving.fastapi    # rules out reduced precision; then "
            "serve without middleware, from weights that the serving process has loaded itself"
        ),
        source="measured",
    ),
    Card(
        id="TD-SRV-005",
        title="Health checks wait behind inference",
        why="Handlers run in threads here, so the event loop waits for a core or for Python's lock, not for a handler: "
        "there are more threads at work than cores.",
        fix=Fix(command="OMP_NUM_THREADS=1 uvicorn ...    # and as many concurrent requests as cores"),
        source=_UVICORN,
    ),
    Card(
        id="TD-SRV-006",
        title="A handler that computes in `async def` stalls the event loop",
        why="While it computes, nothing else is answered: health checks, other clients, cancellation. A handler that "
        "calls a model belongs in a plain `def`, which FastAPI runs in a thread.",
        fix=Fix(command="# def predict(...): instead of async def; or await anyio.to_thread.run_sync(model, x)"),
        source=_UVICORN,
    ),
)

CARDS: tuple[Card, ...] = _CPU + _DISK + _SERVING
