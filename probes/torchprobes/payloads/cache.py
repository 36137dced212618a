"""compile.cache: does a second process find what the first one compiled, and what does that save?

Three helpers, each a fresh process with the same small graph: in an empty cache directory, in the same one again, and
once more with all caches forbidden, which is the proof that a hit can be told from a miss. Standard library and torch
2.1 or later; parses on Python 3.8.
"""

import logging
import os

import torchdoctor_control as control
import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_witness as witness

HELPER_LIMIT_S = 150.0

ROLES = (
    ("cold", {}),
    ("warm", {}),
    ("disabled", {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}),
)
"""The helpers in their order, and what is set for each over the user's environment."""

_COUNTERS = (
    ("hits", "inductor", "fxgraph_cache_hit"),
    ("misses", "inductor", "fxgraph_cache_miss"),
    ("bypassed", "inductor", "fxgraph_cache_bypass"),
    ("autograd_hits", "aot_autograd", "autograd_cache_hit"),
    ("autograd_misses", "aot_autograd", "autograd_cache_miss"),
    ("autograd_bypassed", "aot_autograd", "autograd_cache_bypass"),
)

_LOGGERS = ("torch._inductor.codecache", "torch._functorch._aot_autograd.autograd_cache")


def run(request):
    """The probe; with the parameter `role`, one of its helpers."""
    torch = kit.import_torch()
    control.need_compile(torch)
    where = measure.device(torch, request.device)
    role = request.params.get("role")
    if role is not None:
        _compile_there(torch, where, role)
        return
    control.need_backend(where)
    witness.tell_surroundings(torch, where)
    folder = os.path.join(request.compile_dir, "cache")
    for name, variables in ROLES:
        kit.progress("the same small graph in a fresh process: %s" % name)
        with control.environment(TORCHINDUCTOR_CACHE_DIR=folder, TRITON_CACHE_DIR=folder + "/triton", **variables):
            kit.fact("cache.%s.ending" % name, kit.spawn_self(name, HELPER_LIMIT_S), "exit code of the helper")
        kit.figure("cache_bytes", _bytes_below(folder), "B", after=name)


def _compile_there(torch, where, role):
    import torch._dynamo
    import torch._inductor.compile_fx  # noqa: F401
    from torch._dynamo.utils import counters

    ear = _Ear()
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(ear)
        logger.propagate = False
    start = "cache.%s" % role
    if not control.tell_small(torch, where, start, cache=role):
        return
    for name, group, key in _COUNTERS:
        kit.figure(name, counters[group].get(key, 0), "count", cache=role)
    kit.fact(start + ".counted", any(key in counters[group] for _, group, key in _COUNTERS), "cache counters are there")
    if ear.said:
        kit.fact(start + ".bypass", ear.said[0], "the compiler's log")


class _Ear(logging.Handler):
    """Hears why a graph was not cached: the one place where that is said."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.said = []

    def emit(self, record):
        try:
            text = record.getMessage()
        except Exception:
            return
        if "ypass" in text and len(self.said) < 20:
            self.said.append(text[:500])


def _bytes_below(folder):
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(at, name)).st_size
            except OSError:
                continue
    return total
