"""Reads a requirement of a distribution's METADATA: `Requires-Dist: triton==3.2.0; platform_system == "Linux"`.

A small reader of PEP 508 for what wheels of PyTorch say: the `packaging` library may be absent in the target. What it
does not understand is told as such, and never taken for met. Standard library, parses on Python 3.8.
"""

import os
import platform
import re
import sys

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?\s*\(?([^;@)]*)\)?\s*(@[^;]*)?(?:;(.*))?$")
_TOKEN = re.compile(r"\s*(\(|\)|and\b|or\b|not\s+in\b|in\b|===|==|!=|<=|>=|~=|<|>|'[^']*'|\"[^\"]*\"|[A-Za-z_][\w.]*)")


class NotUnderstood(ValueError):
    """A requirement or a marker that this reader does not know."""


def normal(name):
    """The name of a distribution as it is compared (PEP 503): `nvidia-cublas-cu12`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse(text):
    """(name, extras, specifier, marker) of one requirement; the specifier without blanks, "" for any version.

    Raises:
        NotUnderstood: it is no requirement.
    """
    found = _REQUIREMENT.match(text)
    if found is None:
        raise NotUnderstood(text)
    name, extras, specifier, _, marker = found.groups()
    wanted = tuple(normal(extra) for extra in re.findall(r"[\w.-]+", extras or ""))
    return normal(name), wanted, re.sub(r"\s+", "", specifier or ""), (marker or "").strip()


def environment(extra=""):
    """What markers ask for (PEP 508), of this interpreter."""
    return {
        "os_name": os.name,
        "sys_platform": sys.platform,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "python_version": "%d.%d" % sys.version_info[:2],
        "python_full_version": platform.python_version(),
        "implementation_name": sys.implementation.name,
        "extra": extra,
    }


def applies(marker, values):
    """Whether a marker holds; "" always does.

    Raises:
        NotUnderstood: it is none that this reader knows.
    """
    if not marker:
        return True
    tokens, at = [], 0
    while marker[at:].strip():
        found = _TOKEN.match(marker, at)
        if found is None:
            raise NotUnderstood(marker)
        tokens.append(found.group(1))
        at = found.end()
    result = _either(tokens, values)
    if tokens:
        raise NotUnderstood(marker)
    return result


def _either(tokens, values):
    result = _both(tokens, values)
    while tokens and tokens[0] == "or":
        tokens.pop(0)
        result = _both(tokens, values) or result
    return result


def _both(tokens, values):
    result = _one(tokens, values)
    while tokens and tokens[0] == "and":
        tokens.pop(0)
        result = _one(tokens, values) and result
    return result


def _one(tokens, values):
    if tokens and tokens[0] == "(":
        tokens.pop(0)
        result = _either(tokens, values)
        if not tokens or tokens.pop(0) != ")":
            raise NotUnderstood("a bracket is not closed")
        return result
    if len(tokens) < 3:
        raise NotUnderstood("a comparison is not complete")
    left, operator, right = (tokens.pop(0) for _ in range(3))
    versions = left.startswith("python_") or right.startswith("python_")
    return _compare(_value(left, values), operator, _value(right, values), versions)


def _value(token, values):
    if token[0] in "'\"":
        return token[1:-1]
    if token not in values:
        raise NotUnderstood(token)
    return values[token]


_ORDER = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "===": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def _compare(left, operator, right, versions):
    if operator == "in":
        return left in right
    if operator.startswith("not"):
        return left not in right
    if operator not in _ORDER:
        raise NotUnderstood(operator)
    if versions:
        left, right = ([int(n) for n in re.findall(r"\d+", side)] for side in (left, right))
    return _ORDER[operator](left, right)
