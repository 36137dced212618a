"""Exports: every form holds every verdict, and what a payload said can neither break nor style any of them."""

from __future__ import annotations

import unicodedata
from xml.etree import ElementTree

import msgspec
import pytest
from report_material import HOSTILE, random_report, report, result

from torchprobes.model import Figure, Report, Verdict
from torchprobes.reports.export import to_json
from torchprobes.reports.junit import to_junit
from torchprobes.reports.signs import counts
from torchprobes.reports.text import mask, plain

SEEDS = range(100)


@pytest.mark.parametrize("seed", SEEDS)
def test_json_is_the_report(seed: int) -> None:
    assert msgspec.json.decode(to_json(random_report(seed)), type=Report) == random_report(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_junit_is_xml_with_a_case_a_probe_and_counts_that_add_up(seed: int) -> None:
    wanted = random_report(seed)
    suite = ElementTree.fromstring(to_junit(wanted)).find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [r.name for r in wanted.results]
    for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert suite.get(attribute) == str(len(suite.findall(f"testcase/{tag}")))
    for case, r in zip(cases, wanted.results, strict=True):
        broken = case.find("failure") is not None or case.find("error") is not None
        assert broken == (r.verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.UNSURE))


def test_junit_tells_degraded_as_passed_with_words() -> None:
    slow = result(verdict=Verdict.DEGRADED, reason="half as fast", figures=(Figure(name="speed", value=0.5, unit="x"),))
    case = ElementTree.fromstring(to_junit(report((slow,)))).find("testsuite/testcase")
    assert case is not None
    assert [child.tag for child in case] == ["system-out"]
    assert "half as fast" in (case[0].text or "")
    assert "speed 0.5 x" in (case[0].text or "")


def test_counts_are_in_order_of_the_table() -> None:
    some = (result(), result("a.b", Verdict.FAIL), result("a.c"))
    assert counts(some) == "2 pass, 1 fail"
    assert counts(()) == "no probe was asked for"


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_text_is_one_line_of_printable_characters(text: str) -> None:
    said = plain(text)
    assert all(unicodedata.category(char)[0] != "C" and char not in "\u2028\u2029" for char in said)
    assert len(plain(text, 20)) <= 20


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("API_TOKEN=hunter2 next", "API_TOKEN=*** next"),
        ("AWS_SECRET_ACCESS_KEY: abc", "AWS_SECRET_ACCESS_KEY: ***"),
        ("run --token hunter2 x", "run --token *** x"),
        ("password='a b' c", "password=*** c"),
        ("http://user:pw@host/x", "http://user:***@host/x"),
        ("unexpected token 3 here", "unexpected token 3 here"),
        ("MASTER_PORT=29500", "MASTER_PORT=29500"),
    ],
)
def test_secrets_are_masked_and_nothing_else(text: str, masked: str) -> None:
    assert mask(text) == masked
