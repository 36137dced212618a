"""Where texts of ours and of others say who somebody is: what stands there is learnt, and masked wherever it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
        ("host", "NCCL", rf"(?m)^{_NAME}:\d{{1,10}}:\d{{1,10}} \[\d"),
        ("host", "[", rf"\[{_NAME}(?<!\.py)(?<!\.cpp)(?<!\.cc)(?<!\.cu)(?<!\.h)(?<!\.hpp)(?<!\.c)\]?:\d{{2,10}}"),
        ("host", "(", rf"\({_NAME}, \d{{4,5}}\)"),
        ("host", ":", rf"(?m)^[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d {_NAME} [\w./-]{{1,64}}(?:\[\d{{1,10}}\])?:"),
        ("host", "T", rf"(?m)^\d{{4}}-\d\d-\d\dT[\d:.,+Z-]{{8,30}} {_NAME} [\w./-]{{1,64}}(?:\[\d{{1,10}}\])?:"),
        ("host", "Linux ", rf"\bLinux {_NAME} \d{{1,3}}\.\d"),
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

_ASSIGNED: Final = re.compile(r"(?<![A-Za-z0-9_])([A-Z][A-Z0-9_]{3,63})[\"']?(?:=|: ?)[\"']?([^\s'\"]{1,4096})")
_PORT: Final = re.compile(r":\d{1,5}$")
_LIST: Final = re.compile(r"([\w.-]{0,64})\[([\d,-]{1,512})\]([\w.-]{0,64})")

MOST_NODES: Final = 4096
"""Of one list: more is no list of an allocation."""


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


def hosts_in(value: str) -> Iterator[str]:
    """The hosts of a list, as Slurm (`n[1-3,7],gpu07`), LSF (`a a b`) or torchrun (`a:29500`) write one."""
    rest = value[:65536]
    for match in _LIST.finditer(rest):
        yield from (f"{match[1].lstrip(',')}{number}{match[3]}" for number in _numbers(match[2]))
    for word in re.split(r"[\s,;]+", _LIST.sub("", rest)):
        yield _PORT.sub("", word)


def _numbers(text: str) -> Iterator[str]:
    left = MOST_NODES
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or not (last or first).isdigit() or len(first) > 9 or len(last) > 9:
            continue
        span = range(int(first), int(last or first) + 1)[:left]
        left -= len(span)
        yield from (str(number).zfill(len(first)) for number in span)
