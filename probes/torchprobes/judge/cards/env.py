"""Cards of `env.*` beyond identity."""

from __future__ import annotations

from .base import Card
from .env_build import CARDS as _BUILD
from .env_extensions import CARDS as _EXTENSIONS
from .env_image import CARDS as _IMAGE
from .env_jupyter import CARDS as _JUPYTER
from .env_libraries import CARDS as _LIBRARIES
from .env_packages import CARDS as _PACKAGES
from .env_variables import CARDS as _VARIABLES

CARDS: tuple[Card, ...] = _PACKAGES + _JUPYTER + _BUILD + _EXTENSIONS + _IMAGE + _VARIABLES + _LIBRARIES
