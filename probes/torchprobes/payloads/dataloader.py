"""data.loader: do DataLoader workers start, keep order, tell when they die, and leave nothing behind?

The data is a TensorDataset, so that `spawn` and `forkserver`, which pickle it, need nothing of this file. Standard
library and torch 2.1 or later; parses on Python 3.8.
"""

import gc
import multiprocessing
import os
import resource
import signal
import tempfile
import time

import torchdoctor_kit as kit

ITEMS = 512
BATCH = 16
STALL_S = 40.0
"""DataLoader's own timeout: a batch that takes longer is told as an error and not waited for."""

TOLD_WITHIN_S = 20.0
SETTLE_S = 8.0
START_METHODS = ("fork", "spawn", "forkserver")

SOCKET_PATH = 107
"""Bytes of the path of a socket (unix(7)); workers pass tensors through one below the folder of temporary files."""

USUAL_BATCH_BYTES = 64 * 3 * 224 * 224 * 4
USUAL_WORKERS = 16
PREFETCHED = 2
"""What a training on pictures asks of /dev/shm: batches of 64, a worker a core up to 16, two batches of each ahead."""


def run(request):
    """The probe."""
    torch = kit.import_torch()
    many = max(3, min(4, _cores()))
    _tell_limits(torch)
    data = _dataset(torch)
    if not _epoch(torch, data, "warm-up", 2):
        return  # what does not work for two workers works for no others, and each would take its whole timeout
    before = _leftovers()
    for workers in (0, 2, many):
        kit.progress("%d workers" % workers, workers / (many + 4))
        if not _epoch(torch, data, "workers-%d" % workers, workers):
            return
    _persistent(torch, data, "fork", 2)
    _compare_leftovers("fork", before)
    _pinned(torch, data, request.device)
    _raising_worker(torch)
    before = _leftovers()
    _killed_worker(torch)
    _compare_leftovers("killed", before)
    for method in START_METHODS[1:]:
        kit.progress("start method %s" % method, 0.9)
        _epoch(torch, data, method, 1, method=method)
        _persistent(torch, data, method, 1)


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _dataset(torch):
    index = torch.arange(ITEMS)
    pixels = index.to(torch.float32).reshape(-1, 1, 1, 1).expand(ITEMS, 3, 32, 32).contiguous()
    return torch.utils.data.TensorDataset(index, pixels)


def _loader(torch, data, workers, method="fork", **options):
    if workers:
        options.update(multiprocessing_context=method, timeout=STALL_S)
    return torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=False, num_workers=workers, **options)


def _epoch(torch, data, case, workers, method="fork"):
    """One epoch: seconds to the first batch, whether order and content are right, clean end; False if it raised."""
    if workers and method not in multiprocessing.get_all_start_methods():
        kit.fact("dataloader.%s.order" % case, "absent", "this platform has no start method %s" % method)
        return True
    try:
        loader = _loader(torch, data, workers, method)
        first, whole, order = _walk(loader)
        _tell_epoch(case, workers, first, whole, order)
    except Exception as error:
        kit.raised("dataloader.%s.raised" % case, error)
        return False
    return True


def _walk(loader):
    begin, first, order = time.perf_counter(), None, []
    for index, pixels in loader:
        if first is None:
            first = time.perf_counter() - begin
        wrong = bool((pixels.reshape(len(index), -1).float() != index.reshape(-1, 1).float()).any())
        order += [-1] * len(index) if wrong else index.tolist()
    return first, time.perf_counter() - begin, order


def _tell_epoch(case, workers, first, whole, order):
    wrong = [place for place, index in enumerate(order) if index != place]
    exact = not wrong and len(order) == ITEMS
    seen = "%d of %d items in order" % (len(order) - len(wrong), ITEMS)
    kit.fact("dataloader.%s.order" % case, "exact" if exact else "wrong", seen)
    kit.figure("first_batch_s", first, "s", case=case, workers=workers)
    kit.figure("epoch_s", whole, "s", case=case, workers=workers)


def _persistent(torch, data, method, workers):
    """Persistent workers: the second epoch must not start them again."""
    if method not in multiprocessing.get_all_start_methods():
        return
    case = "persistent" if method == "fork" else method + "-persistent"
    try:
        loader = _loader(torch, data, workers, method, persistent_workers=True)
        _tell_epoch(case + "-1", workers, *_walk(loader))
        pids = {p.pid for p in multiprocessing.active_children()}
        _tell_epoch(case + "-2", workers, *_walk(loader))
        kept = pids == {p.pid for p in multiprocessing.active_children()}
        kit.fact("dataloader.%s.kept" % case, kept and len(pids) == workers, "workers %s" % sorted(pids))
        del loader
    except Exception as error:
        kit.raised("dataloader.%s.raised" % case, error)


def _pinned(torch, data, device):
    """Page-locked batches, which copies to a GPU want; only where there is one."""
    if not (device.startswith("cuda") and torch.cuda.is_available()):
        return
    try:
        index, pixels = next(iter(_loader(torch, data, 2, pin_memory=True)))
        there = pixels.to(device, non_blocking=True)
        right = bool((there.cpu()[:, 0, 0, 0] == index.float()).all())
        kit.fact("dataloader.pinned", "right" if pixels.is_pinned() and right else "wrong", "copied to %s" % device)
    except Exception as error:
        kit.raised("dataloader.pinned.raised", error)


def _raising_worker(torch):
    """An exception in a worker must reach the caller with its own type and text."""

    class Raising(torch.utils.data.Dataset):
        def __len__(self):
            return ITEMS

        def __getitem__(self, index):
            if index == 100:
                raise KeyError("item %d is broken" % index)
            return index

    try:
        for _ in _loader(torch, Raising(), 2):
            pass
        kit.fact("dataloader.exception", "silent", "an epoch over a broken item ended without an error")
    except KeyError as error:
        told = "item 100 is broken" in str(error)
        kit.fact("dataloader.exception", "told" if told else "mute", str(error)[:300])
    except Exception as error:
        kit.raised("dataloader.exception.raised", error)


def _killed_worker(torch):
    """A worker that is killed, as the kernel does when memory runs out, must be told as an error, and in time."""
    kit.progress("kill a worker", 0.8)
    data = torch.utils.data.TensorDataset(torch.arange(200000))
    iterator = iter(_loader(torch, data, 2))
    next(iterator)
    victim, reset = multiprocessing.active_children()[0].pid, []
    begin = time.perf_counter()
    try:
        os.kill(victim, signal.SIGKILL)
        _wait_for_word(iterator, begin, reset)
        words = "no error %g s after worker %d was killed" % (TOLD_WITHIN_S, victim)
        kit.fact("dataloader.killed", "other error" if reset else "silent", reset[0] if reset else words)
    except StopIteration:
        kit.fact("dataloader.killed", "silent", "the epoch ended as if worker %d had not been killed" % victim)
    except RuntimeError as error:
        text = str(error)
        named = "worker" in text and str(victim) in text
        kit.fact("dataloader.killed", "told" if named else "other error", text[:600])
        kit.figure("killed_told_s", time.perf_counter() - begin, "s")
    except Exception as error:
        kit.raised("dataloader.killed.raised", error)


def _wait_for_word(iterator, begin, reset):
    """Go on until the death is told, at most TOLD_WITHIN_S.

    It is told from a signal handler, between any two steps of this thread. A batch that the worker was sending breaks
    its connection, which may come first: that is kept in `reset`, and no answer yet.
    """
    while time.perf_counter() - begin < TOLD_WITHIN_S:
        try:
            next(iterator)
        except (OSError, EOFError) as error:
            reset.append(("%s: %s" % (type(error).__name__, error))[:600])
            time.sleep(0.05)


def _tell_limits(torch):
    kit.tell_shm()
    workers = min(_cores(), USUAL_WORKERS)
    needed = 2 * USUAL_BATCH_BYTES * workers * PREFETCHED
    kit.figure("shm_needed", needed, "B", workers=workers, batch_bytes=USUAL_BATCH_BYTES, prefetch=PREFETCHED)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    kit.fact("limit.open_files", soft, "RLIMIT_NOFILE, at most %d" % hard)
    folder = tempfile.gettempdir()
    room = SOCKET_PATH - len(os.fsencode(folder)) - len("/pymp-12345678/listener-12345678")
    kit.fact("limit.socket_path", room, "%s is %d bytes long" % (folder, len(os.fsencode(folder))))
    kit.fact("dataloader.sharing", torch.multiprocessing.get_sharing_strategy(), "sharing strategy of tensors")
    kit.fact("dataloader.start_method", multiprocessing.get_start_method(), "the default of this Python")
    kit.fact("cpu.cores", _cores(), "cores that this process may use")


def _leftovers():
    """What a loader may leave behind: open descriptors, children (zombies too), files in /dev/shm."""
    gc.collect()
    multiprocessing.active_children()  # reaps those that have ended, as the next start of a worker would
    children = _children()
    return {
        "descriptors": len(_listdir("/proc/self/fd")),
        "children": len(children),
        "zombies": sum(1 for pid in children if _state(pid) == "Z"),
        "shm_files": sum(1 for name in _listdir("/dev/shm") if name.startswith("torch_%d_" % os.getpid())),
    }


def _compare_leftovers(case, before):
    """What stays: workers that are on their way out get SETTLE_S to go."""
    deadline = time.perf_counter() + SETTLE_S
    after = _leftovers()
    while any(after[name] > before[name] for name in after) and time.perf_counter() < deadline:
        time.sleep(0.05)
        after = _leftovers()
    for name in sorted(after):
        seen = "%d before, %d after" % (before[name], after[name])
        kit.fact("dataloader.left.%s.%s" % (case, name), after[name] - before[name], seen)


def _children():
    pids = []
    for task in _listdir("/proc/self/task"):
        try:
            with open("/proc/self/task/%s/children" % task, encoding="ascii") as file:
                pids += [int(pid) for pid in file.read().split()]
        except OSError:
            continue
    return pids


def _state(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def _listdir(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []
