"""export.entry: can the user's own model be exported, strictly or not, and does the program answer as the model does?

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. Interfaces by version: see
export.py. What export raises is told as facts; nothing is judged here.
"""

import time

import torchdoctor_entry as entry_kit
import torchdoctor_export as export
import torchdoctor_kit as kit
import torchdoctor_measure as measure


def run(request):
    """The probe."""
    torch = kit.import_torch()
    if not callable(getattr(getattr(torch, "export", None), "export", None)):
        raise kit.Skip("torch.export needs PyTorch 2.1 or later, this is %s" % torch.__version__)
    measure.device(torch, request.device)
    entry = entry_kit.load(torch, request)
    steady = entry_kit.steadiness(torch, entry)
    model = as_module(torch, entry.function)
    made = [_case(torch, entry, model, steady, name, options) for name, options in _cases(torch)]
    if not any(made):
        export.draft(torch, model, entry.args)


def _cases(torch):
    """Non-strict tracing first, as from 2.8; a version without the choice has its one way alone."""
    if hasattr(torch.export, "Dim"):  # 2.2 and later, and with it `strict`
        return (("non-strict", {"strict": False}), ("strict", {"strict": True}))
    return (("only", {}),)


def as_module(torch, function):
    """What torch.export takes: a module; an uncompiled one, for export traces by itself."""
    function = getattr(function, "_orig_mod", None) or getattr(function, "_torchdynamo_orig_callable", function)
    if isinstance(function, torch.nn.Module):
        return function

    class Whole(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.held = torch.nn.ModuleList(entry_kit.modules_of(torch, function))

        def forward(self, *args):
            return function(*args)

    return Whole()


def _case(torch, entry, model, steady, name, options):
    kit.progress("export %s" % name)
    begin = time.perf_counter()
    try:
        program = torch.export.export(model, entry.args, **options)
        kit.figure("export_s", time.perf_counter() - begin, "s", case=name)
        kit.figure("graph_nodes", len(list(program.graph.nodes)), "nodes", case=name)
        answer = entry.seeded(export.runnable(program))
        entry_kit.tell_distance(torch, name, answer, steady.answer)
    except Exception as error:
        kit.raised("export.%s" % name, error)
        return False
    return True
