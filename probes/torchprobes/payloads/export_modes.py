"""export.modes: which ways to export has this PyTorch, and what does each say of a model that cannot be exported?

A sound model is exported in every mode, and a model that branches on its data: the refusal must name the cause, and
draft_export must give a program with a report. What becomes of a program that is saved is export.roundtrip's. Drift:
`strict=` from 2.2, True by default up to 2.7 and False from 2.8; draft_export is private in 2.6 and 2.7 and public
from 2.8. Standard library and torch 2.1 or later; parses on Python 3.8.
"""

import importlib
import inspect
import os
import re
import time

import torchdoctor_export as export
import torchdoctor_kit as kit

BATCH = 8
PLACE = re.compile(r'"([^"\n]+)", line (\d+)')
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def run(request):
    """The probe."""
    torch = kit.import_torch()
    export.need_export(torch)
    where = export.device(torch, request.device)
    x = torch.linspace(-1.0, 1.0, BATCH * 4).reshape(BATCH, 4).to(where)
    modes = _modes(torch)
    _tell_interface(torch)
    with torch.no_grad():
        for name, ask in modes.items():
            kit.progress("export %s" % name)
            _tell_sound(torch, name, ask, x)
            _tell_refusal(torch, name, ask, x)


def _modes(torch):
    """{name: how to export a module with one input}; only what this version has."""
    made = {"default": lambda module, x: torch.export.export(module, (x,))}
    if "strict" in inspect.signature(torch.export.export).parameters:
        made["strict"] = lambda module, x: torch.export.export(module, (x,), strict=True)
        made["non-strict"] = lambda module, x: torch.export.export(module, (x,), strict=False)
    if hasattr(torch.export, "Dim"):
        made["dynamic"] = lambda module, x: torch.export.export(module, (x,), dynamic_shapes=({0: _batch(torch)},))
    draft = _draft(torch)
    if draft is not None:
        made["draft"] = lambda module, x: draft(module, (x,))
    return made


def _batch(torch):
    return torch.export.Dim("batch", min=2, max=1024)


def _draft(torch):
    """draft_export, public or private; None before 2.6."""
    public = getattr(torch.export, "draft_export", None)
    if public is not None:
        return public
    try:
        return importlib.import_module("torch.export._draft_export").draft_export
    except (ImportError, AttributeError):
        return None


def _tell_interface(torch):
    """What of the interface is there: a program that is carried to another version meets these differences."""
    parameters = inspect.signature(torch.export.export).parameters
    strict = parameters.get("strict")
    kit.fact("modes.strict_default", None if strict is None else strict.default, "torch.export.export(strict=)")
    module = hasattr(getattr(torch.export, "ExportedProgram", None), "module")
    for name, there, since in (
        ("Dim", hasattr(torch.export, "Dim"), "2.2"),
        ("strict=", strict is not None, "2.2"),
        (".module()", module, "2.1"),
        ("draft_export", hasattr(torch.export, "draft_export"), "2.8 (private in 2.6 and 2.7)"),
    ):
        kit.fact("modes.has.%s" % name, there, "torch.export, from %s" % since)


def _sound(torch):
    class Sound(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where(x.sum() > 0, x * 2, x * 3).relu()

    return Sound().eval()


def _branching(torch):
    class Branching(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.sum() > 0:  # branches on data
                return x * 2
            return x * 3

    return Branching().eval()


def _tell_sound(torch, name, ask, x):
    """The sound model: exported, and the program's answer that of the model, for another batch too if it may be."""
    module = _sound(torch)
    begin = time.perf_counter()
    try:
        program, _ = _parts(ask(module, x))
        kit.figure("export_s", time.perf_counter() - begin, "s", mode=name)
        call = export.runnable(program)
        inputs = [x, -x] + ([torch.cat([x, x])] if name == "dynamic" else [])
        told = [export.difference(torch, call(i).cpu(), module(i).cpu()) for i in inputs]
        bad = [d for d in told if d != 0.0]
        kit.fact(
            "modes.%s" % name, "differs" if bad else "right", "%d answers; difference %s" % (len(told), bad or 0.0)
        )
    except Exception as error:
        kit.fact("modes.%s" % name, "raised", "%s: %s" % (type(error).__name__, str(error).strip()[:300]))


def _tell_refusal(torch, name, ask, x):
    """The model that branches: what was raised, whether it names the line; for draft_export, its report."""
    start = "modes.%s.branch" % name
    try:
        program, report = _parts(ask(_branching(torch), x))
    except Exception as error:
        text = str(error)
        kit.fact(start, "refused", type(error).__module__ + "." + type(error).__qualname__)
        kit.fact(start + ".named", _names_branch(text), text.strip().splitlines()[0][:300] if text.strip() else "")
        return
    successful = getattr(report, "successful", None)
    kit.fact(start, "exported", "a program came back")
    if name == "draft":
        kit.fact(start + ".successful", bool(successful()) if callable(successful) else None, _words(report))
        failures = [getattr(f.failure_type, "name", str(f.failure_type)) for f in getattr(report, "failures", [])]
        kit.fact(start + ".failures", ", ".join(failures), "failures in draft_export's report")
        return
    kit.fact(start + ".here", export.difference(torch, export.runnable(program)(-x), _branching(torch)(-x)), "on -x")


def _parts(program):
    """(program, report of draft_export or None): 2.6 gives both in a tuple, later versions keep the report inside."""
    return program if isinstance(program, tuple) else (program, getattr(program, "_report", None))


def _words(report):
    """A report on one line, without colours and rules."""
    return " ".join(COLOUR.sub("", str(report)).replace("#", " ").split())[:300]


def _names_branch(text):
    """Whether the message leads to the branch: its line in this file, or the words for it."""
    mine = os.path.basename(__file__)
    return any(os.path.basename(file) == mine for file, _ in PLACE.findall(text)) or mine in text
