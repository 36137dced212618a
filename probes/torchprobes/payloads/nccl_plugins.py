"""Plugins of NCCL (network, tuner, profiler): which are loaded, which would be found, and which is named in vain.

NCCL opens them by name when a communicator is made (ncclNet in src/plugin/net.cc, NCCL_NET_PLUGIN of its user guide): a
suffix `x` is `libnccl-net-x.so`, another word is a file's name, none stands for `libnccl-net.so`; "none" is NCCL's own
transport. One that is not found is no error: NCCL falls back to sockets or its own InfiniBand. Standard library, parses
on Python 3.8.
"""

import glob
import os

import torchdoctor_kit as kit

VARIABLES = {"NCCL_NET_PLUGIN": "net", "NCCL_TUNER_PLUGIN": "tuner", "NCCL_PROFILER_PLUGIN": "profiler"}
INTERNAL = ("none", "static_plugin")
CONFIGURATION = "/etc/ld.so.conf*"
CACHE = "/etc/ld.so.cache"
CACHE_BYTES = 8 << 20
USUAL = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/lib/x86_64-linux-gnu",
         "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu")  # fmt: skip
MOST = 64


def tell(loaded, torch_folder, identity):
    """Facts `nccl.plugin.FILE` of each that is there, by `identity(path)`, and `nccl.plugin.missing` of a name in vain.

    `loaded` are real paths of mapped files.
    """
    found = {}
    for folder, through in folders(torch_folder):
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "libnccl-*.so*")))[:MOST]:
            found.setdefault(os.path.realpath(path), (os.path.basename(path), through))
    for path in loaded:
        if os.path.basename(path).startswith("libnccl-"):
            found.setdefault(path, (os.path.basename(path), "mapped"))
    for path, (name, through) in sorted(found.items()):
        _, known, why = identity(path)
        state = "loaded" if path in loaded else "there"
        kit.fact("nccl.plugin." + name, "%s, %s" % (known, state) if known else None, why or path + ", " + through)
    names = {os.path.basename(path) for path in found} | {name for name, _ in found.values()}
    tell_missing(names)


def folders(torch_folder):
    """(folder, what leads there) in the order in which the loader looks: what dlopen by NCCL itself would search."""
    beside = os.path.join(os.path.dirname(torch_folder), "nvidia", "nccl", "lib")
    named = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder.startswith("/")]
    files = glob.glob(CONFIGURATION) + glob.glob(CONFIGURATION + "/*.conf")
    configured = [line for path in sorted(files)[:MOST] for line in _lines(path)]
    return (
        [(folder, "LD_LIBRARY_PATH") for folder in named[:MOST]]
        + [(beside, "beside NCCL")]
        + [(folder, "ld.so.conf") for folder in configured[:MOST]]
        + [(folder, "the loader's own folders") for folder in USUAL]
    )


def _lines(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return [line.strip() for line in file.read(1 << 16).splitlines() if line.startswith("/")]
    except OSError:
        return []


def tell_missing(names):
    """What a variable names and neither a folder nor the loader's cache has; a path counts as it is."""
    cache = _cache()
    for variable, kind in VARIABLES.items():
        for word in os.environ.get(variable, "").split(","):
            word = word.strip()
            if not word or word.lower() in INTERNAL:
                continue
            tried = candidates(word, kind)
            there = [os.path.isfile(one) if "/" in one else one in names or _cached(one, cache) for one in tried]
            if not any(there):
                kit.fact("nccl.plugin.missing", "%s=%s" % (variable, word[:200]), "looked for " + ", ".join(tried))


def _cache():
    """The names that ldconfig has found, between zero bytes."""
    try:
        with open(CACHE, "rb") as file:
            return file.read(CACHE_BYTES)
    except OSError:
        return b""


def _cached(name, cache):
    return b"\0" + name.encode("utf-8", "replace") + b"\0" in cache


def candidates(word, kind):
    """The files that NCCL tries for a word."""
    return [word] if "/" in word else [word, "libnccl-%s-%s.so" % (kind, word)]
