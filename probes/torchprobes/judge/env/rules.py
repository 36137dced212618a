"""Rules of env.* beyond identity: packages, Jupyter, wheel, Python, variables, ABI, extensions, image, import."""

from __future__ import annotations

from ..rules import Expected, Positive, Rule
from . import abi as env_abi
from . import extensions as env_extensions
from . import image as env_image
from . import importing as env_import
from . import jupyter as env_jupyter
from . import libraries as env_libraries
from . import packages as env_packages
from . import python as env_python
from . import variables as env_variables
from . import wheel as env_wheel

RULES: tuple[Rule, ...] = (
    env_packages.RULES
    + env_jupyter.RULES
    + env_wheel.RULES
    + env_python.RULES
    + env_variables.RULES
    + env_abi.RULES
    + env_extensions.RULES
    + env_image.RULES
    + env_libraries.RULES
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
    **env_libraries.POSITIVE,
}

EXPECTED: Expected = {}
