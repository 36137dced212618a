"""What to do about a graph break where torch gives no hint of its own (2.1 to 2.6): by its kind, in our words."""

from __future__ import annotations

import re
from typing import Final

_ROWS: Final = {
    r"print|logging|warnings\.warn": (
        "Take the call out of what is compiled, or add it to torch._dynamo.config.reorderable_logging_functions."
    ),
    r"\.item\b|_local_scalar_dense|tolist": (
        "Set torch._dynamo.config.capture_scalar_outputs = True, or keep the value a tensor."
    ),
    r"generic_jump|data-dependent|dynamic control flow": (
        "The branch depends on a tensor's value: use torch.where or torch.cond, or decide it outside."
    ),
    r"nonzero|dynamic shape operator|unique|masked_select": (
        "The result's shape depends on the data: set torch._dynamo.config.capture_dynamic_output_shape_ops = True, "
        "or use a mask of fixed size."
    ),
    r"graph_break": "Remove the call of torch._dynamo.graph_break(), or leave it if it is meant.",
    r"disable": ("The function is marked with torch.compiler.disable: remove the mark, or call it outside."),
    r"skip function|skipfiles|marked as skipped": (
        "torch.compile does not look into this function: replace it, allow it (torch.compiler.allow_in_graph), "
        "or call it outside."
    ),
    r"non-Tensor": "A torch function gives a plain Python value here: compute it outside of what is compiled.",
    r"numpy": "Use torch's own operation in place of NumPy's.",
    r"autograd\.Function|custom op": (
        "Register it as an operator: torch.library.custom_op with a fake implementation."
    ),
    r"context manager|ContextWrapping|with statement": "Enter the context outside of what is compiled.",
    r"for/while loop": "A break inside a loop leaves the whole function to eager: move what breaks out of the loop.",
    r"call_method UserDefinedObject|call_function UserDefined|missing: ": (
        "torch.compile cannot follow this object: pass plain values and tensors, or call it outside."
    ),
}
"""What is looked for in the kind or the reason, and what helps; the first that is found holds."""

_READ: Final = tuple((re.compile(pattern, re.IGNORECASE), hint) for pattern, hint in _ROWS.items())


def hints(kind: str, reason: str) -> tuple[str, ...]:
    """What would mend a break of this kind; nothing where nothing can be said."""
    said = f"{kind}\n{reason[:2000]}"
    return next(((hint,) for pattern, hint in _READ if pattern.search(said)), ())
