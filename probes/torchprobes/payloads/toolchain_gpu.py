"""Part of compile.toolchain: triton, its ptxas against this GPU, and libcuda for the linker.

Triton is not imported: that would load LLVM. What it would do is read from its files and done with its tools.
Loaded as `torchdoctor_toolchain_gpu`; standard library only, parses on Python 3.8.
"""

import ctypes
import importlib.metadata
import importlib.util
import os
import re
import subprocess

import torchdoctor_kit as kit

_PTX = ".version 6.5\n.target sm_70\n.address_size 64\n"
"""An empty module that every ptxas can assemble; what differs is the GPU that it is assembled for."""

_LINKED = """
extern int cuDriverGetVersion(int *);
int torchdoctor_version(void) { int version = 0; return cuDriverGetVersion(&version) ? -1 : version; }
"""
_LIMIT_S = 10.0


def tell(request, torch, build_c):
    """Tell what compiling for the request's device needs beside a compiler; on a CPU only what is installed."""
    triton = Triton()
    kit.fact("toolchain.triton.found", triton.folder is not None, triton.folder or "no package triton")
    kit.fact("toolchain.triton.version", triton.version, "triton/__init__.py")
    _tell_pin(triton)
    nvidia = request.device.startswith("cuda") and "rocm" not in (torch.version or "")
    kit.fact("toolchain.nvidia", nvidia, request.device)
    if triton.folder is None or not nvidia:
        return
    for capability in _capabilities(request.data.get("gpus") or []):
        _tell_ptxas(request.artifacts, triton, capability)
    _tell_libcuda(request.artifacts, triton, build_c)


class Triton:
    """What triton's files say."""

    def __init__(self):
        try:
            spec = importlib.util.find_spec("triton")
        except (ImportError, ValueError):
            spec = None
        self.folder = os.path.dirname(spec.origin) if spec is not None and spec.origin else None
        named = re.search(r"__version__ = ['\"]([\w.+]+)", self.read("__init__.py"))
        self.version = named.group(1) if named else None
        driver = self.read("backends/nvidia/driver.py") or self.read("common/build.py")
        self.links_so_1 = "libraries = ['libcuda.so.1']" in driver  # 3.3 and later; before, -lcuda
        self.needs_plain = "os.path.join(path, 'libcuda.so'))" in driver  # 2.x asks for a libcuda.so without a number
        self.reads_libcuda_path = "libcuda_path" in driver.lower()
        # Architecture-specific code from 9.0 on; the older ones only for 9.0 itself.
        self.suffix_from_90 = 'suffix = "a" if capability >= 90' in self.read("backends/nvidia/compiler.py")

    def read(self, name):
        """The text of a file of triton's, "" if there is none."""
        if self.folder is None:
            return ""
        try:
            with open(os.path.join(self.folder, *name.split("/")), encoding="utf-8", errors="replace") as file:
                return file.read(1 << 20)
        except OSError:
            return ""

    def ptxas(self, capability):
        """The ptxas that triton would take for a capability such as 90: (path or None, where that comes from)."""
        name, variable = "ptxas", "TRITON_PTXAS_PATH"
        bundled = [os.path.join(self.folder, *d, "bin") for d in (("backends", "nvidia"), ("third_party", "cuda"))]
        if capability >= 100 and any(os.path.isfile(os.path.join(d, "ptxas-blackwell")) for d in bundled):
            name, variable = "ptxas-blackwell", "TRITON_PTXAS_BLACKWELL_PATH"
        named = os.environ.get(variable, "")
        if os.path.isfile(named):
            return named, variable
        found = [os.path.join(d, name) for d in bundled if os.path.isfile(os.path.join(d, name))]
        return (found[0] if found else None), "bundled with triton %s" % self.version


def _tell_pin(triton):
    """The triton that this torch asks for in its metadata, and whether the one found is that."""
    try:
        wanted = [r for r in importlib.metadata.requires("torch") or [] if "triton" in r.partition(";")[0]]
    except Exception:  # metadata of somebody else's environment can be broken in any way
        return
    if not wanted:
        return
    kit.fact("toolchain.triton.pin", wanted[0].partition(";")[0].strip(), wanted[0])
    pinned = re.search(r"(==|~=)\s*([\d.]+)", wanted[0])
    if pinned is None or triton.version is None:
        return
    found = triton.version.partition("+")[0].split(".")
    asked = pinned.group(2).split(".")
    fits = found == asked
    if pinned.group(1) == "~=":
        fits = found[: len(asked) - 1] == asked[:-1] and _int(found[len(asked) - 1 :]) >= _int(asked[-1:])
    kit.fact("toolchain.triton.pinned", fits, "found %s" % triton.version)


def _int(parts):
    digits = re.match(r"\d+", parts[0]) if parts else None
    return int(digits.group()) if digits else -1


# --- ptxas ---------------------------------------------------------------------------------------------------------


def _tell_ptxas(folder, triton, capability):
    """Assemble an empty module for this GPU: the one question that an old ptxas answers wrongly."""
    path, origin = triton.ptxas(capability)
    name = "toolchain.ptxas.%d" % capability
    if path is None:
        kit.fact(name, "absent", "no ptxas in %s" % triton.folder)
        return
    suffix = "a" if capability == 90 or (capability > 90 and triton.suffix_from_90) else ""
    source = os.path.join(folder, "empty.ptx")
    with open(source, "w", encoding="ascii") as file:
        file.write(_PTX)
    arch = "sm_%d%s" % (capability, suffix)
    said, code = _run([path, "--gpu-name", arch, source, "-o", os.path.join(folder, "empty.cubin")])
    release = re.search(r"release ([\d.]+)", _run([path, "--version"])[0])
    words = "%s (%s, %s)" % (arch, origin, release.group(1) if release else "release unread")
    if code == 0 and os.path.isfile(os.path.join(folder, "empty.cubin")):
        kit.fact(name, "right", "assembled for " + words)
    else:
        kit.fact(name, "refused", "%s: %s" % (words, said.strip()[:300]))


def _run(argv):
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_LIMIT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error), None
    return done.stdout.decode("utf-8", "replace"), done.returncode


def _capabilities(uuids):
    """Compute capabilities, such as 90, of the GPUs with these UUIDs (all if none is named), from NVML; sorted.

    NVML, because asking the driver's API would start it up on every GPU: that takes a second and needs a free one.
    """
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        if nvml.nvmlInit_v2() != 0:
            return []
    except (OSError, AttributeError) as error:
        kit.fact("toolchain.nvml", "unusable", str(error)[:200])
        return []
    try:
        return sorted(set(filter(None, map(_of(nvml), _handles(nvml, uuids)))))
    finally:
        nvml.nvmlShutdown()


def _handles(nvml, uuids):
    handle = ctypes.c_void_p()
    for uuid in uuids:
        if nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)) == 0:
            yield ctypes.c_void_p(handle.value)
    if uuids:
        return
    count = ctypes.c_uint()
    nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
    for index in range(min(count.value, 64)):
        if nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)) == 0:
            yield ctypes.c_void_p(handle.value)


def _of(nvml):
    def capability(handle):
        major, minor = ctypes.c_int(), ctypes.c_int()
        code = nvml.nvmlDeviceGetCudaComputeCapability(handle, ctypes.byref(major), ctypes.byref(minor))
        return 10 * major.value + minor.value if code == 0 else None

    return capability


# --- libcuda -------------------------------------------------------------------------------------------------------


def _tell_libcuda(folder, triton, build_c):
    """Link a call of libcuda exactly as triton's launcher is linked."""
    folders, origin = _libcuda_folders(triton)
    name = "libcuda.so" if triton.needs_plain else "libcuda.so.1"
    there = [d for d in folders if os.path.exists(os.path.join(d, name))]
    kit.fact("toolchain.libcuda.folder", there[0] if there else None, "%s in %s" % (name, origin))
    library = "-l:libcuda.so.1" if triton.links_so_1 else "-lcuda"
    problem = build_c(folder, "toolchain_libcuda", _LINKED, ["-L" + d for d in folders] + [library])
    if problem == "no C compiler":
        return
    kit.fact("toolchain.libcuda.linked", problem is None, problem or "%s from %s" % (library, origin))


def _libcuda_folders(triton):
    """Where triton looks: its own variable, the linker's cache, and from 3.x on LD_LIBRARY_PATH."""
    named = os.environ.get("TRITON_LIBCUDA_PATH")
    if named and triton.reads_libcuda_path:
        return [named], "TRITON_LIBCUDA_PATH=%s" % named
    ldconfig = "/sbin/ldconfig" if os.path.exists("/sbin/ldconfig") else "ldconfig"
    lines = _run([ldconfig, "-p"])[0].splitlines()
    found = [line.split()[-1] for line in lines if "libcuda.so" in line and "=>" in line]
    folders = sorted({os.path.dirname(path) for path in found})
    if folders or triton.needs_plain:
        return folders, "ldconfig -p"
    listed = filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":"))
    folders = [d for d in listed if os.path.exists(os.path.join(d, "libcuda.so.1"))]
    return folders, "ldconfig -p and LD_LIBRARY_PATH"
