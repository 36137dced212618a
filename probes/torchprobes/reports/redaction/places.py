"""Where texts of ours and of others say who somebody is: what stands there is learnt, and masked wherever it stands."""

from __future__ import annotations

import re
from typing import Final

from .homes import users_in
from .names import Names
from .vocabulary import VARIABLES

_NAME: Final = r"([^\W\d_](?:[\w-]|\.(?=\w)){0,252})"
_END: Final = r"(?=[,;:.)\]'\"]|$)"

_PLACES: Final[tuple[tuple[str, str, re.Pattern[str]], ...]] = tuple(
    (kind, sign, re.compile(pattern))
    for kind, sign, pattern in (
        # Who runs there: idle, preflight, allocations, sources, launchers of others.
        ("user", "pid ", rf"\bpid \d{{1,10}} (?:of |\(){_NAME}(?=[,):; ])"),
        ("user", "job ", rf"\bjob [\w.-]{{1,40}} \({_NAME}\)"),
        ("user", "longs to ", rf"\bbelongs to {_NAME}{_END}"),
        ("user", "sudo -u ", rf"\bsudo -u {_NAME}"),
        ("user", "only ", rf"\bonly {_NAME} may read"),
        ("user", "'s", rf"(?<![\w.-]){_NAME}'s and root's"),
        ("user", "uid=", rf"\buid=\d{{1,10}}\({_NAME}\)"),
        ("user", "ser", rf"\b(?:of|by|for|as|the) user {_NAME}"),
        (
            "user",
            "",
            rf"(?i:\b(?:user|owner|username|user_name|login|logname))[\"']?(?:\s?=\s?|: ?)[\"']?{_NAME}{_END}",
        ),
        # Which host speaks: NCCL, Open MPI, c10d, syslog, the journal, uname, ssh.
        ("host", "NCCL", rf"(?<![^\s|\"']){_NAME}:\d{{1,10}}:\d{{1,10}} \[\d"),
        ("host", "[", rf"\[{_NAME}(?<!\.py)(?<!\.cpp)(?<!\.cc)(?<!\.cu)(?<!\.h)(?<!\.hpp)(?<!\.c)\]?:\d{{2,10}}"),
        ("host", "(", rf"\({_NAME}, \d{{4,5}}\)"),
        (
            "host",
            ":",
            rf"(?<![^\s|\"'])[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d {_NAME} [\w./-]{{1,64}}(?:\[\d{{1,10}}\])?:",
        ),
        (
            "host",
            "T",
            rf"(?<![^\s|\"'])\d{{4}}-\d\d-\d\dT[\d:.,+Z-]{{8,30}} {_NAME} [\w./-]{{1,64}}(?:\[\d{{1,10}}\])?:",
        ),
        ("host", "Linux ", rf"\bLinux (?!version ){_NAME} \d{{1,3}}\.\d"),
        ("host", "ssh ", rf"\bssh (?:-[\w]{{1,8}} (?:[\w./=-]{{1,64}} )?){{0,4}}{_NAME}"),
        (
            "host",
            "ost",
            rf"(?i:\b(?:host|hostname|nodename|nodename))[\"']?\s?[=:]\s?[\"']?(?=[\w.-]{{0,64}}\d){_NAME}",
        ),
        ("host", "ost", rf"(?i:\b(?:host|hostname))(?:=|[\"']: ?[\"']|name: ?){_NAME}"),
        ("host", "ode", rf"(?i:\bnode(?:name|addr|list)?)(?:=|[\"']: ?[\"'])[\"']?{_NAME}"),
        ("host", "o", rf"\b(?:node|host|server) (?=[\w-]{{0,62}}\d){_NAME}"),
    )
)
"""Kind, what a text must hold to be looked at, and the pattern whose group is the name."""

_ASSIGNED: Final = re.compile(r"(?<![A-Za-z0-9_])([A-Z][A-Z0-9_]{3,63})[\"']?(?:=|: ?)[\"']?([^\s'\";&|()<>]{1,4096})")
_PORT: Final = re.compile(r":\d{1,5}$")
NODE_LIST: Final = re.compile(r"(?<![\w.-])[A-Za-z][\w.-]{0,63}\[\d[\d,-]{0,511}\][\w.-]{0,64}")
"""Slurm's names of several nodes: `onyx[07-09,11]`."""

_HOST: Final = re.compile(r"[^\W_](?:[\w.-]{0,252})")


def learn_from_text(text: str, names: Names) -> None:
    """Learn whom a text names."""
    for user in users_in(text):
        names.learn("user", user)
    for kind, sign, pattern in _PLACES:
        if sign in text:
            for match in pattern.finditer(text):
                names.learn(kind, match[1])
    if "=" in text or ":" in text:
        for match in _ASSIGNED.finditer(text):
            if match[1] in VARIABLES:
                learn_value(VARIABLES[match[1]], match[2], names)


def learn_value(kind: str, value: str, names: Names) -> None:
    """Learn what is, whole, the value of something that names a host, a user or a home."""
    if kind == "home":
        names.learn_home(value)
    elif kind == "host":
        for host in hosts_in(value):
            names.learn("host", host)
    elif value and not value.isdigit():
        names.learn(kind, value)


def hosts_in(value: str) -> tuple[str, ...]:
    """The hosts of a list, as Slurm (`n[1-3,7],gpu07`), LSF (`a a b`) or torchrun (`a:29500`) write one.

    Of a text that is no such list, its first word and the whole.
    """
    rest = value[:65536]
    found = [name for match in NODE_LIST.finditer(rest) for name in nodes_of(match[0])]
    words = [_PORT.sub("", word) for word in re.split(r"[\s,;]+", NODE_LIST.sub("", rest)) if word]
    named = [word for word in words if _HOST.fullmatch(word)]
    if len(named) == len(words):
        return tuple(dict.fromkeys([*found, *named]))
    return tuple(dict.fromkeys([*found, *named[:1], value]))


def nodes_of(text: str) -> tuple[str, ...]:
    """The names in a list of Slurm's, () if it is none."""
    from torchprobes.jobs.nodes.asking import ViaError  # deferred: a report that names a list is rare

    from ..fleet.nodelist import expand

    try:
        return expand(text)
    except ViaError:
        return ()
