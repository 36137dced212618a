"""The heartbeat of a rank: what it is doing, how many steps it made, how far its collectives are, its device memory.

Twice a second, less often later. torch is never imported from here, only found once the rank has imported it; CUDA is
never initialised from here. Every private name of torch is asked for before it is used. A beat holds Python's lock for
some 0.1 ms. Standard library only; parses on Python 3.8.
"""

import sys
import threading
import time

LOOK_S = 0.1
PACE = ((600.0, 0.5), (21600.0, 2.0), (float("inf"), 5.0))
"""(up to this age of the rank, seconds between beats): a file of events stays below 10 MB a day."""

QUIET_S = 5.0
"""A beat in which nothing changed is told at least as often."""

MOST_FRAMES = 400
MOST_THREADS = 64
FORGET_S = 10.0

PHASES = {
    ("_dynamo/convert_frame.py", "_compile"): "compiling",
    ("_dynamo/convert_frame.py", "compile_inner"): "compiling",
    ("_inductor/compile_fx.py", "compile_fx"): "compiling",
    ("_inductor/compile_fx.py", "compile_fx_inner"): "compiling",
    ("_inductor/compile_fx.py", "fx_codegen_and_compile"): "compiling",
    ("distributed/distributed_c10d.py", "init_process_group"): "initialising",
    ("distributed/distributed_c10d.py", "new_group"): "initialising",
    ("torch/serialization.py", "save"): "saving",
    ("torch/serialization.py", "load"): "loading",
    ("checkpoint/state_dict_saver.py", "save"): "saving",
    ("checkpoint/state_dict_loader.py", "load"): "loading",
    ("data/dataloader.py", "_next_data"): "waiting for data",
}
"""(end of a file of torch, function) on a stack -> what the rank is doing; the innermost counts."""

NAMES = {function for _, function in PHASES}


class Steps:
    """Counts optimizer steps from torch's global hook: the optimizer that stepped first stands for the step.

    Others count only when it has not stepped for FORGET_S: a rank may have one optimizer a parameter, or two models.
    """

    def __init__(self):
        self.count = 0
        self.last = 0.0
        self.longest = 0.0
        self.want_memory = False
        self.memory = None
        self.read_memory = None
        self._who = 0

    def __call__(self, optimizer, args=None, kwargs=None):
        """The hook: after `optimizer.step()`."""
        now = time.monotonic()
        if id(optimizer) != self._who:
            if self._who and now - self.last < FORGET_S:
                return
            self._who = id(optimizer)
        elif self.count and now - self.last > self.longest:
            self.longest = now - self.last
        self.count += 1
        self.last = now
        if self.want_memory:
            self.want_memory = False
            self.memory = self.read_memory()


class Beat:
    """All looks, and what they told last."""

    def __init__(self, events, serve, groups):
        self.events, self.serve, self.groups = events, serve, groups
        self.steps = Steps()
        self.server = None
        self._begin = time.monotonic()
        self._told = {}
        self._heard = 0.0
        self._torch = None
        self._device = None

    def beat(self):
        """Look once, tell what changed; the seconds until the next."""
        torch = self._torch
        try:
            torch = torch or self._find_torch()
            self._tell_phase(torch)
            if torch is not None:
                self._look(torch)
        except Exception as error:  # a look that fails is told once, and tried again
            self._once("beat", error)
        age = time.monotonic() - self._begin
        if torch is None and age < 120.0:
            return LOOK_S
        return next(pause for limit, pause in PACE if age < limit)

    @property
    def socket(self):
        """The worker server's, "" if there is none."""
        return self.server.path if self.server is not None else ""

    def close(self, dumps):
        """The last steps and collectives, by what the recorders hold, and the server's socket."""
        self._tell_steps()
        self.groups.last(dumps)
        if self.server is not None:
            self.server.close()

    def _once(self, name, why):
        if name not in self._told:
            self._told[name] = True
            self.events.fact(name, why)

    # --- torch, once it is there -------------------------------------------------------------------------------

    def _find_torch(self):
        """The module, if the rank has imported it to the end."""
        torch = sys.modules.get("torch")
        if torch is None or getattr(getattr(torch, "__spec__", None), "_initializing", False):
            return None
        self._torch = torch
        self.events.write("init", labels={"torch": str(getattr(torch, "__version__", ""))})
        self._hook()
        self.server = self.serve(self.events)
        return torch

    def _hook(self):
        module = sys.modules.get("torch.optim.optimizer")
        register = getattr(module, "register_optimizer_step_post_hook", None)
        if register is None:
            self.events.fact("steps", "this torch has no hook for all optimizers (it came with 2.0)")
            return
        self.steps.read_memory = self._memory
        register(self.steps)

    def _look(self, torch):
        self._tell_steps()
        self.groups.tell(torch, self.socket)
        self._tell_memory()

    # --- steps and memory --------------------------------------------------------------------------------------

    def _tell_steps(self):
        steps, told = self.steps, self._told.get("steps", (0, 0.0))
        if steps.count == told[0]:
            return
        count, last, longest = steps.count, steps.last, steps.longest
        self._told["steps"] = (count, last)
        mean = (last - told[1]) / (count - told[0]) if told[0] else None
        labels = {"longest_s": "%.6f" % longest} if longest else {}
        self.events.write("step", n=count, value=mean, unit="s", labels=labels)
        steps.longest = 0.0
        steps.want_memory = True

    def _tell_memory(self):
        """Device memory as it was after a step: at the same point of each, so that its spread says something."""
        memory, self.steps.memory = self.steps.memory, None
        if memory is not None:
            allocated, reserved = memory
            self.events.write("mem", name="allocated", value=allocated, unit="B", labels={"reserved": str(reserved)})

    def _memory(self):
        """(allocated, reserved) bytes of the device on which this rank holds most, None where CUDA is not in use."""
        cuda = sys.modules.get("torch.cuda")
        try:
            if cuda is None or not cuda.is_initialized():
                return None
            if self._device is None:
                held = [(cuda.memory_allocated(device), device) for device in range(cuda.device_count())]
                self._device = max(held)[1]
                self.events.write("init", labels={"device": "cuda:%d" % self._device})
            return cuda.memory_allocated(self._device), cuda.memory_reserved(self._device)
        except Exception as error:
            self._once("memory", error)
            return None

    # --- what it is doing --------------------------------------------------------------------------------------

    def _tell_phase(self, torch):
        phase = self._phase(torch)
        now = time.monotonic()
        if phase != self._told.get("phase") or now - self._heard > QUIET_S:
            self._told["phase"], self._heard = phase, now
            self.events.write("hb", name=phase)

    def _phase(self, torch):
        seen = _seen()
        if seen:
            return seen
        if torch is None:
            return "importing" if "torch" in sys.modules else "starting"
        if self.steps.count:
            return "stepping"
        return "running"


def _seen():
    """What a stack says: the main thread's first, then that of any other (autograd compiles in its own)."""
    frames = sys._current_frames()
    frames.pop(threading.get_ident(), None)
    main = frames.pop(threading.main_thread().ident, None)
    for frame in ([main] if main else []) + list(frames.values())[:MOST_THREADS]:
        phase = _walk(frame)
        if phase:
            return phase
    return ""


def _walk(frame):
    for _ in range(MOST_FRAMES):
        if frame is None:
            return ""
        code = frame.f_code
        if code.co_name in NAMES:
            for (end, name), phase in PHASES.items():
                if name == code.co_name and code.co_filename.endswith(end):
                    return phase
        frame = frame.f_back
    return ""
