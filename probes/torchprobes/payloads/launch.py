"""compute.launch: what does it cost to launch a kernel that does almost nothing, and what makes it dear here?

On a CPU there is no launch: the same figures are then the cost of PyTorch's own dispatch, and told as such. Standard
library and torch 2.1 or later; parses on Python 3.8.
"""

import os
import re
import time
from statistics import median

import torchdoctor_cpu as cpu
import torchdoctor_kit as kit
import torchdoctor_measure as measure

LAUNCHES = 1000
LEAST_ROUNDS = 15
BUDGET_S = 1.5
GVISOR = re.compile(r"gvisor|Sun Jan 10 15:06:54 PST 2016", re.IGNORECASE)
"""What gVisor's kernel calls itself in /proc/version: its name, or the one date that it gives (its own source)."""


def run(request):
    """The probe."""
    torch = kit.import_torch()
    where = measure.device(torch, request.device)
    kit.fact("launch.device", torch.cuda.get_device_name(where) if where.type == "cuda" else str(where), str(where))
    tell_surroundings(request.params.get("root", ""))
    with measure.alone(where):
        tell_launches(torch, where)


def tell_surroundings(root):
    """What is known to make launches dear: blocking launches, a quota, a sleepy clock, a kernel in user space."""
    blocking = os.environ.get("CUDA_LAUNCH_BLOCKING")
    kit.fact("launch.blocking", blocking not in (None, "", "0"), "CUDA_LAUNCH_BLOCKING=%r" % (blocking or ""))
    cpu.tell_quota(root)
    cpu.tell_governor(root, cpu.affinity())
    try:
        with open(root + "/proc/version", encoding="utf-8", errors="replace") as file:
            version = file.read(1000).strip()
    except OSError as error:
        kit.fact("kernel.gvisor", None, "/proc/version: %s" % error)
        return
    kit.fact("kernel.gvisor", bool(GVISOR.search(version)), version)


def tell_launches(torch, where):
    """Rounds of a thousand adds of one number: the host's time to issue them, their time to the end, one with wait.

    The fastest round is what a launch costs, and the median what it costs here and now.
    """
    x = torch.zeros(1, device=where)
    wait = measure.synchronizer(torch, where)
    # A queue of the driver holds about a thousand launches: what is issued beyond waits for the device.
    issued, done = [], []
    for _ in range(3):
        one_round(x, wait, 50)
    deadline = time.perf_counter() + BUDGET_S
    total = 3 * 50
    while len(issued) < LEAST_ROUNDS or time.perf_counter() < deadline:
        issue, whole = one_round(x, wait, LAUNCHES)
        issued.append(issue / LAUNCHES)
        done.append(whole / LAUNCHES)
        total += LAUNCHES
    tell("issue_us", issued)
    tell("launch_us", done)
    single = []
    for _ in range(200):
        single.append(one_round(x, wait, 1)[1])
    tell("round_trip_us", single)
    total += 200
    # float32 counts exactly up to 2**24, more than fit into the budget.
    value = float(x)
    right = value == float(total) if total < 1 << 24 else None
    kit.fact("launch.answer", right, "%d adds of 1 gave %r" % (total, value))


def one_round(x, wait, launches):
    """(seconds until all were issued, seconds until all were done)."""
    wait()
    begin = time.perf_counter()
    for _ in range(launches):
        x.add_(1)
    issued = time.perf_counter() - begin
    wait()
    return issued, time.perf_counter() - begin


def tell(name, seconds):
    """The median as a figure, with its interval, and the fastest beside it."""
    times = measure.Times(seconds)
    kit.figure(name, median(seconds) * 1e6, "us", n=times.n, spread=times.spread * 1e6, of="median")
    kit.figure(name, times.best * 1e6, "us", n=times.n, of="fastest")
