"""The switches that make torch.compile tell what it does: which there are in which torch, and what each sets.

An unknown name in TORCH_LOGS ends a program at `import torch` (ValueError), so what is set depends on the version.
TORCH_TRACE is passed over where it is unknown (2.1, 2.2). Since 2.12 TORCH_COMPILE_DEBUG=1 writes the trace by itself,
but only where TORCH_TRACE is unset (torch/_logging/_internal.py: _init_logs): it is always set here, so that the trace
lies in one place for every version and is written once.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Release = tuple[int, int]

OLDEST: Final[Release] = (2, 1)
TRACES_SINCE: Final[Release] = (2, 3)

SINCE: Final[Mapping[Release, str]] = {
    (2, 1): "guards verbose_guards bytecode graph graph_code graph_sizes trace_source trace_call aot_graphs "
    "aot_joint_graph ddp_graphs recompiles graph_breaks not_implemented output_code schedule perf_hints "
    "onnx_diagnostics dynamo aot inductor dynamic torch distributed onnx",
    (2, 3): "cudagraphs",
    (2, 4): "trace_bytecode post_grad_graphs compiled_autograd compiled_autograd_verbose recompiles_verbose "
    "kernel_code fusion overlap sym_node autograd c10d ddp pp fsdp export",
    (2, 6): "aot_graphs_effects loop_ordering trace_shape_events cudagraph_static_inputs benchmarking "
    "graph_region_expansion cache fake_tensor dtensor",
    (2, 13): "graph_code_verbose pre_grad_graphs ir_pre_fusion ir_post_fusion side_effects compute_dependencies "
    "loop_tiling auto_chunker overlap_scheduling incremental node_runtime_estimation autotuning inductor_metrics "
    "hierarchical_compile annotation caching async_compile native_dsl",
    (2, 14): "native_dsl_compile partitioned_scatter autotuning_inputs flex_gemm",
}
"""Names of TORCH_LOGS by the first version in which they were seen; none has gone since.

Read in torch/_logging/_registrations.py of 2.1.2, 2.4.1, 2.6.0, 2.13.0 and 2.14.1, `cudagraphs` in 2.3.1 too: a name
may be older than it says here, never younger. What the installed file itself registers goes before this table.
"""

COMPONENTS: Final = frozenset({
    "dynamo", "aot", "inductor", "dynamic", "torch", "distributed", "onnx", "autograd", "c10d", "ddp", "pp", "fsdp",
    "export", "cache", "fake_tensor", "dtensor", "async_compile", "native_dsl", "flex_gemm",
})  # fmt: skip
"""Names of whole components, which take a level: `+dynamo` is DEBUG, `dynamo` INFO, `-dynamo` ERROR."""

SMALL: Final = ("graph_breaks", "recompiles", "perf_hints", "cudagraphs")
"""Under 1 % of what all of TORCH_LOGS writes (reference/logs.md 1.5), and most of what there is to know."""


INSTEAD_OF_TRACE: Final = ("+dynamo",)
"""What a torch without a trace needs, so that its text tells of frames and graphs. The debug flag does not do it: once
TORCH_LOGS is set, 2.1 and 2.2 ignore the levels that the flag would set."""


@dataclass(frozen=True, slots=True)
class Switch:
    """One set of switches: what it adds to TORCH_LOGS, and whether it sets TORCH_COMPILE_DEBUG."""

    logs: tuple[str, ...]
    debug: bool
    what: str
    """One line for the person."""
    dear: bool = False
    """Whether it slows a compile down by more than a few per cent."""


SETS: Final[Mapping[str, Switch]] = {
    "trace": Switch((), False, "the structured trace alone: every compile event with its payload"),
    "default": Switch(SMALL, False, "the trace, and breaks, recompiles, hints and CUDA graph skips as text"),
    "debug": Switch(SMALL, True, "default, and the graphs, IR and code of every compile as files"),
    "full": Switch(
        (*SMALL, "guards", "output_code", "+dynamo", "+inductor"), True,
        "debug, and all that Dynamo and Inductor say: up to 26 % slower, and megabytes of text", dear=True,
    ),
}  # fmt: skip
"""Named sets. The trace is part of each."""

DEFAULT: Final = "default"

THEIRS: Final = ("TORCH_LOGS", "TORCH_TRACE", "TORCH_COMPILE_DEBUG", "TORCH_COMPILE_DEBUG_DIR")
"""Variables that stay as the person has set them."""

_NAME: Final = re.compile(r"[+-]?[a-z][a-z0-9_]{0,63}")


class SwitchError(Exception):
    """A switch cannot be had; the text is one line with what there is instead."""


@dataclass(frozen=True, slots=True)
class Torch:
    """What is known of the PyTorch that will be switched."""

    version: str = ""
    """"" where it is not known."""
    names: frozenset[str] = frozenset()
    """What its own `_registrations.py` registers; empty where that was not read."""

    def has(self, name: str) -> bool:
        """Whether TORCH_LOGS may bear a name; of an unknown version only what every version knows."""
        bare = name.lstrip("+-")
        return bare in self.names if self.names else bare in known(release(self.version) or OLDEST)

    @property
    def traces(self) -> bool:
        """Whether it writes a structured trace; one of unknown version may."""
        version = release(self.version)
        return version is None or version >= TRACES_SINCE

    @property
    def words(self) -> str:
        """Which it is, for a sentence."""
        return f"torch {self.version}" if self.version else "a torch of unknown version"

    @property
    def lacks(self) -> str:
        """That it has not a name that follows: sure where its own file was read."""
        return f"{self.words} {'does not' if self.names else 'may not'} know"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Switches that were found good for one torch."""

    logs: tuple[str, ...] = ()
    debug: bool = False
    notes: tuple[str, ...] = ()
    """What a person should know of the choice, one line each."""


def release(version: str) -> Release | None:
    """Major and minor of a version text, None if it names none."""
    found = re.match(r"(\d{1,4})\.(\d{1,4})", version)
    return (int(found[1]), int(found[2])) if found else None


def known(version: Release) -> frozenset[str]:
    """The names of TORCH_LOGS that a version is sure to know."""
    return frozenset(name for since, names in SINCE.items() if since <= version for name in names.split())


def choose(words: str, torch: Torch) -> Chosen:
    """Read `default,guards,+dynamo`: names of sets and of TORCH_LOGS, for this torch.

    What a set has and this torch lacks is left out and said; what was asked for by its own name is refused.

    Raises:
        SwitchError: a name that there is not, or not in this torch.
    """
    asked = [word.strip() for word in words.split(",") if word.strip()] or [DEFAULT]
    sets = [SETS[word] for word in asked if word in SETS]
    own = [word for word in asked if word not in SETS]
    for word in own:
        _check(word, torch)
    of_sets = _unique([name for each in sets for name in each.logs])
    instead = INSTEAD_OF_TRACE if of_sets and not torch.traces else ()
    logs = _unique([*(name for name in of_sets if torch.has(name)), *instead, *own])
    return Chosen(_one_level_each(logs), any(each.debug for each in sets), tuple(_notes(torch, of_sets, sets)))


def variables(chosen: Chosen, folder: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What to set for a capture into `folder`, without what the person's environment has already."""
    ours = {
        "TORCH_TRACE": os.path.join(folder, "trace"),
        "TORCH_LOGS": ",".join(chosen.logs),
        "TORCH_COMPILE_DEBUG": "1" if chosen.debug else "",
        "TORCH_COMPILE_DEBUG_DIR": os.path.join(folder, "compile"),
        "PYTHONUNBUFFERED": "1",
    }
    return {name: value for name, value in ours.items() if value and not environ.get(name)}


def theirs(environ: Mapping[str, str]) -> tuple[str, ...]:
    """A line for each variable of ours that the person has set, and which stays."""
    return tuple(f"{name}={environ[name]} is yours and stays{_aside(name)}" for name in THEIRS if environ.get(name))


def _aside(name: str) -> str:
    return {
        "TORCH_LOGS": ": no switch is added to it",
        "TORCH_TRACE": ": the trace lies there, not in the run",
        "TORCH_COMPILE_DEBUG_DIR": ": the debug tree lies there, not in the run",
    }.get(name, "")


# --- checks ------------------------------------------------------------------------------------------------------


def _check(word: str, torch: Torch) -> None:
    bare = word.lstrip("+-")
    everything = known((9999, 0)) | torch.names
    if not _NAME.fullmatch(word) or bare not in everything:
        near = difflib.get_close_matches(bare, [*SETS, *sorted(everything)], n=3)
        hint = f"near it: {', '.join(near)}" if near else f"there are {', '.join(SETS)}, and the names of TORCH_LOGS"
        raise SwitchError(f"there is no switch {word[:64]!r}: {hint}")
    if bare != word and bare not in COMPONENTS and bare in known((9999, 0)):
        raise SwitchError(f"{word!r}: {bare} is an artefact, which is on or off: leave out {word[0]!r}")
    if not torch.has(word):
        raise SwitchError(f"{torch.lacks} {bare} ({_since(bare)}), and would end at its import: {_cure(torch)}")


def _since(name: str) -> str:
    first = next((since for since, names in SINCE.items() if name in names.split()), None)
    return f"there since {first[0]}.{first[1]}" if first else "not in every version"


def _cure(torch: Torch) -> str:
    return "leave it out" if torch.version else "leave it out, or name the interpreter with --python"


def _notes(torch: Torch, of_sets: Sequence[str], sets: Sequence[Switch]) -> list[str]:
    notes = []
    if lacking := [name for name in of_sets if not torch.has(name)]:
        notes.append(f"left out, because {torch.lacks} it: {', '.join(lacking)}")
    if not torch.traces:
        instead = (
            f"{','.join(INSTEAD_OF_TRACE)} makes its text tell more" if of_sets else "`default` makes its text tell"
        )
        notes.append(f"{torch.words} writes no structured trace: {instead}")
    notes += [f"dear: {each.what}" for each in sets if each.dear]
    return notes


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _one_level_each(names: Sequence[str]) -> tuple[str, ...]:
    """The last level that was asked of a component holds: `full,dynamo` is `dynamo`."""
    last = {name.lstrip("+-"): name for name in names}
    return tuple(last.values())
