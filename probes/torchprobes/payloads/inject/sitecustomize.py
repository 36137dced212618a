"""What a launched rank's Python runs first: it makes the rank diagnosable, then gives way to the user's sitecustomize.

The rank shim puts this folder on PYTHONPATH of the rank alone. Here it is taken off again at once, from `sys.path` and
from the environment, so that nothing that the rank starts finds it. A process is the rank if it became it from the
shim (same pid), or descends from it by programs that are no Python (a shell script). Without a shim (a command that
starts its ranks itself) it is whoever has RANK and WORLD_SIZE from its first breath. Python with -I, -S or -E, and
frozen applications, never come here. Standard library only; parses on Python 3.8.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MOST_STEPS = 8


def is_rank(environ):
    """Whether this process is a rank that is to be made diagnosable."""
    if not environ.get("TORCHDOCTOR_NODE") or not all(environ.get(n, "").isdigit() for n in ("RANK", "WORLD_SIZE")):
        return False
    shim = environ.get("TORCHDOCTOR_RANK", "")
    return not shim or shim == str(os.getpid()) or (shim.isdigit() and below(int(shim)))


def below(ancestor):
    """Whether all processes from our parent up to `ancestor` are no Python."""
    pid = os.getppid()
    for _ in range(MOST_STEPS):
        if pid <= 1 or is_python(pid):
            return False
        if pid == ancestor:
            return True
        pid = parent_of(pid)
    return False


def is_python(pid):
    """Whether a process runs a Python interpreter; an unreadable one may be."""
    try:
        return os.path.basename(os.readlink("/proc/%d/exe" % pid)).startswith(("python", "pypy"))
    except OSError:
        return True


def parent_of(pid):
    """The parent of a process, 0 if that cannot be read."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def leave_path(environ, whole):
    """Take this folder off `sys.path`, and if `whole` off the environment of what this process will start."""
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or os.curdir) != HERE]
    if not whole or "PYTHONPATH" not in environ:
        return
    rest = [path for path in environ["PYTHONPATH"].split(os.pathsep) if path != HERE]
    if rest:
        environ["PYTHONPATH"] = os.pathsep.join(rest)
    else:
        del environ["PYTHONPATH"]


def load(name):
    """A file beside this one as a module; no bytecode is written for it."""
    from importlib.util import module_from_spec, spec_from_file_location

    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec = spec_from_file_location(name, os.path.join(HERE, name + ".py"))
        module = sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.dont_write_bytecode = before


def give_way():
    """Run the sitecustomize that would have run without us, in our place; what it raises is the user's to see."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def main(environ):
    """Begin, and give way whatever happens."""
    rank = is_rank(environ)
    leave_path(environ, whole=rank or "TORCHDOCTOR_RANK" in environ)
    try:
        if rank:
            environ["TORCHDOCTOR_RANK"] = str(os.getpid())
            load("torchdoctor_inject").begin(environ, load)
    except Exception as error:
        sys.stderr.write("torchdoctor: this rank cannot be made diagnosable: %s\n" % error)
    give_way()


main(os.environ)
