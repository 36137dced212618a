"""What a rank called last, by its flight recorders: the newest entries, for its beat, and in a file when it ends.

A rank that gave another size than its peers may end well while they wait for ever (NCCL, seen on two H200s), and one
that left a loop early does so too: only its own record tells the two apart, and nobody can ask it any more. The
recorders outlive `destroy_process_group`: nothing ever takes them down (FlightRecorder.hpp, "intentionally leak on
exit").

A whole dump is asked of the rank's own worker server, which needs no lock of Python's: NCCL's recorder looks at CUDA
events, and what CUDA holds up must not hold up the rank. Standard library only; parses on Python 3.8.
"""

import json
import os
import socket
import sys
import time

NEWEST = 64
LIMIT_S = 0.3
MOST_BYTES = 16 << 20

RECORDERS = (("_dump_nccl_trace_json", "dump_nccl_trace_json"), ("_dump_fr_trace_json", "fr_trace_json"))
"""(function of torch, handler of its worker server): NCCL's own recorder, and that of every other back end."""

SEPARATOR = '},{"collective_seq_id":'
"""Between two entries of a dump, whose keys are in the order of the alphabet; no text in JSON can hold its quotes."""


def newest(server, limit_s=LIMIT_S):
    """The recorders that have entries, as {dump with its newest entries}, NCCL's first; `server` is a socket or ""."""
    module = sys.modules.get("torch._C._distributed_c10d")
    until = time.monotonic() + limit_s
    texts = (_text(getattr(module, name, None), handler, server, until) for name, handler in RECORDERS)
    dumps = [cut(text) for text in texts if text]
    return [dump for dump in dumps if dump]


def keep(events, dumps):
    """Write the record of a rank that ends, which the reader of dumps reads; nothing if it has none."""
    if not dumps:
        return
    path = os.path.join(events.node, "flight", events.name + ".json")
    partial = path + ".part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with open(os.open(partial, flags, 0o600), "w") as file:
            json.dump(dumps[0], file)
        os.replace(partial, path)
    except OSError as error:
        events.fact("record", error)


def _text(dump, handler, server, until):
    """One recorder's dump as text, "" if it cannot be had; without a server, only where no GPU can hold it up."""
    if dump is None or (handler == "dump_nccl_trace_json" and _borrowed()):
        return ""
    try:
        told = _ask(server, handler, until) if server else ""
        if not told and (handler == "fr_trace_json" or not (server or _on_gpu())):
            told = dump(includeCollectives=True, onlyActive=False)
        return told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
    except (OSError, TypeError, ValueError, RuntimeError):
        return ""


def _borrowed():
    """Whether NCCL's entries may hold events that are gone: a group that waits by itself never retires them.

    (ProcessGroupNCCL: nothing is enqueued for the watchdog with TORCH_NCCL_BLOCKING_WAIT, and only that retires.)
    """
    names = ("TORCH_NCCL_BLOCKING_WAIT", "NCCL_BLOCKING_WAIT")
    return any(os.environ.get(name, "0").lower() not in ("", "0", "n", "no", "false") for name in names)


def _on_gpu():
    """Whether this process uses CUDA."""
    ready = getattr(sys.modules.get("torch.cuda"), "is_initialized", None)
    return bool(ready and ready())


def _ask(path, handler, until):
    """The body that a handler of our own worker server answers, "" if it has no such handler."""
    request = "POST /handler/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % handler
    data = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(max(0.001, until - time.monotonic()))
        client.connect(path)
        client.sendall(request.encode())
        while len(data) < MOST_BYTES:
            client.settimeout(max(0.001, until - time.monotonic()))
            piece = client.recv(1 << 18)
            if not piece:
                break
            data += piece
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    return body.decode("utf-8", "replace") if head[:16].split(b" ")[1:2] == [b"200"] else ""


def cut(text):
    """A dump with its newest entries alone, None if it has none: those before are not decoded."""
    parts = text.rsplit(SEPARATOR, NEWEST)
    if len(parts) > NEWEST:
        head = parts[0].partition('"entries":[')[0]
        text = head + '"entries":[' + SEPARATOR[2:] + SEPARATOR.join(parts[1:])
    try:
        dump = json.loads(text)
    except (ValueError, RecursionError):
        return None
    entries = dump.get("entries") if isinstance(dump, dict) else None
    if not isinstance(entries, list) or not entries:
        return None
    dump["entries"] = [entry for entry in entries[-NEWEST:] if isinstance(entry, dict)]
    return dump
