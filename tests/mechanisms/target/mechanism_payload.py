"""Examines programs of the corpus in the target, on a CPU each in a fork of one process that has imported torch.

Parameters: `programs` (names), `backend` ("through" or "inductor", which sound models always have). What is said after
the fact `program` is about that program: `program.absent` says what this PyTorch lacks for it, `program.failed` that
the harness, not the program, is at fault.
"""

import importlib
import os
import sys
import time

import torchdoctor_detector as detector
import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_regions as regions
import torchdoctor_witness as witness

LIMIT_S = 180.0


def run(request):
    """Fork once for each program."""
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    torch = kit.import_torch()
    for name in ("torch._dynamo", "torch._inductor.compile_fx", "torch._inductor.metrics"):
        importlib.import_module(name)
    for name in request.params["programs"]:
        if request.device != "cpu":
            _in_this_process(torch, request, name)
            continue
        pid = os.fork()
        if pid == 0:
            _child(torch, request, name)
        _wait(pid, name)


def _in_this_process(torch, request, name):
    """A driver does not survive a fork: one after the other, and what a program changed is put back."""
    import torch._dynamo.config
    import torch._inductor.config

    before = [(config, config.save_config()) for config in (torch._dynamo.config, torch._inductor.config)]
    kit.fact("program", name)
    try:
        _examine(torch, request, name)
    finally:
        for config, saved in before:
            config.load_config(saved)
        witness.clear(torch)


def _child(torch, request, name):
    code = 1
    try:
        kit.fact("program", name)
        _examine(torch, request, name)
        code = 0
    except BaseException as error:
        import traceback

        traceback.print_exc()
        kit.fact("program.failed", measure.first_line(error))
    finally:
        sys.stderr.flush()
        os._exit(code)


def _examine(torch, request, name):
    import mechanism_programs as programs
    from mechanism_emulated import EMULATED
    from mechanism_gpu import ON_A_GPU
    from mechanism_healthy import HEALTHY

    make = {**programs.PROGRAMS, **EMULATED, **HEALTHY, **ON_A_GPU}[name]
    where = measure.device(torch, request.device)
    with regions.Watch(torch) as watch:
        witness.tell_surroundings(torch, where)
        backend = "inductor" if name in HEALTHY else request.params["backend"]
        try:
            step, parts = make(torch, programs.BACKENDS[backend])
        except programs.Absent as absent:
            kit.fact("program.absent", str(absent))
            return
        detector.Exam(torch, where, "entry", watch).run(step, parts)


def _wait(pid, name):
    deadline = time.monotonic() + LIMIT_S
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            kit.fact("program.timeout", name)
            return
        time.sleep(0.01)
