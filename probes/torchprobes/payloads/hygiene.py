"""env.image: what does this image carry that it should not, and is it of this machine's kind?

Caches of installers, conda beside pip, an OpenCV that wants a screen, files of another architecture, emulation.
Sizes are taken by a walk that ends in time. Standard library, parses on Python 3.8.
"""

import os
import platform
import shutil
import struct
import sys
import time

import torchdoctor_files as files
import torchdoctor_kit as kit
import torchdoctor_looks as looks
import torchdoctor_packages as packages

WALK_S = 1.5
ANSWER_S = 3.0
"""When a place of which nothing was heard counts as hung: later than a walk itself would end."""

MACHINES = {62: "x86_64", 183: "aarch64", 21: "ppc64le", 243: "riscv64", 22: "s390x"}
"""e_machine of an ELF header -> what `uname -m` says."""

SIGNS = (
    ("docker", "/.dockerenv"),
    ("podman", "/run/.containerenv"),
    ("apptainer", "/.singularity.d"),
    ("kubernetes", "/var/run/secrets/kubernetes.io"),
)


def run(request):
    """The probe."""
    kit.started()
    _tell_container()
    looks.leave_hung_path()
    conda = looks.bounded("conda", ANSWER_S, conda_root) or ""
    _tell_caches(conda)
    _tell_installers(conda)
    _tell_architectures()


def _tell_container():
    found = [name for name, path in SIGNS if os.path.exists(path)]
    told = os.environ.get("container", "")
    group = files.text("/proc/1/cgroup")
    found += [told] if told else []
    found += [word for word in ("kubepods", "docker", "containerd", "lxc") if word in group]
    kit.fact("container", found[0] if found else "none", ", ".join(dict.fromkeys(found)) or "no sign of one")


def _cache_places(conda):
    """(name, folder) of what installers keep and nobody needs in an image."""
    home = os.path.expanduser("~")
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    places = [
        ("pip", os.environ.get("PIP_CACHE_DIR") or os.path.join(cache, "pip")),
        ("uv", os.environ.get("UV_CACHE_DIR") or os.path.join(cache, "uv")),
        ("apt packages", "/var/cache/apt/archives"),
        ("apt lists", "/var/lib/apt/lists"),
        ("dnf", "/var/cache/dnf"),
    ]
    return places + ([("conda packages", os.path.join(conda, "pkgs"))] if conda else [])


def conda_root():
    """The folder of the conda that is here, "" without one."""
    executable = os.environ.get("CONDA_EXE") or shutil.which("conda") or ""
    guesses = [os.path.dirname(os.path.dirname(os.path.realpath(executable)))] if executable else []
    for guess in guesses + [sys.prefix, sys.base_prefix, "/opt/conda"]:
        if os.path.isdir(os.path.join(guess, "conda-meta")) and os.path.isdir(os.path.join(guess, "pkgs")):
            return guess
    return ""


def _tell_caches(conda):
    """All places at once: one that hangs costs the others no time."""
    until = time.monotonic() + WALK_S
    asked = [(name, folder, looks.Look(_size, folder, until)) for name, folder in _cache_places(conda)]
    deadline, unread, cut, hung = time.monotonic() + ANSWER_S, 0, False, []
    for name, folder, look in asked:
        try:
            found = look.answer(deadline)
        except looks.Hung as error:
            kit.fact("cache.%s.state" % name, "hung", "%s: %s" % (folder, error))
            hung.append(folder)
            continue
        if found is None:
            continue
        kit.figure("cache_bytes", found[0], "B", place=name)
        kit.fact("cache.%s" % name, folder, "at least" if found[1] else "all of it")
        cut, unread = cut or found[1], unread + found[2]
    words = "%d folders could not be read" % unread
    kit.fact("caches.complete", not cut and not hung, "; ".join([words] + ["no answer from %s" % f for f in hung]))


def _size(folder, deadline):
    """(bytes, whether that is not all, folders that could not be read) of what lies there; None without a folder."""
    if not os.path.isdir(folder):
        return None
    walk = files.Walk(deadline)
    return walk.size(folder), walk.cut, walk.unread


def _tell_installers(conda):
    """Conda where the target is not conda's: two Pythons, and the shell decides which one answers."""
    own = os.path.isdir(os.path.join(sys.prefix, "conda-meta"))
    kit.fact("conda.root", conda or None, "the target %s conda's" % ("is" if own else "is not"))
    kit.fact("conda.owns_target", own, os.path.join(sys.prefix, "conda-meta"))
    found = packages.distributions(files.site_folders())
    for name in sorted({d.name for d in found if d.name.startswith("opencv-")}):
        kit.fact("opencv.%s" % name, True)


def _tell_architectures():
    """The machine, and the kind of the files that run on it."""
    kit.fact("machine", platform.machine(), "uname -m")
    kit.fact("python.arch", elf_machine(os.path.realpath(sys.executable)), os.path.realpath(sys.executable))
    folder = files.torch_folder()
    for name in sorted(os.listdir(folder) if folder else ()):
        if name.startswith("_C.") and name.endswith(".so"):
            kit.fact("torch.arch", elf_machine(os.path.join(folder, name)), os.path.join(folder, name))
    kit.fact("emulation", emulation(platform.machine(), files.text("/proc/cpuinfo", 8192)), "/proc/cpuinfo")


def elf_machine(path):
    """The architecture of an ELF file as uname names it, None if it is none or cannot be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(20)
    except OSError:
        return None
    if head[:4] != b"\x7fELF" or len(head) < 20:
        return None
    number = struct.unpack("<H" if head[5:6] == b"\x01" else ">H", head[18:20])[0]
    return MACHINES.get(number, "e_machine %d" % number)


def emulation(machine, cpuinfo):
    """By what this machine is emulated, "none" where its CPU is of its own kind; None if the CPU is not told.

    QEMU's user mode gives the kernel's own /proc/cpuinfo of the host; Rosetta names its CPU VirtualApple.
    """
    if "VirtualApple" in cpuinfo:
        return "Rosetta"
    x86, arm = "\nflags\t" in cpuinfo, "\nCPU implementer\t" in cpuinfo
    if not x86 and not arm:
        return None
    if (machine == "x86_64" and not x86) or (machine == "aarch64" and not arm):
        return "QEMU"
    return "none"
