"""What an import costs, and what it waits for: seconds, CPU, the run queue, block devices, bytes and files.

A fast import is bound by the CPU; on a cold network file system it waits, file after file. The kernel's own count of
I/O wait misses network file systems and is often switched off, so what an import waits is what is left of its seconds
without CPU time and without time in the run queue. Standard library, parses on Python 3.8.
"""

import os
import sys
import time

import torchdoctor_files as files
import torchdoctor_kit as kit


class Cost:
    """Counters of this process from `Cost()` on; `tell` emits what they have grown by, as figures."""

    def __init__(self):
        self.begin = _counters()

    def tell(self, name):
        """Figures `<name>_s`, `<name>_cpu_s`, `<name>_queue_s`, `<name>_waited_s` and so on; unread ones are not told.

        In a fork of the warm starter they are what the import cost there.
        """
        for key, value in sorted((kit.imported or {"costs": self.grown()})["costs"].items()):
            kit.figure("%s_%s" % (name, key), value, _UNITS.get(key, "s"))

    def grown(self):
        """What the counters have grown by. Waited seconds are there where both others are known."""
        end = _counters()
        grown = {key: end[key] - self.begin[key] for key in end if key in self.begin}
        if "cpu_s" in grown and "queue_s" in grown:
            grown["waited_s"] = max(0.0, grown["s"] - grown["cpu_s"] - grown["queue_s"])
        return grown


_UNITS = {"read_bytes": "B", "disk_bytes": "B", "modules": "modules", "reads": "reads"}


def _counters():
    found = {"s": time.perf_counter(), "cpu_s": time.process_time(), "modules": len(sys.modules)}
    queue = files.text("/proc/self/schedstat").split()
    if len(queue) == 3:
        found["queue_s"] = int(queue[1]) / 1e9  # of this thread, which is the one that imports
    block = files.text("/proc/self/stat").rpartition(")")[2].split()
    if len(block) > 39:
        found["block_io_s"] = int(block[39]) / os.sysconf("SC_CLK_TCK")  # delayacct_blkio_ticks, proc(5) field 42
    told = dict(line.split(": ", 1) for line in files.text("/proc/self/io").splitlines() if ": " in line)
    for key, field in (("read_bytes", "rchar"), ("disk_bytes", "read_bytes"), ("reads", "syscr")):
        if told.get(field, "").isdigit():
            found[key] = int(told[field])
    return found


def tell_start():
    """Figures of `python_start`; in a fork of the warm starter they are the starter's."""
    for name, value in sorted((kit.imported or {"python": python_start()})["python"].items()):
        kit.figure(name, value, "s")


def python_start():
    """How long Python itself took from its exec until now, and how much of that it waited, as far as it can be read."""
    fields = files.text("/proc/self/stat").rpartition(")")[2].split()
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    if len(fields) < 20 or boot is None:
        return {}
    seconds = time.clock_gettime(boot) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    queue = files.text("/proc/self/schedstat").split()
    if len(queue) != 3:
        return {"python_start_s": seconds}
    waited = seconds - time.process_time() - int(queue[1]) / 1e9
    return {"python_start_s": seconds, "python_start_waited_s": max(0.0, waited)}


def tell_filesystem(name, path):
    """A fact: the type of the file system that `path` lies on, with its source and mount point."""
    found = filesystem(os.path.realpath(path), files.text("/proc/self/mountinfo", 4 << 20))
    if found:
        kit.fact(name, found[0], "%s on %s" % (found[1], found[2]))


def filesystem(path, mountinfo):
    """(type, source, mount point) of the mount that holds `path`, by proc(5)'s mountinfo; None if it is not told.

    Of several mounts on one point the last one counts: it covers the others.
    """
    best = None
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, tail = before.split(), after.split()
        if len(fields) < 5 or len(tail) < 2:
            continue
        point = _unescaped(fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and (best is None or len(point) >= len(best[2])):
            best = (tail[0], _unescaped(tail[1]), point)
    return best


def _unescaped(text):
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
