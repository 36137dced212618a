"""env.extensions: for which GPUs were the compiled extensions of this environment built?

Extension libraries (flash-attn, xformers, apex, DeepSpeed's and one's own ops) hold device code of the architectures
that their builder named. It is read from the files; no library is loaded, and torch is not imported. The device is
asked for its capability through the driver, in a process of its own. Standard library, parses on Python 3.8.
"""

import os
import time

import torchdoctor_elf as elf
import torchdoctor_fatbin as fatbin
import torchdoctor_files as files
import torchdoctor_kit as kit
import torchdoctor_looks as looks
import torchdoctor_nvidia as nvidia

SEARCH_S = 2.5
ANSWER_S = 4.0
"""When a folder of which nothing was heard counts as hung: later than the search itself would end."""

DRIVER_S = 10.0
MOST_LIBRARIES = 5000

NOT_EXTENSIONS = ("torch", "functorch", "nvfuser", "nvidia", "triton", "cusparselt", "__pycache__")
"""Folders of a site that hold PyTorch itself, what comes with it, and no code of others."""

TORCH_LIBRARIES = ("libtorch", "libc10", "libcudart")


def run(request):
    """The probe."""
    kit.started()
    _tell_torch()
    search = Search(time.monotonic() + SEARCH_S)
    for label, folder in _places():
        try:
            search.add(looks.within(ANSWER_S, search.look, label, folder))
        except looks.Hung as error:
            search.hung.append("%s from %s" % (error, folder))
    search.tell()
    unheard = "".join("; " + words for words in search.hung)
    if not search.extensions:
        raise kit.Skip(
            "no extension with GPU code, or linked to PyTorch, among %d libraries%s" % (search.looked, unheard)
        )
    if not search.gpu_code:
        raise kit.Skip("%d extensions link PyTorch, and none holds GPU code%s" % (search.extensions, unheard))
    _tell_devices()


def _tell_torch():
    versions = files.torch_versions()
    kit.fact("torch.version", versions.get("__version__"), "torch/version.py, not imported")
    kit.fact("torch.build.cuda", versions.get("cuda"), "torch/version.py")


def _places():
    """(label, folder) of where extensions lie: the packages' folders, and what torch built at run time."""
    built = os.environ.get("TORCH_EXTENSIONS_DIR") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "torch_extensions"
    )
    return [("", folder) for folder in files.site_folders()] + [("torch_extensions", built)]


class Search:
    """Libraries below folders, each read once; what they hold is told as facts, library by library."""

    def __init__(self, deadline):
        self.deadline = deadline
        self.looked = self.extensions = self.gpu_code = self.unread = 0
        self.cut = False
        self.hung = []

    def look(self, label, folder):
        """A search of all libraries below `folder` alone, in the same time; its own name is no part of theirs."""
        own = Search(self.deadline)
        walk = files.Walk(self.deadline, skip=lambda path: os.path.basename(path) in NOT_EXTENSIONS)
        for path, entry in walk.files(folder):
            if not _is_library(entry.name) or self.looked + own.looked >= MOST_LIBRARIES:
                continue
            own.looked += 1
            try:
                library = fatbin.read(path, self.deadline)
            except (OSError, elf.NotElf):
                own.unread += 1
                continue
            own._tell(os.path.join(label, os.path.relpath(path, folder)), path, library)
        own.cut = own.cut or walk.cut
        return own

    def add(self, other):
        """Count what another search has found."""
        for name in ("looked", "extensions", "gpu_code", "unread"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.cut = self.cut or other.cut

    def _tell(self, name, path, library):
        links = [soname for soname in library.needed if soname.startswith(TORCH_LIBRARIES)]
        if not links and not library.images:
            return
        self.extensions += 1
        self.cut = self.cut or library.cut
        kit.fact("extension.%s.links" % name, " ".join(links), path)
        if library.images:
            self.gpu_code += 1
            words = "%d fat binaries in %s" % (sum(library.images.values()), path)
            kit.fact("extension.%s.archs" % name, " ".join(library.architectures), words)

    def tell(self):
        """How much was looked at, and what was not."""
        kit.figure("libraries_read", self.looked - self.unread, "libraries")
        kit.figure("extensions", self.extensions, "libraries")
        kit.figure("extensions_with_gpu_code", self.gpu_code, "libraries")
        cut = self.cut or self.looked >= MOST_LIBRARIES
        why = self.hung + (["not all in %g s, or more than %d" % (SEARCH_S, MOST_LIBRARIES)] if cut else [])
        read = "%d of them are no ELF files that could be read" % self.unread
        kit.fact("search.complete", not why, "; ".join(why) or read)


def _is_library(name):
    return name.endswith(".so") or ".so." in name


def _tell_devices():
    """The devices that CUDA shows to this process, with their capability; why there are none."""
    said = nvidia.ask_driver(limit_s=DRIVER_S)
    devices = [d for d in said.get("devices", ()) if d.get("code") == 0]
    why = said.get("error") or said.get("init_text") or said.get("words") or said["ending"]
    kit.fact("devices", len(devices), "" if devices else why)
    for index, device in enumerate(devices):
        kit.fact("device.%d.name" % index, device["name"], "cuDeviceGetName")
        kit.fact("device.%d.capability" % index, "%d.%d" % tuple(device["capability"]), "cuDeviceGetAttribute")
    if not devices:
        raise kit.Skip("there is no NVIDIA device to hold the extensions' GPU code against (%s)" % why)
