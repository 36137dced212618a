"""The inventory of this node and of a target, asked of the inspector child."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from .. import child
from ..model import Inventory, Target
from ..target import import_places
from . import likeness

_OF_TARGET: Final = ("package", "python", "variable")
_BEHIND: Final = "it lies behind the launcher prefix, where only a probe sees it"
_NO_TARGET: Final = "there is no target"

_FIXED: Final = ("/dev/shm", "/tmp")  # noqa: S108 - their file systems are asked for
_NAMED: Final = {
    "home": ("HOME",),
    "caches": ("XDG_CACHE_HOME",),
    "inductor cache": ("TORCHINDUCTOR_CACHE_DIR",),
    "triton cache": ("TRITON_CACHE_DIR",),
    "Hugging Face cache": ("HF_HOME", "HF_HUB_CACHE", "TRANSFORMERS_CACHE"),
    "torch hub": ("TORCH_HOME",),
    "temporary files": ("TMPDIR",),
}
"""Place -> the variables that name it, of which the first that is set counts."""


def take(target: Target | None, deadline_s: float, environ: Mapping[str, str] = os.environ) -> Inventory:
    """What this node and the target are made of; what gave no answer within the deadline is `unread`, with its reason.

    Passive: nothing of the target runs. Of a target behind a launcher prefix only this node is told. Values are raw:
    variables may hold secrets.
    """
    try:
        parts = child.ask_each("inventory", _question(target, environ), deadline_s)
    except (child.Hung, child.ChildFailed) as error:
        return Inventory(unread={"": str(error)})
    found: dict[str, dict[str, str]] = {}
    unread = _beyond(target)
    beyond = frozenset(unread)
    for item, part in parts.items():
        kind, slash, _ = item.partition("/")
        if kind in beyond and not slash:
            continue
        values, why = _told(part)
        if values or (not slash and "" not in why):
            found.setdefault(kind, {}).update(values)
        unread.update({f"{kind}/{name}" if name else item: words for name, words in why.items()})
    return Inventory(parts=found, unread=unread)


def _question(target: Target | None, environ: Mapping[str, str]) -> dict[str, Any]:
    """The arguments; a target that runs like a live process has that one's environment, as far as it may be read."""
    like = target.like if target else None
    if like is not None:
        try:  # whose code it is was asked when the target was chosen
            environ = likeness.read(like.pid, like.started, as_root=True).environ
        except likeness.LikeError:  # it has ended: the items of that process will say so
            environ = {}
    return {
        "python": target.python if target and not target.prefix else "",
        **import_places(environ),
        "pid": like.pid if like else 0,
        "started": like.started if like else None,
        "places": _places(environ),
    }


def _places(environ: Mapping[str, str]) -> dict[str, str]:
    """The file systems that matter: name -> absolute path. One named by a relative path lies nowhere that we know."""
    named = {name: next((environ[v] for v in variables if environ.get(v)), "") for name, variables in _NAMED.items()}
    return {path: path for path in _FIXED} | {name: path for name, path in named.items() if path.startswith("/")}


def _beyond(target: Target | None) -> dict[str, str]:
    """Why nothing is told of the target itself: {} where something is."""
    if target is None or not target.python:
        return {"package": _NO_TARGET, "python": _NO_TARGET}
    return dict.fromkeys(_OF_TARGET, _BEHIND) if target.prefix else {}


def _told(part: child.Part) -> tuple[dict[str, str], dict[str, str]]:
    """Values and reasons of one item; anything else than two tables of texts is a reason."""
    if part.state != "done":
        return {}, {"": part.cause or "no answer"}
    if not isinstance(part.value, list) or len(part.value) != 2:
        return {}, {"": "the child says it in a way that is not understood"}
    values, why = ({str(name): str(text) for name, text in table.items()} for table in part.value)
    return values, why
