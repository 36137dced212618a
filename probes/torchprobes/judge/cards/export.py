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
    Card(
        id="TD-EXP-020",
        title="torch.compile does not run here, torch.export does",
        why="Export needs Dynamo's tracing alone, and no code generator for this device: the program that it gives can "
        "be run as it is, lowered by a vendor's compiler, or compiled elsewhere.",
        fix=Fix(command="python -c 'import torch; help(torch.export.export)'"),
        source="measured; seen on accelerators without an Inductor backend",
    ),
    Card(
        id="TD-EXP-030",
        title="A way to export fails on a sound model",
        why="The model has one tensor in, one out, and chooses with torch.where: every mode of torch.export that this "
        "version has must take it, and the program must answer as the model does.",
        fix=Fix(command="TORCH_LOGS=+export python <your script>"),
        source=_EXPORT,
    ),
    Card(
        id="TD-EXP-031",
        title="A refusal of torch.export does not name the line",
        why="A model that branches on its data must be refused with the place of the branch; without it the search "
        "begins at the whole model.",
        fix=Fix(command="torch.export.draft_export(model, args)    # 2.8 and later: tells all obstacles at once"),
        source=_EXPORT,
    ),
    Card(
        id="TD-EXP-032",
        title="A branch on data was exported one way only",
        why="The program holds the branch that the example took, and gives that answer for all data.",
        fix=Fix(command="torch.cond(pred, true_fn, false_fn, args)    # or torch.where, in the model"),
        source=_EXPORT,
    ),
    Card(
        id="TD-EXP-033",
        title="draft_export does not report a branch on data",
        why="Its report is what a person goes by: `successful()` must be False where a guard on data was assumed.",
        fix=Fix(command="torch.export.export(model, args, strict=False)    # refuses, and names the line"),
        source="torch/export/_draft_export.py",
        versions="2.8 and later",
    ),
    Card(
        id="TD-EXP-040",
        title="AOTInductor does not compile a small model",
        why="Four layers were exported and could not be compiled ahead of time. The whole traceback is an artifact of "
        "this probe.",
        fix=Fix(command="torchdoctor explain -    # and paste the traceback"),
        source="torch/_inductor/__init__.py (aoti_compile_and_package)",
        versions="2.6 and later",
    ),
    Card(
        id="TD-EXP-041",
        title="An AOTInductor package does not load in another process",
        why="The package was made with the same Python and device; a fresh process could not load or run it. A crash "
        "in the loader is often the compiler's: on an H200 image, packages made by the g++ that its CXX names ended "
        "the process with signal 11, and those made by the system's g++ were loaded.",
        fix=Fix(command="CXX=/usr/bin/g++ CC=/usr/bin/gcc <make the package again>    # another compiler than now"),
        source="torch/_inductor/__init__.py (aoti_load_package); measured with torch 2.11",
        versions="2.6 and later",
    ),
    Card(
        id="TD-EXP-042",
        title="An AOTInductor package gives other numbers",
        why="The package was called with the inputs that the model was called with; the difference is more than "
        "rounding.",
        fix=Fix(command="torch.compile(model)    # does it differ too? then see TD-CMP-050"),
        source="measured: below 1e-6",
        versions="2.6 and later",
    ),
    Card(
        id="TD-EXP-043",
        title="AOTInductor finds no headers of a CUDA toolkit",
        why="torch.compile needs no toolkit, but the C++ that AOTInductor writes for a CUDA device includes cuda.h and "
        "is built against a toolkit; wheels and runtime images bring none.",
        fix=Fix(command="export CUDA_HOME=/usr/local/cuda-<torch.version.cuda>    # of an installed toolkit"),
        source="torch/_inductor/cpp_builder.py",
        versions="2.6 and later",
    ),
)
