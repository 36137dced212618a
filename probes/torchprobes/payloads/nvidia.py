"""NVIDIA's part of a node, read without torch: devices, kernel module, who may open them, what the driver answers.

Runs inside the target: standard library only, parses on Python 3.8. The bootstrap loads this file under the name
`torchdoctor_nvidia`. Every path begins at a `root`, so that a test can hand in a node of its own.
"""

import errno
import glob
import json
import os
import re
import signal
import subprocess
import sys

import torchdoctor_files as files
import torchdoctor_kit as kit

ANSWER_S = 20.0
"""A sound driver answers within 2 s even on a node of eight GPUs without persistence mode."""

_LEAVE_S = 2.0
_MOST_BYTES = 1 << 20


class Node:
    """What the kernel shows of NVIDIA devices: files of devices, the module, the bus."""

    def __init__(self, root="/"):
        self.root = root
        self.nodes = sorted(glob.glob(self.path("dev/nvidia[0-9]*")))
        self.wsl = os.path.exists(self.path("dev/dxg"))
        self.module_line = files.text(self.path("proc/driver/nvidia/version")).split("\n")[0].strip()
        found = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", self.module_line + " ")
        self.module = found.group(1) if found else None
        self.on_bus = sorted(filter(self._is_gpu, glob.glob(self.path("sys/bus/pci/devices/*"))))

    def path(self, below):
        """A path below the root."""
        return os.path.join(self.root, below)

    @staticmethod
    def _is_gpu(folder):
        vendor, kind = (files.text(os.path.join(folder, name), 16) for name in ("vendor", "class"))
        return vendor.strip() == "0x10de" and kind.startswith("0x03")

    @property
    def present(self):
        """Whether anything here says that the node has an NVIDIA device."""
        return bool(self.nodes or self.module_line or self.on_bus or self.wsl)

    def gpus(self):
        """(UUID, minor) of every GPU that the module shows, by bus address; empty where it shows none."""
        found = []
        for path in sorted(glob.glob(self.path("proc/driver/nvidia/gpus/*/information"))):
            told = dict(re.findall(r"^([\w ]+):\s*(.+?)\s*$", files.text(path), re.MULTILINE))
            found.append((told.get("GPU UUID", ""), told.get("Device Minor", "")))
        return found


def tell_node(node):
    """Facts of what is there, before anybody asks it."""
    kit.fact("node.nvidia", len(node.nodes), " ".join(node.nodes[:16]) or "no /dev/nvidia[0-9]*")
    kit.fact("node.bus", len(node.on_bus), " ".join(os.path.basename(p) for p in node.on_bus[:16]) or "none on PCI")
    if node.wsl:
        kit.fact("node.wsl", True, "/dev/dxg: the driver is Windows'")
    kit.fact("driver.module", node.module, node.module_line or "no /proc/driver/nvidia/version")


def openings(node):
    """What opening each device file gives: "open", or the name of the error (EPERM is a device cgroup's refusal)."""
    names = ["dev/nvidiactl", "dev/nvidia-uvm"] + [os.path.relpath(path, node.root) for path in node.nodes]
    return {"/" + name: _opening(node.path(name)) for name in names}


def _opening(path):
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    return "open"


def visible(text, gpus):
    """What CUDA makes of a CUDA_VISIBLE_DEVICES: (state, number of devices that stay visible or None, words).

    States: "unset", "none" (an empty one), "unknown" (an entry that names no GPU: it and all after it are dropped, as
    the CUDA programming guide says), "mig" (instances, of which one process sees one), "unread" (no list of GPUs to
    hold it against), "all known". `gpus` are (UUID, minor) pairs.
    """
    if text is None:
        return "unset", None, "CUDA_VISIBLE_DEVICES is not set"
    said = "CUDA_VISIBLE_DEVICES=%r" % text
    entries = [entry.strip() for entry in text.split(",")]
    if entries == [""]:
        return "none", 0, said
    if any(entry.startswith("MIG-") for entry in entries):
        return "mig", None, said
    if entries[0] == "-1":
        return "none", 0, said
    if not gpus:
        return "unread", None, said
    for index, entry in enumerate(entries):
        if not _names(entry, gpus):
            return "unknown", index, "%s: %r names none of %d GPUs" % (said, entry, len(gpus))
    return "all known", len(entries), said


def _names(entry, gpus):
    if re.match(r"\d+$", entry):
        return int(entry) < len(gpus)
    return len(entry) > 4 and any(uuid.startswith(entry) for uuid, _ in gpus)


# --- the driver -----------------------------------------------------------------------------------------------------


def ask_driver(environ=None, nccl="", limit_s=ANSWER_S):
    """What the CUDA driver says in a process of its own: the object of cuda_question.py, with `ending` beside it.

    `ending` is "answered", "hung", "killed by SIGNAME" or "exited with N"; `words` are the last of stderr. Never waits
    longer than `limit_s` and a little: a process that sleeps in the kernel is left to the guardian.
    """
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cuda_question.py")
    command = [sys.executable, "-I", "-S", "-B", script] + ([nccl] if nccl else [])
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=environ, **pipes)
    try:
        out, err = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        try:
            process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            return {"ending": "hung", "words": "asleep in the kernel: it does not die of SIGKILL"}
        return {"ending": "hung", "words": "no answer within %g s" % limit_s}
    return _answer(process.returncode, out[:_MOST_BYTES], err.decode("utf-8", "replace").strip()[-500:])


def _answer(code, out, words):
    if code < 0:
        known = -code in set(signal.Signals)
        name = signal.Signals(-code).name if known else "signal %d" % -code
        return {"ending": "killed by " + name, "words": words}
    try:
        said = json.loads(out.decode("utf-8", "replace"))
    except ValueError:
        return {"ending": "exited with %d" % code, "words": words}
    return dict(said, ending="answered" if code == 0 else "exited with %d" % code, words=words)


def tell_driver(said):
    """Facts of an answer of `ask_driver`."""
    kit.fact("driver.question", said["ending"], said.get("words") or "cuDriverGetVersion, cuInit, cuDeviceGetCount")
    if said["ending"] != "answered":
        return
    kit.fact("driver.library", said["library"], said.get("error") or "/proc/self/maps of a process that loaded it")
    if said.get("version"):
        kit.fact("driver.cuda", cuda_text(said["version"]), "cuDriverGetVersion")
    if "init" in said:
        words = ": ".join(filter(None, (said.get("init_name"), said.get("init_text"))))
        kit.fact("driver.init", said["init"], words or "cuInit")
    if "count" in said:
        kit.fact("driver.devices", said["count"], "cuDeviceGetCount gave %d" % said["count_code"])


def cuda_text(number):
    """13.0 of 13000."""
    return "%d.%d" % (number // 1000, number % 1000 // 10)


# --- what NVIDIA's wheels put beside torch ----------------------------------------------------------------------------


def wheel_library(torch_folder, stem):
    """A library that a wheel of NVIDIA put beside torch (`nvidia/*/lib/<stem>.so.N`), or that torch holds, or None."""
    beside = os.path.join(os.path.dirname(torch_folder), "nvidia", "*", "lib")
    for place in (beside, os.path.join(torch_folder, "lib")):
        found = sorted(glob.glob(os.path.join(place, stem + ".so.*")))
        if found:
            return found[0]
    return None


def wheels(torch_folder, start):
    """{name: version} of the distributions beside torch whose names begin with `start`, from their folders' names."""
    found = {}
    for path in glob.glob(os.path.join(os.path.dirname(torch_folder), start + "*.dist-info")):
        name, _, version = os.path.basename(path)[: -len(".dist-info")].partition("-")
        found[name.replace("_", "-").lower()] = version
    return found
