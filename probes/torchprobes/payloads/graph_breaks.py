"""Where and why a graph breaks, and what helps: in Dynamo's words, with the remedy that the wheel itself brings.

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. The bootstrap loads this file
under the name `torchdoctor_graph_breaks`.

    seen = graph_breaks.first(torch, function, args)          # the first obstacle, or None: captured whole
    for seen in graph_breaks.all_of(torch, function, args):   # every break of one call
        seen.what, seen.file, seen.line, seen.id, seen.why, seen.hint

From 2.8 on PyTorch ships `torch/_dynamo/graph_break_registry.json`: every kind of break with an explanation and hints.
Earlier versions have none; a small table here stands in for the usual ones.
"""

import inspect
import json
import os
import re

REGISTRY = os.path.join("_dynamo", "graph_break_registry.json")
REGISTRY_LIMIT = 4 << 20
"""Bytes read of it at most; it has 250 to 290 KB in 2.13 and 2.14."""

_ID = re.compile(r"/(gb\d{4,})\.html", re.IGNORECASE)
_FIELDS = re.compile(r"^\s*(Explanation|Hint|Developer debug context):\s*(.*)$")

_OLD = (
    (r"generic_jump|[Dd]ynamic control flow|[Dd]ata-dependent branching",
     "a branch depends on a tensor's value", "Use torch.where or torch.cond, or move the decision outside."),
    (r"Tensor\.item|local_scalar_dense|NumpyNdarrayVariable",
     "a tensor's value is read on the host",
     "Keep the value in a tensor, or set torch._dynamo.config.capture_scalar_outputs = True."),
    (r"[Dd]ynamic shape operator",
     "the shape of a result depends on data",
     "Set torch._dynamo.config.capture_dynamic_output_shape_ops = True, or use a mask."),
    (r"unsupported operator|fake tensors",
     "an operator has no fake implementation", "Register one: torch.library.register_fake (impl_abstract before 2.4)."),
    (r"print",
     "print() inside compiled code", "Move it outside, or print only while torch.compiler.is_compiling() is False."),
    (r"Logger|logging",
     "logging inside compiled code",
     "Add the method to torch._dynamo.config.ignore_logger_methods, or move the call outside."),
    (r"disable\(\)",
     "a function is marked torch.compiler.disable", "Remove the mark, or call the function outside."),
    (r"graph_break in (?:skip|file)|graph_break\(\)",
     "torch._dynamo.graph_break() is called", "Remove the call."),
    (r"^generator$|trace generator",
     "a generator is compiled", "Compile the function that consumes it: a generator itself runs eager."),
    (r"open",
     "a file is opened inside compiled code", "Do input and output outside."),
)  # fmt: skip
"""Words of Dynamo up to 2.7, what they mean, and what helps; the first that is found counts."""


class Break:
    """One break: `what` in one line, `file` and `line` of the user's code, the registry's `id` or "", `why`, `hint`."""

    def __init__(self, text, file="", line=0):
        self.text = text
        self.file = file
        self.line = line
        self.id = self.why = self.hint = ""
        self.what = next((line.strip() for line in text.splitlines() if line.strip()), "")[:300]

    @property
    def place(self):
        """`file:line`, or words if Dynamo did not say."""
        return "%s:%d" % (self.file, self.line) if self.file else "place unknown"


class Registry:
    """The kinds of break that this wheel documents, by id and by name; empty before 2.8."""

    def __init__(self, torch):
        self.kinds = _read(os.path.join(os.path.dirname(torch.__file__), REGISTRY))
        self._by_name = {}
        for key, kind in self.kinds.items():
            self._by_name.setdefault(str(kind.get("Gb_type", "")).strip(), key)

    def complete(self, seen):
        """Fill `id`, `why` and `hint` of a Break: from its own text, then from the registry, then from our table."""
        linked = _ID.search(seen.text)
        seen.id = linked.group(1).upper() if linked else self._by_name.get(seen.what, "")
        seen.why, seen.hint = _own_words(seen.text)
        kind = self.kinds.get(seen.id, {})
        seen.why = seen.why or str(kind.get("Explanation", ""))
        seen.hint = seen.hint or next(iter(map(str, kind.get("Hints") or [])), "")
        for pattern, why, hint in _OLD:
            if re.search(pattern, seen.what):
                seen.why = seen.why or why
                seen.hint = hint if not seen.hint or seen.hint.startswith("see http") else seen.hint
                if pattern.startswith("generic_jump") and not seen.id:  # explain's word for it in every version
                    seen.id = self._by_name.get("Data-dependent branching", "")
                break
        return seen


def _read(path):
    """{id: newest entry}; {} if there is no such file or it is not what it should be."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            told = json.loads(file.read(REGISTRY_LIMIT))
        return {str(k).upper(): v[0] for k, v in told.items() if isinstance(v, list) and v and isinstance(v[0], dict)}
    except (OSError, ValueError, AttributeError):
        return {}


def _own_words(text):
    """(explanation, first hint) of a message of 2.8 and later, with the values of this very break in them."""
    found = {}
    for line in text.splitlines():
        match = _FIELDS.match(line)
        if match and match.group(2):
            found.setdefault(match.group(1), match.group(2))
    return found.get("Explanation", "")[:500], found.get("Hint", "")[:500]


# --- asking ----------------------------------------------------------------------------------------------------------


def first(torch, function, args, registry=None):
    """What keeps one call from being captured as one graph, or None.

    Asked with fullgraph=True, which names the place in every version, a branch on data included. Newer versions
    capture under it what they break at otherwise (`.item()`), so a clean answer is asked for once more. Nothing is
    compiled by Inductor. Forgets what Dynamo knew.
    """
    registry = registry or Registry(torch)
    seen = _obstacle(torch, function, args)
    if seen is not None:
        return registry.complete(seen)
    return next(iter(all_of(torch, function, args, registry)), None)


def _obstacle(torch, function, args):
    torch._dynamo.reset()
    try:
        out = torch.compile(function, backend=_nothing, fullgraph=True)(*args)
        if hasattr(out, "__next__"):  # a generator's body runs only now
            list(out)
    except Exception as error:
        file, line = _users(torch, getattr(error, "real_stack", None) or [])
        if not file:
            file, line = _of_code(function)
        return Break(_message(error), file, line)
    finally:
        torch._dynamo.reset()
    return None


def all_of(torch, function, args, registry=None, most=20):
    """Every break of one call, in the order in which Dynamo met them; [] if there is none.

    Asked with `torch._dynamo.explain`; what that has no place for (a hook's, in 2.13) comes from the counters.
    Forgets what Dynamo knew. Raises what the call raises.
    """
    from torch._dynamo.utils import counters

    registry = registry or Registry(torch)
    torch._dynamo.reset()
    counters.clear()
    told = torch._dynamo.explain(function)(*args)
    found = [Break(str(r.reason), *_users(torch, r.user_stack or [])) for r in told.break_reasons]
    heads = {seen.what for seen in found}
    texts = [str(t) for name in ("graph_break", "unimplemented") for t in counters[name]]
    found += [seen for seen in map(Break, texts) if seen.what not in heads and not _same_branch(seen, found)]
    if told.graph_count == 0 and not found:  # 2.4 skips a generator without a word
        words = (
            "generator" if inspect.isgeneratorfunction(function) else "nothing was captured, and Dynamo gives no reason"
        )
        found.append(Break(words, *_of_code(function)))
    torch._dynamo.reset()
    return [registry.complete(seen) for seen in found[:most]]


def _same_branch(seen, found):
    """Whether `explain` has told this branch already, under its older name."""
    return "branching" in seen.what and any(other.what.startswith("generic_jump") for other in found)


def _nothing(graph_module, example_inputs):
    """A backend that compiles nothing: what breaks a graph is decided before the backend is asked."""
    return graph_module.forward


def _message(error):
    return str(error).partition("\n\nfrom user code:")[0] or type(error).__name__


def _users(torch, stack):
    """(file, line) of the innermost frame that is not PyTorch's own."""
    inside = os.path.dirname(torch.__file__) + os.sep
    for frame in reversed(list(stack)):
        if not frame.filename.startswith(inside):
            return frame.filename, frame.lineno
    return "", 0


def _of_code(function):
    code = getattr(function, "__code__", None) or getattr(getattr(function, "forward", None), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)
