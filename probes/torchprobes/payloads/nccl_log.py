"""What NCCL says of itself: communicators begun and made, the transport of each link, versions, and algorithms.

NCCL writes into a file of its own for each process, so that nothing of it stands between events. The subsystem TUNING
writes a line for every collective and is therefore never on while something is timed. Line formats: NCCL's
src/init.cc, src/transport/*.cc, src/enqueue.cc. Standard library only; parses on Python 3.8.
"""

import collections
import glob
import os
import re
import socket

MAX_BYTES = 16 << 20

QUIET = "INIT,GRAPH,NET"
WITH_ALGORITHMS = "INIT,TUNING"

STARTED = re.compile(r"Init START")
COMPLETE = re.compile(r"Init COMPLETE")
LINK = re.compile(
    r"Channel \d+(?:/\d+)? : (\d+)\[\w+\] -> (\d+)\[\w+\](?: \[\w+\])? via ([A-Z0-9]+)(?:/([A-Za-z]\w*))?(?:/(\d+))?"
)
"""From, to, and the way: P2P/CUMEM, SHM/direct, NET/IB/0(1)/GDRDMA, of which 0 is the number of the card."""

CARDS = re.compile(r"NET/(\w+) : Using (.*)")
CARD = re.compile(r"\[(\d{1,4})\]([\w.@-]{1,32}):(\S{1,64})")
"""[0]eth0:192.0.2.2<0> of sockets, [0]mlx5_0:1/IB of InfiniBand and RoCE."""

NETWORK = re.compile(r"Using network (\w+)")
ALGORITHM = re.compile(r"(\d+) Bytes -> Algo (\w+) proto (\w+)")
VERSION = re.compile(r"NCCL version (\d+\.\d+\.\d+)(?:\+cuda(\d+\.\d+))?")
DRIVER = re.compile(r"cudaDriverVersion (\d+)")
CHANNELS = re.compile(r"(\d+) coll channels, (?:\d+ collnet channels, )?(\d+) nvls channels")

ALGORITHM_NAMES = ("TREE", "RING", "COLLNET_DIRECT", "COLLNET_CHAIN", "NVLS", "NVLS_TREE", "PAT")
PROTOCOL_NAMES = ("LL", "LL128", "SIMPLE")
"""By number, as older versions print them (src/include/nccl_common.h)."""


RAS = "NCCL_RAS_ADDR"


def prepare(folder, subsystems):
    """Have this process's NCCL write `subsystems` into `folder`; before its first use.

    Its RAS listens on a port of its own: the usual one may be that of somebody's job, which would then share it
    (NCCL's docs, NCCL_RAS_ADDR), and who asks RAS about that job would be told of us.
    """
    os.environ["NCCL_DEBUG"] = "INFO"
    os.environ["NCCL_DEBUG_SUBSYS"] = subsystems
    os.environ["NCCL_DEBUG_FILE"] = os.path.join(folder, "nccl.%h.%p.log")
    if RAS not in os.environ and "TORCHDOCTOR_NODE" not in os.environ:  # a job that is watched keeps the usual one
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            os.environ[RAS] = "127.0.0.1:%d" % free.getsockname()[1]


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

    `started` and `complete` count communicators, `transports` the channels by kind ("P2P/CUMEM"), `links` the same by
    pair of ranks, where a network's has its card ("NET/Socket over eth0 (192.0.2.2)"); `network` is the network that
    NCCL would take between machines. `algorithms` is by bytes of a collective ("RING/SIMPLE"), `nvls` the channels of
    NVLink SHARP. What it does not say is None or empty.
    """

    def __init__(self, text):
        self.started = len(STARTED.findall(text))
        self.complete = len(COMPLETE.findall(text))
        cards, network = _cards(text), NETWORK.search(text)
        self.network = network.group(1) if network else None
        self.transports, self.links = collections.Counter(), {}
        for sender, receiver, way, kind, card in LINK.findall(text):
            name = "/".join(part for part in (way, kind) if part)
            self.transports[name] += 1
            over = cards.get((kind, int(card))) if card and len(card) < 5 else None
            ways = self.links.setdefault((int(sender), int(receiver)), collections.Counter())
            ways["%s over %s" % (name, over) if over else name] += 1
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
        return words(self.transports)


def words(ways):
    """Ways and how many channels take each, the most used first: "P2P/CUMEM x 24"."""
    return ", ".join("%s x %d" % way for way in ways.most_common())


def _cards(text):
    """(network, number) -> its card: the interface with its address, or the device with its port."""
    found = {}
    for network, rest in CARDS.findall(text):
        for number, name, where in CARD.findall(rest):
            address = where.partition("<")[0]
            found[(network, int(number))] = "%s (%s)" % (name, address if network == "Socket" else "port " + address)
    return found


def _driver(number):
    """CUDA's own numbering: 12080 is 12.8."""
    return "%d.%d" % (number // 1000, number % 1000 // 10)


def _named(algorithm, protocol):
    return "%s/%s" % (_name(algorithm, ALGORITHM_NAMES), _name(protocol, PROTOCOL_NAMES))


def _name(word, names):
    return names[int(word)] if word.isdigit() and int(word) < len(names) else word.upper()
