"""Programs of mechanisms that need a GPU or a Python that is not here: PyTorch's own code is told of one.

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. Beside `mechanism_programs`.
"""

import contextlib
import types

import torchdoctor_witness as witness
from mechanism_programs import arange, chain_of


@contextlib.contextmanager
def gpu(torch, major, sms):
    """CUDA as Inductor asks for it, with one device of that capability and size."""
    told = types.SimpleNamespace(
        name="Emulated GPU", major=major, minor=1, multi_processor_count=sms, type="cuda", index=0,
        regs_per_multiprocessor=65536, max_threads_per_multi_processor=2048, warp_size=32, total_memory=1 << 34,
        gcnArchName="", shared_memory_per_block=49152, shared_memory_per_block_optin=101376, uuid="0",
    )  # fmt: skip
    names = {
        "get_device_properties": lambda *_: told,
        "get_device_capability": lambda *_: (major, 1),
        "is_available": lambda: True,
        "current_device": lambda: 0,
        "device_count": lambda: 1,
    }
    places = [(torch.cuda, name, value) for name, value in names.items()]
    try:
        from torch._dynamo.device_interface import CudaInterface

        # Bound when the class was made.
        places += [(CudaInterface, "get_device_properties", staticmethod(names["get_device_properties"]))]
        places += [(CudaInterface, "get_compute_capability", staticmethod(lambda *_: 10 * major + 1))]
    except ImportError:  # 2.1: Inductor asks torch.cuda itself
        pass
    kept = [(place, name, vars(place).get(name)) for place, name, _ in places]
    try:
        for place, name, value in places:
            setattr(place, name, value)
        yield told
    finally:
        for place, name, value in kept:
            setattr(place, name, value)


def _scheduling_on(torch, major, triton):
    """A step whose compiling asks Inductor's scheduler for the backend of a CUDA device of that capability."""

    def on_cuda(graph_module, example_inputs):
        from torch._inductor import graph, scheduler, virtualized

        lowering = graph.GraphLowering(graph_module)
        with virtualized.V.set_graph_handler(lowering), gpu(torch, major, 108):
            kept = scheduler.has_triton
            scheduler.has_triton = lambda *_: triton
            try:
                scheduler.Scheduler.create_backend(
                    scheduler.Scheduler.__new__(scheduler.Scheduler), torch.device("cuda", 0)
                )
            finally:
                scheduler.has_triton = kept
        return graph_module.forward

    f, x = torch.compile(chain_of(torch), backend=on_cuda), arange(torch)
    return lambda: f(x), (f,)


def no_triton(torch, backend):
    """18: no triton beside a GPU that could use it."""
    return _scheduling_on(torch, 8, triton=False)


def old_gpu(torch, backend):
    """19: a GPU of capability 6.1."""
    return _scheduling_on(torch, 6, triton=False)


def old_python(torch, backend):
    """27: Dynamo is told that this is a Python which it does not know."""
    from torch._dynamo import eval_frame

    class Sys:
        version_info = (3, 99, 0, "final", 0)

        def __getattr__(self, name):
            import sys

            return getattr(sys, name)

    torch.sys = eval_frame.sys = Sys()
    chain, x = chain_of(torch), arange(torch)
    return lambda: torch.compile(chain, backend=backend)(x), (chain,)


def small_gpu(torch, backend):
    """20: max-autotune on a GPU of 58 multiprocessors, told to Inductor's own is_big_gpu."""
    with gpu(torch, 8, 58):
        witness.tell_gpu(torch, torch.device("cuda", 0))
    f, x = torch.compile(chain_of(torch), mode="max-autotune"), arange(torch)
    return lambda: f(x), (f,)


def bf16_emulated(torch, backend):
    """28: bfloat16 on a GPU of capability 7.5."""
    with gpu(torch, 7, 108):
        witness.tell_gpu(torch, torch.device("cuda", 0))
    f, x = torch.compile(chain_of(torch), backend=backend), arange(torch).bfloat16()
    return lambda: f(x), (f,)


def tf32_off(torch, backend):
    """28: float32 matrices at full precision on a GPU that has TF32."""
    with gpu(torch, 8, 108):
        witness.tell_gpu(torch, torch.device("cuda", 0))
    chain = chain_of(torch)
    f, x = torch.compile(lambda x: chain(x @ x), backend=backend), arange(torch, 8, 8)
    return lambda: f(x), (f,)


def cudnn_off(torch, backend):
    """28: convolutions with cuDNN switched off."""
    torch.backends.cudnn.enabled = False
    with gpu(torch, 8, 108):
        witness.tell_gpu(torch, torch.device("cuda", 0))
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU())
    f, x = torch.compile(model, backend=backend), arange(torch, 1, 1, 8, 8)
    return lambda: f(x), (f,)


EMULATED = {
    name: value
    for name, value in sorted(globals().items())
    if isinstance(value, types.FunctionType) and (value.__doc__ or "")[:1].isdigit()
}
"""Every program of this file by its name."""
