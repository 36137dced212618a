"""Settings: flag, else environment (`TORCHDOCTOR_...`), else `config.toml`, else the default.

`--force` and the places that a search rule of its own finds (`TORCHDOCTOR_PYTHON`: target; `TORCHDOCTOR_STATE`: run
directory) are not settings of the environment: those rules say where a value came from.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, get_args

from torchprobes.model import Tier

from .early import RATE_HZ

Colour = Literal["auto", "none", "16", "256", "truecolor"]

CONFIG_DEADLINE_S: Final = 1.0
"""A home on a dead file system costs this much and one line, never the console."""


class SettingsError(Exception):
    """A setting cannot be used; the text is one line that says where it stands and what is allowed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the person asked for, from every source, merged.

    `python` and `target` name the patient's interpreter or launcher prefix, `out` the place of runs; None means
    that the search rules decide. `logs` is a folder or file to open on the Logs pane, `replay` a recording to play
    in place of this node, `open_job` a job to open on the Jobs pane: the path of a run directory, or the key or a pid
    of a job that torchdoctor did not start. `rate_hz` is how often telemetry is sampled. `keys` maps ids of bindings
    to keys, `thresholds` names of limits of the health rules to numbers. `note` is one line for the person about a
    setting that could not be read.
    """

    python: str | None = None
    target: str | None = None
    out: str | None = None
    device: str = "auto"
    tier: Tier = Tier.STANDARD
    rate_hz: float = RATE_HZ
    theme: str = ""
    colour: Colour = "auto"
    ascii: bool = False
    slow: bool = False
    read_only: bool = False
    as_root: bool = False
    force: bool = False
    logs: str | None = None
    replay: str | None = None
    open_job: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


# --- one row a setting -------------------------------------------------------------------------------------------

_Parser = Callable[[object], Any]


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("a printable text")
    return value


def _switch(value: object) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ValueError("true or false")


def _rate(value: object) -> float:
    try:
        rate = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else -1.0
    except ValueError:
        rate = -1.0
    if not 0.1 <= rate <= 10:
        raise ValueError("a number of samples a second from 0.1 to 10")
    return rate


def _tier(value: object) -> Tier:
    if value not in [tier.value for tier in Tier]:
        raise ValueError("quick, standard or full")
    return Tier(value)


def _colour(value: object) -> Colour:
    text = str(value)
    for known in get_args(Colour):
        if text == known:
            return known  # type: ignore[no-any-return]
    raise ValueError(", ".join(get_args(Colour)))


DEVICE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}(:\d{1,3})?")
"""A device string of torch, whatever back end it names; or `auto`."""


def device(value: object) -> str:
    """A device as a person names it.

    Raises:
        ValueError: what it must be.
    """
    if not isinstance(value, str) or not DEVICE.fullmatch(value):
        raise ValueError("auto, cpu, cuda:N, xpu:N, mps or another device of torch")
    return value


def _keys(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) and v.isprintable() for v in value.values()):
        raise ValueError('a table of action = "key"')
    return {str(k): v for k, v in value.items()}


def _thresholds(value: object) -> dict[str, float]:
    """`TD-GPU-030 = 85`; `TD-GPU-031.seconds = 120`, which TOML reads as a table in a table."""
    flat: dict[str, object] = {}
    for name, given in value.items() if isinstance(value, dict) else [("", None)]:
        flat |= (
            {f"{name}.{part}": number for part, number in given.items()} if isinstance(given, dict) else {name: given}
        )
    if not all(_is_number(number) for number in flat.values()):
        raise ValueError("a table of check = number, or check.limit = number")
    return {name: float(str(number)) for name, number in flat.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e18


@dataclass(frozen=True, slots=True)
class _Row:
    """One setting: its field, its parser, and whether the environment and `config.toml` may give it."""

    name: str
    parse: _Parser
    environment: bool = True
    config: bool = True

    @property
    def variable(self) -> str:
        return "TORCHDOCTOR_" + self.key.upper()

    @property
    def key(self) -> str:
        return "rate" if self.name == "rate_hz" else self.name


ROWS: Final = (
    _Row("python", _text, environment=False),
    _Row("target", _text),
    _Row("device", device),
    _Row("tier", _tier),
    _Row("rate_hz", _rate),
    _Row("theme", _text),
    _Row("colour", _colour),
    _Row("ascii", _switch),
    _Row("slow", _switch),
    _Row("read_only", _switch),
    _Row("as_root", _switch, config=False),
    _Row("keys", _keys, environment=False),
    _Row("thresholds", _thresholds, environment=False),
)


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings that `TORCHDOCTOR_...` variables give; an empty variable gives none.

    Raises:
        SettingsError: if a value is not allowed.
    """
    given = {row: environ[row.variable] for row in ROWS if row.environment and environ.get(row.variable)}
    return {row.name: _parsed(row, value, row.variable) for row, value in given.items()}


def from_config(text: str, where: str) -> dict[str, Any]:
    """The settings of a `config.toml`.

    Raises:
        SettingsError: if it is not TOML, or has a key or value that is not allowed.
    """
    import importlib

    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        table = toml.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise SettingsError(f"{where} is not TOML: {_one_line(error)}") from None
    known = {row.key: row for row in ROWS if row.config}
    unknown = [key for key in table if key not in known]
    if unknown:
        raise SettingsError(f"{where} has a key {unknown[0][:40]!r} that is not known: {', '.join(known)}")
    return {known[key].name: _parsed(known[key], value, f"{where}: {key}") for key, value in table.items()}


def _parsed(row: _Row, value: object, where: str) -> Any:
    try:
        return row.parse(value)
    except ValueError as error:
        raise SettingsError(f"{where} is {str(value)[:40]!r}, but must be {error}") from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


# --- the sources together ----------------------------------------------------------------------------------------


def config_path(environ: Mapping[str, str]) -> str | None:
    """Where `config.toml` is looked for; None without a home. The file system is not touched."""
    from platformdirs import user_config_dir

    if not environ.get("HOME") and not environ.get("XDG_CONFIG_HOME"):
        return None
    return os.path.join(user_config_dir("torchdoctor"), "config.toml")


def read_config(environ: Mapping[str, str], deadline_s: float = CONFIG_DEADLINE_S) -> tuple[dict[str, Any], str]:
    """The settings of the person's `config.toml`, read in a killable child, and a note if that could not be read.

    Raises:
        SettingsError: if the file is there but is broken.
    """
    from torchprobes import child

    path = config_path(environ)
    if path is None:
        return {}, ""
    try:
        text = child.ask("read-settings", {"path": path}, deadline_s)
    except child.Hung:
        return {}, f"{path} was not read: its file system gave no answer in {deadline_s:g} s"
    except child.ChildFailed as error:
        return {}, f"{path} was not read: {_one_line(error)}"
    return (from_config(text, path), "") if isinstance(text, str) else ({}, "")


def load(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Settings:
    """Merge flags (None: not given), environment and `config.toml`, in that order.

    Raises:
        SettingsError: if a source holds what is not allowed.
    """
    config, note = read_config(environ)
    return merge(flags, from_environment(environ), config, note)


def merge(flags: Mapping[str, Any], environment: Mapping[str, Any], config: Mapping[str, Any], note: str) -> Settings:
    """The settings of three sources, the first that has one winning; flags that are None or False give none."""
    names = {f.name for f in fields(Settings)}
    given = {name: value for name, value in flags.items() if name in names and value not in (None, False)}
    return replace(Settings(note=note), **{**config, **environment, **given})
