"""Conditions of `compile.toolchain`: which tool does not do its small task, which directory cannot hold code.

Each returns what was seen, or None. `toolchain_rules` puts them into its table.
"""

from __future__ import annotations

import re

from ...model import Readings
from ...quantity import quantity
from ..reading import facts, figure, is_true, line, on_gpu, text
from ..rules import When

LEAST_FREE_BYTES = 512 << 20
"""Room for the code of one large model: some kernels' binaries are megabytes, and one graph holds hundreds of them."""

LEAST_FREE_INODES = 2_000
"""The same in files: each triton kernel leaves about eight."""

CODE_PLACES = ("inductor", "triton")
"""The directories from which compiled code is loaded."""

_TRITON_DEVICES = ("cuda", "xpu")
"""Device types for which Inductor writes triton kernels."""

_OLDEST_CAPABILITY = 70

_NO_TEMPORARY = re.compile(
    r"Cannot create temporary file|unable to make temporary file|error (?:writing to|closing) \S*/cc\w{6}\.\w+"
)
"""What gcc's driver, clang and gcc's passes say when it is their own temporary files that cannot be written."""


def on(gpu: bool, find: When) -> When:
    """The same condition, only where the probe ran for a GPU, or only where it ran for the CPU."""

    def when(readings: Readings) -> str | None:
        return find(readings) if on_gpu(readings) is gpu else None

    return when


def with_triton(readings: Readings) -> bool:
    """Whether Inductor writes triton kernels for the device of these readings."""
    return readings.device.startswith(_TRITON_DEVICES)


# --- tools -----------------------------------------------------------------------------------------------------------


def compiler(tool: str) -> When:
    """The compiler was not found, or did not build a small program that gives the right answer."""

    def when(readings: Readings) -> str | None:
        found, works = readings.fact(f"toolchain.{tool}.found"), readings.fact(f"toolchain.{tool}.works")
        if found is not None and found.value is None:
            return f"not found: {line(found.evidence)}"
        if works is None or works.value not in ("not built", "wrong") or _NO_TEMPORARY.search(works.evidence):
            return None
        return line(f"{text(readings, f'toolchain.{tool}.found')}: {works.evidence}")

    return when


def not_loaded(readings: Readings) -> str | None:
    """What was built cannot be loaded for another reason than where it lies: a run-time library is missing."""
    for tool in ("cxx", "cc"):
        works = readings.fact(f"toolchain.{tool}.works")
        if works is not None and works.value == "not loaded" and "map segment" not in works.evidence:
            return line(works.evidence)
    return None


def python_h(readings: Readings) -> str | None:
    """Python.h is missing where code will include it, or it is another Python's."""
    header, works = readings.fact("toolchain.python_h"), readings.fact("toolchain.python_h.works")
    if not (is_true(readings, "toolchain.python_h.needed") or with_triton(readings)) or header is None:
        return None
    if header.value is False:
        return f"no such file: {header.evidence}"
    if works is None or works.value not in ("not built", "wrong") or _NO_TEMPORARY.search(works.evidence):
        return None
    return line(f"{header.evidence}: {works.evidence}")


def threads_unread(readings: Readings) -> str | None:
    """TORCHINDUCTOR_COMPILE_THREADS is no number."""
    fact = readings.fact("toolchain.compile_threads")
    return None if fact is None else line(fact.evidence)


# --- triton ----------------------------------------------------------------------------------------------------------


def no_triton(readings: Readings) -> str | None:
    """There is no triton where Inductor needs it."""
    if is_true(readings, "toolchain.triton.found") is not False or not with_triton(readings):
        return None
    return f"not found; this PyTorch asks for {text(readings, 'toolchain.triton.pin') or 'none in its metadata'}"


def not_pinned(readings: Readings) -> str | None:
    """The triton that is installed is not the one that this PyTorch was built with."""
    if is_true(readings, "toolchain.triton.pinned") is not False:
        return None
    return f"{text(readings, 'toolchain.triton.version')} is installed, {text(readings, 'toolchain.triton.pin')} asked"


def _by_capability(readings: Readings) -> list[tuple[int, str, str]]:
    """(capability, state, words) of every ptxas that was asked."""
    told = facts(readings, "toolchain.ptxas.")
    pairs = ((f.name.rpartition(".")[2], f) for f in told)
    return [(int(number), str(f.value), f.evidence) for number, f in pairs if number.isdigit()]


def too_old(readings: Readings) -> str | None:
    """A GPU below triton's least capability."""
    old = [c for c, _, _ in _by_capability(readings) if c < _OLDEST_CAPABILITY]
    return f"capability {old[0] / 10:.1f} (at least {_OLDEST_CAPABILITY / 10:.1f})" if old else None


def ptxas_refuses(readings: Readings) -> str | None:
    """The ptxas that triton would take cannot assemble for this GPU."""
    bad = [words for _, state, words in _by_capability(readings) if state in ("refused", "absent")]
    return line(bad[0]) if bad else None


def no_libcuda(readings: Readings) -> str | None:
    """Triton's launcher could not be linked with the driver's library."""
    folder, linked = readings.fact("toolchain.libcuda.folder"), readings.fact("toolchain.libcuda.linked")
    if folder is not None and folder.value is None:
        return f"not found: {line(folder.evidence)}"
    return line(linked.evidence) if linked is not None and linked.value is False else None


# --- places ----------------------------------------------------------------------------------------------------------


def _place(readings: Readings, key: str) -> str:
    fact = readings.fact(f"toolchain.place.{key}")
    return "" if fact is None else f"{fact.value} ({fact.evidence})"


def _first_false(readings: Readings, keys: tuple[str, ...], what: str) -> str | None:
    for key in keys:
        fact = readings.fact(f"toolchain.place.{key}.{what}")
        if fact is not None and fact.value is False:
            return line(f"{_place(readings, key)}: {fact.evidence}")
    return None


def _first_hung(readings: Readings, keys: tuple[str, ...]) -> str | None:
    for key in keys:
        fact = readings.fact(f"toolchain.place.{key}.state")
        if fact is not None and fact.value == "hung":
            return line(f"{_place(readings, key)}: {fact.evidence}")
    return None


def gives_no_answer(readings: Readings) -> str | None:
    """Where compiled code would go, or where compilers keep their own files, lies on a file system that hangs."""
    return _first_hung(readings, (*CODE_PLACES, "tmp"))


def home_gives_no_answer(readings: Readings) -> str | None:
    """The home directory hangs, where hand-written triton kernels go unless TRITON_CACHE_DIR says otherwise."""
    if gives_no_answer(readings) or readings.fact("toolchain.place.triton") is not None:
        return None
    return _first_hung(readings, ("home",))


def not_writable(readings: Readings) -> str | None:
    """Compiled code cannot be written where it would go."""
    return _first_false(readings, CODE_PLACES, "writable")


def not_executable(readings: Readings) -> str | None:
    """Compiled code cannot be loaded from where it would lie."""
    return _first_false(readings, CODE_PLACES, "executable")


def home_not_writable(readings: Readings) -> str | None:
    """Hand-written triton kernels keep theirs below the home directory, unless TRITON_CACHE_DIR says otherwise."""
    if readings.fact("toolchain.place.triton") is not None:
        return None
    return _first_false(readings, ("home",), "writable")


def another_owner(readings: Readings) -> str | None:
    """Code would be loaded from another user's directory."""
    return _first_false(readings, CODE_PLACES, "own")


def on_network(readings: Readings) -> str | None:
    """The cache lies on a network file system."""
    for key in CODE_PLACES:
        if is_true(readings, f"toolchain.place.{key}.network"):
            return f"{_place(readings, key)} lies on {text(readings, f'toolchain.place.{key}.filesystem')}"
    return None


def little_space(readings: Readings) -> str | None:
    """Little is left for what will be compiled."""
    for key in CODE_PLACES:
        left, inodes = figure(readings, "free_bytes", place=key), figure(readings, "free_inodes", place=key)
        if left is not None and left.value < LEAST_FREE_BYTES:
            limit = quantity(LEAST_FREE_BYTES, "B")
            return f"{_place(readings, key)}: {quantity(left.value, 'B')} free (at least {limit})"
        if inodes is not None and inodes.value < LEAST_FREE_INODES:
            return f"{_place(readings, key)}: {inodes.value:.0f} inodes free (at least {LEAST_FREE_INODES})"
    return None


def no_temporary(readings: Readings) -> str | None:
    """There is no directory for temporary files at all, or the compiler cannot write its own where TMPDIR says."""
    fact = readings.fact("toolchain.tmp")
    if fact is not None and fact.value == "none":
        return line(fact.evidence)
    tools = [f for f in facts(readings, "toolchain.", ".works") if f.value == "not built"]
    said = next((f.evidence for f in tools if _NO_TEMPORARY.search(f.evidence)), None)
    return None if said is None else line(said)


def unnamed_user(readings: Readings) -> str | None:
    """The default cache directory is named after the user, and this user has no name here."""
    fact = readings.fact("toolchain.user")
    if fact is None or fact.value is not None or not is_true(readings, "toolchain.user.needed"):
        return None
    return line(fact.evidence)


# --- what a pass rests on ------------------------------------------------------------------------------------------


def ready(readings: Readings) -> str | None:
    """Every tool that this device needs did its small task, and the cache directory holds code that can be loaded."""
    needed = ["cxx.works", "cc.works", "python_h.works"] if with_triton(readings) else ["cxx.works"]
    if any(text(readings, f"toolchain.{name}") != "right" for name in needed):
        return None
    if not all(is_true(readings, f"toolchain.place.inductor.{what}") for what in ("writable", "executable")):
        return None
    if with_triton(readings) and not _triton_ready(readings):
        return None
    words = [text(readings, "toolchain.cxx.version"), f"code can lie in {text(readings, 'toolchain.place.inductor')}"]
    words += [w for _, state, w in _by_capability(readings) if state == "right"]
    return line("built, loaded and called: " + "; ".join(words))


def _triton_ready(readings: Readings) -> bool:
    if not is_true(readings, "toolchain.triton.found"):
        return False
    if not is_true(readings, "toolchain.nvidia"):
        return True
    answered = [state for _, state, _ in _by_capability(readings)]
    return answered.count("right") == len(answered) > 0 and is_true(readings, "toolchain.libcuda.linked") is True
