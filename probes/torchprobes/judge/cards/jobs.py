"""Cards of what stands in the way of a launch (`jobs.preflight`)."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

_RENDEZVOUS = "https://github.com/pytorch/pytorch/blob/main/torch/distributed/elastic/rendezvous/"
_NCCL_ENV = "https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html"
_NCCL_HELP = "https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html"
_LOGIND = "https://www.freedesktop.org/software/systemd/man/latest/logind.conf.html"
_LIMITS = "# /etc/security/limits.conf, or docker run --ulimit"

_ENDPOINT: tuple[Card, ...] = (
    Card(
        id="TD-JOB-001",
        title="This host's name is of no use to other nodes",
        why="torchrun takes a node for the host of the endpoint by the addresses of its own name, and gloo announces "
        "those addresses to its peers. Where the name is a loopback nobody serves the endpoint: both nodes wait for "
        "60 s and give up (measured with two hosts).",
        fix=Fix(
            command="torchrun --rdzv-conf is_host=true --local-addr ADDRESS ...    # is_host=false on other nodes; and "
            "export GLOO_SOCKET_IFNAME=INTERFACE"
        ),
        source=_RENDEZVOUS + "utils.py (_matches_machine_hostname); measured",
    ),
    Card(
        id="TD-JOB-002",
        title="The resolver gives no answer",
        why="Ranks and torchrun ask it for names while they meet, and wait as long as it does.",
        fix=Fix(command="getent hosts NAME; cat /etc/resolv.conf    # an entry in /etc/hosts needs no resolver"),
        source="measured",
    ),
    Card(
        id="TD-JOB-003",
        title="The port of the rendezvous is taken",
        why="The store of the ranks cannot listen there (EADDRINUSE), or torchrun takes the other program for the "
        "store and waits for its answer: nothing was said in 880 s (measured).",
        fix=Fix(command="torchrun --rdzv-endpoint HOST:0 ...    # any free port, on one node; else another port"),
        source="https://github.com/pytorch/pytorch/issues/126510; measured",
    ),
    Card(
        id="TD-JOB-004",
        title="The port belongs to another job of torch's",
        why="A second torchrun with a c10d endpoint uses the store that is there. The two do not meet, but the store "
        "ends with the job that serves it, and this one with the store.",
        fix=Fix(command="torchrun --rdzv-endpoint HOST:ANOTHER_PORT ..."),
        source=_RENDEZVOUS + "c10d_rendezvous_backend.py (_create_tcp_store)",
    ),
    Card(
        id="TD-JOB-005",
        title="The port of the rendezvous cannot be bound",
        why="The kernel refuses it to this user: ports below 1024 need a capability, some are reserved.",
        fix=Fix(command="torchrun --rdzv-endpoint HOST:29500 ..."),
        source="bind(2)",
    ),
    Card(
        id="TD-JOB-006",
        title="The host of the rendezvous cannot be reached",
        why="Its name is unknown here, or it does not answer: every agent but its own waits for the store until its "
        "time is over (60 s).",
        fix=Fix(command="getent hosts HOST; ping -c 1 HOST; nc -vz HOST PORT", scope=Scope.NODE),
        source="https://github.com/pytorch/pytorch/issues/69197",
    ),
    Card(
        id="TD-JOB-007",
        title="This node is to serve an address that it does not have",
        why="The store listens here, and everybody looks for it at the endpoint.",
        fix=Fix(command="torchrun --rdzv-endpoint ADDRESS_OF_NODE_0:29500 ...    # ip -brief address; or --node-rank"),
        source=_RENDEZVOUS + "static_tcp_rendezvous.py",
    ),
    Card(
        id="TD-JOB-008",
        title="A variable names an interface that does not work",
        why="gloo fails with `Unable to find address for`, NCCL with `Bootstrap : no socket interface found`.",
        fix=Fix(command="ip -brief address; export NCCL_SOCKET_IFNAME=INTERFACE GLOO_SOCKET_IFNAME=INTERFACE"),
        source=_NCCL_ENV + "#nccl-socket-ifname",
    ),
    Card(
        id="TD-JOB-009",
        title="Several networks, and nobody says which",
        why="Each library chooses for itself: gloo the address of the host's name, NCCL the first interface it finds, "
        "InfiniBand before others, docker and loopback last. Nodes that choose differently wait for each other.",
        fix=Fix(command="export NCCL_SOCKET_IFNAME=INTERFACE GLOO_SOCKET_IFNAME=INTERFACE    # on every node"),
        source=_NCCL_ENV + "#nccl-socket-ifname",
    ),
)

_ROOM: tuple[Card, ...] = (
    Card(
        id="TD-JOB-010",
        title="Shared memory has a container's default size",
        why="Ranks without peer-to-peer, and DataLoader workers, hand data over in /dev/shm: `No space left on "
        "device`, `Bus error`, or a hang in the first large collective.",
        fix=Fix(command="docker run --shm-size=16g ...    # or --ipc=host; Kubernetes: emptyDir with medium: Memory"),
        source="https://github.com/NVIDIA/nccl/issues/1518",
    ),
    Card(
        id="TD-JOB-011",
        title="Shared memory is nearly full",
        why="Segments of jobs that were killed stay in /dev/shm until somebody removes them.",
        fix=Fix(command="ls -laS /dev/shm | head; lsof /dev/shm    # what nobody has open may go", scope=Scope.NODE),
        source="https://github.com/NVIDIA/nccl/issues/1518",
    ),
    Card(
        id="TD-JOB-012",
        title="Few files may be open",
        why="Every tensor that a DataLoader worker hands over, every peer of a rank and every shard takes a file: "
        "`Too many open files`.",
        fix=Fix(command="ulimit -n 65536    " + _LIMITS + " nofile=65536"),
        source="https://pytorch.org/docs/stable/multiprocessing.html#file-descriptor-file-descriptor",
    ),
    Card(
        id="TD-JOB-013",
        title="Few threads may be started",
        why="Ranks start pools of threads, watchdogs and workers: `Resource temporarily unavailable`, `can't start new "
        "thread`, or OpenMP that gives up.",
        fix=Fix(
            command="ulimit -u unlimited    # or docker run --pids-limit -1; a container's: pids.max of its cgroup"
        ),
        source="getrlimit(2), RLIMIT_NPROC; https://docs.kernel.org/admin-guide/cgroup-v2.html#pid",
    ),
    Card(
        id="TD-JOB-014",
        title="Little memory may be locked",
        why="InfiniBand pins its buffers: NCCL fails with `Cannot allocate memory` in ibv_reg_mr.",
        fix=Fix(command="ulimit -l unlimited    " + _LIMITS + " memlock=-1"),
        source=_NCCL_HELP,
    ),
)

_GPUS: tuple[Card, ...] = (
    Card(
        id="TD-JOB-015",
        title="More ranks than GPUs",
        why="A rank takes the GPU of its local rank: `invalid device ordinal`, or two ranks on one GPU, which NCCL "
        "refuses (`Duplicate GPU detected`). Ranks on the CPU need none.",
        fix=Fix(command="torchrun --nproc-per-node gpu ...    # one a visible GPU; echo $CUDA_VISIBLE_DEVICES"),
        source="NCCL src/init.cc",
    ),
    Card(
        id="TD-JOB-016",
        title="A rank for each GPU, and there is no GPU",
        why="torchrun ends with `Cuda is not available`.",
        fix=Fix(command="nvidia-smi -L; echo $CUDA_VISIBLE_DEVICES    # or --nproc-per-node N for ranks on the CPU"),
        source="torch/distributed/run.py (determine_local_world_size)",
    ),
    Card(
        id="TD-JOB-017",
        title="Ranks without a launcher hold a GPU",
        why="Their torchrun was killed, and they went on without it (measured: all of them): they hold memory, a port, "
        "and may still write checkpoints. Look whose they are before anything else.",
        fix=Fix(command="ps -o pid,ppid,user,lstart,cmd -p PID; kill PID    # only if the job is yours and is over"),
        source="measured; https://github.com/vllm-project/vllm/pull/34816",
    ),
    Card(
        id="TD-JOB-018",
        title="Ranks without a launcher are still there",
        why="Their torchrun was killed, and they went on without it. They hold no GPU, but cores, memory, and perhaps "
        "the port of the rendezvous.",
        fix=Fix(command="ps -o pid,ppid,user,lstart,cmd -p PID; kill PID    # only if the job is yours and is over"),
        source="measured",
    ),
)

_SESSION: tuple[Card, ...] = (
    Card(
        id="TD-JOB-019",
        title="The end of this login kills the job",
        why="logind ends whatever a session leaves behind, detached or not: setsid, nohup and tmux do not help.",
        fix=Fix(
            command="loginctl enable-linger && systemd-run --user --scope -- torchdoctor launch ...    # or sbatch, "
            "where there is Slurm"
        ),
        source=_LOGIND + " (KillUserProcesses=)",
    ),
    Card(
        id="TD-JOB-020",
        title="The end of the last login kills the job",
        why="A user's own systemd, and every scope and service below it, is stopped some seconds after the user's last "
        "session has ended, unless the user lingers.",
        fix=Fix(command="loginctl enable-linger"),
        source="https://www.freedesktop.org/software/systemd/man/latest/loginctl.html (enable-linger)",
    ),
    Card(
        id="TD-JOB-021",
        title="The end of this Slurm step kills the job",
        why="A step that was started with `srun --pty` ends with its shell, and Slurm kills all that is left in its "
        "control group.",
        fix=Fix(command="sbatch --wrap 'torchdoctor launch --headless ...'    # a job of its own"),
        source="https://slurm.schedmd.com/proctrack_plugins.html",
    ),
)

_REST: tuple[Card, ...] = (
    Card(
        id="TD-JOB-022",
        title="The target cannot launch ranks",
        why="torchrun is run as a module of the target's own interpreter.",
        fix=Fix(command="torchdoctor launch --python PYTHON ...    # an interpreter that has PyTorch"),
        source="design",
    ),
    Card(
        id="TD-JOB-030",
        title="Some of the pre-flight gave no answer",
        why="Each look has two seconds and a process of its own. What it would have found is not known.",
        source="design",
    ),
)

CARDS: tuple[Card, ...] = _ENDPOINT + _ROOM + _GPUS + _SESSION + _REST
