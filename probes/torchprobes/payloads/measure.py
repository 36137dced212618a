"""How payloads measure: the device, the models, paired times with an interval, errors against float64.

Runs inside the target: standard library and torch, parses on Python 3.8. The bootstrap loads this file under the
name `torchdoctor_measure`.
"""

import contextlib
import copy
import os
import random
import time
from statistics import median

import torchdoctor_kit as kit

LEAST_PAIRS = 30
MOST_PAIRS = 300
TARGET = 0.05
"""Pairs are taken until the 95 % interval is within this share of the speed-up, or the time budget is spent."""

SAMPLE_S = 0.002
"""One sample repeats the step until it lasts about this long: far above the clock's and the sync's own cost."""

ROWS_64 = 64
"""Rows of the batch that the float64 reference covers; all models here treat rows alone."""


def device(torch, name):
    """The torch device of that name, usable.

    Raises:
        Skip: if this PyTorch cannot use it, with what torch said.
    """
    wanted = torch.device(name)
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise kit.Skip("%s is not usable by this PyTorch (built for CUDA %s)" % (name, torch.version.cuda))
    try:
        torch.ones(1, device=wanted).item()
    except Exception as error:
        raise kit.Skip("%s is not usable by this PyTorch: %s" % (name, first_line(error)))
    if wanted.type == "cuda":
        torch.cuda.set_device(wanted)  # streams, events and synchronize mean the current device
    return wanted


def first_line(error):
    """The first line of an exception's text, with its type."""
    lines = str(error).strip().splitlines()
    return "%s: %s" % (type(error).__name__, lines[0][:300]) if lines else type(error).__name__


def synchronizer(torch, where):
    """A function that waits until `where` has done all its work; on a CPU there is nothing to wait for."""
    module = getattr(torch, where.type, None)
    wait = getattr(module, "synchronize", None)
    if where.type == "cpu" or wait is None:
        return lambda: None
    return wait


class Subject:
    """A model under test: `label` is "reference" or "toy", `make_input(seed)` gives a fresh input batch."""

    def __init__(self, label, title, module, make_input):
        self.label = label
        self.title = title
        self.module = module
        self.make_input = make_input


def toy(torch, where):
    """The ten-five-one model of beginners' articles: so small that nothing can be gained from fusing it."""
    torch.manual_seed(0)
    nn = torch.nn
    module = nn.Sequential(nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 1)).eval().to(where)
    return Subject("toy", "10-5-1 MLP, batch 32", module, lambda seed: _randn(torch, (32, 10), seed).to(where))


def launch_bound(torch, where):
    """24 layers, 256 wide: 72 small kernels a step, so that a GPU waits for the launches between them."""
    torch.manual_seed(0)
    nn = torch.nn
    layers = []
    for _ in range(24):
        layers += [nn.Linear(256, 256), nn.LayerNorm(256), nn.GELU()]
    module = nn.Sequential(*layers).eval().to(where)
    title = "24-layer 256-wide MLP, batch 32"
    return Subject("reference", title, module, lambda seed: _randn(torch, (32, 256), seed).to(where))


def memory_bound(torch, where):
    """A chain of norm and cheap pointwise operations over a batch far larger than any cache of its device."""
    torch.manual_seed(0)
    functional = torch.nn.functional
    rows, width = (4096, 1024) if where.type == "cpu" else (_rows_that_fit(torch, where, 8192, 4096), 4096)

    class Chain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.before = torch.nn.LayerNorm(width)
            self.after = torch.nn.LayerNorm(width)

        def forward(self, x):
            y = functional.relu(self.before(x)) * 0.5 + x
            y = y * 1.1 - functional.relu(x) * 0.1
            y = (y + x).clamp(-3.0, 3.0)
            return self.after(y * 0.7 + x)

    title = "norm and pointwise chain, %d x %d" % (rows, width)
    module = Chain().eval().to(where)
    return Subject("reference", title, module, lambda seed: _randn(torch, (rows, width), seed).to(where))


def _randn(torch, shape, seed):
    # Made on the CPU: the same numbers on every device. Random, because zeros cost a GPU less power and time.
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _rows_that_fit(torch, where, rows, width):
    # Others' memory is theirs: at most 4 GiB and half of what is free, for some eight tensors alive at once.
    if where.type == "cuda":
        budget = min(4 << 30, torch.cuda.mem_get_info(where)[0] // 2)
        while rows > 256 and 8 * rows * width * 4 > budget:
            rows //= 2
    return rows


def tell_raised(name, error):
    """What an operation raised, as facts; that nobody wrote its kernel for this device is no fault, and told apart."""
    if isinstance(error, NotImplementedError) or "not implemented" in str(error):
        kit.fact(name, "not here", first_line(error))
    else:
        kit.raised(name, error)


# --- time ------------------------------------------------------------------------------------------------------


def leave_cores(torch, where):
    """On a CPU, compute on half of the usable cores; to be called before anything is compiled, which fixes the number.

    Threads of one operation wait for the last of them: on two cores, one of them busy, two threads gave 13 for a true
    speed-up of 9.5, and one thread 12.0 for 12.2.
    """
    if where.type != "cpu":
        return
    usable = getattr(os, "sched_getaffinity", None)
    cores = len(usable(0)) if usable else os.cpu_count() or 1
    torch.set_num_threads(max(1, cores // 2))
    kit.figure("threads", torch.get_num_threads(), "threads")


@contextlib.contextmanager
def alone(where):
    """Hold the CPU's timing lock, and the device's: the CPU feeds the device, so it counts there too."""
    with kit.timed("cpu"):
        if where.type == "cpu":
            yield
        else:
            with kit.timed(str(where)):
                yield


class Paired:
    """Interleaved seconds a call of two ways to do the same, pair by pair."""

    def __init__(self, eager, compiled, pick):
        self.eager = eager
        self.compiled = compiled
        self.pick = pick

    def speedup(self):
        """(eager / compiled, low, high): the value and its bootstrap 95 % interval over resampled pairs."""
        draw = random.Random(0)
        pairs = list(zip(self.eager, self.compiled))
        ratios = []
        for _ in range(400):
            eager, compiled = zip(*draw.choices(pairs, k=len(pairs)))
            ratios.append(self.pick(eager) / self.pick(compiled))
        ratios.sort()
        return self.pick(self.eager) / self.pick(self.compiled), ratios[9], ratios[-10]


def paired(where, wait, eager, compiled, budget_s, least=LEAST_PAIRS):
    """Time both, taking turns, until the interval is narrow or `budget_s` is spent; `least` pairs in any case.

    What disturbs the machine disturbs both sides of a pair. On a CPU, which others use too, the least disturbed
    sample is nearest the truth; a GPU's clock wanders both ways, so there the median is.
    """
    pick = min if where.type == "cpu" else median
    calls = max(1, round(SAMPLE_S / max(_sample(wait, eager, 3), 1e-7)))
    sides = ([], [])
    deadline = time.perf_counter() + budget_s
    while len(sides[0]) < MOST_PAIRS:
        for side in (0, 1) if len(sides[0]) % 2 else (1, 0):
            sides[side].append(_sample(wait, (eager, compiled)[side], calls))
        n = len(sides[0])
        if n >= least and time.perf_counter() > deadline:
            break
        if n >= LEAST_PAIRS and n % 20 == 0 and _narrow(Paired(sides[0], sides[1], pick)):
            break
    return Paired(sides[0], sides[1], pick)


def tell_speedup(pairs, label, side):
    """Figures of both sides' times and of the speed-up with its interval; `side` names what eager is paired with."""
    n, eager, other = len(pairs.eager), pairs.pick(pairs.eager), pairs.pick(pairs.compiled)
    value, low, high = pairs.speedup()
    kit.figure("eager_us", eager * 1e6, "us", n=n, model=label)
    kit.figure(side + "_us", other * 1e6, "us", n=n, model=label)
    kit.figure("speedup", value, "x", n=n, spread=(high - low) / 2, model=label)
    kit.figure("speedup_low", low, "x", n=n, model=label)
    kit.figure("speedup_high", high, "x", n=n, model=label)
    return eager, other, low


def _sample(wait, step, calls):
    wait()
    begin = time.perf_counter()
    for _ in range(calls):
        step()
    wait()
    return (time.perf_counter() - begin) / calls


def _narrow(pairs):
    value, low, high = pairs.speedup()
    return (high - low) / 2 <= TARGET * value


def seconds_of(wait, step):
    """Seconds of one call with all its device work."""
    return _sample(wait, step, 1)


LEAST_WARM_UPS = 10
MOST_WARM_UPS = 50
WARM_UP_S = 0.3
LEAST_RUNS = 20
MOST_RUNS = 100

FLUSH_BYTES = 256 << 20
"""Written before a kernel is timed, so that its inputs come from memory: as much as `triton.testing.do_bench` does."""


class Times:
    """Seconds of single calls: `typical`, `best`, how many (`n`), and `spread`.

    `typical` is the median, or the best where others share the processor that is timed: there the least disturbed call
    is nearest the truth. `spread` is the half-width of the 95 % interval of the median, from order statistics: it
    assumes no distribution.
    """

    def __init__(self, seconds, shared=False):
        self.seconds = sorted(seconds)
        self.n = len(self.seconds)
        self.best = self.seconds[0]
        self.typical = self.best if shared else median(self.seconds)
        reach = 0.98 * self.n**0.5  # 1.96 standard deviations of a binomial with p = 1/2
        low, high = (int(self.n / 2 + side * reach) for side in (-1, 1))
        self.spread = (self.seconds[min(high, self.n - 1)] - self.seconds[max(low, 0)]) / 2


def device_times(torch, where, step, budget_s=0.5, before=None, during=None, warm_s=WARM_UP_S):
    """Times of `step` on the device: warm it up, queue all runs between events made first, wait once at the end.

    `before` is queued ahead of each run and not timed (a cache flush). `during` is called when all runs are queued and
    the device still works on them: what it reads of the device is true under load. A device without events is timed
    by the host, each run with its wait.
    """
    wait, flush = synchronizer(torch, where), before or (lambda: None)
    runs = _runs(_warm_up(wait, step, warm_s), budget_s)
    marks = _event_pairs(torch, where, runs)
    if marks is None:
        return Times([_flushed(wait, flush, step) for _ in range(runs)], shared=where.type == "cpu")
    for begin, end in marks:
        flush()
        begin.record()
        step()
        end.record()
    if during is not None:
        during()
    wait()
    return Times([begin.elapsed_time(end) / 1e3 for begin, end in marks])


def host_times(wait, step, budget_s=0.5, warm_s=WARM_UP_S):
    """Times of `step` by the host's clock, each with its wait: for work that the host takes part in."""
    return Times([_sample(wait, step, 1) for _ in range(_runs(_warm_up(wait, step, warm_s), budget_s))])


def _runs(once_s, budget_s):
    return int(min(MOST_RUNS, max(LEAST_RUNS, budget_s / max(once_s, 1e-9))))


def flusher(torch, where, limit_bytes=None):
    """A function that queues a write larger than the device's caches; None on a CPU or where memory is too short."""
    if where.type == "cpu" or (limit_bytes is not None and limit_bytes < 2 * FLUSH_BYTES):
        return None
    return torch.empty(FLUSH_BYTES, dtype=torch.int8, device=where).zero_


def _warm_up(wait, step, warm_s):
    """Seconds of a warm call, after at least 10 of them and up to 50 within `warm_s`."""
    begin, calls = time.perf_counter(), 0
    while calls < LEAST_WARM_UPS or (calls < MOST_WARM_UPS and time.perf_counter() - begin < warm_s):
        step()
        wait()
        calls += 1
    return _sample(wait, step, 3)


def _event_pairs(torch, where, count):
    """Pairs of timing events of the device, or None if it has none that can be timed."""
    event = getattr(getattr(torch, where.type, None), "Event", None)
    if where.type == "cpu" or event is None:
        return None
    try:
        pairs = [(event(enable_timing=True), event(enable_timing=True)) for _ in range(count)]
        pairs[0][0].record()
        pairs[0][1].record()
        synchronizer(torch, where)()
        pairs[0][0].elapsed_time(pairs[0][1])
    except Exception:
        return None
    return pairs


def _flushed(wait, flush, step):
    flush()
    return _sample(wait, step, 1)


def random_bytes(torch, count, seed):
    """`count` random bytes on the CPU, drawn eight at a time."""
    draw = torch.Generator().manual_seed(seed)
    words = torch.randint(-(1 << 63), (1 << 63) - 1, (count // 8 + 1,), dtype=torch.int64, generator=draw)
    return words.view(torch.uint8)[:count]


# --- right or wrong ----------------------------------------------------------------------------------------------


def reference_64(subject, x):
    """What `subject` gives in float64 on the CPU for the first rows of `x`: the nearest thing to the truth."""
    exact = copy.deepcopy(subject.module).double().cpu()
    return exact(x[:ROWS_64].double().cpu())


def relative_error(out, exact):
    """Relative Frobenius error of `out` (its first rows) against `exact`, a float64 tensor on the CPU."""
    rows = out[: len(exact)].detach().double().cpu()
    return float((rows - exact).norm() / exact.norm())


def tell_error(name, error, n=1, **labels):
    """The figure of a relative error. One that is no number is told as the fact `<name>.not_finite`: of which case."""
    if error - error == 0:
        kit.figure(name, error, "relative", n=n, **labels)
    else:
        kit.fact(name + ".not_finite", " ".join(map(str, labels.values())), "relative error %r against float64" % error)


def difference(out, other):
    """Largest difference of two outputs, relative to the largest magnitude of the second."""
    scale = float(other.detach().abs().max())
    return float((out.detach() - other.detach()).abs().max()) / (scale or 1.0)


# --- memory --------------------------------------------------------------------------------------------------------


def reset_peak_memory(torch, where):
    """Begin a new peak; only a CUDA (or HIP) device counts one."""
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)


def peak_memory(torch, where):
    """Peak bytes allocated on the device since the reset; on a CPU the peak resident bytes of this process."""
    if where.type == "cuda":
        return torch.cuda.max_memory_allocated(where)
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
