"""Paths below somebody's home: where they lie is theirs, what everybody's installation looks like is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .names import Names
from .vocabulary import ORDINARY, words

_HOMES: Final = r"/(?:home|homes|Users|users)/(?:[^\s/'\"`:;,()\[\]{}<>|=*?&$#\\]{1,256})"
_ROOT: Final = r"(?:(?<![\w.~/-])|(?<=[ =]-[IL]))/root(?![\w.-])"
_TILDE: Final = r"(?<![\w/~.-])~[a-z_][\w.-]{0,31}(?=/)"

_REST: Final = re.compile(r"(?:/(?:[^/\s'\"`:;,()<>|&\\]|\\[^\n]){0,256})*")
_QUOTED: Final = {quote: re.compile(rf"(?:/[^/{quote}\n]{{0,256}})*(?={quote})") for quote in "'\"`"}

_LEADING: Final = words(
    ".local .cache .config .triton .nv .conda .jupyter .ssh .docker .netrc .bashrc .profile .pydistutils.cfg bin lib "
    "lib64 share state cache pip torch huggingface hub torch_extensions torchinductor ComputeCache torchdoctor "
    "config.toml vllm nvidia .pyenv versions shims .cargo .venv venv .virtualenvs conda miniconda3 anaconda3 "
    "miniforge3 mambaforge envs pkgs"
)
"""Parts that many homes have, from the home on."""

_ANCHORS: Final = frozenset({"site-packages", "dist-packages"})
_PROGRAM: Final = re.compile(r"(?:python|pip)[\d.]{0,5}|torchrun|nvcc|gcc|g\+\+|clang(?:\+\+)?|ninja|triton")
_PYTHON: Final = re.compile(r"python\d[\d.]{0,5}")
_LEADING_NUMBER: Final = re.compile(r"(?:python)?\d[\d.]{0,9}")
_KIND_OF_FILE: Final = re.compile(r"\.(?:py|sh|so|log|txt|json|jsonl|yaml|yml|toml|cfg|pt|pt2|pth|csv|sif|cpp|cu|h|o)")
_BEFORE: Final = re.compile(r"[\w.@+/-]")


class Homes:
    """The pattern of homes, with those that the names have learnt."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._of = -1
        self._pattern = re.compile("")

    def without(self, text: str) -> str:
        """The text with `~/...` for each path below a home; parts of it that nobody else has are numbered."""
        if "/" not in text:
            return text
        pieces, done = [], 0
        for start, end, rest in self._found(text):
            pieces += [text[done:start], self._instead(rest)]
            done = end
        return "".join(pieces) + text[done:] if pieces else text

    def _found(self, text: str) -> Iterator[tuple[int, int, str]]:
        done = 0
        for match in self._now().finditer(text):
            if match.start() < done:
                continue
            start = _with_mount(text, match.start(), done)
            done = _end(text, start, match.end())
            yield start, done, text[match.end() : done]

    def _now(self) -> re.Pattern[str]:
        if self._of != len(self._names.homes):
            self._of = len(self._names.homes)
            known = sorted(self._names.homes, key=len, reverse=True)
            words = [re.escape(home) + r"(?![\w.-])" for home in known]
            self._pattern = re.compile("|".join([*words, _HOMES, _ROOT, _TILDE]))
        return self._pattern

    def _instead(self, rest: str) -> str:
        parts = [part for part in rest.split("/") if part]
        head = 0
        while head < len(parts) and (parts[head] in _LEADING or _LEADING_NUMBER.fullmatch(parts[head])):
            head += 1
        tail = _tail(parts, head)
        middle = "/".join(parts[head:tail])
        own = [self._names.stand_in("path", middle) + _suffix(parts[tail - 1])] if middle else []
        slash = "/" if rest.endswith("/") else ""
        return "/".join(["~", *parts[:head], *own, *parts[tail:]]) + slash


def users_in(text: str) -> Iterator[str]:
    """Whose homes a text names."""
    if "/" in text:
        for match in _USERS.finditer(text):
            if match[1].lower() not in ORDINARY:
                yield match[1]


_USERS: Final = re.compile(r"/(?:home|homes|Users|users)/([^\s/'\"`:;,()\[\]{}<>|=*?&$#\\]{1,256})")


def _with_mount(text: str, start: int, least: int) -> int:
    """Where the path begins whose part is a home: `/mnt/nfs/home/alice` is one, too."""
    place = start
    while place > max(least, start - 256) and _BEFORE.match(text[place - 1]):
        place -= 1
    before = text[place:start]
    slash = before.find("/")
    return start if slash < 0 or before.startswith("//", slash) else place + slash


def _end(text: str, start: int, end: int) -> int:
    """Where it ends: with its quotes if it stands in some, else before what a path seldom has."""
    quoted = _QUOTED.get(text[start - 1 : start])
    match = quoted.match(text, end) if quoted else None
    if match is None:
        match = _REST.match(text, end)
    return match.end() if match else end


def _tail(parts: list[str], head: int) -> int:
    """From which part on a path is as in everybody's installation."""
    for place in range(head, len(parts)):
        before = parts[place - 1] if place else ""
        if parts[place] in _ANCHORS or (parts[place] == "runs" and before == "torchdoctor"):
            return place
        if parts[place] in ("lib", "include") and _PYTHON.fullmatch(parts[place + 1] if place + 1 < len(parts) else ""):
            return place
        if parts[place] == "bin" and place == len(parts) - 2 and _PROGRAM.fullmatch(parts[-1]):
            return place
    return len(parts)


def _suffix(part: str) -> str:
    found = _KIND_OF_FILE.fullmatch(part[part.rfind(".") :]) if "." in part[1:] else None
    return found[0] if found else ""
