"""Cards of `export.*`."""

from __future__ import annotations

from ...model import Fix
from .base import Card

_EXPORT = "https://pytorch.org/docs/stable/export.html"

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-FWD-001",
        title="Annotated and bare forwards could not be told apart",
        why="The same reading of a signature must call an annotated forward complete, one with `*args` open, and one "
        "whose annotation names nothing unresolved. If it does not, what it says about other modules means nothing.",
        source="inspect.signature, typing.get_type_hints",
    ),
    Card(
        id="TD-FWD-002",
        title="A forward with annotated arguments and result does not behave as annotated",
        why="The module was built here, its signature read, and it was called with values of the types that were read.",
        fix=Fix(command="python -m pip install --force-reinstall torch"),
        source="inspect.signature, typing.get_type_hints",
    ),
    Card(
        id="TD-FWD-003",
        title="TorchScript does not compile an annotated forward",
        why="torch.jit.script reads argument types from annotations. It is deprecated, and Python 3.14 and later may "
        "refuse it; programs that still load scripted modules are affected.",
        fix=Fix(command="python -c 'import torch; help(torch.export.export)'    # what takes its place"),
        source="https://pytorch.org/docs/stable/jit.html",
    ),
    Card(
        id="TD-FWD-004",
        title="FX does not keep the annotations of a forward",
        why="Tools that dispatch on types read them from the placeholders of a traced graph.",
        fix=Fix(command="python -m pip install --upgrade torch"),
        source="https://pytorch.org/docs/stable/fx.html",
    ),
    Card(
        id="TD-EXP-001",
        title="torch.export raises an error on a small model",
        why="Two linear layers must export in every mode that this version has. The whole traceback is an artifact of "
        "this probe; where draft_export could say what stands in the way, its words are given.",
        fix=Fix(command="TORCH_LOGS=+export python <your script>"),
        source=_EXPORT,
    ),
    Card(
        id="TD-EXP-002",
        title="The exported program gives other numbers",
        why="The program was called with the inputs that the model was called with, in the process that exported it "
        "and in another one. The difference is more than rounding.",
        fix=Fix(command="python -m pip install --upgrade torch"),
        source="measured: bit-equal on 2.1, 2.6 and 2.13",
    ),
    Card(
        id="TD-EXP-003",
        title="The exported program differs in the last bits",
        why="Within rounding, but not bit-equal, which it is on sound stacks: another kernel was chosen.",
        fix=Fix(command="CUBLAS_WORKSPACE_CONFIG=:4096:8 python <your script>"),
        source="measured: bit-equal on 2.1, 2.6 and 2.13",
    ),
    Card(
        id="TD-EXP-004",
        title="A saved program does not load in another process",
        why="Export and save worked; a fresh process with the same Python could not load or run the file.",
        fix=Fix(command="python -c 'import torch; torch.export.load(\"<file>.pt2\")'"),
        source=_EXPORT,
    ),
    Card(
        id="TD-EXP-005",
        title="The comparison of outputs cannot be trusted",
        why="Before it is used, the comparison must see a change of one part in a million, and equality.",
        source="measured",
    ),
    Card(
        id="TD-EXP-006",
        title="This PyTorch exports static shapes only",
        why="torch.export.Dim, which names a dynamic dimension, came with 2.2.",
        fix=Fix(command="python -m pip install --upgrade torch"),
        source=_EXPORT,
        versions="2.1",
    ),
)
