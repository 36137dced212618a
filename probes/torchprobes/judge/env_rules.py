"""Rules of env.* beyond identity: packages, Jupyter, wheel, Python, variables, ABI, extensions, image, import."""

from __future__ import annotations

from . import (
    env_abi,
    env_extensions,
    env_image,
    env_import,
    env_jupyter,
    env_packages,
    env_python,
    env_variables,
    env_wheel,
)
from .rules import Expected, Positive, Rule

RULES: tuple[Rule, ...] = (
    env_packages.RULES
    + env_jupyter.RULES
    + env_wheel.RULES
    + env_python.RULES
    + env_variables.RULES
    + env_abi.RULES
    + env_extensions.RULES
    + env_image.RULES
    + env_import.RULES
)

POSITIVE: Positive = {
    **env_packages.POSITIVE,
    **env_jupyter.POSITIVE,
    **env_wheel.POSITIVE,
    **env_python.POSITIVE,
    **env_variables.POSITIVE,
    **env_abi.POSITIVE,
    **env_extensions.POSITIVE,
    **env_image.POSITIVE,
}

EXPECTED: Expected = {}
