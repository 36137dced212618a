"""Cards of errors that imports, builds, loading and the compiler raise, for `explain -`."""

from __future__ import annotations

from ...model import Fix
from .base import Card

_EXTENSION = "https://docs.pytorch.org/docs/stable/cpp_extension.html"
_COMPILE = "https://docs.pytorch.org/docs/stable/torch.compiler_troubleshooting.html"

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-ERR-020",
        title="An extension was built for another PyTorch",
        why="Its library asks for a C++ symbol that this PyTorch does not have. Wheels of extensions hold for one "
        "minor version of PyTorch, one CUDA major version, one Python, and one C++ ABI.",
        fix=Fix(command="python -m pip install --force-reinstall --no-deps --no-build-isolation --no-cache-dir <name>"),
        source=_EXTENSION,
    ),
    Card(
        id="TD-ERR-021",
        title="An older libstdc++ was found first",
        why="A library needs a newer C++ library than the one that the loader found: the system's, or one of a module "
        "that was imported before. In a conda environment the newer one is there and not on the path.",
        fix=Fix(command="LD_LIBRARY_PATH=$CONDA_PREFIX/lib python <your script>    # or: conda install libstdcxx-ng"),
        source="https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html",
    ),
    Card(
        id="TD-ERR-022",
        title="This system's C library is too old for that binary",
        why="The binary was built on a newer distribution. The C library cannot be replaced under a running system.",
        fix=Fix(command="python -m pip install --no-binary :all: <name>    # built here; or a newer container image"),
        source="https://peps.python.org/pep-0600/",
    ),
    Card(
        id="TD-ERR-023",
        title="A library of CUDA cannot be found",
        why="The name tells the major version: .so.11 is wanted by something that was built for CUDA 11. PyTorch's "
        "wheels bring their own libraries of one major version; an extension for another one does not find its own.",
        fix=Fix(command="python -c 'import torch; print(torch.version.cuda)'    # and install the extension for that"),
        source=_EXTENSION,
    ),
    Card(
        id="TD-ERR-024",
        title="Libraries of CUDA from two releases are mixed",
        why="One library was found in PyTorch's wheels and the other somewhere else, usually a toolkit's folder in "
        "LD_LIBRARY_PATH, so that a symbol of the newer one is missing.",
        fix=Fix(command="env -u LD_LIBRARY_PATH python <your script>"),
        source="https://github.com/pytorch/pytorch/issues/111469",
    ),
    Card(
        id="TD-ERR-025",
        title="Building an extension needs a CUDA toolkit",
        why="PyTorch runs without one; compiling CUDA code needs nvcc of the same major version as torch.version.cuda.",
        fix=Fix(command="export CUDA_HOME=/usr/local/cuda-<the version of torch.version.cuda>"),
        source=_EXTENSION,
    ),
    Card(
        id="TD-ERR-026",
        title="A checkpoint holds more than weights",
        why="torch.load has refused to run code from a file by default since 2.6. A checkpoint with other objects "
        "needs them to be allowed by name, or trust in whoever made it.",
        fix=Fix(command="torch.serialization.add_safe_globals([<the class that is named>])"),
        source="https://docs.pytorch.org/docs/stable/notes/serialization.html",
        versions="2.6 and later",
    ),
    Card(
        id="TD-ERR-027",
        title="A checkpoint was saved on a GPU that is not here",
        why="Without map_location tensors go back to the device that they were saved from.",
        fix=Fix(command="torch.load(path, map_location='cpu')"),
        source="https://docs.pytorch.org/docs/stable/generated/torch.load.html",
    ),
    Card(
        id="TD-ERR-028",
        title="A checkpoint or archive is cut short",
        why="The end of the file is missing: a save or a download was interrupted, the disk was full, or git-lfs left "
        "a pointer in its place.",
        fix=Fix(command="ls -l <file>; head -c 200 <file>    # and save to a temporary name, then rename"),
        source="caffe2/serialize/inline_container.cc",
    ),
    Card(
        id="TD-ERR-029",
        title="nvcc does not take this C++ compiler",
        why="Each toolkit knows compilers up to a version, and refuses later ones.",
        fix=Fix(command="CC=gcc-12 CXX=g++-12 NVCC_PREPEND_FLAGS='-ccbin g++-12' python -m pip install <name>"),
        source="https://docs.nvidia.com/cuda/cuda-installation-guide-linux/index.html#host-compiler-support-policy",
    ),
    Card(
        id="TD-ERR-050",
        title="The compiler met code that it cannot trace, and no break was allowed",
        why="With fullgraph=True, and in strict export, Python that the tracer does not support is an error instead of "
        "a graph break. The message names the construct; the last frame of your code in it is the place.",
        fix=Fix(command="torchdoctor check compile.breaks    # and: TORCH_LOGS=graph_breaks python <your script>"),
        source=_COMPILE,
    ),
    Card(
        id="TD-ERR-051",
        title="A branch or a size depends on the values of a tensor",
        why="Tracing sees shapes, not values: `if x.sum() > 0`, x.item() as a size, and nonzero() need the numbers.",
        fix=Fix(command="torch.cond(pred, a, b, args)    # or torch._check(u0 >= 0) for sizes that come from .item()"),
        source="https://docs.pytorch.org/docs/stable/export.html#data-shape-dependent-control-flow",
    ),
    Card(
        id="TD-ERR-052",
        title="A recompilation where none was allowed",
        why="The stance, or error_on_recompile, forbids it; the message names the guard that failed: a new shape, "
        "type, or value of an argument.",
        fix=Fix(command="TORCH_LOGS=recompiles python <your script>    # then torch._dynamo.mark_dynamic(x, 0)"),
        source=_COMPILE,
    ),
    Card(
        id="TD-ERR-053",
        title="An input breaks a constraint of export",
        why="A dimension was declared dynamic and the traced program makes it constant or relates it to another one, "
        "or a call has a shape that was not exported. The message suggests the fix.",
        fix=Fix(command="torch.export.export(model, args, dynamic_shapes={'x': {0: torch.export.Dim.AUTO}})"),
        source="https://docs.pytorch.org/docs/stable/export.html#expressing-dynamism",
    ),
    Card(
        id="TD-ERR-054",
        title="The compiler's backend failed",
        why="The error below or above it tells what it lacks; torchdoctor tries its tools one by one.",
        fix=Fix(command="torchdoctor check compile.toolchain compile.default"),
        source=_COMPILE,
    ),
    Card(
        id="TD-ERR-055",
        title="A triton kernel needs more shared memory than this GPU has",
        why="Its block sizes were chosen for a larger card: shared memory a multiprocessor is 228 KiB on H100, 164 on "
        "A100, and 100 on consumer cards.",
        fix=Fix(
            command="triton.Config({'BLOCK_M': 64, 'BLOCK_N': 64}, num_stages=2)    # smaller blocks, fewer stages"
        ),
        source="https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#compute-capabilities",
    ),
)
