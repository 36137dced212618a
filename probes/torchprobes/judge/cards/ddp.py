"""Cards of `ddp.*`."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

_NCCL = "https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html"

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-DDP-001",
        title="A rank hangs",
        why="The phase passed its limit, and its stacks were kept as an artifact. On GPUs that cannot reach each other "
        "directly, peer-to-peer access that is announced and does not work hangs the first collective.",
        fix=Fix(command="NCCL_DEBUG=INFO NCCL_P2P_DISABLE=1 torchdoctor check ddp    # if it runs then, it is P2P"),
        source=_NCCL,
    ),
    Card(
        id="TD-DDP-002",
        title="Ranks do not form a process group",
        why="The ranks of one node met over the loopback, made a communicator, reduced once, and left, time after "
        "time. The message names what stood in the way: a name, an interface, a port, /dev/shm, or a GPU taken twice.",
        fix=Fix(command="NCCL_DEBUG=INFO GLOO_SOCKET_IFNAME=lo torchdoctor check ddp"),
        source="https://pytorch.org/docs/stable/distributed.html",
    ),
    Card(
        id="TD-DDP-003",
        title="A collective raised an error",
        why="The process group was made, and what it was used for raised. The traceback is an artifact of this "
        "probe; a peer's `Connection closed` is a consequence, so look for the rank that raised something else.",
        fix=Fix(command="TORCH_DISTRIBUTED_DEBUG=DETAIL torchdoctor check ddp"),
        source="https://pytorch.org/docs/stable/distributed.html#debugging-torch-distributed-applications",
    ),
    Card(
        id="TD-DDP-004",
        title="all_reduce gives wrong sums",
        why="Every element of every sum was compared with the exact answer. Some platforms deliver zeros or stale data "
        "over peer-to-peer without an error (seen on RTX 4090).",
        fix=Fix(command="NCCL_P2P_DISABLE=1 torchdoctor check ddp    # if the sums are right then, it is P2P"),
        source="https://github.com/NVIDIA/nccl-tests/issues/117",
    ),
    Card(
        id="TD-DDP-005",
        title="Ranks hold different parameters after training",
        why="DistributedDataParallel must keep them equal to the last bit: every rank applies the same "
        "averaged gradient.",
        fix=Fix(command="NCCL_P2P_DISABLE=1 torchdoctor check ddp; torchdoctor gpus    # ECC errors"),
        source="https://pytorch.org/docs/stable/notes/ddp.html",
    ),
    Card(
        id="TD-DDP-006",
        title="The comparison of parameters cannot be trusted",
        why="One bit was changed on one rank, and the comparison over the ranks did not see it.",
        source="measured",
    ),
    Card(
        id="TD-DDP-007",
        title="Training on ranks does not give what one process gives",
        why="The gradients' mean over the ranks must equal the gradient of the whole batch, up to rounding.",
        fix=Fix(command="NVIDIA_TF32_OVERRIDE=0 torchdoctor check ddp    # rules out reduced precision"),
        source="https://pytorch.org/docs/stable/notes/ddp.html",
    ),
    Card(
        id="TD-DDP-008",
        title="Memory moves from step to step",
        why="With fixed shapes and seed the peak of a step is constant after the first few. What moves is allocated by "
        "something else, or leaks.",
        fix=Fix(command="PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True torchdoctor check ddp"),
        source="https://pytorch.org/docs/stable/torch_cuda_memory.html",
    ),
    Card(
        id="TD-DDP-009",
        title="all_reduce is slower than these GPUs give",
        why="Bus bandwidth is size/time x 2(n-1)/n, comparable with the speed of one link direction. A fall to a tenth "
        "means that the path leaves NVLink for PCIe or the host.",
        fix=Fix(command="nvidia-smi topo -m; nvidia-smi nvlink --status", scope=Scope.NODE),
        source="https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md",
    ),
    Card(
        id="TD-DDP-010",
        title="Communication between GPUs was not tested",
        why="It takes two GPUs. With one, the ranks run on the CPU, and NCCL with one rank shows that the library "
        "loads and answers, no more.",
        source="design",
    ),
    Card(
        id="TD-DDP-011",
        title="NCCL gives a wrong answer with one rank",
        why="all_reduce over one rank must return what it was given.",
        fix=Fix(command="NCCL_DEBUG=INFO torchdoctor check ddp"),
        source=_NCCL,
    ),
    Card(
        id="TD-DDP-012",
        title="Latency was noisy",
        why="The spread is larger than the mean, as on a node that others use too: read the minimum and the median.",
        fix=Fix(command="torchdoctor check ddp    # again, on an idle machine"),
        source="measured",
    ),
    Card(
        id="TD-DDP-013",
        title="Ranks of one machine talk through the network",
        why="NCCL uses NET between GPUs of one machine only when neither peer-to-peer nor shared memory is allowed: "
        "each byte goes through the host and a socket, at a hundredth of NVLink's speed.",
        fix=Fix(
            command="unset NCCL_P2P_DISABLE NCCL_SHM_DISABLE NCCL_P2P_LEVEL; docker run --ipc=host --shm-size=16g ..."
        ),
        source=_NCCL,
    ),
    Card(
        id="TD-DDP-014",
        title="Ranks talk through the host's memory",
        why="Without peer-to-peer NCCL copies through shared memory. GeForce cards have none; on others an IOMMU, "
        "ACS on a PCIe switch, or a container without the other GPUs' handles keeps them apart.",
        fix=Fix(command="nvidia-smi topo -p2p r; cat /proc/cmdline    # IOMMU; see also compute.p2p"),
        source=_NCCL,
    ),
    Card(
        id="TD-DDP-015",
        title="A communicator was begun and not completed",
        why="NCCL's log of a rank says `Init START` without `Init COMPLETE`: it waited for a peer, a network interface "
        "or the driver when the others went on.",
        fix=Fix(command="NCCL_DEBUG=INFO torchdoctor check ddp.init"),
        source="NCCL src/init.cc",
    ),
    Card(
        id="TD-DDP-016",
        title="Shared memory is too small for NCCL",
        why="Ranks without peer-to-peer meet in /dev/shm, and a container starts with 64 MiB: `No space left on "
        "device`, `Error while creating shared memory segment`, or a hang when the first large collective comes.",
        fix=Fix(command="docker run --shm-size=16g ...    # or --ipc=host; Kubernetes: emptyDir with medium: Memory"),
        source="https://github.com/NVIDIA/nccl/issues/290",
    ),
    Card(
        id="TD-DDP-017",
        title="NCCL needs a newer driver",
        why="Its kernels were compiled for a later major version of CUDA than the driver knows.",
        fix=Fix(command="python -m pip install --force-reinstall torch    # the build for this driver's CUDA"),
        source="https://docs.nvidia.com/deploy/cuda-compatibility/",
    ),
    Card(
        id="TD-DDP-018",
        title="Machines talk through sockets beside a fast network",
        why="NCCL took TCP between machines although InfiniBand or RoCE ports are active here: its plugin did not "
        "load, the device files are not in the container, or a variable forbids them. It is slower by a factor of ten.",
        fix=Fix(
            command="unset NCCL_IB_DISABLE NCCL_NET; ls /dev/infiniband; ibv_devinfo    # docker: --device, memlock"
        ),
        source=_NCCL,
    ),
    Card(
        id="TD-DDP-019",
        title="Machines talk through sockets",
        why="There is no active InfiniBand or RoCE port, so NCCL uses TCP over the interface named, which is the first "
        "that it found unless NCCL_SOCKET_IFNAME says otherwise.",
        fix=Fix(command="export NCCL_SOCKET_IFNAME=INTERFACE    # the fastest: ethtool INTERFACE"),
        source="https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-socket-ifname",
    ),
)
