"""Secrets in text and environments, replaced by `***` before a person, a file or a screen sees them.

Three signs of a secret: the name that it is given to, its place in a URL or a header, and the shape that its issuer
gives it. Every pattern is bounded, so that hostile text costs no more than its length. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

MASK: Final = "***"

_STRONG: Final = (
    "token", "secret", "secrets", "password", "passwd", "passphrase", "credential", "credentials", "creds", "apikey",
    "cookie",
)  # fmt: skip
"""Endings of a part of a name that make it a secret's."""

_WEAK: Final = frozenset({"key", "auth", "pass", "pwd", "pat", "sas", "jwt", "cookies", "authorization"})
"""Parts that do so in the name of a variable; in a text they are ordinary words (a cache's key)."""

_WITH_KEY: Final = frozenset({"api", "access", "secret", "private", "account", "storage", "signing", "encryption"})
"""Parts beside which `key` is a secret's in a text too."""

_VOCABULARY: Final = frozenset(
    {"eos", "bos", "pad", "unk", "cls", "sep", "mask", "special", "id", "ids", "type", "max", "num", "per", "image"}
)
"""Parts beside which `token` is one of a language model's."""

_PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NAME: Final = re.compile(r"(?<![\w.-])([\w.-]+)([\"']?\s{0,8}[=:]\s{0,8}|\s{1,8})(?=\S)")
_VALUE: Final = re.compile(r"\*\*\*(?=[\s\])},;\"']|$)|'[^'\n]*'|\"[^\"\n]*\"|[^\s,;]+")

_PLACES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"(?i)(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,20}://[^/\s:@]{0,256}):[^\s/]{0,1024}@"), rf"\1:{MASK}@"),
    (re.compile(r"(?i)(authorization[\"']?\s{0,8}[:=]\s{0,8}[\"']?(?:[a-z]{1,16}\s{1,8})?)[^\s\"',;]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(bearer\s{1,8})[\w.~+/-]{8,}=*"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b((?:set-)?cookie\s{0,8}:\s{0,8})[^\r\n]+"), rf"\1{MASK}"),
    (re.compile(r"(-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----)(?:(?!-----END)[\s\S]){0,16384}"), rf"\1{MASK}"),
)
"""Where secrets stand: URLs, headers of HTTP, keys in PEM."""

_SHAPES: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(gh[pousr]_|github_pat_|hf_|npm_|dckr_pat_|glpat-|pypi-|nvapi-|sk-|xox[abprs]-)[\w-]{16,}"
    r"|(AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|(AIza)[\w-]{35}"
    r"|(eyJ)[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r")"
)
"""What GitHub, Hugging Face, npm, Docker, GitLab, PyPI, NVIDIA, OpenAI, Slack, AWS and Google give, and JWTs."""


def mask_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """A copy of an environment without secrets: by the names of variables, and by what their values hold."""
    return {name: _masked_variable(name, value) for name, value in environ.items()}


def _masked_variable(name: str, value: str) -> str:
    """An empty value stays empty: that it is unset can be the reason of a fault."""
    return MASK if value and is_secret(name, variable=True) else mask_text(value)


def mask_text(text: str) -> str:
    """A text without secrets; what was masked before stays as it is."""
    for pattern, instead in _PLACES:
        text = pattern.sub(instead, text)
    text = _SHAPES.sub(lambda match: f"{next(filter(None, match.groups()))}{MASK}", text)
    return "".join(_without_assigned(text))


def _without_assigned(text: str) -> Iterator[str]:
    """The pieces of a text, with a mask for each value that follows a secret's name."""
    done = 0
    for match in _NAME.finditer(text):
        if match.start() < done or not _leads_to_secret(match):
            continue
        yield text[done : match.end()] + MASK
        value = _VALUE.match(text, match.end())
        done = value.end() if value else match.end()
    yield text[done:]


def _leads_to_secret(match: re.Match[str]) -> bool:
    """Whether a name in a text gives a value to a secret: `DB_PASS=x` as a variable, `--token x` as an option."""
    name, between = match.groups()
    assigned = "=" in between or ":" in between or name.startswith("-")
    return assigned and is_secret(name, variable=name.isupper() and "_" in name and "=" in between)


def is_secret(name: str, *, variable: bool) -> bool:
    """Whether what has this name is a secret. In the name of a `variable` more words say so than in a text."""
    parts = [part.lower() for part in _PART.findall(name)]
    if any(part.endswith(_STRONG) for part in parts):
        return variable or _VOCABULARY.isdisjoint(parts)
    if variable:
        return not _WEAK.isdisjoint(parts) and parts != ["pwd"]
    return "key" in parts and not _WITH_KEY.isdisjoint(parts)
