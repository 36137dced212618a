"""cuda.libraries: which copies of CUDA's libraries does this PyTorch load, from where, and is each there once?

A convolution, a product and NCCL are used first, so that what is loaded on demand is loaded. Standard library and
torch 2.1 or later; parses on Python 3.8.
"""

import ctypes
import os
import re

import torchdoctor_kit as kit
import torchdoctor_nvidia as nvidia

LIBRARY = re.compile(
    r"/(lib(?:cudart|cublas|cublasLt|cudnn(?:_\w+)?|nccl|nvrtc|cuda|stdc\+\+|amdhip64|rocblas|MIOpen|rccl))"
    r"(?:-[0-9a-f]{6,})?\.so((?:\.\d+)*)$"
)
"""Name and version of a library's file; wheels put a hash between them."""

DRIVERS = ("libcuda",)
"""What belongs to the driver, wherever that put it, and never to a wheel."""


def run(request):
    """The probe."""
    torch = kit.import_torch()
    build = torch.version.cuda or getattr(torch.version, "hip", None)
    if build is None:
        raise kit.Skip("torch %s is built without CUDA and ROCm: it has no such libraries" % torch.__version__)
    kit.fact("torch.version", torch.__version__)
    for variable in ("LD_LIBRARY_PATH", "LD_PRELOAD"):
        if os.environ.get(variable):
            kit.fact("environ." + variable, os.environ[variable][:1000], "environment")
    use(torch, request.device)
    tell(loaded(maps()), os.path.dirname(os.path.realpath(torch.__file__)))


def use(torch, device):
    """A convolution, a product, and NCCL's version: what each loads stays loaded; what one raises is told."""
    where = torch.device(device)
    try:
        if where.type == "cuda":
            torch.cuda.set_device(where)
        x = torch.ones(2, 3, 16, 16, device=where)
        y = torch.nn.functional.conv2d(x, torch.ones(4, 3, 3, 3, device=where))
        total = float(y.reshape(2, -1).matmul(y.reshape(2, -1).t()).sum())
        # 27 ones a value, 4 * 14 * 14 values a row, four pairs of rows.
        right = total == 27.0**2 * 784 * 4
        kit.fact("use.answer", "right" if right else "wrong", "conv2d and matmul on %s: %r" % (where, total))
    except Exception as error:
        kit.raised("use", error)
    try:
        kit.fact("nccl.version", ".".join(str(n) for n in torch.cuda.nccl.version()), "torch.cuda.nccl.version()")
    except Exception as error:
        kit.fact("nccl.version", None, str(error)[:300])


def maps():
    """Every file that this process has mapped, by its real path."""
    paths = set()
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.rstrip("\n").split(None, 5)
            if len(fields) == 6 and fields[5].startswith("/"):
                paths.add(fields[5])
    return sorted(paths)


def loaded(paths):
    """{name with major version: [real paths]} of the libraries among `paths`.

    Two major versions of one library have two sonames and may live in one process; two files of one soname may not.
    """
    copies = {}
    for path in paths:
        found = LIBRARY.search(path)
        if found:
            major = found.group(2).split(".")[1] if found.group(2) else ""
            real = os.path.realpath(path)
            major = major if found.group(1) not in DRIVERS else "1"
            files = copies.setdefault(found.group(1) + ".so" + ("." + major if major else ""), [])
            if real not in files:
                files.append(real)
    return copies


def tell(copies, torch_folder):
    """Facts of each library: how many copies, where they come from, and what it answers as its version."""
    named = named_folders()
    for name, files in sorted(copies.items()):
        kit.fact("copies." + name, len(files), ", ".join(files))
        kit.fact("origin." + name, origin(files[0], name, torch_folder, named), files[0])
        stem = name.partition(".so")[0]
        own = nvidia.wheel_library(torch_folder, stem) if stem not in DRIVERS else None
        if own is not None:
            kit.fact("own." + name, os.path.realpath(own) == files[0], own)
        version = ask_version(stem, files[0])
        if version:
            kit.fact("version." + name, version, files[0])


def named_folders():
    """{real folder: (variable, as it is written)} that the environment puts before what a library would find itself."""
    folders = {}
    for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":"):
        if folder:
            folders[os.path.realpath(folder)] = "LD_LIBRARY_PATH " + folder
    for file in re.split(r"[:\s]+", os.environ.get("LD_PRELOAD", "")):
        if "/" in file:
            folders[os.path.dirname(os.path.realpath(file))] = "LD_PRELOAD " + file
    return folders


def origin(path, name, torch_folder, named):
    """Whose a library is: "driver", "wheel", "torch", "environment: <what names it>" or "system"."""
    packages = os.path.dirname(torch_folder)
    for start, whose in ((os.path.join(torch_folder, ""), "torch"), (os.path.join(packages, "nvidia", ""), "wheel")):
        if path.startswith(start):
            return whose
    folder = os.path.dirname(path)
    while folder != "/":
        if folder in named:
            return "environment: " + named[folder]
        folder = os.path.dirname(folder)
    return "driver" if name.partition(".so")[0] in DRIVERS else "system"


def ask_version(stem, path):
    """What a library says of its own version, "" where it cannot be asked. It is loaded already: nothing new comes."""
    questions = {
        "libcudart": lambda lib: _by_pointer(lib.cudaRuntimeGetVersion),
        "libcudnn": lambda lib: str(_sized(lib.cudnnGetVersion)),
        "libnccl": lambda lib: _by_pointer(lib.ncclGetVersion),
        "libnvrtc": lambda lib: _pair(lib.nvrtcVersion),
        "libcublas": lambda lib: _properties(lib.cublasGetProperty),
        "libcublasLt": lambda lib: _properties(lib.cublasLtGetProperty),
    }
    if stem not in questions:
        return ""
    try:
        return questions[stem](ctypes.CDLL(path))
    except (OSError, AttributeError):
        return ""


def _by_pointer(function):
    value = ctypes.c_int(0)
    return str(value.value) if function(ctypes.byref(value)) == 0 else ""


def _sized(function):
    function.restype = ctypes.c_size_t
    return function()


def _pair(function):
    major, minor = ctypes.c_int(0), ctypes.c_int(0)
    return "%d.%d" % (major.value, minor.value) if function(ctypes.byref(major), ctypes.byref(minor)) == 0 else ""


def _properties(function):
    """MAJOR_VERSION, MINOR_VERSION and PATCH_LEVEL of library_types.h are 0, 1 and 2."""
    values = []
    for which in (0, 1, 2):
        value = ctypes.c_int(0)
        if function(which, ctypes.byref(value)) != 0:
            return ""
        values.append(value.value)
    return "%d.%d.%d" % tuple(values)
