"""data.csv: does pandas read a large file rightly, how fast, and with how much memory?

The file is made here from a block whose sums are known, and each engine reads it in a fresh process of its own, so
that the memory is that of this read and of nothing before it. pandas and pyarrow are imported inside functions.
Standard library only at the top; parses on Python 3.8.
"""

import os
import shutil
import time

import torchdoctor_kit as kit

LARGE_BYTES, SMALL_BYTES = 100 << 20, 10 << 20
LARGE_FROM_CORES = 8
"""A GPU node reads the large file, a small machine the small one."""

ROWS_OF_A_BLOCK = 20000
SHARE_OF_DISK = 4
SHARE_OF_MEMORY = 40
"""The file is at most this part of what is free: a table of strings may take 15 times the bytes of its file."""

LIMIT_S = 120.0
ENGINES = ("c", "pyarrow")


def run(request):
    """The probe, or one of its readers."""
    if request.params.get("role"):
        _read(request.params)
        return
    kit.started()
    if kit.lacks("pandas"):
        raise kit.Skip("pandas is not in this Python: pip install pandas")
    path = os.path.join(request.artifacts, "table.csv")
    try:
        blocks = _blocks(request, os.path.dirname(path))
        kit.progress("write %d rows" % (blocks * ROWS_OF_A_BLOCK))
        _write(path, blocks)
        kit.figure("csv_bytes", os.path.getsize(path), "B")
        with kit.timed("cpu"):
            for engine in _engines():
                kit.progress("read with engine %s" % engine)
                ending = kit.spawn_self("read-" + engine, LIMIT_S, engine=engine, path=path, blocks=blocks)
                kit.fact("csv.%s.ending" % engine, ending, "how its process ended; 0 is well")
    finally:
        if os.path.exists(path):
            os.remove(path)


def _engines():
    """The engines that are there: C comes with pandas, pyarrow is a package of its own."""
    if kit.lacks("pyarrow"):
        kit.fact("csv.pyarrow", None, "there is no package pyarrow")
        return ENGINES[:1]
    return ENGINES


# --- the file ----------------------------------------------------------------------------------------------------


def block():
    """The text of ROWS_OF_A_BLOCK rows, and the sums of its columns: id, value (eighths, exact in binary), group."""
    rows, ids, values, groups = [], 0, 0.0, 0
    for row in range(ROWS_OF_A_BLOCK):
        identity, value, group = 1000003 * row % 999983, (7919 * row % 80021) / 8.0, row % 17
        rows.append("%d,%.3f,%d,label-%05d-%s\n" % (identity, value, group, row % 9973, "abcdefgh"[row % 8] * 12))
        ids, values, groups = ids + identity, values + value, groups + group
    return "".join(rows), (ids, values, groups)


def _write(path, blocks):
    text = block()[0].encode("ascii")
    with open(path, "wb") as file:
        file.write(b"id,value,group,label\n")
        for _ in range(blocks):
            file.write(text)


def _blocks(request, folder):
    """How many blocks the file has: what the machine's kind asks for, within what memory and disk have free."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = request.params.get("bytes") or (LARGE_BYTES if cores >= LARGE_FROM_CORES else SMALL_BYTES)
    free = _available_memory()
    bounds = [wanted, shutil.disk_usage(folder).free // SHARE_OF_DISK]
    bounds += [] if free is None else [free // SHARE_OF_MEMORY]
    return max(1, min(bounds) // len(block()[0]))


def _available_memory():
    """Bytes that may still be taken: of the machine, and of this control group where it has a limit."""
    found = [_kilobytes("/proc/meminfo", "MemAvailable:")]
    limit, used = (_number("/sys/fs/cgroup/memory.%s" % name) for name in ("max", "current"))
    found += [] if limit is None or used is None else [max(0, limit - used)]
    known = [n for n in found if n is not None]
    return min(known) if known else None


def _number(path):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return int(file.read(64))
    except (OSError, ValueError):  # no such file; "max"
        return None


def _kilobytes(path, name):
    """The bytes of a line `name 123 kB`; None if it is not there."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            line = next((s for s in file if s.startswith(name)), "")
        return int(line.split()[1]) * 1024
    except (OSError, IndexError, ValueError):
        return None


# --- one read ----------------------------------------------------------------------------------------------------


def _read(params):
    """Read the file with one engine: seconds, memory, and whether the values are right."""
    engine = params["engine"]
    try:
        begin = time.perf_counter()
        pandas = _import(engine)
        kit.figure("csv_import_s", time.perf_counter() - begin, "s", engine=engine)
        before = _kilobytes("/proc/self/status", "VmRSS:")
        begin = time.perf_counter()
        frame = pandas.read_csv(params["path"], engine=engine)
        kit.figure("csv_read_s", time.perf_counter() - begin, "s", engine=engine)
        _tell_memory(engine, before)
        kit.figure("csv_frame_bytes", int(frame.memory_usage(deep=True).sum()), "B", engine=engine)
        _compare(engine, frame, params["blocks"])
    except Exception as error:
        kit.raised("csv.%s.raised" % engine, error)


def _import(engine):
    import pandas

    kit.fact("csv.pandas", pandas.__version__, pandas.__file__ or "")
    if engine == "pyarrow":
        import pyarrow.csv

        kit.fact("csv.pyarrow", pyarrow.__version__, pyarrow.__file__ or "")
    return pandas


def _tell_memory(engine, before):
    after, peak = (_kilobytes("/proc/self/status", name) for name in ("VmRSS:", "VmHWM:"))
    if before is not None and after is not None:
        kit.figure("csv_memory", after - before, "B", engine=engine, series="resident")
    if before is not None and peak is not None:
        kit.figure("csv_memory", peak - before, "B", engine=engine, series="peak")


def _compare(engine, frame, blocks):
    """The table's shape and sums against those that the file was made with."""
    expected = (blocks * ROWS_OF_A_BLOCK, *(blocks * total for total in block()[1]))
    seen = (len(frame), *(frame[name].sum().item() for name in ("id", "value", "group")))
    last = str(frame["label"].iloc[-1])
    right = seen == expected and last.startswith("label-") and last.endswith("h" * 12)
    words = "rows and sums of id, value, group: %s; expected %s; last label %s" % (seen, expected, last)
    kit.fact("csv.%s.values" % engine, "right" if right else "wrong", words)
