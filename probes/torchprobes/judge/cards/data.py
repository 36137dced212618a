"""Cards of `data.*`."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

_DATA = "https://pytorch.org/docs/stable/data.html"
_SHM = Fix(command="docker run --shm-size=16g ...    # or --ipc=host; Kubernetes: emptyDir with medium: Memory")

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-DTL-001",
        title="Batches arrive out of order, or with other data",
        why="Without shuffling, a DataLoader gives items in the order of the dataset, whatever the number of workers. "
        "Training on wrong pairs of input and label goes unnoticed.",
        fix=Fix(command="python -m pip install --force-reinstall torch"),
        source=_DATA,
    ),
    Card(
        id="TD-DTL-002",
        title="A DataLoader raised an error",
        why="A TensorDataset of 512 small items must load. Workers that cannot be started, /dev/shm that is full, and "
        "limits on processes or open files are the usual causes; the traceback is an artifact of this probe.",
        fix=Fix(command="df -h /dev/shm; ulimit -n -u"),
        source="measured",
    ),
    Card(
        id="TD-DTL-003",
        title="A broken worker goes unnoticed",
        why="A worker was killed, or raised, and the loop went on or ended as if nothing had happened: an epoch misses "
        "data, or waits for ever.",
        fix=Fix(command="python -m pip install --upgrade torch    # and pass timeout= to DataLoader"),
        source=_DATA,
    ),
    Card(
        id="TD-DTL-004",
        title="A broken worker is told in other words",
        why="The error came, but names neither the worker nor the cause: a person who reads it will look elsewhere.",
        fix=Fix(command="python -m pip install --upgrade torch"),
        source="torch/utils/data/_utils/signal_handling.py",
    ),
    Card(
        id="TD-DTL-005",
        title="A DataLoader leaves something behind",
        why="After its workers should have ended there are more open descriptors, children or files in /dev/shm than "
        "before. A long job runs out of them.",
        fix=Fix(command="ulimit -n 65535    # and end each iterator before the next is made"),
        source="measured",
    ),
    Card(
        id="TD-DTL-006",
        title="Shared memory (/dev/shm) is small",
        why="Workers hand batches over in shared memory, and NCCL uses it between processes. A container starts with "
        "64 MiB; when it is full, a worker dies with SIGBUS.",
        fix=_SHM,
        source="https://github.com/pytorch/pytorch/issues/2244; https://github.com/NVIDIA/nccl/issues/290",
    ),
    Card(
        id="TD-DTL-007",
        title="Shared memory (/dev/shm) cannot be read",
        why="Without it workers fall back to files, or fail.",
        fix=Fix(command="mount -t tmpfs -o size=16g tmpfs /dev/shm", scope=Scope.NODE, needs=("root",)),
        source="statvfs",
    ),
    Card(
        id="TD-DTL-008",
        title="Persistent workers are started again for each epoch",
        why="With persistent_workers=True the second epoch must be served by the same processes.",
        fix=Fix(command="python -m pip install --upgrade torch"),
        source=_DATA,
    ),
    Card(
        id="TD-DTL-009",
        title="Pinned batches are not pinned, or arrive changed on the GPU",
        why="pin_memory=True must give page-locked tensors, and a copy to the GPU must hold the same numbers.",
        fix=Fix(command="ulimit -l    # the limit on locked memory"),
        source=_DATA,
    ),
    Card(
        id="TD-DTL-010",
        title="Few files may be open",
        why="Tensors that workers share by descriptor hold one each; many small tensors end in `Too many open files`.",
        fix=Fix(command="ulimit -n 65535"),
        source="https://pytorch.org/docs/stable/multiprocessing.html#sharing-strategies",
    ),
)
