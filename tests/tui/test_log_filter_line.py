"""What a person types to filter a log."""

from __future__ import annotations

import re

import pytest

from torchdoctor.widgets.log_filter import HINT, Wrong, parse
from torchprobes.compilelog.filter import Filter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("   ", None),
        ('""', None),
        ("level>=W", Filter(levels=frozenset("WEC"))),
        ("level>W", Filter(levels=frozenset("EC"))),
        ("level<=I", Filter(levels=frozenset("VI"))),
        ("level<I", Filter(levels=frozenset("V"))),
        ("level:W,E", Filter(levels=frozenset("WE"))),
        ("level=warning,-", Filter(levels=frozenset("W-"))),
        ("level>=error,-", Filter(levels=frozenset("EC-"))),
        ("-level:V", Filter(levels=frozenset("IWEC-"))),
        ("level>=I level<=W", Filter(levels=frozenset("IW"))),
        ("rank:0,2", Filter(ranks=frozenset({0, 2}))),
        ("rank=0-3 rank:2-9", Filter(ranks=frozenset({2, 3}))),
        ("id:3/1", Filter(compile_ids=frozenset({"3/1"}))),
        ("id:[3/1_2],!0/0/1", Filter(compile_ids=frozenset({"3/1_2", "!0/0/1"}))),
        ("guard.*fail", Filter(include="guard.*fail")),
        ("-codecache !autotune", Filter(exclude="(?:codecache)|(?:autotune)")),
        ('"two words" -"not these"', Filter(include="two words", exclude="not these")),
        ('"-dash"', Filter(include="-dash")),
        ("Error: a:b", Filter(include="^(?=.*(?:Error:))(?=.*(?:a:b))")),
        (
            "level>=W rank:0,2 id:3/1 -codecache guard.*fail",
            Filter(frozenset("WEC"), frozenset({0, 2}), frozenset({"3/1"}), "guard.*fail", "codecache"),
        ),
    ],
)
def test_what_is_typed_is_a_filter(text: str, expected: Filter | None) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("level>=", "level>= needs"),
        ("level:X", "levels are V I W E C"),
        ("level>=W,E", "one level"),
        ("level>=-", "one level"),
        ("rank:", "rank: needs 0 or 0,2 or 0-3"),
        ("rank:x", "ranks are numbers"),
        ("rank:3-1", "ranks are numbers"),
        ("rank:0-99999", "ranks are numbers"),
        ("rank>2", "write rank:2"),
        ("id:7", "compile ids are frame/compile"),
        ("id>=3/1", "write id:3/1"),
        ("ok (", "(: not a regular expression"),
        ("-[z-a]", "not a regular expression"),
        ('ok "not closed', "not closed"),
    ],
)
def test_what_is_no_filter_is_said_in_one_line(text: str, says: str) -> None:
    with pytest.raises(Wrong, match=re.escape(says)) as wrong:
        parse(text)
    assert "\n" not in str(wrong.value)


def test_words_apart_are_wanted_both_and_unwanted_ones_neither() -> None:
    made = parse("guard fail|break -codecache -id:4/0 -rank:1")
    assert made is not None

    def keeps(line: str) -> bool:
        return bool(re.search(made.include, line)) and not re.search(made.exclude, line)

    assert keeps("[3/1] a guard did fail")
    assert keeps("break of a guard")
    assert not keeps("a guard holds")
    assert not keeps("codecache.py: guard fail")
    assert not keeps("V x] [4/0] guard fail")
    assert not keeps("V x] [4/0_1] guard fail")
    assert keeps("V x] [4/01] guard fail")
    assert not keeps("[rank1]:V x] guard fail")
    assert keeps("[rank11]:V x] guard fail")


def test_the_hint_is_itself_a_filter() -> None:
    assert parse(HINT) is not None
