"""env.identity: which Python and PyTorch is this, is it the shell's and torchrun's, and does it answer?

Runs inside the target, also when its torch is broken or absent. What needs no torch is told first. Everything that
needs it happens in a forked child, so that a torch that dies on import is told as a fact, with its signal, and not
as a probe that broke. Standard library and torch 2.1 or later; parses on Python 3.8.
"""

import glob
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig

import torchdoctor_files as files
import torchdoctor_import_cost as cost
import torchdoctor_kit as kit
import torchdoctor_looks as looks
import torchdoctor_programs as programs
import torchdoctor_stack as stack
from torchdoctor_shared import masking

CHANGES_MEANING = (
    "CUDA_VISIBLE_DEVICES HIP_VISIBLE_DEVICES PYTHONPATH PYTHONHOME LD_LIBRARY_PATH LD_PRELOAD VIRTUAL_ENV"
    " CONDA_PREFIX NVIDIA_TF32_OVERRIDE TORCH_ALLOW_TF32_CUBLAS_OVERRIDE PYTORCH_NVML_BASED_CUDA_CHECK"
    " TORCH_DEVICE_BACKEND_AUTOLOAD TORCH_LOGS CUDA_HOME CXX CC"
).split()
"""Environment variables that change what runs, or its answers."""

MOST_JOBS = 50
JOBS_S = 3.0
SHELL_S = 6.0
COMPILER_S = 12.0


def run(request):
    """The probe."""
    cost.tell_start()
    _tell_python()
    looks.leave_hung_path()
    looks.bounded("shell", SHELL_S, _tell_shell)
    _tell_jobs()
    _tell_environment()
    _tell_nodes()
    looks.bounded("compiler", COMPILER_S, _tell_compiler)
    _tell_torch()
    ending = in_child(lambda: stack.tell())
    kit.fact("torch.process", ending, "how the process that imported torch ended")
    if ending != "ended":
        kit.started()  # the child may have died before it said so


def in_child(function):
    """Run `function` in a forked child: "ended", "exited with N" or "killed by SIGNAME".

    Must be called before torch is imported, while this process has one thread.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            function()
            code = 0
        except BaseException as error:
            kit.raised("torch.examination", error)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        known = number in set(signal.Signals)
        return "killed by %s" % (signal.Signals(number).name if known else "signal %d" % number)
    code = os.WEXITSTATUS(status)
    return "ended" if code == 0 else "exited with %d" % code


def _tell_python():
    kit.fact("python.executable", sys.executable, "sys.executable")
    kit.fact("python.realpath", os.path.realpath(sys.executable), "symbolic links resolved")
    kit.fact("python.version", sys.version.split()[0], sys.version.replace("\n", " "))
    kit.fact("python.prefix", sys.prefix, "sys.prefix")
    kit.fact("python.base_prefix", sys.base_prefix, "sys.base_prefix")
    kit.fact("python.environment", _environment_kind(), "sys.prefix against sys.base_prefix, conda-meta")
    kit.fact("python.abi", sysconfig.get_config_var("SOABI") or "", "SOABI")
    kit.fact("python.header", os.path.isfile(os.path.join(sysconfig.get_paths()["include"], "Python.h")), "Python.h")


def _environment_kind():
    if os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        return "conda"
    return "venv" if sys.prefix != sys.base_prefix else "system"


def _tell_shell():
    """What `python`, `python3` and `torchrun` would start in this environment, against what runs here."""
    for name in ("python", "python3"):
        found = shutil.which(name)
        kit.fact("shell.%s" % name, found, "first on PATH")
        if found:
            _tell_other("shell.%s" % name, found)
    torchrun = shutil.which("torchrun")
    kit.fact("shell.torchrun", torchrun, "first on PATH")
    started = programs.shebang(torchrun) if torchrun else ""
    if started:
        kit.fact("shell.torchrun.python", started, "the first line of %s" % torchrun)
        _tell_other("shell.torchrun", started)
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        active, found = os.environ.get(variable), shutil.which("python") or shutil.which("python3")
        if active and found:
            inside = os.path.realpath(os.path.dirname(found)) == os.path.realpath(os.path.join(active, "bin"))
            kit.fact("shell.activation.%s" % variable, inside, "%s=%s, but PATH gives %s" % (variable, active, found))


def _tell_other(name, python):
    """Whether another interpreter is this one; if not, which PyTorch it would import, by its files."""
    same = identity(python) == identity(sys.executable)
    kit.fact("%s.same" % name, same, "%s against %s" % (python, sys.executable))
    if not same:
        told = programs.describe(python, os.environ)
        kit.fact("%s.state" % name, told.state, told.words)
        if told.state == "read":
            kit.fact("%s.torch" % name, told.torch, "%s, by its files" % python)


def _tell_jobs():
    """Python programs of this user that run now and have loaded a PyTorch: which one, and is it this one?

    Our own probes are left out, and so are Jupyter's kernels, which env.jupyter looks at.
    """
    try:
        found = looks.within(JOBS_S, _jobs)
    except looks.Hung as error:
        kit.fact("jobs.state", "hung", "/proc: %s" % error)
        return
    for process, python, torch in found:
        command = masking.mask_text(" ".join(process.argv))[:300]
        kit.fact("job.%d.python" % process.pid, python, command)
        kit.fact("job.%d.torch" % process.pid, torch[1], torch[0])
    kit.figure("jobs_with_torch", len(found), "processes")


def _jobs():
    """(process, its interpreter, (folder, version) of the torch that it has loaded) of each."""
    found = []
    for process in programs.listed():
        if len(found) >= MOST_JOBS or process.pid == os.getpid() or programs.is_kernel(process.argv):
            continue
        loaded = process.loaded_torch() if programs.is_python(process.argv[0]) else None
        environ = process.environ() if loaded else None
        if loaded and environ is not None and "TORCHDOCTOR_REQUEST" not in environ:
            found.append((process, process.python(environ), loaded))
    return found


def identity(python):
    """What makes an interpreter the same one: the file behind its links, and the environment that it starts in.

    Two virtual environments share a file; `pyvenv.cfg` beside the first link that has one tells them apart.
    """
    step, seen = os.path.abspath(python), set()
    while True:
        folder = os.path.dirname(step)
        for place in (folder, os.path.dirname(folder)):
            if os.path.isfile(os.path.join(place, "pyvenv.cfg")):
                return os.path.realpath(python), os.path.realpath(place)
        if step in seen or not os.path.islink(step):
            return os.path.realpath(python), ""
        seen.add(step)
        step = os.path.join(folder, os.readlink(step))


def _tell_environment():
    told = masking.mask_environment({name: os.environ[name] for name in CHANGES_MEANING if name in os.environ})
    for name, value in told.items():
        kit.fact("environ.%s" % name, value[:1000], "changes meaning")


def _tell_nodes():
    """NVIDIA's device files, for what a missing triton means; every vendor's are env.wheel's."""
    found = sorted(glob.glob("/dev/nvidia[0-9]*"))
    if found:
        kit.fact("node.nvidia", len(found), " ".join(found[:16]))


def _tell_compiler():
    """The host C++ compiler that Inductor and Triton would take: CXX, g++, clang++."""
    for name in [os.environ.get("CXX", "")] + ["g++", "clang++"]:
        path = shutil.which(name.split()[0]) if name.strip() else None
        if path:
            kit.fact("compiler.path", path, "CXX" if name == os.environ.get("CXX") else name)
            kit.fact("compiler.version", _first_line([path, "--version"]), path + " --version")
            return
    kit.fact("compiler.path", None, "neither CXX nor g++ nor clang++ is on PATH")


def _first_line(command):
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=10
        )
    except (OSError, subprocess.SubprocessError) as error:
        return "cannot be run: %s" % error
    return done.stdout.decode("utf-8", "replace").strip().split("\n")[0][:200]


def _tell_torch():
    kit.fact("torch.found", _has_torch(), "importlib.util.find_spec, nothing imported")
    folder = files.torch_folder()
    if folder:
        cost.tell_filesystem("torch.filesystem", folder)


def _has_torch():
    try:
        return importlib.util.find_spec("torch") is not None
    except (ImportError, ValueError) as error:
        kit.raised("torch.find", error)
        return False
