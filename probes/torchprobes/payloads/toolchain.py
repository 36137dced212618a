"""compile.toolchain: can what `torch.compile` calls really build, load and run code here? Found out before compiling.

Imports no torch: versions and habits of this PyTorch are read from its files. A compiler that is found proves
nothing, so each tool is given a small task and its answer is checked. Standard library only; parses on Python 3.8.
"""

import ctypes
import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig

import torchdoctor_kit as kit
import torchdoctor_looks as looks
import torchdoctor_toolchain_gpu as gpu
import torchdoctor_toolchain_places as places

BUILD_LIMIT_S = 20.0
FILE_LIMIT = 1 << 20
"""Bytes read of one file of PyTorch's."""

_CXX_SOURCE = """
#include <cmath>
#include <vector>
#include <omp.h>
extern "C" int torchdoctor_answer(int n) {
    std::vector<double> squares(n);
    double sum = 0;
    #pragma omp parallel for reduction(+:sum)
    for (int i = 0; i < n; ++i) { squares[i] = std::sqrt(double(i) * i); sum += squares[i]; }
    return omp_get_max_threads() > 0 ? int(sum) : -1;
}
"""
_C_SOURCE = """
int torchdoctor_answer(int n) { int sum = 0; for (int i = 0; i < n; ++i) sum += i; return sum; }
"""
_HEADER_SOURCE = """
#include <Python.h>
int torchdoctor_answer(int n) { return PY_VERSION_HEX == %s ? n * (n - 1) / 2 : PY_VERSION_HEX; }
"""
_N, _SUM = 100, 4950


def run(request):
    """The probe."""
    kit.started()
    torch = Torch()
    if torch.folder is None:
        raise kit.Skip("this Python has no PyTorch: there is nothing to compile for")
    kit.fact("toolchain.torch", torch.version, torch.folder)
    looks.leave_hung_path()
    temporary = places.temporary()
    if temporary is places.HUNG:  # compilers would wait there too
        return
    library = _tell_cxx(request.artifacts, torch)
    _tell_c(request.artifacts, torch)
    gpu.tell(request, torch, build_c)
    places.tell(request, torch, temporary, library)
    _tell_threads()


class Torch:
    """What the files of the target's PyTorch say, read without importing it."""

    def __init__(self):
        self.version = version("torch")
        spec = _spec("torch")
        self.folder = os.path.dirname(spec.origin) if spec is not None and spec.origin else None
        codecache, builder = self.read("codecache.py"), self.read("cpp_builder.py")
        standard = re.search(r"_get_cpp_std_cflag\(std_num: str = \"(c\+\+\d+)\"", builder)
        self.standard = standard.group(1) if standard else "c++17"
        self.splits_cxx = "_compiler_command" in builder  # CXX="ccache g++" is understood since 2.14
        self.includes_python = "#include <Python.h>" in codecache  # for the CPU too, since 2.3
        self.survives_unknown_user = "uid_{" in self.read("runtime/cache_dir_utils.py")

    def read(self, name):
        """The text of a file of Inductor's, "" if it is not there; bounded."""
        return read(os.path.join(self.folder, "_inductor", *name.split("/"))) if self.folder else ""


def _spec(name):
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def version(name):
    """The version of an installed distribution, from its metadata; None if there is none."""
    try:
        return importlib.metadata.version(name)
    except Exception:  # metadata of somebody else's environment can be broken in any way
        return None


def read(path):
    """The beginning of a text file, "" if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(FILE_LIMIT)
    except OSError:
        return ""


# --- compilers ---------------------------------------------------------------------------------------------------


def _tell_cxx(folder, torch):
    """The C++ compiler that Inductor would take, at work: the library that it built and that ran, or None."""
    named = os.environ.get("CXX")  # an empty one counts as set, as it does for Inductor
    command = named if named is not None else ("clang++" if sys.platform == "darwin" else "g++")
    argv = shlex.split(command) if torch.splits_cxx and command.strip() else [command]
    origin = "CXX=%s" % command if named is not None else "CXX is not set: %s" % command
    if _tell_found("cxx", argv, origin) is None:
        return None
    library = os.path.join(folder, "toolchain_cxx.so")
    omp = [] if sys.platform == "darwin" else ["-fopenmp"]
    flags = ["-shared", "-fPIC", "-O2", "-std=" + torch.standard] + omp
    return library if _tell_built("cxx", argv + flags, "cpp", _CXX_SOURCE, library) else None


def _tell_c(folder, torch):
    """The C compiler that triton would take, and the header that what it compiles includes."""
    argv, origin = _c_compiler()
    found = _tell_found("cc", argv, origin) if argv else None
    if not argv:
        kit.fact("toolchain.cc.found", None, origin)
    if found is not None:
        library = os.path.join(folder, "toolchain_c.so")
        _tell_built("cc", argv + ["-shared", "-fPIC", "-O2"], "c", _C_SOURCE, library)
    _tell_header(folder, torch)


def _c_compiler():
    named = os.environ.get("CC")
    if named is not None:
        return [named], "CC=%s" % named
    found = shutil.which("gcc") or shutil.which("clang")
    return ([found] if found else None), "gcc or clang on PATH"


def _tell_header(folder, torch):
    """Python.h of the very interpreter: there, and of its version when something includes it."""
    kit.fact("toolchain.python_h.needed", torch.includes_python, "Inductor's CPU code includes it")
    include = sysconfig.get_paths()["include"]
    header = os.path.join(include, "Python.h")
    kit.fact("toolchain.python_h", os.path.isfile(header), header)
    compiler = _c_compiler()[0] or [os.environ.get("CXX") or "g++"]
    if not os.path.isfile(header) or shutil.which(compiler[0]) is None:
        return
    library = os.path.join(folder, "toolchain_python_h.so")
    argv = compiler + ["-shared", "-fPIC", "-I" + include]
    _tell_built("python_h", argv, "c", _HEADER_SOURCE % hex(sys.hexversion), library)


def build_c(folder, name, source, more):
    """Build C `source` with the compiler that triton would take: None if it went well, else what was said."""
    argv = _c_compiler()[0]
    if argv is None:
        return "no C compiler"
    return _build(argv + ["-shared", "-fPIC"], "c", source, os.path.join(folder, name + ".so"), more)


def _tell_found(tool, argv, origin):
    """Where the tool is and what it calls itself; None if Inductor or triton could not start it either."""
    path = shutil.which(argv[0]) if argv[0] else None
    kit.fact("toolchain.%s.found" % tool, path, origin)
    if path is not None:
        said = ask(argv + ["--version"])
        kit.fact("toolchain.%s.version" % tool, said.splitlines()[0] if said else "", path)
    return path


def _tell_built(tool, argv, suffix, source, library):
    """Build, load, ask: whether the answer was right. "not loaded" is told apart from "not built"."""
    problem = _build(argv, suffix, source, library, [])
    if problem is not None:
        kit.fact("toolchain.%s.works" % tool, "not built", problem)
        return False
    try:
        answer = ctypes.CDLL(library).torchdoctor_answer(_N)
    except OSError as error:
        kit.fact("toolchain.%s.works" % tool, "not loaded", str(error)[:500])
        return False
    works = "right" if answer == _SUM else "wrong"
    kit.fact("toolchain.%s.works" % tool, works, "built, loaded and called: %d, expected %d" % (answer, _SUM))
    return answer == _SUM


def _build(argv, suffix, source, library, more):
    path = "%s.%s" % (os.path.splitext(library)[0], suffix)
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(source)
        done = subprocess.run(
            argv + [path, "-o", library] + more,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=BUILD_LIMIT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "it did not end within %g s" % BUILD_LIMIT_S
    except OSError as error:
        return str(error)
    if done.returncode == 0 and os.path.isfile(library):
        return None
    return "exit code %d: %s" % (done.returncode, _errors(done.stdout.decode("utf-8", "replace")))


def _errors(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if re.search(r"error|fatal|cannot|not found|No such", line)]
    return " | ".join((told or lines)[:3])[:600]


def ask(argv):
    """What a tool prints; "" if it cannot be started, fails or does not end."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=BUILD_LIMIT_S
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""


# --- cores ---------------------------------------------------------------------------------------------------------


def _tell_threads():
    """How many processes Inductor would compile with: its own rule, from the cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    named = os.environ.get("TORCHINDUCTOR_COMPILE_THREADS")
    kit.figure("cores", cores, "cores")
    try:
        threads = min(32, cores) if named is None else int(named)
    except ValueError as error:  # torch._inductor.config raises the same when it is imported
        kit.fact("toolchain.compile_threads", "not a number", "TORCHINDUCTOR_COMPILE_THREADS=%s: %s" % (named, error))
    else:
        kit.figure("compile_threads", threads, "processes")
