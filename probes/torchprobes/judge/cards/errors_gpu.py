"""Cards of errors that CUDA and its libraries raise, for `explain -`."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

_NOTES = "https://docs.pytorch.org/docs/stable/notes/cuda.html"
_RUNTIME = "https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html"
_CUBLAS = "https://docs.nvidia.com/cuda/cublas/index.html#cublasstatus-t"
_BLOCKING = Fix(command="CUDA_LAUNCH_BLOCKING=1 python <your script>    # the line it names now is the one")

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-ERR-001",
        title="An assertion failed on the GPU",
        why="A kernel checked its input and found it wrong, nearly always an index or a label out of range. The kernel "
        "runs after the line that launched it has gone on, so the traceback names a later line. The context is lost: "
        "every later call fails in the same words until the process ends.",
        fix=_BLOCKING,
        source=_NOTES + "#asynchronous-execution",
    ),
    Card(
        id="TD-ERR-002",
        title="An index is out of range in a lookup on the GPU",
        why="embedding, index_select, gather, scatter and x[i] check each index against the size of the dimension. "
        "Token ids beyond the vocabulary (a tokenizer that was extended, embeddings that were not), positions beyond "
        "the longest sequence, and -1 as padding are the usual ones.",
        fix=Fix(command="python -c 'assert 0 <= ids.min() and ids.max() < emb.num_embeddings'    # before the lookup"),
        source="aten/src/ATen/native/cuda/Indexing.cu",
    ),
    Card(
        id="TD-ERR-003",
        title="A class label is out of range in a loss",
        why="cross_entropy and nll_loss take labels from 0 to the number of classes - 1, and ignore_index. Labels that "
        "begin at 1, or a last layer with too few outputs, end here; binary_cross_entropy takes targets and inputs "
        "from 0 to 1.",
        fix=Fix(command="python -c 'assert 0 <= y.min() and y.max() < logits.shape[1]'    # before the loss"),
        source="aten/src/ATen/native/cuda/Loss.cu, NLLLoss2d.cu",
    ),
    Card(
        id="TD-ERR-004",
        title="A kernel reached memory that is not its own",
        why="A defect in a kernel (a custom operator, an extension for another architecture, a library's bug on one "
        "shape) or a tensor that was freed while another stream still used it. The line in the traceback is where it "
        "was noticed. The context is lost.",
        fix=Fix(command="compute-sanitizer --tool memcheck python <your script>    # names the kernel; slow"),
        source=_RUNTIME,
    ),
    Card(
        id="TD-ERR-005",
        title="A kernel stopped with a fault",
        why="A misaligned address, an illegal instruction or an unspecified launch failure: a kernel that does not fit "
        "this GPU or this data, or a GPU that computes wrongly. The kernel log tells them apart: an XID beside it with "
        "memory or bus errors is the card's.",
        fix=Fix(command="CUDA_LAUNCH_BLOCKING=1 python <your script>; torchdoctor gpus    # XIDs beside it?"),
        source=_RUNTIME,
    ),
    Card(
        id="TD-ERR-006",
        title="A kernel ran longer than the GPU's watchdog allows",
        why="A GPU that also drives a screen stops kernels after some seconds.",
        fix=Fix(command="nvidia-smi -q -d DISPLAY    # compute on a GPU without a display, or in smaller pieces"),
        source=_RUNTIME,
    ),
    Card(
        id="TD-ERR-007",
        title="The GPU's memory lost bits that ECC cannot correct",
        why="The data is gone and the process must end. The GPU must be reset before the next job, and be replaced if "
        "it happens again.",
        fix=Fix(
            command="torchdoctor gpus    # counts and retired rows; then drain the node and reset this GPU",
            scope=Scope.GPU,
            needs=("drained", "root"),
        ),
        source="https://docs.nvidia.com/deploy/xid-errors/",
    ),
    Card(
        id="TD-ERR-008",
        title="A CUDA error that no card names",
        why="CUDA reports errors of kernels at some later call, so the line in the traceback may be innocent, and what "
        "failed may be much earlier.",
        fix=_BLOCKING,
        source=_NOTES + "#asynchronous-execution",
    ),
    Card(
        id="TD-ERR-009",
        title="The GPU's memory is full",
        why="This error is raised by the line itself. The message tells what is free, what other processes hold, and "
        "what PyTorch has reserved and does not use: much of the last is fragmentation, which expandable segments "
        "cure; much held by others is another job; else the work is too large for the card.",
        fix=Fix(command="PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True python <your script>; torchdoctor gpus"),
        source="https://docs.pytorch.org/docs/stable/torch_cuda_memory.html",
    ),
    Card(
        id="TD-ERR-010",
        title="cuBLAS cannot be made ready",
        why="cublasCreate needs memory of its own on the GPU. NOT_INITIALIZED and ALLOC_FAILED mean in most cases that "
        "the card was full at that moment, else that an earlier error has already lost the context.",
        fix=Fix(command="torchdoctor gpus; CUDA_LAUNCH_BLOCKING=1 python <your script>    # free memory? an index?"),
        source=_CUBLAS,
    ),
    Card(
        id="TD-ERR-011",
        title="A matrix product failed in cuBLAS",
        why="EXECUTION_FAILED is told late: an earlier kernel may have failed. INVALID_VALUE and NOT_SUPPORTED are "
        "shapes, strides or types that this cuBLAS refuses, most often because another cuBLAS than the one PyTorch "
        "was built with has been loaded through LD_LIBRARY_PATH.",
        fix=Fix(command="env -u LD_LIBRARY_PATH CUDA_LAUNCH_BLOCKING=1 python <your script>"),
        source=_CUBLAS,
    ),
    Card(
        id="TD-ERR-012",
        title="A convolution or recurrent layer failed in cuDNN",
        why="Out of memory for its workspace, a cuDNN of another version than PyTorch was built with, or an earlier "
        "error that is told here. Without cuDNN the same work runs on other kernels, which tells which it is.",
        fix=Fix(command="env -u LD_LIBRARY_PATH torchdoctor check cuda    # which cuDNN is loaded, and does it work?"),
        source="https://docs.nvidia.com/deeplearning/cudnn/latest/api/cudnn-graph-library.html",
    ),
    Card(
        id="TD-ERR-013",
        title="A GPU of that number does not exist here",
        why="cuda:N counts what CUDA_VISIBLE_DEVICES leaves, from 0. A launcher that starts more processes than there "
        "are visible GPUs, or a checkpoint that was saved on cuda:3 and is loaded without map_location, asks for one "
        "too many.",
        fix=Fix(command="python -c 'import torch; print(torch.cuda.device_count())'; echo $CUDA_VISIBLE_DEVICES"),
        source=_NOTES,
    ),
    Card(
        id="TD-ERR-014",
        title="CUDA was used before the process was forked",
        why="A forked child cannot use its parent's CUDA context. Something before the fork initialised CUDA: a tensor "
        "moved to the GPU, or a dataset that touches it in a DataLoader's worker.",
        fix=Fix(command="torch.multiprocessing.set_start_method('spawn')    # or keep CUDA out of workers"),
        source="https://docs.pytorch.org/docs/stable/notes/multiprocessing.html#poison-fork-in-multiprocessing",
    ),
    Card(
        id="TD-ERR-015",
        title="The GPU takes no further process",
        why="In compute mode EXCLUSIVE_PROCESS one process has the GPU, and PROHIBITED allows none.",
        fix=Fix(command="nvidia-smi --query-gpu=index,compute_mode --format=csv; torchdoctor gpus"),
        source="nvidia-smi(1), compute mode",
    ),
    Card(
        id="TD-ERR-016",
        title="Something that cannot be captured ran while a CUDA graph was recorded",
        why="Copies to the host, .item(), printing a tensor, allocation outside of the graph's pool, and first-time "
        "initialisation of a library synchronise, which a capture forbids.",
        fix=Fix(command="torchdoctor check cudagraph    # then warm up on a side stream before torch.cuda.graph"),
        source=_NOTES + "#cuda-graphs",
    ),
    Card(
        id="TD-ERR-017",
        title="Tensors of one operation are on different devices",
        why="A module or a tensor was not moved: a buffer that is no registered buffer, a tensor made inside forward, "
        "or a model that is spread over GPUs while its input is not.",
        fix=Fix(command="x = x.to(next(model.parameters()).device)    # and make new tensors with device=x.device"),
        source="https://docs.pytorch.org/docs/stable/tensor_attributes.html#torch.device",
    ),
    Card(
        id="TD-ERR-018",
        title="Tensors of one operation have different types",
        why="Weights in half precision and input in float32, or the reverse: the model was converted and its input "
        "was not, or a part runs outside of autocast.",
        fix=Fix(command="with torch.autocast('cuda', torch.bfloat16): ...    # or x = x.to(weight.dtype)"),
        source="https://docs.pytorch.org/docs/stable/amp.html",
    ),
    Card(
        id="TD-ERR-019",
        title="An output of a CUDA graph was used after the next run",
        why="In reduce-overhead mode outputs live in the graph's own memory, which the next call of the compiled "
        "function writes again.",
        fix=Fix(command="torch.compiler.cudagraph_mark_step_begin()    # before each step; or y = y.clone()"),
        source="https://docs.pytorch.org/docs/stable/torch.compiler_cudagraph_trees.html",
    ),
)
