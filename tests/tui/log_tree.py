"""A small torch_compile_debug tree and a run's logs, as torch 2.13 writes them; times and ids are fixed."""

from __future__ import annotations

from pathlib import Path

DEBUG_RUN = "torch_compile_debug/run_2026_11_23_06_15_03_373024-pid_18663"

STDERR = """\
V1123 06:15:03.456000 18663 torch/_dynamo/symbolic_convert.py:5124] [0/0] [__graph_breaks] Graph break in user code at train.py:9
V1123 06:15:03.456000 18663 torch/_dynamo/symbolic_convert.py:5124] [0/0] [__graph_breaks] Graph Break Reason: print is not traced
V1123 06:15:17.268000 18663 torch/_dynamo/guards.py:5396] [3/1] [__recompiles] Recompiling function forward in train.py:15
V1123 06:15:17.268000 18663 torch/_dynamo/guards.py:5396] [3/1] [__recompiles]     triggered by the following guard failure(s):
W1123 06:15:49.255000 18663 torch/_dynamo/convert_frame.py:1994] [0/8] torch._dynamo hit config.recompile_limit (8)
Traceback (most recent call last):
  File "train.py", line 21, in <module>
    step(batch)
RuntimeError: CUDA error: an illegal memory access was encountered
"""  # noqa: E501 - as torch writes it

OUTPUT_CODE = """\
# AOT ID: ['0_inference']
import torch
from torch._inductor.codecache import AsyncCompile

async_compile = AsyncCompile()

@triton.jit
def triton_poi_fused_relu_0(in_out_ptr0, xnumel, XBLOCK: tl.constexpr):
    xoffset = tl.program_id(0) * XBLOCK  # one program a block
    tmp2 = tl.full([1], 0, tl.int32)
    return "relu"
"""

FILES = {
    "stderr.log": STDERR,
    "stdout.log": "loss 0.1201\n",
    f"{DEBUG_RUN}/torchdynamo/debug.log": "",
    f"{DEBUG_RUN}/torchinductor/aot_model___0_debug.log": "",
    f"{DEBUG_RUN}/torchinductor/aot_model___1_debug.log": "",
    f"{DEBUG_RUN}/torchinductor/model__0_inference_0.0/output_code.py": OUTPUT_CODE,
    f"{DEBUG_RUN}/torchinductor/model__0_inference_0.0/fx_graph_readable.py": "class GraphModule: ...\n",
    f"{DEBUG_RUN}/torchinductor/model__0_inference_0.0/ir_post_fusion.txt": "op0: SchedulerNode(ComputedBuffer)\n",
}


def write_tree(root: Path) -> Path:
    """Write all of it below `root`."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
