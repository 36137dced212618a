"""Cards of errors that ranks, their network and the workers of a DataLoader raise, for `explain -`."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

_NCCL = "https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html"
_NCCL_ERRORS = "https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/api/types.html#ncclresult-t"
_DISTRIBUTED = "https://docs.pytorch.org/docs/stable/distributed.html"
_DATA = "https://docs.pytorch.org/docs/stable/data.html"
_INFO = Fix(command="NCCL_DEBUG=INFO torchrun <your command>    # the first WARN line names the call")

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-ERR-030",
        title="A collective did not end in time",
        why="Some rank did not come to it, or came with another one: it raised, it waits for data, it took another "
        "branch, or its link is dead. The ranks that report are those that waited; the one that is missing among them "
        "is the one to look at. Compare SeqNum and OpType over the ranks.",
        fix=Fix(command="TORCH_NCCL_TRACE_BUFFER_SIZE=2000 TORCH_NCCL_DUMP_ON_TIMEOUT=1 torchrun <your command>"),
        source="https://docs.pytorch.org/tutorials/unstable/flight_recorder_tutorial.html",
    ),
    Card(
        id="TD-ERR-031",
        title="A system call of NCCL failed",
        why="A socket, shared memory or an interface: the message hides which. Usual ones are an interface that leads "
        "nowhere (docker0), a small /dev/shm, and a firewall between nodes.",
        fix=_INFO,
        source=_NCCL_ERRORS,
    ),
    Card(
        id="TD-ERR-032",
        title="Another rank went away",
        why="This rank only noticed it. The cause is in the output of the rank that ended first.",
        fix=Fix(
            command="torchrun --log-dir logs --redirects 3 <your command>    # then read the rank that ended first"
        ),
        source=_NCCL_ERRORS,
    ),
    Card(
        id="TD-ERR-033",
        title="A CUDA call of NCCL failed",
        why="Out of memory on the GPU, peer access that does not work, a driver that is too old for this NCCL, or an "
        "earlier error of a kernel that is told here.",
        fix=_INFO,
        source=_NCCL_ERRORS,
    ),
    Card(
        id="TD-ERR-034",
        title="Two ranks use one GPU, or ranks call NCCL differently",
        why="NCCL takes one rank a GPU. Without torch.cuda.set_device(local_rank) every rank takes cuda:0.",
        fix=Fix(command="torch.cuda.set_device(int(os.environ['LOCAL_RANK']))    # before init_process_group"),
        source=_NCCL_ERRORS,
    ),
    Card(
        id="TD-ERR-035",
        title="The port of the rendezvous is taken",
        why="Another job on this node has it (29500 is everybody's default), or ranks of an earlier one still live.",
        fix=Fix(
            command="ss -ltnp | grep 29500; torchrun --standalone <your command>    # --standalone finds a free one"
        ),
        source="https://docs.pytorch.org/docs/stable/elastic/run.html",
    ),
    Card(
        id="TD-ERR-036",
        title="Ranks did not find each other in time",
        why="Not all of them were started, MASTER_ADDR names a host that the others cannot reach, a firewall is "
        "between them, or world_size is wrong.",
        fix=Fix(command="nc -vz $MASTER_ADDR $MASTER_PORT    # from every other node"),
        source=_DISTRIBUTED,
    ),
    Card(
        id="TD-ERR-037",
        title="A rank failed, and torchrun tells of it",
        why="This is torchrun's summary. The error itself is further up, in the words of the rank under `Root Cause`; "
        "exit code -9 is the kernel or the cgroup out of memory, -11 a crash in native code.",
        fix=Fix(
            command="torchrun --log-dir logs --redirects 3 <your command>; torchdoctor explain - < logs/.../stderr.log"
        ),
        source="https://docs.pytorch.org/docs/stable/elastic/errors.html",
    ),
    Card(
        id="TD-ERR-038",
        title="A parameter took no part in the loss",
        why="DistributedDataParallel waits for a gradient of every parameter. Some were not used in this forward, or "
        "an output did not go into the loss.",
        fix=Fix(
            command="TORCH_DISTRIBUTED_DEBUG=DETAIL torchrun <your command>    # names them; find_unused_parameters"
        ),
        source="https://docs.pytorch.org/docs/stable/notes/ddp.html",
    ),
    Card(
        id="TD-ERR-039",
        title="The process group is not there",
        why="A collective, or DistributedDataParallel, before init_process_group; or a script that expects torchrun's "
        "variables and was started without it.",
        fix=Fix(command="torchrun --standalone --nproc-per-node gpu <your script>"),
        source=_DISTRIBUTED,
    ),
    Card(
        id="TD-ERR-040",
        title="A worker of the DataLoader was killed",
        why="Nobody but the kernel sends SIGKILL by itself: the node or the cgroup ran out of memory. Each worker "
        "holds its own copy of what the dataset's Python objects become.",
        fix=Fix(command="dmesg | grep -i 'killed process'; cat /sys/fs/cgroup/memory.events    # fewer workers"),
        source=_DATA + "#multi-process-data-loading",
    ),
    Card(
        id="TD-ERR-041",
        title="A worker of the DataLoader ended",
        why="It crashed or was ended, and its own words are above this error, or lost. With no workers the same item "
        "raises where it can be read.",
        fix=Fix(command="DataLoader(..., num_workers=0)    # the same error, with its own traceback"),
        source=_DATA,
    ),
    Card(
        id="TD-ERR-042",
        title="What goes to another process cannot be pickled",
        why="With spawn and forkserver the dataset, collate_fn and worker_init_fn are pickled. Lambdas, local "
        "functions and open handles cannot be. Python 3.14 uses forkserver on Linux by default.",
        fix=Fix(command="def collate(batch): ...    # at the top level of a module, functools.partial for arguments"),
        source="https://docs.python.org/3/library/pickle.html#what-can-be-pickled-and-unpickled",
    ),
    Card(
        id="TD-ERR-043",
        title="The node's memory is full",
        why="The allocation was in host memory, not on the GPU. In a container the limit is the cgroup's, not the "
        "node's.",
        fix=Fix(command="free -h; cat /sys/fs/cgroup/memory.max", scope=Scope.NODE),
        source="c10/core/impl/alloc_cpu.cpp",
    ),
    Card(
        id="TD-ERR-044",
        title="A worker of the DataLoader crashed",
        why="A segmentation fault in native code that the dataset calls: an image or video library, or OpenMP after a "
        "fork.",
        fix=Fix(command="PYTHONFAULTHANDLER=1 python <your script>    # with num_workers=0; cv2.setNumThreads(0)"),
        source=_DATA,
    ),
    Card(
        id="TD-ERR-045",
        title="A script that starts processes has no main guard",
        why="With spawn and forkserver every child imports the script; without the guard it starts children itself.",
        fix=Fix(command="if __name__ == '__main__': main()"),
        source="https://docs.python.org/3/library/multiprocessing.html#the-spawn-and-forkserver-start-methods",
    ),
    Card(
        id="TD-ERR-046",
        title="NCCL failed a check of its own",
        why="Ranks with different versions of NCCL or different variables, a topology that it misreads (a container "
        "or a virtual machine that hides the bus), or a defect of that version.",
        fix=_INFO,
        source=_NCCL_ERRORS,
    ),
)
