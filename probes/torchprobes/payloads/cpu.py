"""system.cpu: may torch use the cores that it thinks it has, and are they near the GPU and awake?

A control group's quota is invisible to OpenMP, which counts cores: then many threads share little time. Everything is
read from /proc and /sys, below the parameter `root` if it is given (tests have trees of their own there). Standard
library and torch 2.1 or later; parses on Python 3.8.
"""

import math
import os
import platform
import re

import torchdoctor_kit as kit
import torchdoctor_measure as measure

MAX_BYTES = 1 << 16
MAX_LEVELS = 16
MAX_GPUS = 64
SIDE = 384
"""Rows of the square product that is timed with too many threads and with as many as may run: 1 to 10 ms."""

BUDGET_S = 0.6
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ATEN_CPU_CAPABILITY")


def run(request):
    """The probe."""
    torch = kit.import_torch()
    root = request.params.get("root", "")
    for name in VARIABLES:
        kit.fact("env." + name, os.environ.get(name), "the environment")
    cores = affinity()
    kit.fact("cpu.logical", os.cpu_count(), "cores of the machine that are on line")
    kit.fact("cpu.affinity", len(cores), _ranges(cores))
    quota = tell_quota(root)
    allowed = max(1, min(len(cores), math.ceil(quota) if quota else len(cores)))
    kit.figure("allowed_cores", min(float(len(cores)), quota or float(len(cores))), "cores")
    _tell_torch(torch)
    _tell_flags(root)
    tell_governor(root, cores)
    _tell_gpus(root, set(cores))
    if torch.get_num_threads() > allowed:
        with kit.timed("cpu"):
            _tell_oversubscription(torch, allowed)


def affinity():
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _ranges(cores):
    """`0-3,8` of numbers in order."""
    parts, begin = [], None
    for here, following in zip(cores, list(cores[1:]) + [None]):
        begin = here if begin is None else begin
        if following != here + 1:
            parts.append(str(here) if begin == here else "%d-%d" % (begin, here))
            begin = None
    return ",".join(parts)


def _numbers(text):
    """The set of a list such as `0-3,8`; empty if it is none."""
    found = set()
    for part in text.strip().split(","):
        low, _, high = part.partition("-")
        if not (low.isdigit() and (high or low).isdigit() and len(high or low) < 6):
            return set()
        found.update(range(int(low), int(high or low) + 1))
    return found


def _text(path):
    """The beginning of a small file, None if it cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(handle, MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(handle)


def _names(folder):
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


# --- quota ---------------------------------------------------------------------------------------------------------


def tell_quota(root):
    """Cores that the control groups of this process allow, None without a limit; told with where it was read."""
    seen, tightest, where = 0, None, ""
    for folder, read in _groups(root):
        cores = read(folder)
        if cores is None:
            continue
        seen += 1
        if cores < (tightest or math.inf):
            tightest, where = cores, folder[len(root) :]
    _tell_throttling(root + where if tightest else None)
    if not seen:
        kit.fact("cpu.quota", None, "no control group with a cpu controller can be read")
        return None
    kit.fact("cpu.quota", tightest or "none", where or "%d control groups, none with a quota" % seen)
    return tightest


def _groups(root):
    """(folder, reader) of this process's group and those above it, version 2 or the cpu controller of version 1."""
    paths = {}
    for line in (_text(root + "/proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        paths.update(dict.fromkeys(controllers.split(","), path))
    mount = root + "/sys/fs/cgroup"
    if os.path.exists(mount + "/cgroup.controllers"):
        return [(folder, _quota_v2) for folder in _upwards(mount, paths.get("", "/"))]
    return [(folder, _quota_v1) for folder in _upwards(mount + "/cpu", paths.get("cpu", "/"))]


def _upwards(mount, path):
    parts = [p for p in path.split("/") if p]
    if ".." in parts or not os.path.isdir("/".join([mount] + parts)):
        parts = []  # a container sees its own group as the root, whatever it is called outside
    return ["/".join([mount] + parts[:depth]) for depth in range(len(parts), max(-1, len(parts) - MAX_LEVELS), -1)]


def _quota_v2(folder):
    """Cores of cpu.max (cgroup-v2.rst): infinite for `max`, None where there is no such file."""
    words = (_text(folder + "/cpu.max") or "").split()
    return _cores(words[0] if words else None, words[1] if len(words) > 1 else "100000", "max")


def _quota_v1(folder):
    """Cores of cpu.cfs_quota_us (sched-bwc.rst): infinite for -1, None where there is no such file."""
    quota, period = (_text(folder + "/cpu.cfs_%s_us" % name) for name in ("quota", "period"))
    return _cores(quota and quota.strip(), (period or "100000").strip(), "-1")


def _cores(quota, period, endless):
    if quota == endless:
        return math.inf
    if not (quota and quota.isdigit() and period.isdigit() and int(period)):
        return None
    return int(quota) / int(period)


def _tell_throttling(folder):
    """Share of scheduling periods in which the group ran out of time, since it was made."""
    words = (
        dict(line.split()[:2] for line in (_text(folder + "/cpu.stat") or "").splitlines() if " " in line)
        if folder
        else {}
    )
    periods, throttled = (words.get(name, "") for name in ("nr_periods", "nr_throttled"))
    if periods.isdigit() and throttled.isdigit() and int(periods):
        kit.figure("throttled_share", int(throttled) / int(periods), "share", n=int(periods))


# --- torch, the cores, the GPUs ----------------------------------------------------------------------------------


def _tell_torch(torch):
    kit.fact("torch.threads", torch.get_num_threads(), "torch.get_num_threads()")
    kit.fact("torch.interop_threads", torch.get_num_interop_threads(), "torch.get_num_interop_threads()")
    capability = getattr(torch.backends.cpu, "get_cpu_capability", None)
    seen = capability() if capability else None
    kit.fact("torch.capability", seen, "torch.backends.cpu.get_cpu_capability()" if capability else "not in this torch")


def _tell_flags(root):
    """The widest vector unit that the processor and its kernel offer; None where /proc/cpuinfo does not say."""
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", _text(root + "/proc/cpuinfo") or "", re.MULTILINE)
    flags = set(found.group(1).split()) if found else set()
    best = next((f for f in ("avx512f", "avx2", "sve", "asimd") if f in flags), None)
    kit.fact("cpu.vector", best, "%s, /proc/cpuinfo" % platform.machine())


def tell_governor(root, cores):
    """Who chooses the clock of the cores that this process may use, and with which aim."""
    base = root + "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_%s"
    found = {}
    for name in ("governor", "driver"):
        said = {(_text(base % (core, name)) or "").strip() for core in cores} - {""}
        found[name] = ", ".join(sorted(said)) or None
    kit.fact("cpu.governor", found["governor"], "scaling_governor of the usable cores")
    kit.fact("cpu.frequency_driver", found["driver"], "scaling_driver of the usable cores")


def _tell_gpus(root, cores):
    """Where each GPU that this process can see hangs, and whether the cores beside it are among the usable ones."""
    for bus in _visible_gpus(root):
        folder = "%s/sys/bus/pci/devices/%s" % (root, bus)
        node, near = (_text(folder + "/" + name) for name in ("numa_node", "local_cpulist"))
        beside = _numbers(near or "")
        if not beside or node is None or node.strip() == "-1":
            kit.fact("gpu.%s.near" % bus, None, "the kernel does not say which cores are beside it")
            continue
        words = "NUMA node %s with cores %s; usable: %s" % (node.strip(), near.strip(), _ranges(sorted(cores)))
        kit.fact("gpu.%s.near" % bus, bool(beside & cores), words)


def _visible_gpus(root):
    """PCI addresses of NVIDIA GPUs whose device file is here and that CUDA_VISIBLE_DEVICES does not exclude by UUID."""
    wanted = [w for w in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if w.strip().startswith("GPU-")]
    base, found = root + "/proc/driver/nvidia/gpus", []
    for bus in _names(base)[:MAX_GPUS]:
        text = _text("%s/%s/information" % (base, bus)) or ""
        said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
        hidden = wanted and not any(said.get("GPU UUID", "?").startswith(w.strip()) for w in wanted)
        if not hidden and os.path.exists("%s/dev/nvidia%s" % (root, said.get("Device Minor", "?"))):
            found.append(bus)
    return found


def _tell_oversubscription(torch, allowed):
    """The same product with torch's own number of threads and with as many as may run, in turns."""
    many = torch.get_num_threads()
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn((SIDE, SIDE), generator=generator) for _ in range(2))

    def product(threads):
        torch.set_num_threads(threads)
        left.mm(right)

    try:
        cpu = torch.device("cpu")
        pairs = measure.paired(cpu, lambda: None, lambda: product(many), lambda: product(allowed), BUDGET_S)
        value, low, high = pairs.speedup()
    finally:
        torch.set_num_threads(many)
    n = len(pairs.eager)
    kit.figure("fewer_threads_speedup", value, "x", n=n, spread=(high - low) / 2, threads=many, fewer=allowed)
    kit.figure("fewer_threads_speedup_low", low, "x", n=n, threads=many, fewer=allowed)
