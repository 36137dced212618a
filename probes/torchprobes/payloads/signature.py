"""export.signature: can tools read the signature of a module's forward, and does what they read hold?

The same detector looks at modules built here (annotated, bare, with an annotation that names nothing) and at
modules of PyTorch itself; that it tells the first three apart is the proof that it can say no. Standard library and
torch 2.1 or later; parses on Python 3.8.
"""

import inspect
import typing
import warnings

import torchdoctor_kit as kit


def run(request):
    """The probe."""
    torch = kit.import_torch()
    modules = _modules(torch)
    _tell_self_check(modules)
    _tell_call(torch, modules["annotated"])
    _tell_script(torch, modules["annotated"])
    _tell_traced(torch, modules["annotated"])
    _tell_library(torch)


def _modules(torch):
    """The three cases of the detector, as a person would write them."""

    class Annotated(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(10, 5)

        def forward(self, x: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
            return torch.relu(self.linear(x)) * scale

    class Bare(torch.nn.Module):
        def forward(self, x, *rest, **options):
            return x

    class Unresolved(torch.nn.Module):
        def forward(self, x: "NoSuchTensor") -> "NoSuchTensor":  # noqa: F821 - on purpose
            return x

    torch.manual_seed(0)
    return {"annotated": Annotated(), "bare": Bare(), "unresolved": Unresolved()}


def read(forward):
    """What tools see in a forward: (state, detail, type hints).

    State is "complete" (every parameter and the result carry a type that resolves), "partial" (some do not),
    "open" (`*args` or `**kwargs` take part), "bare" (nothing is annotated), "unresolved" (an annotation names
    nothing) or "unreadable" (no signature at all).
    """
    try:
        signature = inspect.signature(forward)
    except (TypeError, ValueError) as error:
        return "unreadable", str(error), {}
    try:
        hints = typing.get_type_hints(forward)
    except Exception as error:
        return "unresolved", "%s: %s" % (type(error).__name__, error), {}
    parameters = [p for name, p in signature.parameters.items() if name != "self"]
    missing = [p.name for p in parameters if p.annotation is inspect.Parameter.empty]
    if signature.return_annotation is inspect.Signature.empty:
        missing.append("result")
    return _state(parameters, missing), "%s; without a type: %s" % (signature, ", ".join(missing) or "none"), hints


def _state(parameters, missing):
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        return "open"
    if not missing:
        return "complete"
    return "bare" if len(missing) == len(parameters) + 1 else "partial"


def _tell_self_check(modules):
    expected = {"annotated": "complete", "bare": "open", "unresolved": "unresolved"}
    for name, module in modules.items():
        state, detail, _ = read(type(module).forward)
        kit.fact("forward.%s" % name, state, detail)
    told = {name: read(type(module).forward)[0] for name, module in modules.items()}
    kit.fact("forward.detector", told == expected, "expected %s, told %s" % (expected, told))


def _tell_call(torch, module):
    """The annotated module called with values of the types that were read: the result must have the read type."""
    _, _, hints = read(type(module).forward)
    values = {torch.Tensor: torch.ones(4, 10), float: 3.0}
    try:
        arguments = [values[kind] for name, kind in hints.items() if name != "return"]
        result = module(*arguments)
        right = isinstance(result, hints["return"]) and tuple(result.shape) == (4, 5)
        same = torch.equal(result, torch.relu(module.linear(torch.ones(4, 10))) * 3.0)
        kit.fact("forward.call", "right" if right and same else "wrong", "%s -> %s" % (hints, type(result).__name__))
    except Exception as error:
        kit.raised("forward.call.raised", error)


def _tell_script(torch, module):
    """TorchScript compiles from the annotations; newer PyTorch warns that it is deprecated, or leaves it out."""
    if not hasattr(torch, "jit") or not hasattr(torch.jit, "script"):
        kit.fact("forward.script", "absent", "this PyTorch has no torch.jit.script")
        return
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            scripted = torch.jit.script(module)
        kinds = [str(a.type) for a in scripted.forward.schema.arguments if a.name != "self"]
        result = [str(r.type) for r in scripted.forward.schema.returns]
        x = torch.ones(4, 10)
        right = kinds == ["Tensor", "float"] and result == ["Tensor"] and torch.equal(scripted(x), module(x))
        words = "; ".join(sorted({str(w.message).split("\n")[0] for w in caught}))
        kit.fact("forward.script", "right" if right else "wrong", "%s -> %s %s" % (kinds, result, words))
    except Exception as error:
        kit.raised("forward.script.raised", error)


def _tell_traced(torch, module):
    """FX keeps the annotations on its placeholders: what serving and export tools dispatch on."""
    try:
        graph = torch.fx.symbolic_trace(module).graph
        kinds = [node.type for node in graph.nodes if node.op == "placeholder"]
        kit.fact("forward.fx", "right" if kinds == [torch.Tensor, float] else "wrong", str(kinds))
    except Exception as error:
        kit.raised("forward.fx.raised", error)


def _tell_library(torch):
    """The forwards of PyTorch's own modules, so that a person sees what tools meet in a real model."""
    names = [n for n in dir(torch.nn.modules) if not n.startswith("_")]
    kinds = [getattr(torch.nn.modules, n) for n in names]
    classes = [k for k in kinds if inspect.isclass(k) and issubclass(k, torch.nn.Module)]
    own = [k for k in classes if "forward" in vars(k)]
    states = {k.__name__: read(k.forward)[0] for k in own}
    for state in sorted(set(states.values())):
        members = sorted(n for n, s in states.items() if s == state)
        kit.figure("library_forwards", len(members), "modules", n=len(states), state=state)
        kit.fact("forward.library.%s" % state, len(members), ", ".join(members))
    kit.fact("forward.library", len(states), "modules of torch.nn with a forward of their own")
