"""How far a rank's process groups are: by the status that each keeps (4 µs), or by what the flight recorder holds.

The status counts sends and receives where it should count collectives: gloo adds them to the number, NCCL has the
number of either. So it is compared with the recorded operations now and then, and not believed any more once the job
turns out to send. Standard library only; parses on Python 3.8.
"""

import json
import sys
import time

SOON_S = 5.0
SELDOM_S = 600.0
SHARE = 0.005
"""The recorder is read so often at most that reading takes this share of the time."""


class Groups:
    """What was told last of the groups; `newest` reads the recorders' newest entries from a server's socket."""

    def __init__(self, events, newest):
        self._events, self._newest = events, newest
        self.told = {}
        self._recorders = None
        self._mixed = False
        self._counted = {}
        self._due = 0.0
        self._pause = SOON_S

    def tell(self, torch, server):
        """Tell what changed."""
        if not _initialized(torch):
            return
        if self._recorders is None:
            self._recorders = _recorders()
            if not self._recorders:
                self._events.fact("flight", "this torch has no flight recorder to be asked (2.4 has none, 2.6 has)")
        groups = self._status()
        begin = time.monotonic()
        if groups and server and begin >= self._due:
            self._compare(groups, self._newest(server))
            now = time.monotonic()
            self._due = now + max(SOON_S if self._mixed else self._pause, (now - begin) / SHARE)
            self._pause = min(2 * self._pause, SELDOM_S)
        self._say(groups)

    def last(self, dumps):
        """Tell at the rank's end, also of groups that were destroyed; `dumps` are its recorders' newest entries."""
        self._recorders = self._recorders or _recorders()
        groups = self._status()
        self._compare(groups, dumps)
        self._say(groups)

    def _status(self):
        groups = {}
        for dump in self._recorders or ():
            groups.update(_status(dump))
        return groups

    def _compare(self, groups, dumps):
        """Count the recorded operations; a status that is ahead of them counts more than collectives."""
        for dump in dumps:
            counted, p2p = count(dump)
            ahead = any((groups[g][0] or 0) > counted[g][0] for g in counted if g in groups)
            self._mixed = self._mixed or p2p or ahead
            self._counted.update(counted)

    def _say(self, groups):
        if self._mixed:
            groups = {g: self._counted[g] + groups[g][3:] for g in groups if g in self._counted}
        if groups and groups != self.told:
            before, self.told = self.told, groups
            self._events.write("coll", **_telling(groups, before))


def count(dump):
    """(group -> (enqueued, started, completed) by its newest collectives, whether there are sends or receives)."""
    seqs, p2p = {}, False
    for entry in dump["entries"]:
        seq = _integer(entry.get("collective_seq_id"))
        if entry.get("is_p2p") is True:
            p2p = True
        elif seq is not None:
            done = entry.get("retired") is True or entry.get("state") == "completed"
            began = done or bool(entry.get("time_discovered_started_ns"))
            seqs.setdefault(str(entry.get("pg_id")), []).append((seq, began, done))
    return {group: _progress(rows) for group, rows in seqs.items()}, p2p


def _progress(rows):
    """Enqueued, started and completed of one group's (number, began, done)."""
    before = min(seq for seq, _, _ in rows) - 1 or -1
    started = max([before] + [seq for seq, began, _ in rows if began])
    return max(seq for seq, _, _ in rows), started, max([before] + [seq for seq, _, done in rows if done])


def _initialized(torch):
    dist = sys.modules.get("torch.distributed")
    ready = getattr(dist, "is_initialized", None)
    return bool(torch is not None and ready and dist.is_available() and ready())


def _recorders():
    """The functions that dump a flight recorder as JSON: NCCL's own, and that of every other back end."""
    module = sys.modules.get("torch._C._distributed_c10d")
    names = ("_dump_nccl_trace_json", "_dump_fr_trace_json")
    return [getattr(module, name) for name in names if hasattr(module, name)]


def _status(dump):
    """Group -> (enqueued, started, completed, description) of one recorder, {} if it has none."""
    try:
        told = json.loads(dump(includeCollectives=False, onlyActive=False))
        config, groups = told.get("pg_config") or {}, {}
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return {}
    for group, status in (told.get("pg_status") or {}).items():
        numbers = [_integer(status.get("last_%s_collective" % what)) for what in ("enqueued", "started", "completed")]
        groups[str(group)] = tuple(numbers) + (_description(config, group),)
    return groups


def _description(config, group):
    """What a group is called; gloo's (2.13) is filed under an empty key and bears its name inside."""
    rows = [row for row in config.values() if isinstance(row, dict) and row.get("name") == group]
    row = config.get(group) if isinstance(config.get(group), dict) else rows[0] if rows else {}
    return str(row.get("desc") or "")


def _integer(text):
    """A sequence number: the recorder writes them as texts. -1 is none yet; None is untold."""
    try:
        return int(text)
    except (TypeError, ValueError):
        return None


def _telling(groups, before):
    """One event for all groups: the one that waits longest for its collectives, else one that moved."""

    def waits(item):
        group, (enqueued, _, completed, _) = item
        return ((enqueued or 0) - (completed or 0), groups[group] != before.get(group))

    group, (enqueued, started, completed, about) = max(groups.items(), key=waits)
    numbers = {"enqueued": enqueued, "started": started, "completed": completed}
    labels = {name: str(value) for name, value in numbers.items() if value is not None}
    return {"name": about or "group %s" % group, "labels": dict(labels, group=group, groups=str(len(groups)))}
