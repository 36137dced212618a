"""Cards of `compile.toolchain`, breaks, recompiles, cache, workers and debug."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

_TOOLCHAIN = (
    Card(
        id="TD-CMP-100",
        title="Another triton than this PyTorch asks for",
        why="Each PyTorch is built against one triton and calls its internals; with another version compiling fails, "
        "or gives kernels that nobody has tested. Packages that pull in their own triton replace it unseen.",
        fix=Fix(command="python -m pip install 'torch==<installed version>'    # brings the triton that it pins"),
        source="Requires-Dist of torch's own metadata",
    ),
    Card(
        id="TD-CMP-101",
        title="This user id has no name, and the compile cache is named after it",
        why="Inductor's default directory is /tmp/torchinductor_<user>, and getpass.getuser() raises where the user id "
        "is not in /etc/passwd: usual in a container that runs with --user.",
        fix=Fix(command="export USER=$(id -u)    # or: export TORCHINDUCTOR_CACHE_DIR=<folder>"),
        source="torch/_inductor/runtime/cache_dir_utils.py (default_cache_dir)",
        versions="2.1 and 2.6 raise; 2.13 takes the number instead",
    ),
    Card(
        id="TD-CMP-102",
        title="There is no directory for temporary files",
        why="Python tried TMPDIR, /tmp, /var/tmp, /usr/tmp and the working directory, and could write in none. "
        "Compilers and Inductor need one.",
        fix=Fix(command="export TMPDIR=<writable folder>"),
        source="https://docs.python.org/3/library/tempfile.html#tempfile.gettempdir",
    ),
    Card(
        id="TD-CMP-103",
        title="The home directory cannot be written",
        why="Inductor keeps its triton kernels below its own cache directory, but kernels that are written by hand "
        "(those of Liger or vLLM, say) keep theirs in ~/.triton.",
        fix=Fix(command="export TRITON_CACHE_DIR=<writable folder>"),
        source="triton/runtime/cache.py",
    ),
    Card(
        id="TD-CMP-104",
        title="What the compiler builds cannot be loaded",
        why="The compiler works, but a library that its programs need at run time (libgomp, libstdc++) is not found, or "
        "or is older than the compiler.",
        fix=Fix(command="apt-get install libgomp1 libstdc++6", scope=Scope.NODE, needs=("root",)),
        source="ld.so(8)",
    ),
    Card(
        id="TD-CMP-105",
        title="The compile cache is on a network file system",
        why="Every compile writes and locks many small files; over a network that takes seconds, and a stale lock of "
        "another node can stop a job.",
        fix=Fix(command="export TORCHINDUCTOR_CACHE_DIR=<folder on a local disk> TRITON_CACHE_DIR=<the same>"),
        source="torch/_inductor/codecache.py (get_lock_dir)",
    ),
    Card(
        id="TD-CMP-106",
        title="The compile cache belongs to another user",
        why="Whoever owns the directory can put code there that this process loads; and what this user writes the "
        "other one may be unable to read.",
        fix=Fix(command="export TORCHINDUCTOR_CACHE_DIR=<folder of your own> TRITON_CACHE_DIR=<the same>"),
        source="torch/_inductor/runtime/cache_dir_utils.py",
    ),
    Card(
        id="TD-CMP-107",
        title="Little space is left for compiled code",
        why="A compile cache that cannot grow ends the first compile of a large model with an error in the middle.",
        fix=Fix(command="export TORCHINDUCTOR_CACHE_DIR=<folder with room> TRITON_CACHE_DIR=<the same>"),
        source="measured",
    ),
    Card(
        id="TD-CMP-108",
        title="TORCHINDUCTOR_COMPILE_THREADS is not a number",
        why="Inductor's configuration reads it with int() when it is imported, and raises.",
        fix=Fix(command="unset TORCHINDUCTOR_COMPILE_THREADS"),
        source="torch/_inductor/config.py (decide_compile_threads)",
    ),
)

CARDS: tuple[Card, ...] = _TOOLCHAIN
