"""A graph that torch.compile wrote, loaded beside the job that wrote it: its module, its inputs, and what was left out.

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. The bootstrap loads this file
under the name `torchdoctor_graph_load`.

The file's own surroundings are not trusted. Variables are taken over where all that they do is choose what Inductor
makes (`applied`); caches, traces, logs, debug trees, workers and whatever holds a path belong to the machine of that
job, and are told and left alone. Settings of the compiler that hold a path or that this torch lacks are too.
"""

import ast
import linecache
import os
import re

import torchdoctor_kit as kit
import torchdoctor_measure as measure
from torchdoctor_shared import graph_file, masking

SEED = 20240229

_CHOOSES = re.compile(r"(?:TORCHINDUCTOR|TORCHDYNAMO|TORCH_CUDA_ARCH)_[A-Z0-9_]+$")
_NOT = re.compile(r"DIR|PATH|CACHE|TRACE|LOG|DEBUG|REPRO|REMOTE|WORKER|THREADS|SUPPRESS|DISABLE$|FILE|URL|HOST|DUMP")
_PLAIN = re.compile(r"[\w.+,;-]{0,64}$")
_PATH = re.compile(r"['\"](?:[~.]{0,2}/|[A-Za-z]:\\)")
_OF_THE_JOB = ("torch._inductor.config.trace.", "torch._inductor.config.profile")
_MOST_TOLD = 64


def applied(name, value):
    """Whether a variable of the job is harmless: it chooses what is generated, and names no place and no service."""
    return value is not None and bool(_CHOOSES.match(name) and not _NOT.search(name) and _PLAIN.match(value))


def read(params):
    """The graph that the request names; from behind a launcher prefix its text came with the request.

    Raises:
        Skip: in one line, why it is none.
    """
    path, text = params["file"], params.get("source")
    try:
        if text is None:
            return graph_file.GraphFile(path, graph_file.read(path))
        linecache.cache[path] = (len(text), None, text.splitlines(True), path)
        return graph_file.GraphFile(path, text)
    except graph_file.GraphFileError as error:
        raise kit.Skip(str(error))


def tell(file):
    """Facts of what the file says of itself; variables that are harmless are set, before torch reads them."""
    kit.fact("graph.kind", file.kind, file.path)
    kit.fact("graph.torch", file.torch or None, "the torch that wrote it")
    kit.fact("graph.devices", ", ".join(_words(device) for device in file.devices), "the file")
    kit.figure("graph.ops", sum(file.ops.values()), "ops")
    most = sorted(file.ops.items(), key=lambda pair: (-pair[1], pair[0]))[:8]
    kit.fact("graph.operators", ", ".join("%s %d" % pair for pair in most), "%d kinds" % len(file.ops))
    expected = file.call.get("check_str")
    if expected:
        kit.fact("graph.expected", str(expected)[:300], "check_str: what the minifier looked for")
    for name, value in file.environ[:_MOST_TOLD]:
        _tell_variable(name, value)


def _tell_variable(name, value):
    there = name in os.environ
    if applied(name, value) and not there:
        os.environ[name] = value
        why = "applied"
    else:
        why = "set here already" if there else "not applied: of the job's machine"
    shown = None if value is None else masking.mask_text("%s=%s" % (name, value)).partition("=")[2][:200]
    kit.fact("graph.env." + name[:80], shown, why)


def place(torch, file, device):
    """The device that the graph runs on, usable; the GPU that the file names becomes the one that is given.

    Raises:
        Skip: if it needs what is not here.
    """
    wanted = graph_file.accelerators(file.devices)
    if len({kind for kind, _ in wanted}) > 1 or len({index for _, index in wanted if index is not None}) > 1:
        raise kit.Skip("it needs %s at once: a graph is given one device" % " and ".join(map(_words, wanted)))
    if not wanted:
        return measure.device(torch, "cpu")
    here, kind = torch.device(device), wanted[0][0]
    if here.type != kind:
        there = getattr(getattr(torch, kind, None), "is_available", lambda: False)()
        why = "this check runs on %s: `--device %s`" % (here.type, kind) if there else "this PyTorch sees none here"
        raise kit.Skip("the graph needs %s, and %s" % (_words(wanted[0]), why))
    found = measure.device(torch, device)
    file.move(found.index or 0)
    return found


def _words(device):
    return device[0] if device[1] is None else "%s:%d" % device


class Loaded:
    """The module of a graph and its inputs: `inputs()` gives fresh ones, the same each time.

    `gentle` inputs are between 0 and 1: for graphs that take logarithms or roots of what they are given.
    """

    def __init__(self, torch, file):
        self.torch, self.file = torch, file
        self.gentle = False
        self.left_out = 0
        self.space = {"__name__": "torchdoctor_graph", "__file__": file.path, "__builtins__": __builtins__}
        settings = {id(setting.statement): setting for setting in file.settings}
        for statement in file.body:
            self._run(statement, settings.get(id(statement)))
        self.module = self.space["mod"] if "mod" in self.space else self.space["Repro"]()
        self.save_dir = _saved_beside(file)
        saved = "saved by the minifier in %s" % self.save_dir
        kit.fact("graph.inputs", saved if self.save_dir else "random", "seed %d" % SEED)

    def _run(self, statement, setting):
        """One statement; what only prepares may fail, such as a module or a setting that this torch lacks."""
        if setting is not None and (setting.name.startswith(_OF_THE_JOB) or _PATH.search(setting.source)):
            kit.fact("graph.setting." + setting.name, setting.source, "not applied: of the job's machine")
            return
        code = compile(ast.Module([statement], []), self.file.path, "exec")
        if setting is None and not isinstance(statement, (ast.Import, ast.ImportFrom, ast.Expr)):
            exec(code, self.space)
            return
        try:
            exec(code, self.space)
        except Exception as error:
            self.left_out += 1
            what = (ast.get_source_segment(self.file.text, statement) or "line %d" % statement.lineno)[:200]
            kit.fact("graph.left_out.%d" % self.left_out, what, measure.first_line(error))

    def inputs(self, seed=SEED, stir=0.0):
        """Fresh inputs, the same for the same seed: random, or those that a minifier saved.

        With `stir` each floating number is off by about that share of itself.
        """
        from torch._dynamo.debug_utils import InputReader

        self.torch.manual_seed(seed)
        if "load_args" not in self.space:
            return list(self.space["args"])
        reader = InputReader(save_dir=self.save_dir)
        self.space["load_args"](reader)
        with self.torch.no_grad():
            for flat in self._floats(reader.args):
                if self.gentle:
                    flat.abs_().clamp_(max=1.0).mul_(0.9).add_(0.05)
                if stir:
                    flat.mul_(1 + stir * (2 * self.torch.rand_like(flat) - 1))
        return reader.args

    def _floats(self, args):
        """The storages of floating numbers behind the inputs, each once and flat: inputs may share and overlap them."""
        seen = set()
        for tensor in args:
            if isinstance(tensor, self.torch.Tensor) and tensor.is_floating_point():
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in seen:
                    seen.add(storage.data_ptr())
                    yield self.torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(storage)

    def needs(self):
        """(bytes of all inputs, their types by name), asked of `load_args` without making any."""
        survey = Survey()
        if "load_args" in self.space:
            self.space["load_args"](survey)
        return survey.bytes, survey.dtypes

    def unknown_operators(self):
        """Operators that no library of this torch has registered: those of a package that the file does not import."""
        missing = []
        for name in self.file.ops:
            parts = name.split(".")
            owner = getattr(self.torch.ops, parts[0])
            if len(parts) > 1 and not hasattr(owner, parts[1]):
                missing.append("::".join(parts[:2]))
        return missing


def _saved_beside(file):
    """The folder of a minifier's saved inputs: as the file names it, or, where a run was moved, beside the file."""
    told = file.call.get("save_dir")
    if not isinstance(told, str) or told in ("", "?"):
        return None
    here = os.path.dirname(os.path.abspath(file.path))
    places = (told, os.path.join(here, os.path.basename(told)), here)
    return next((p for p in places if os.path.isdir(os.path.join(p, "storages"))), None)


class Survey:
    """Stands in for torch's InputReader: adds up what `load_args` asks for, and makes nothing."""

    def __init__(self):
        self.bytes, self.dtypes = 0, {}

    def storage(self, _hash, nbytes, device=None, dtype_hint=None):
        """One storage of so many bytes."""
        self.bytes += int(nbytes)

    def tensor(self, *_args, **more):
        """A tensor in one of them; without a type it is float32."""
        name = str(more.get("dtype", "float32")).replace("torch.", "")
        self.dtypes[name] = self.dtypes.get(name, 0) + 1

    def symint(self, value, **_more):
        """A size that was symbolic."""
        return value

    def __getattr__(self, name):
        return lambda *_args, **_more: None
