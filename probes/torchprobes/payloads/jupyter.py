"""env.jupyter: which Python and PyTorch do Jupyter's kernels have, against this one?

Kernels that could be started are read from their kernel.json, kernels that run from /proc; none is started, and
nothing is imported: an interpreter's PyTorch is read from its files by the console's own reader, which travels with
this payload. Standard library, parses on Python 3.8.
"""

import json
import os
import shutil
import sys
import time

import torchdoctor_files as files
import torchdoctor_kit as kit
import torchdoctor_looks as looks
import torchdoctor_programs as programs
from torchdoctor_shared import masking

MOST_SPECS = 100
MOST_KERNELS = 100
DEADLINE_S = 3.0
SERVERS = ("jupyter-lab", "jupyter-notebook", "jupyter-server", "jupyter-labhub", "jupyterhub-singleuser", "jupyter")
TOLD = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
"""Variables of a running kernel that decide what it imports and which GPUs it sees."""


def run(request):
    """The probe."""
    kit.started()
    begin = time.perf_counter()
    looks.leave_hung_path()
    own = programs.describe(sys.executable, os.environ)
    _tell("target", own)
    for name in TOLD:
        kit.fact("target.%s" % name, _seen(os.environ, name))
    listed = _processes(request.params.get("proc", "/proc"))
    processes = listed or []
    servers = _servers(processes)
    specs, hung = kernelspecs(data_folders(servers, os.environ))
    if hung:
        kit.fact("kernelspecs.state", "hung", "no answer in %g s from %s" % (DEADLINE_S, ", ".join(hung)))
    for spec in specs:
        _tell_spec(spec, servers, own)
    kernels = [p for p in processes if programs.is_kernel(p.argv)][:MOST_KERNELS]
    for process in kernels:
        _tell_kernel(process, own)
    kit.figure("kernelspecs", len(specs), "kernels")
    kit.figure("running_kernels", len(kernels), "kernels")
    kit.figure("reading_s", time.perf_counter() - begin, "s")
    if not specs and not kernels and not hung and listed is not None:
        raise kit.Skip("no Jupyter kernel is installed or runs here")


def _processes(proc):
    """What runs here; None, and a fact that says so, where /proc gives no answer."""
    try:
        return programs.listed(proc)
    except looks.Hung as error:
        kit.fact("processes.state", "hung", "%s: %s" % (proc, error))
        return None


def _tell(name, told):
    kit.fact("%s.python" % name, told.path, told.words)
    kit.fact("%s.state" % name, told.state, told.words)
    if told.state == "read":
        kit.fact("%s.torch" % name, told.torch, "torch/version.py" if told.torch else "no torch in it")
        kit.fact("%s.version" % name, told.version)


# --- where Jupyter looks ---------------------------------------------------------------------------------------


def _servers(processes):
    """The interpreters of Jupyter servers, those that run first: a bare `python` of a kernelspec means theirs."""
    found = [p.argv[0] for p in processes if _is_server(p.argv)]
    command = shutil.which("jupyter-lab") or shutil.which("jupyter")
    found += [programs.shebang(command)] if command else []
    if any(os.path.isdir(os.path.join(folder, "jupyter_client")) for folder in files.site_folders()):
        found.append(sys.executable)
    return [path for path in dict.fromkeys(found) if path and os.path.isabs(path)]


def _is_server(argv):
    words = [os.path.basename(word) for word in argv[1:4]]
    return bool(argv) and programs.is_python(argv[0]) and any(w in SERVERS or w == "jupyterlab" for w in words)


def data_folders(servers, environ):
    """Jupyter's data folders, best first (jupyter_core/paths.py, `jupyter_path`); prefixes of every interpreter."""
    home = environ.get("HOME") or os.path.expanduser("~")
    user = environ.get("JUPYTER_DATA_DIR") or os.path.join(
        environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share"), "jupyter"
    )
    found = [f for f in environ.get("JUPYTER_PATH", "").split(os.pathsep) if f] + [user]
    prefixes = [os.path.dirname(os.path.dirname(path)) for path in servers] + [sys.prefix]
    found += [os.path.join(prefix, "share", "jupyter") for prefix in prefixes]
    return list(dict.fromkeys(found + ["/usr/local/share/jupyter", "/usr/share/jupyter"]))


class Spec:
    """One kernelspec: its name, its file, its argv and environment; `broken` says why it cannot be read."""

    def __init__(self, name, path):
        self.name, self.path, self.argv, self.env, self.broken, self.language = name, path, [], {}, "", "python"
        try:
            told = json.loads(looks.within(DEADLINE_S, files.text, path))
            self.argv = [str(word) for word in told["argv"]]
            self.env = {str(k): str(v) for k, v in (told.get("env") or {}).items()}
            self.language = str(told.get("language", "python")).lower()
        except looks.Hung as error:
            self.broken = "hung: %s" % error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.broken = "it is no kernelspec: %s" % error


def kernelspecs(folders):
    """(kernelspecs, folders that gave no answer) of these data folders; of one name the first counts."""
    asked = [(folder, looks.Look(_named, os.path.join(folder, "kernels"))) for folder in folders]
    deadline, found, hung = time.monotonic() + DEADLINE_S, {}, []
    for folder, look in asked:
        try:
            named = look.answer(deadline)
        except looks.Hung:
            hung.append(folder)
            continue
        for name, path in named:
            if name.lower() not in found and len(found) < MOST_SPECS:
                found[name.lower()] = Spec(name, path)
    return list(found.values()), hung


def _named(place):
    """(name, path of its kernel.json) of what lies in a folder of kernelspecs."""
    try:
        names = sorted(os.listdir(place))
    except OSError:
        return []
    paths = ((name, os.path.join(place, name, "kernel.json")) for name in names)
    return [(name, path) for name, path in paths if os.path.isfile(path)]


def _tell_spec(spec, servers, own):
    name = "kernelspec.%s" % spec.name
    if spec.broken or not spec.argv:
        kit.fact("%s.state" % name, "unreadable", "%s: %s" % (spec.path, spec.broken or "an empty argv"))
        return
    if spec.language != "python":
        kit.fact("%s.state" % name, "other language", spec.language)
        return
    environ = dict(os.environ, **spec.env)
    python, how = programs.interpreter(spec.argv, servers, environ)
    if python is None:
        kit.fact("%s.state" % name, "unresolved", "%s: %s" % (spec.path, how))
        return
    told = programs.describe(python, environ)
    told.words = "%s: %s%s" % (spec.path, how, "; " + told.words if told.words else "")
    _tell(name, told)
    kit.fact("%s.same" % name, told.same_as(own), "the interpreter and its environment against the target's")


# --- kernels that run ------------------------------------------------------------------------------------------


def _tell_kernel(process, own):
    name = "kernel.%d" % process.pid
    environ = process.environ()
    python = process.python(environ or {})
    told = programs.describe(python, environ or {})
    loaded = process.loaded_torch()
    if loaded:
        told.torch, told.state = loaded[1], "read"
        told.words = "it has loaded %s" % loaded[0]
    _tell(name, told)
    kit.fact("%s.same" % name, told.same_as(own), "the interpreter and its environment against the target's")
    kit.fact("%s.command" % name, masking.mask_text(" ".join(process.argv))[:500], "/proc/%d/cmdline" % process.pid)
    if environ is None:
        kit.fact("%s.environ" % name, None, "it belongs to another user: only root may read it")
        return
    for variable in TOLD:
        kit.fact("%s.%s" % (name, variable), _seen(environ, variable), "/proc/%d/environ" % process.pid)


def _seen(environ, name):
    value = environ.get(name)
    return None if value is None else masking.mask_text(value)[:500]
