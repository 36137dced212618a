"""The small reader of requirements, on lines that wheels of PyTorch hold."""

from __future__ import annotations

from types import ModuleType

import pytest
from payload_modules import load

LINUX = {
    "platform_system": "Linux", "platform_machine": "x86_64", "sys_platform": "linux", "python_version": "3.11",
    "python_full_version": "3.11.7", "extra": "", "os_name": "posix", "implementation_name": "cpython",
}  # fmt: skip


@pytest.fixture
def requirements(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(monkeypatch, "requirements")


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("filelock", ("filelock", (), "", "")),
        ("typing-extensions (>=4.10.0)", ("typing-extensions", (), ">=4.10.0", "")),
        ('triton (==3.2.0) ; platform_system == "Linux"', ("triton", (), "==3.2.0", 'platform_system == "Linux"')),
        ("cuda-bindings<14,>=13.0.3", ("cuda-bindings", (), "<14,>=13.0.3", "")),
        ("cuda-toolkit[cublas,cudart]==13.0.3", ("cuda-toolkit", ("cublas", "cudart"), "==13.0.3", "")),
        ("Foo_Bar.baz @ https://x/y.whl", ("foo-bar-baz", (), "", "")),
    ],
)
def test_a_requirement_is_taken_apart(requirements: ModuleType, text: str, parsed: tuple[object, ...]) -> None:
    assert requirements.parse(text) == parsed


@pytest.mark.parametrize(
    ("marker", "holds"),
    [
        ("", True),
        ('platform_system == "Linux" and platform_machine == "x86_64"', True),
        ('platform_system == "Linux" and platform_machine == "aarch64"', False),
        ('python_version >= "3.9"', True),
        ('python_version < "3.9" or python_full_version >= "3.11.7"', True),
        ("extra == 'dynamo'", False),
        ("(sys_platform == 'win32' or sys_platform == 'linux') and extra == ''", True),
        ("sys_platform in 'linux darwin'", True),
        ("sys_platform not in 'win32 darwin'", True),
        ("'64' in platform_machine", True),
    ],
)
def test_markers_are_answered(requirements: ModuleType, marker: str, holds: bool) -> None:
    assert requirements.applies(marker, LINUX) is holds


@pytest.mark.parametrize("marker", ["python_version", "unknown == '1'", "(os_name == 'nt'", "os_name == 'nt') x", "¿"])
def test_what_is_not_understood_is_never_met(requirements: ModuleType, marker: str) -> None:
    with pytest.raises(requirements.NotUnderstood):
        requirements.applies(marker, LINUX)


def test_this_interpreter_answers_every_name(requirements: ModuleType) -> None:
    assert set(LINUX) <= set(requirements.environment())
    assert requirements.applies('python_version >= "3.8"', requirements.environment()) is True
