"""Versions compared as PEP 440 has it, as far as requirements of PyTorch need."""

from __future__ import annotations

import pytest

from torchprobes.judge.env.versions import key, release, satisfies


@pytest.mark.parametrize(
    ("version", "specifier", "answer"),
    [
        ("12.1.105", "==12.1.105", True), ("12.4.127", "==12.1.105", False), ("3.2.0", "", True),
        ("2.6.0+cu124", "==2.6.0", True), ("2.6", "==2.6.0", True), ("13.0.88", "==13.0.88.*", True),
        ("13.0.8", "==13.0.88.*", False), ("3.8.4", "~=3.8.0", True), ("3.9.0", "~=3.8.0", False),
        ("13.5.0", "<14,>=13.0.3", True), ("14.0", "<14,>=13.0.3", False), ("4.16.0", ">=4.10.0", True),
        ("2.9.0rc1", ">=2.9.0", False), ("2.9.0.dev20250801", "<2.9.0", True), ("2.9.0.post1", ">2.9.0", True),
        ("2.1.2", "!=2.1.2", False), ("2.1.3", "!=2.1.*", False), ("3.11.7", ">=3.8.0", True),
        ("as built", "==1", None), ("1.0", "near 1", None), ("1.0", "==one", None), ("1.0", ">=1.*", None),
    ],
)  # fmt: skip
def test_a_version_is_within_a_specifier(version: str, specifier: str, answer: bool | None) -> None:
    assert satisfies(version, specifier) is answer


def test_versions_are_in_order() -> None:
    versions = ["2.9.0.dev1", "2.9.0a1", "2.9.0b2", "2.9.0rc1", "2.9.0", "2.9.0.post1", "2.9.1", "2.10.0"]
    keys = [key(version) for version in versions]
    assert None not in keys
    assert keys == sorted(keys, key=lambda k: k or ((0,), 0, 0, 0))
    assert len(set(keys)) == len(keys)


def test_the_release_is_what_limits_go_by() -> None:
    assert release("2.13.0+cpu") == (2, 13)
    assert release("unknown") is None
