"""What NCCL says of itself: communicators begun and made, transports between ranks, versions, and algorithms.

NCCL writes into a file of its own for each process, so that nothing of it stands between events. The subsystem TUNING
writes a line for every collective and is therefore never on while something is timed. Line formats: NCCL's
src/init.cc, src/transport/*.cc, src/enqueue.cc. Standard library only; parses on Python 3.8.
"""

import collections
import glob
import os
import re

MAX_BYTES = 16 << 20

QUIET = "INIT,GRAPH,NET"
WITH_ALGORITHMS = "INIT,TUNING"

STARTED = re.compile(r"Init START")
COMPLETE = re.compile(r"Init COMPLETE")
TRANSPORT = re.compile(r"Channel \d+(?:/\d+)? : \d+\[\w+\] -> \d+\[\w+\](?: \[\w+\])? via ([A-Z0-9]+)(?:/(\w+))?")
ALGORITHM = re.compile(r"(\d+) Bytes -> Algo (\w+) proto (\w+)")
VERSION = re.compile(r"NCCL version (\d+\.\d+\.\d+)(?:\+cuda(\d+\.\d+))?")
DRIVER = re.compile(r"cudaDriverVersion (\d+)")
CHANNELS = re.compile(r"(\d+) coll channels, (?:\d+ collnet channels, )?(\d+) nvls channels")

ALGORITHM_NAMES = ("TREE", "RING", "COLLNET_DIRECT", "COLLNET_CHAIN", "NVLS", "NVLS_TREE", "PAT")
PROTOCOL_NAMES = ("LL", "LL128", "SIMPLE")
"""By number, as older versions print them (src/include/nccl_common.h)."""


def prepare(folder, subsystems):
    """Have this process's NCCL write `subsystems` into `folder`; before its first use."""
    os.environ["NCCL_DEBUG"] = "INFO"
    os.environ["NCCL_DEBUG_SUBSYS"] = subsystems
    os.environ["NCCL_DEBUG_FILE"] = os.path.join(folder, "nccl.%h.%p.log")


def path(folder):
    """This process's file; None if NCCL has written none."""
    found = glob.glob(os.path.join(glob.escape(folder), "nccl.*.%d.log" % os.getpid()))
    return found[0] if found else None


def read(folder):
    """What this process's file says; None if there is none."""
    name = path(folder)
    if name is None:
        return None
    with open(name, "rb") as file:
        return Log(file.read(MAX_BYTES).decode("utf-8", "replace"))


class Log:
    """One process's log.

    `started` and `complete` count communicators, `transports` the channels by kind ("P2P/CUMEM"), `algorithms` is by
    bytes of a collective ("RING/SIMPLE"), `nvls` the channels of NVLink SHARP. What it does not say is None or empty.
    """

    def __init__(self, text):
        self.started = len(STARTED.findall(text))
        self.complete = len(COMPLETE.findall(text))
        kinds = ("/".join(part for part in found if part) for found in TRANSPORT.findall(text))
        self.transports = collections.Counter(kinds)
        self.algorithms = {
            int(size): _named(algorithm, protocol) for size, algorithm, protocol in ALGORITHM.findall(text)
        }
        version, driver, channels = (pattern.search(text) for pattern in (VERSION, DRIVER, CHANNELS))
        self.version = version.group(1) if version else None
        self.cuda = version.group(2) if version else None
        self.driver = _driver(int(driver.group(1))) if driver else None
        self.nvls = int(channels.group(2)) if channels else None

    def words(self):
        """The transports in words, the most used first."""
        return ", ".join("%s x %d" % kind for kind in self.transports.most_common())


def _driver(number):
    """CUDA's own numbering: 12080 is 12.8."""
    return "%d.%d" % (number // 1000, number % 1000 // 10)


def _named(algorithm, protocol):
    return "%s/%s" % (_name(algorithm, ALGORITHM_NAMES), _name(protocol, PROTOCOL_NAMES))


def _name(word, names):
    return names[int(word)] if word.isdigit() and int(word) < len(names) else word.upper()
