"""Cards of `env.jupyter`."""

from __future__ import annotations

from ...model import Fix
from .base import Card

_INSTALL = "<target python> -m ipykernel install --user --name <name>"
_FORMAT = "jupyter_client/manager.py, format_kernel_cmd; measured"

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-ENV-084",
        title="A Jupyter kernel's Python is missing",
        why="kernel.json names an interpreter that is gone: the environment was removed or renamed after the kernel "
        "was installed. Its notebooks cannot start. A bare `python` in kernel.json means the Jupyter server's "
        "interpreter, whatever PATH says.",
        fix=Fix(command=f"{_INSTALL}    # or: jupyter kernelspec remove <name>"),
        source=_FORMAT,
    ),
    Card(
        id="TD-ENV-085",
        title="A Jupyter kernel has no PyTorch",
        why="Notebooks of this kernel run in another environment than the one that was examined.",
        fix=Fix(command=_INSTALL),
        source=_FORMAT,
    ),
    Card(
        id="TD-ENV-086",
        title="A Jupyter kernel has another PyTorch than the terminal",
        why="What works in a terminal fails in a notebook, or the other way round: two environments, two versions.",
        fix=Fix(command=_INSTALL),
        source="https://github.com/jupyter/notebook/issues/5054",
    ),
    Card(
        id="TD-ENV-087",
        title="A running Jupyter kernel has another PyTorch than the terminal",
        why="A kernel keeps what it has loaded: an upgrade counts from its restart on, and a kernel of another "
        "environment never sees it.",
        fix=Fix(command="jupyter kernelspec list    # choose the target's kernel, then: Kernel > Restart"),
        source="/proc/PID/maps, /proc/PID/environ",
    ),
    Card(
        id="TD-ENV-088",
        title="A running Jupyter kernel has another environment than the shell",
        why="A kernel has the variables of its Jupyter server, not the shell's: what ~/.bashrc or a module sets later "
        "is not there.",
        fix=Fix(command='put the variable into "env" of the kernel\'s kernel.json, or start Jupyter from this shell'),
        source="/proc/PID/environ",
    ),
    Card(
        id="TD-ENV-089",
        title="A Jupyter kernel runs in another environment, with the same PyTorch",
        why="Packages that are installed in one are not in the other, and an upgrade of one leaves the other behind.",
        fix=Fix(command=_INSTALL),
        source=_FORMAT,
    ),
    Card(
        id="TD-ENV-090",
        title="A Jupyter kernel could not be read",
        why="Its kernel.json is broken, or lies on a file system that gives no answer: nothing is known of it.",
        fix=Fix(command="<target python> -m ipykernel install --user --name <name>    # writes its kernel.json anew"),
        source="kernel.json",
    ),
    Card(
        id="TD-ENV-091",
        title="A Jupyter kernel's interpreter is not known",
        why="kernel.json starts a wrapper, or a bare `python` where no Jupyter server is: which Python that gives is "
        "decided elsewhere.",
        fix=Fix(command=_INSTALL),
        source=_FORMAT,
    ),
)
