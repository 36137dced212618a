"""Commands beside the fake driver of tests/telemetry, and recordings that are written there."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

TELEMETRY = Path(__file__).parents[1] / "telemetry"
sys.path.append(str(TELEMETRY))

_spec = importlib.util.spec_from_file_location("telemetry_conftest", TELEMETRY / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

library, driver = _module.library, _module.driver
