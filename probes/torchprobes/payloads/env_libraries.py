"""env.libraries: which libraries are mapped once torch is imported and used, each by a hash of its content?

Two environments with the same versions can still run other code: a library that LD_LIBRARY_PATH puts in front, a system
library of another image, a plugin of NCCL that is there or not. Each mapped file is told by its build-id, with its
version where it has one, and whose it is. Standard library and torch 2.1 or later; parses on Python 3.8.
"""

import hashlib
import os
import re
import sys

import torchdoctor_cuda_libraries as cuda_libraries
import torchdoctor_elf as elf
import torchdoctor_files as files
import torchdoctor_kit as kit
import torchdoctor_nccl_plugins as plugins

HASHED_BYTES = 64 << 20
ENDS_BYTES = 1 << 20
MOST_LIBRARIES = 1500
DELETED = " (deleted)"

_MANGLED = re.compile(r"(-[0-9a-f]{8}){1,2}(?=[.])")
"""What auditwheel puts into a name, so that no other library stands in for it."""

_VERSION = re.compile(r"\.so\.(\d[\w.]{0,60})$")
_EXTENSION = re.compile(r"\.(cpython-\w+(-[\w-]+)?|abi3|pypy\w+(-[\w-]+)?)\.so$")


def run(request):
    """The probe."""
    torch = kit.import_torch()
    kit.fact("torch.version", torch.__version__)
    cuda_libraries.use(torch, request.device)
    place = Place(os.path.dirname(os.path.realpath(torch.__file__)))
    found = [Library(path, place) for path in mapped()[:MOST_LIBRARIES]]
    for library in sorted(found, key=lambda library: (library.name, library.path)):
        library.tell()
    tell_copies(found)
    tell_stand_ins(found, place)
    plugins.tell({library.path for library in found}, place.torch, identity)
    kit.figure("libraries", len(found), "libraries")
    kit.figure("libraries_identified", sum(bool(library.identity) for library in found), "libraries")


def mapped():
    """Every library that this process has mapped, by its real path; one that was replaced since says so."""
    paths = {path if path.endswith(DELETED) else os.path.realpath(path) for path in cuda_libraries.maps()}
    return sorted(path for path in paths if ".so" in os.path.basename(path))


class Place:
    """Where libraries come from here."""

    def __init__(self, torch):
        self.torch = torch
        self.named = cuda_libraries.named_folders()
        self.sites = [os.path.realpath(folder) for folder in files.site_folders()]
        self.prefixes = [os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix)]
        self.wheels = wheel_files(torch)

    def whose(self, path, name):
        """torch, wheel, driver, environment (and by which variable), package NAME, Python or system."""
        found = cuda_libraries.origin(path, name, self.torch, self.named)
        if found != "system":
            return " ".join(found.split()[:2])
        inside = self.inside(path)
        if inside:
            return "package " + inside.split("/", 1)[0]
        own = any(path.startswith(prefix + os.sep) for prefix in self.prefixes if prefix not in ("/", "/usr"))
        return "Python" if own else "system"

    def inside(self, path):
        """The path below the folder of packages that it lies in, "" if it lies in none."""
        return next((path[len(site) + 1 :] for site in self.sites if path.startswith(site + os.sep)), "")


def wheel_files(torch_folder):
    """{file name: path} of the libraries that torch's and NVIDIA's wheels brought; the file name is the soname."""
    beside = os.path.join(os.path.dirname(torch_folder), "nvidia")
    folders = [os.path.join(torch_folder, "lib")] + [os.path.join(beside, name, "lib") for name in _names(beside)]
    return {name: os.path.join(folder, name) for folder in folders for name in _names(folder) if ".so" in name}


def _names(folder):
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


class Library:
    """One mapped file: its soname, what its content is known by (or why not), version, and whose it is."""

    def __init__(self, path, place):
        self.path = path
        self.soname, self.identity, self.why = identity(path)
        self.name = name_of(path, self.soname, place)
        self.whose = place.whose(path, self.name)
        self.version = self._version()

    def _version(self):
        asked = cuda_libraries.ask_version(self.name.partition(".so")[0], self.path)
        in_name = _VERSION.search(os.path.basename(self.path))
        return asked or (in_name.group(1) if in_name and not self.name.endswith(in_name.group(0)) else "")

    def tell(self):
        """`library.NAME`: version, identity and origin; None with the reason where its content is not known."""
        words = [word for word in (self.version, self.identity, self.whose) if word]
        kit.fact("library." + self.name, ", ".join(words) if self.identity else None, self.why or self.path)


def name_of(path, soname, place):
    """What a library is called in any environment: its soname without a wheel's hash; of an extension, its module."""
    base = os.path.basename(path)
    if not soname and base.startswith("lib") and not _EXTENSION.search(base):
        soname = base
    if _EXTENSION.search(base) or not soname:
        inside = place.inside(path)
        folder = os.path.dirname(inside) if inside else os.path.basename(os.path.dirname(path))
        return os.path.join(folder, base.partition(".")[0])
    plain = _MANGLED.sub("", soname)
    return re.sub(r"(\.so\.\d+)\..*$", r"\1", plain) if plain != soname else plain


def identity(path):
    """(soname, what its content is known by, why it is not): build-id, else a hash of the file, or of its ends.

    A hash of the ends and the size tells files apart that were built apart, and is said to be no more than that.
    """
    if path.endswith(DELETED):
        return "", "", path + ": it was replaced or removed after it was loaded"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return "", "", "%s: %s" % (path, error.strerror)
    try:
        return _identity(elf.File(fd))
    except OSError as error:
        return "", "", "%s: %s" % (path, error.strerror)
    finally:
        os.close(fd)


def _identity(file):
    soname, found = "", ""
    try:
        sections = elf.sections(file)
        soname = (elf.dynamic(file, sections).get(elf.SONAME) or [""])[0]
        found = elf.build_id(file, sections)
    except elf.NotElf:
        pass  # mapped as it may be: its content is hashed
    if found:
        return soname, "build-id " + found, ""
    if file.size <= HASHED_BYTES:
        return soname, "sha256 " + _hash(file, [(0, file.size)]), ""
    ends = [(0, ENDS_BYTES), (file.size - ENDS_BYTES, ENDS_BYTES)]
    return soname, "%d bytes, sha256 of its ends %s" % (file.size, _hash(file, ends)), ""


def _hash(file, spans):
    digest = hashlib.sha256()
    for start, size in spans:
        while size > 0:
            data = os.pread(file.fd, min(size, 1 << 20), start)
            if not data:
                break
            digest.update(data)
            start, size = start + len(data), size - len(data)
    return digest.hexdigest()


def tell_copies(found):
    """Files of one soname: the loader takes the first for all, so a second one came by its path, with its own state."""
    sonames = {}
    for library in found:
        if library.soname and os.path.basename(library.path).startswith("lib"):
            sonames.setdefault(library.soname, []).append(library)
    for soname, copies in sorted(sonames.items()):
        if len(copies) > 1:
            words = ["%s (%s)" % (copy.path, copy.identity or copy.why) for copy in copies]
            kit.fact("copies." + soname, len(copies), ", ".join(words))


def tell_stand_ins(found, place):
    """Libraries that are loaded from outside while a wheel's own of the same soname stays unused."""
    paths = {library.path for library in found}
    for library in found:
        own = place.wheels.get(library.soname)
        if own is None or os.path.realpath(own) in paths:
            continue
        origin = cuda_libraries.origin(library.path, library.soname, place.torch, place.named)
        kit.fact("origin." + library.soname, origin, library.path)
        kit.fact("own." + library.soname, False, own)
