"""export.aoti: is a model compiled ahead of time, loaded by a fresh process, and right there?

AOTInductor writes a package with compiled code; the process that loads it compiles nothing. Needs a C++ compiler, and
torch 2.6 or later: before, `torch._export.aot_compile` gave a bare library that is loaded in another way. Standard
library and torch; parses on Python 3.8.
"""

import os
import time

import torchdoctor_control as control
import torchdoctor_export as export
import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_witness as witness

LOAD_LIMIT_S = 120.0
BATCH, OTHER_BATCH = 32, 48


def run(request):
    """The probe; with the parameter `role` = "load", its fresh process."""
    torch = kit.import_torch()
    export.need_export(torch)
    where = measure.device(torch, request.device)
    import torch._inductor

    if not hasattr(torch._inductor, "aoti_compile_and_package") or not hasattr(torch._inductor, "aoti_load_package"):
        raise kit.Skip("aoti_compile_and_package came with PyTorch 2.6, this is %s" % torch.__version__)
    package = os.path.join(request.artifacts, "model.pt2")
    if request.params.get("role") == "load":
        with torch.no_grad():
            _load_there(torch, where, package)
        return
    control.need_backend(where)
    witness.tell_surroundings(torch, where)
    with torch.no_grad():
        made = _package(torch, where, package)
    if made:
        kit.progress("load the package in a fresh process")
        kit.fact("aoti.load.ending", kit.spawn_self("load", LOAD_LIMIT_S), "exit code of the process that loaded")


def _model(torch, where):
    torch.manual_seed(0)
    nn = torch.nn
    return nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.LayerNorm(128), nn.Linear(128, 16)).eval().to(where)


def _input(torch, where, rows):
    return torch.randn(rows, 64, generator=torch.Generator().manual_seed(rows)).to(where)


def _package(torch, where, path):
    """Export with a dynamic batch, compile ahead of time, keep what eager computes: whether there is a package."""
    model, x = _model(torch, where), _input(torch, where, BATCH)
    shapes = ({0: torch.export.Dim("batch", min=2, max=1024)},)
    kit.progress("compile ahead of time")
    try:
        begin = time.perf_counter()
        program = torch.export.export(model, (x,), dynamic_shapes=shapes)
        kit.figure("export_s", time.perf_counter() - begin, "s")
        begin = time.perf_counter()
        torch._inductor.aoti_compile_and_package(program, package_path=path)
        kit.figure("aoti_compile_s", time.perf_counter() - begin, "s")
    except Exception as error:
        kit.raised("compile", error)  # in the words of compile.default: its cards name the cause
        return False
    kit.figure("aoti_package_bytes", os.path.getsize(path), "B")
    expected = {rows: model(_input(torch, where, rows)).cpu() for rows in (BATCH, OTHER_BATCH)}
    torch.save(expected, path + ".expected")
    kit.artifact("package", path, "AOTInductor package")
    return True


def _load_there(torch, where, path):
    """The fresh process: load, run for both batches, compare with what eager computed in the first process."""
    kit.fact("aoti.load.pid", os.getpid(), "not the process that compiled")
    wait = measure.synchronizer(torch, where)
    try:
        begin = time.perf_counter()
        call = torch._inductor.aoti_load_package(path)
        kit.figure("aoti_load_s", time.perf_counter() - begin, "s")
        for rows, expected in torch.load(path + ".expected").items():
            x = _input(torch, where, rows)
            out = call(x)
            wait()
            out = out[0] if isinstance(out, (list, tuple)) else out
            if out.shape != expected.shape:
                kit.fact("aoti.shape", str(tuple(out.shape)), "%s expected" % (tuple(expected.shape),))
                return
            kit.figure("aoti_error", measure.difference(out.cpu(), expected), "relative", batch=rows)
    except Exception as error:
        kit.raised("aoti.load", error)
