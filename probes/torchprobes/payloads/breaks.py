"""compile.breaks: can this stack tell where a graph breaks, why, and what helps?

A corpus of functions with one known cause each is given to Dynamo; what it tells must name the cause, and the very
line. What a newer version captures whole is no break any more, and is told as such. Nothing is compiled by Inductor:
breaks are decided before. Standard library and torch 2.1 or later; parses on Python 3.8.
"""

import linecache
import re

import torchdoctor_control as control
import torchdoctor_graph_breaks as graph_breaks
import torchdoctor_kit as kit
import torchdoctor_measure as measure
import torchdoctor_traps as traps


def run(request):
    """The probe."""
    torch = kit.import_torch()
    control.need_compile(torch)
    where = measure.device(torch, request.device)
    import torch._dynamo

    registry = graph_breaks.Registry(torch)
    kit.figure("documented_breaks", len(registry.kinds), "kinds")
    with torch.no_grad():
        x = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).to(where)
        if not control.entered(torch, where, traps.plain, x):
            return
        clean = graph_breaks.first(torch, traps.plain, (x,), registry)
        kit.fact("breaks.control", "clean" if clean is None else "broken", "" if clean is None else clean.text)
        for trap in traps.corpus(torch, where):
            kit.progress("trap: %s" % trap.name)
            _spring(torch, trap, x, registry)


def _spring(torch, trap, x, registry):
    """Run one trap compiled, count its graphs and entries, and ask what broke it."""
    start = "trap.%s" % trap.name
    expected = _last(trap.function(x))
    torch._dynamo.reset()
    counting = control.Nothing()
    try:
        out = _last(torch.compile(trap.function, backend=counting)(x))
        kit.fact(start + ".answer", bool(torch.allclose(out, expected)), "compiled against eager")
    except Exception as error:
        kit.fact(start + ".raised", type(error).__name__, measure.first_line(error))
    whole = counting.graphs == 1 and counting.calls == 1
    kit.figure("graphs", counting.graphs, "graphs", trap=trap.name)
    seen = graph_breaks.first(torch, trap.function, (x,), registry)
    if seen is None:
        kit.fact(start, "captured" if whole else "not told", "%d graphs" % counting.graphs)
        return
    named = re.search(trap.words, seen.text) is not None
    placed = "# trap" in linecache.getline(seen.file, seen.line)
    state = "told" if named and placed and seen.hint else "told in part"
    missing = [w for w, ok in (("cause", named), ("place", placed), ("remedy", bool(seen.hint))) if not ok]
    kit.fact(start, state, "missing: " + ", ".join(missing) if missing else seen.place)
    kit.fact(start + ".what", ("%s %s" % (seen.id, seen.what)).strip(), seen.place)
    kit.fact(start + ".remedy", seen.hint, seen.why)


def _last(out):
    """A generator's last value: its body runs while it is consumed."""
    return list(out)[-1] if hasattr(out, "__next__") else out
