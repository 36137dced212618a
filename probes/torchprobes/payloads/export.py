"""export.roundtrip: does a program that torch.export makes survive save, load and another process, bit for bit?

With the parameter `role` = "load" this is that other process: it loads the saved program and computes from the saved
inputs. Standard library and torch 2.1 or later; parses on Python 3.8. Drift of the interface: no Dim, no `strict=`
and no `.module()` in 2.1; `strict` is True by default up to 2.7 and False from 2.8; draft_export from 2.8.
"""

import os
import time

import torchdoctor_kit as kit

BATCH = 32
OTHER_BATCH = 48
LOAD_LIMIT_S = 90.0


def run(request):
    """The probe; with the parameter `role` = "load", its other process."""
    torch = kit.import_torch()
    need_export(torch)
    where = device(torch, request.device)
    if request.params.get("role") == "load":
        _load_there(torch, request.params["folder"], request.params["cases"])
        return
    made = [case for case in _cases(torch) if _make(torch, where, case)]
    if made:
        _ask_other_process(torch, [case.name for case in made])


def has_export(torch):
    """Whether this PyTorch has torch.export at all."""
    return hasattr(torch, "export") and callable(getattr(torch.export, "export", None))


def need_export(torch):
    """Raise Skip where it has not."""
    if not has_export(torch):
        raise kit.Skip("torch.export needs PyTorch 2.1 or later, this is %s" % torch.__version__)


def device(torch, name):
    """The torch device of that name; the CPU where CUDA is named and cannot be used: exporting needs no device."""
    return torch.device(name if not name.startswith("cuda") or torch.cuda.is_available() else "cpu")


def tell_toy(torch, where):
    """Whether a small model exports in this process, right: told by compile.* where compiling did not work."""
    if not has_export(torch):
        return
    model, x = _model(torch, where), _inputs(torch, where, BATCH)
    try:
        with torch.no_grad():
            out = runnable(torch.export.export(model, (x,)))(x)
            told = difference(torch, out.cpu(), model(x).cpu())
        kit.fact("export.toy", "right" if told == 0.0 else "differs", "exported and called in this process: %s" % told)
    except Exception as error:
        kit.fact("export.toy", "raised", "%s: %s" % (type(error).__name__, str(error).strip()[:300]))


class _Case:
    """One way to export: its name, whether the batch is dynamic, and whether it is traced by Dynamo (`strict`)."""

    def __init__(self, name, dynamic, strict):
        self.name, self.dynamic, self.strict = name, dynamic, strict
        self.path = os.path.join(kit.request.artifacts, "export.%s" % name)

    @property
    def batches(self):
        return (BATCH, OTHER_BATCH) if self.dynamic else (BATCH,)


def _cases(torch):
    """The cases that this version can express; what it cannot is told as a fact."""
    cases = [_Case("static", False, None)]
    if hasattr(torch.export, "Dim"):  # 2.2 and later
        cases += [_Case("dynamic", True, None), _Case("strict", True, True), _Case("non-strict", True, False)]
    else:
        kit.fact("export.dynamic", "not in this version", "torch.export.Dim came with 2.2")
    return cases


def _model(torch, where):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(10, 5), torch.nn.ReLU(), torch.nn.Linear(5, 1))
    return layers.eval().to(where)


def _inputs(torch, where, batch):
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(batch, 10, generator=generator).to(where)


def _make(torch, where, case):
    """Export, compare here, save: whether there is something to load. What is raised is told."""
    kit.progress("export %s" % case.name)
    model = _model(torch, where)
    begin = time.perf_counter()
    try:
        with torch.no_grad():
            program = _export(torch, model, _inputs(torch, where, BATCH), case)
            kit.figure("export_s", time.perf_counter() - begin, "s", case=case.name)
            kit.fact("export.%s.graph" % case.name, len(list(program.graph.nodes)), str(program.graph)[:600])
            _compare_here(torch, where, case, model, program)
            begin = time.perf_counter()
            torch.export.save(program, case.path + ".pt2")
            kit.figure("save_s", time.perf_counter() - begin, "s", case=case.name)
    except Exception as error:
        kit.raised("export.%s.raised" % case.name, error)
        draft(torch, model, (_inputs(torch, where, BATCH),))
        return False
    kit.fact("export.%s.bytes" % case.name, os.path.getsize(case.path + ".pt2"), "the saved program")
    return True


def _export(torch, model, x, case):
    options = {}
    if case.strict is not None:
        options["strict"] = case.strict
    if case.dynamic:
        options["dynamic_shapes"] = ({0: torch.export.Dim("batch", min=2, max=1024)},)
    return torch.export.export(model, (x,), **options)


def runnable(program):
    """What an exported program is called by."""
    module = getattr(program, "module", None)  # 2.2 and later; a program of 2.1 is called itself
    return module() if callable(module) else program


def _compare_here(torch, where, case, model, program):
    call, expected = runnable(program), {}
    for batch in case.batches:
        x = _inputs(torch, where, batch)
        expected[batch] = (x.cpu(), model(x).cpu())
        kit.fact("export.%s.here.%d" % (case.name, batch), difference(torch, call(x).cpu(), expected[batch][1]))
    torch.save(expected, case.path + ".expected")


def difference(torch, out, expected):
    """0.0 if bit-equal, else the largest difference, or in words why there is none."""
    if out.shape != expected.shape or out.dtype != expected.dtype:
        return "%s %s instead of %s %s" % (tuple(out.shape), out.dtype, tuple(expected.shape), expected.dtype)
    if torch.equal(out, expected):
        return 0.0
    largest = float((out.double() - expected.double()).abs().max())
    return largest if largest > 0.0 else "not comparable"


def draft(torch, model, args):
    """Why export refuses, in draft_export's words, where this version has it (public from 2.8)."""
    drafted = getattr(torch.export, "draft_export", None)
    if drafted is None:
        return
    try:
        report = getattr(drafted(model, args), "_report", None)
        kit.fact("export.draft", str(report)[:2000], "torch.export.draft_export")
    except Exception as error:
        kit.raised("export.draft.raised", error)


def _ask_other_process(torch, names):
    kit.progress("load in a fresh process")
    ending = kit.spawn_self("load", LOAD_LIMIT_S, folder=kit.request.artifacts, cases=names)
    kit.fact("export.fresh.ending", ending, "exit code of the process that loaded")
    one = torch.ones(3)
    told = difference(torch, one, one + torch.tensor([0.0, 0.0, 1e-6])), difference(torch, one, one.clone())
    kit.fact("export.comparison", told[0] != 0.0 and told[1] == 0.0, "a change of 1e-6 is seen, equality too")


def _load_there(torch, folder, names):
    """The other process: load each program, compute from the saved inputs, compare with what the first computed."""
    kit.fact("export.fresh.pid", os.getpid(), "not the process that exported")
    where = device(torch, kit.request.device)
    for name in names:
        path = os.path.join(folder, "export.%s" % name)
        try:
            begin = time.perf_counter()
            call = runnable(torch.export.load(path + ".pt2"))
            kit.figure("load_s", time.perf_counter() - begin, "s", case=name)
            with torch.no_grad():
                for batch, (x, expected) in torch.load(path + ".expected").items():
                    out = call(x.to(where)).cpu()
                    kit.fact("export.%s.fresh.%d" % (name, batch), difference(torch, out, expected))
        except Exception as error:
            kit.raised("export.%s.fresh.raised" % name, error)
