"""What a rank called last, kept for when it is gone: the newest entries of its flight recorders, in a file.

A rank that gave another size than its peers may end well while they wait for ever (NCCL, seen on two H200s), and one
that left a loop early does so too: only its own record tells the two apart, and nobody can ask it any more. Standard
library only; parses on Python 3.8.
"""

import json
import os
import sys

NEWEST = 64
RECORDERS = ("_dump_nccl_trace_json", "_dump_fr_trace_json")


def keep(events):
    """Write the record of a rank that ends, if its torch has one: as JSON, which the reader of dumps reads."""
    module = sys.modules.get("torch._C._distributed_c10d")
    told = next((told for told in (_told(getattr(module, name, None)) for name in RECORDERS) if told), None)
    if told is None:
        return
    path = os.path.join(events.node, "flight", "end.a%d.r%d" % (events.attempt, events.rank))
    partial = path + ".part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with open(os.open(partial, flags, 0o600), "w") as file:
            json.dump(told, file)
        os.replace(partial, path)
    except OSError as error:
        events.fact("record", error)


def _told(dump):
    """One recorder's word with its newest entries, None if it has none."""
    if dump is None:
        return None
    try:
        told = json.loads(dump(includeCollectives=True, onlyActive=False))
    except (TypeError, ValueError, RuntimeError):
        return None
    entries = told.get("entries")
    if not entries:
        return None
    return dict(told, entries=entries[-NEWEST:])
