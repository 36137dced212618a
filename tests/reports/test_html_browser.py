"""The HTML in a real browser: it asks for nothing, runs nothing, and shows what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser, browser
from comparison_material import comparison_of, hostile_comparison, platforms
from report_material import HOSTILE, finding, report, result
from test_markdown import GEMM

from torchprobes.model import Severity, Verdict
from torchprobes.reports.html import comparison_html, to_html

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")

ATTACK = (
    "<script>document.title='owned'</script><img src=http://planted.example/x onerror=\"document.title='owned'\">"
    "<link rel=stylesheet href=http://planted.example/y><iframe src=javascript:parent.document.title='owned'></iframe>"
    "</style><svg onload=\"document.title='owned'\"><a href=javascript:1>"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as one:
        yield one


def test_an_attack_would_be_seen_by_these_tests(page: Browser, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text(f"<!DOCTYPE html><title>mine</title><body>{ATTACK}")
    loaded = page.load(path)
    assert loaded.title == "owned"
    assert loaded.scripts >= 3
    assert any("planted.example" in url for url in loaded.requests)


def test_a_hostile_report_asks_for_nothing_and_runs_nothing(page: Browser, tmp_path: Path) -> None:
    bad = finding(Severity.CRITICAL, ATTACK)
    hostile = [result(f"env.{n}", Verdict.FAIL, reason=text, findings=(bad,)) for n, text in enumerate(HOSTILE)]
    path = tmp_path / "report.html"
    path.write_bytes(to_html(report((*hostile, GEMM)), ATTACK))
    loaded = page.load(path)
    assert loaded.requests == [path.as_uri()]
    assert (loaded.scripts, loaded.violations, loaded.wide) == (0, [], 0)
    assert loaded.title == "torchdoctor: fail, node7"
    assert "<script>document.title='owned'</script>" in loaded.text
    assert "\\x1b[2J\\x1b]0;title\\x07" in loaded.text


def test_a_hostile_comparison_asks_for_nothing_and_runs_nothing(page: Browser, tmp_path: Path) -> None:
    path = tmp_path / "compare.html"
    path.write_bytes(comparison_html(hostile_comparison(12), ATTACK))
    loaded = page.load(path)
    assert loaded.requests == [path.as_uri()]
    assert (loaded.scripts, loaded.violations) == (0, [])


def test_what_a_person_needs_first_is_seen_without_opening_anything(page: Browser, tmp_path: Path) -> None:
    bad = result(
        "env.abi", Verdict.FAIL, reason="numpy is of another world", findings=(finding(Severity.CRITICAL, "broken"),)
    )
    path = tmp_path / "report.html"
    path.write_bytes(to_html(report((GEMM, bad)), "public: masked 3 hosts"))
    seen = page.load(path).text
    order = ["✘ fail", "node7", "Does not work: env.abi", "broken", "do broken", "751 TFLOP/s", "\t95 %\t",
             "software power cap", "numpy is of another world", "Debian 12", "nobody else's process on GPU 0",
             "masked 3 hosts"]  # fmt: skip
    places = [seen.index(part) for part in order]
    assert places == sorted(places)
    assert "env A=1 python -m probe" not in seen  # folded, and there for who opens it
    page.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert "env A=1 python -m probe" in str(page.value("document.body.innerText"))


def test_the_style_is_applied_and_the_plot_has_its_length(page: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(to_html(report((GEMM,))))
    page.load(path)
    assert page.value("getComputedStyle(document.querySelector('dl')).display") == "grid"
    drawn = page.value("document.querySelector('svg.bar rect').getBBox().width")
    whole = page.value("document.querySelector('svg.bar').getBoundingClientRect().width")
    expected = page.value("document.querySelector('svg.bar .line').getBBox().x")
    assert drawn / expected == pytest.approx(751 / 794, abs=0.002)
    assert whole > 200


@pytest.mark.parametrize("width", [400, 700, 1600])
def test_it_fits_a_window_of_any_width(page: Browser, tmp_path: Path, width: int) -> None:
    columns = platforms((report((GEMM,)), report((result("compute.gemm", Verdict.FAIL),))), ("node6", "node7"))
    for name, content in (("a.html", to_html(report((GEMM,)))), ("b.html", comparison_html(comparison_of(columns)))):
        path = tmp_path / name
        path.write_bytes(content)
        assert page.load(path, width).wide <= 0
        tall = "Math.max(...[...document.querySelectorAll('th')].map(one => one.getBoundingClientRect().height))"
        assert page.value(tall) < 90, "a heading stands letter under letter"


def test_on_paper_everything_is_open_and_within_the_sheet(page: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(to_html(report((GEMM,))))
    page.ask("Emulation.setEmulatedMedia", media="print")
    try:
        assert page.load(path, 700).wide <= 0  # what A4 has between its margins
        shown = page.value("document.querySelector('.probe .inside').getBoundingClientRect().height")
        over = "Math.max(...[...document.querySelectorAll('table')].map(one => one.getBoundingClientRect().right))"
        assert shown > 100
        assert page.value(over) <= 700
    finally:
        page.ask("Emulation.setEmulatedMedia", media="")
