"""Settings: flag before environment before config.toml, and one clear line for what is not allowed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from torchdoctor import settings
from torchdoctor.settings import Settings, SettingsError
from torchprobes import child
from torchprobes.model import Tier


def asked(text: str | None, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Answer `read-config` with `text`; the questions that were asked."""
    questions: list[dict[str, Any]] = []

    def ask(question: str, arguments: dict[str, Any], deadline_s: float) -> str | None:
        questions.append({"question": question, "deadline_s": deadline_s, **arguments})
        return text

    monkeypatch.setattr(child, "ask", ask)
    return questions


HOME = {"HOME": "/home/somebody"}


def test_without_any_source_the_defaults_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    asked(None, monkeypatch)
    assert settings.load({}, HOME) == Settings()


@pytest.mark.parametrize(
    ("flags", "environ", "config", "tier"),
    [
        ({"tier": Tier.QUICK}, {"TORCHDOCTOR_TIER": "full"}, 'tier = "full"', Tier.QUICK),
        ({"tier": None}, {"TORCHDOCTOR_TIER": "full"}, 'tier = "quick"', Tier.FULL),
        ({}, {"TORCHDOCTOR_TIER": ""}, 'tier = "quick"', Tier.QUICK),
        ({}, {}, "", Tier.STANDARD),
    ],
)
def test_the_first_source_that_has_it_wins(
    flags: Mapping[str, Any], environ: dict[str, str], config: str, tier: Tier, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(config, monkeypatch)
    assert settings.load(flags, {**HOME, **environ}).tier is tier


def test_every_setting_of_a_config_file_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
rate = 2.5
theme = "nord"
colour = "16"
ascii = true
slow = true
read_only = true
device = "cpu"
python = "/env/bin/python"
[keys]
quit = "ctrl+q"
[thresholds]
TD-GPU-030 = 85
TD-GPU-031.seconds = 120.5
"""
    asked(text, monkeypatch)
    expected = Settings(
        rate_hz=2.5, theme="nord", colour="16", ascii=True, slow=True, read_only=True, device="cpu",
        python="/env/bin/python", keys={"quit": "ctrl+q"},
        thresholds={"TD-GPU-030": 85.0, "TD-GPU-031.seconds": 120.5},
    )  # fmt: skip
    assert settings.load({}, HOME) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rate = ", "is not TOML"),
        ("colour = [" * 5000, "is not TOML"),
        ("wibble = 1", "'wibble' that is not known"),
        ("force = true", "'force' that is not known"),
        ("as_root = true", "'as_root' that is not known"),
        ("rate = 100", "from 0.1 to 10"),
        ("rate = true", "from 0.1 to 10"),
        ('tier = "endless"', "quick, standard or full"),
        ('ascii = "maybe"', "true or false"),
        ("keys = 3", "table"),
        ("[keys]\nquit = 3", "table"),
        ('theme = "\\u001b[2J"', "printable"),
        ("thresholds = 3", "a table of check = number"),
        ('[thresholds]\nTD-GPU-030 = "hot"', "a table of check = number"),
        ("[thresholds]\nTD-GPU-030 = true", "a table of check = number"),
        ("[thresholds]\nTD-GPU-030 = nan", "a table of check = number"),
        ("[thresholds.a.b]\nc = 3", "a table of check = number"),
    ],
)
def test_a_config_file_that_is_broken_is_one_line_with_its_place(
    text: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(text, monkeypatch)
    with pytest.raises(SettingsError, match=words) as caught:
        settings.load({}, HOME)
    assert "config.toml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("value", ["fast", "nan", "0", "-1", "1e9"])
def test_an_environment_variable_that_is_wrong_is_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(None, monkeypatch)
    with pytest.raises(SettingsError, match="TORCHDOCTOR_RATE"):
        settings.load({}, {**HOME, "TORCHDOCTOR_RATE": value})


@pytest.mark.parametrize("error", [child.Hung(), child.ChildFailed("Permission denied")])
def test_a_home_that_does_not_answer_costs_a_line_and_nothing_else(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: object) -> None:
        raise error

    monkeypatch.setattr(child, "ask", ask)
    loaded = settings.load({"tier": Tier.FULL}, HOME)
    assert loaded.tier is Tier.FULL
    assert "was not read" in loaded.note
    assert "\n" not in loaded.note


def test_force_comes_from_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    asked(None, monkeypatch)
    assert not settings.load({}, {**HOME, "TORCHDOCTOR_FORCE": "1"}).force


def test_the_config_file_is_asked_for_in_a_child_with_a_deadline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    questions = asked(None, monkeypatch)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    settings.load({}, HOME)
    (question,) = questions
    assert question["question"] == "read-settings"
    assert question["path"] == str(tmp_path / "torchdoctor" / "config.toml")
    assert question["deadline_s"] <= 1.0


def test_without_a_home_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked("tier = 3", monkeypatch) == []
    assert settings.load({}, {}) == Settings()
