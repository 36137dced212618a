"""HTML of reports and comparisons: one file, of which nothing that a payload said can be markup."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from html.parser import HTMLParser

import msgspec
import pytest
from comparison_material import comparison_of, hostile_comparison, platforms
from report_material import HOSTILE, finding, random_report, report, result
from test_markdown import GEMM

from torchprobes.model import Figure, Inventory, Severity, Verdict
from torchprobes.reports.comparison import words
from torchprobes.reports.comparison.model import Line, Moment, Outlier, Timeline, Track
from torchprobes.reports.export import EXPORTERS
from torchprobes.reports.html import comparison_html, plots, timeline_html, to_html
from torchprobes.reports.html.elements import LONGEST, Markup, el, text
from torchprobes.reports.markdown import timeline_markdown

TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section", "h1", "h2", "h3", "p", "b",
    "i", "small", "span", "div", "ul", "li", "dl", "dt", "dd", "pre", "code", "table", "thead", "tbody", "tr", "th",
    "td", "details", "summary", "svg", "rect", "line", "text", "circle",
}  # fmt: skip
ATTRIBUTES = {
    "charset", "http-equiv", "content", "name", "lang", "class", "title", "scope", "colspan", "width", "height", "x",
    "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "aria-hidden", "focusable",
}  # fmt: skip


class Page(HTMLParser):
    """What a browser would make of it: elements, their attributes, and text."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(content.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def check(content: bytes) -> Page:
    """Only elements and attributes of ours, all of them closed, and no character that could act."""
    page = Page(content)
    assert set(page.tags) <= TAGS
    assert page.attributes <= ATTRIBUTES
    assert (page.unbalanced, page.open) == ([], [])
    said = "".join(page.text)
    assert all(unicodedata.category(char)[0] != "C" or char == "\n" for char in said)
    return page


@pytest.mark.parametrize("seed", range(12))
def test_a_report_is_made_of_our_elements_alone(seed: int) -> None:
    wanted = random_report(seed)
    page = check(to_html(wanted, HOSTILE[2]))
    assert page.tags.count("details") >= len(wanted.results)


@pytest.mark.parametrize("many", [1, 2, 5, 12])
def test_a_comparison_is_made_of_our_elements_alone(many: int) -> None:
    check(comparison_html(hostile_comparison(many), HOSTILE[2]))


@pytest.mark.parametrize("bad", HOSTILE)
def test_every_field_of_a_report_is_text(bad: str) -> None:
    figure = Figure(name=bad, value=1.0, unit=bad, labels={bad: bad})
    found = (finding(Severity.CRITICAL, bad),)
    one = result(
        bad, Verdict.FAIL, reason=bad, figures=(figure,), findings=found, command=bad, cache_state=bad, log=bad
    )
    base = report((one,))
    machine = msgspec.structs.replace(
        base.machine, host=bad, os=bad, cpu=bad, driver=bad, gpus=({"name": bad, bad: {"state": bad, "why": bad}},),
        inventory=Inventory(parts={bad: {bad: bad}}, unread={bad: bad}),
    )  # fmt: skip
    target = msgspec.structs.replace(base.target, python=bad, torch=bad, prefix=(bad,))
    check(to_html(msgspec.structs.replace(base, machine=machine, target=target, started=bad, tier=bad), bad))


def test_its_policy_allows_its_style_and_nothing_else() -> None:
    content = to_html(report((GEMM,))).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', content)
    style = re.search(r"<style>(.*?)</style>", content, re.DOTALL)
    assert policy
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy[1].replace("&#x27;", "'").split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_what_is_too_long_is_cut_and_says_so() -> None:
    content = to_html(report((result(reason="y" * (LONGEST + 50)),))).decode()
    assert "y" * LONGEST + " … (50 more characters)" in content


def test_text_cannot_become_markup_by_the_way_it_is_handed_over() -> None:
    assert (
        el("p", "<b>", Markup("<b></b>"), [text("&")], None, title='"<')
        == '<p title="&quot;&lt;">&lt;b&gt;<b></b>&amp;</p>'
    )
    assert el("p", hidden=True, lang=None, dir=False) == "<p hidden></p>"


def test_the_exporter_tells_what_was_masked() -> None:
    assert b"public: masked 3 hosts" in EXPORTERS["html"](report((GEMM,)), "public: masked 3 hosts")
    assert b"Redaction" not in EXPORTERS["html"](report((GEMM,)), "")


def test_a_bar_stands_where_its_value_is() -> None:
    on = plots.axis([0.95, 1.04], 1.0, "%")
    assert 1.04 <= on.end <= 1.1
    assert [words for _, words in on.ticks] == ["25 %", "50 %", "75 %", "100 %"]
    assert on.at(0.5 * on.end) == 50.0
    assert on.at(99.0) == 100.0
    drawn = plots.bar(on, plots.Bar(0.5 * on.end, 0.4 * on.end, 0.6 * on.end, 0.25 * on.end, "ok"))
    for part in ('width="50%"', 'x1="40%" x2="60%"', 'x1="25%" x2="25%"'):
        assert part in drawn


def test_a_strip_has_a_cell_for_every_run_and_dots_of_one_place_are_one() -> None:
    assert plots.strip(["ok"] * 998 + ["fail"] * 2).count("<rect") == 2
    on = plots.around([1.0, 2.0])
    assert plots.dots(on, [(1.0, "accent")] * 500 + [(2.0, "fail")], 1.0).count("<circle") == 2


def test_a_thousand_platforms_make_a_page_of_bounded_size() -> None:
    good, bad = report((GEMM,)), report((msgspec.structs.replace(GEMM, verdict=Verdict.FAIL),))
    labels = [f"node{n:04}" for n in range(1000)]
    columns = platforms([bad if n == 4 else good for n in range(1000)], labels)
    odd = Outlier(platform="node0004", row="compute.gemm", key="gemm_best_rate dtype=bf16", value=6e14, unit="FLOP/s",
                  median=7.5e14, z=-9.25, of=1000)  # fmt: skip
    content = comparison_html(comparison_of(columns, outliers=(odd,)))
    assert len(content) < 1_000_000
    assert "1 fail</span>: node0004" in content.decode()
    assert "apart: node0004" in content.decode()


def test_a_matrix_shows_each_figure_with_its_share_and_what_was_not_asked() -> None:
    columns = platforms((report((GEMM,)), report(())), ("node6", "node7"))
    content = comparison_html(comparison_of(columns)).decode()
    assert "751 TFLOP/s · 95 %".replace(" ", "\N{NO-BREAK SPACE}") in content
    assert words.NOT_ASKED in content


TIMELINE = Timeline(
    lines=(
        Line(
            host="node7",
            moments=(
                Moment("a", "2026-01-01T00:00:00Z", Verdict.PASS),
                Moment(
                    "b",
                    "2026-01-02T00:00:00Z",
                    Verdict.FAIL,
                    ("compute.gemm: pass, then fail",),
                    ("driver: 1, then 2",),
                ),
                Moment("c", "2026-01-03T00:00:00Z", Verdict.PASS, tuple(f"row {n}" for n in range(9))),
            ),
            tracks=(Track("compute.gemm", "gemm_best_rate dtype=bf16", "FLOP/s", (7e14, None, 3.5e14), 0.5),),
        ),
    ),
    alone=("node8",),
)


def test_a_time_line_says_what_changed_when_and_which_figures_moved() -> None:
    content = timeline_html(TIMELINE, "public: masked 3 hosts").decode()
    check(content.encode())
    order = ["node7 over time", "3 reports", "gemm best rate · bf16", "700 TFLOP/s", "350 TFLOP/s", "-50.0 %",
             "2026-01-02T00:00:00Z", "✘ fail", "compute.gemm: pass, then fail", "driver: 1, then 2", "4 more", "node8",
             "masked 3 hosts"]  # fmt: skip
    places = [content.index(part) for part in order]
    assert places == sorted(places)
    drawn = re.search(r'<svg class="track".*?</svg>', content)
    assert drawn
    assert (drawn[0].count("<circle"), drawn[0].count("<line")) == (2, 0), "a gap is no line"


def test_a_time_line_of_hostile_text_is_text() -> None:
    for bad in HOSTILE:
        line = Line(
            host=bad, moments=(Moment(bad, bad, Verdict.PASS, (bad,), (bad,)),), tracks=(Track(bad, bad, bad, (1.0,)),)
        )
        check(timeline_html(Timeline((line,), (bad,)), bad))
        assert "<script" not in re.sub(r"\\<", "", timeline_markdown(Timeline((line,), (bad,)), bad))


def test_a_time_line_in_a_ticket() -> None:
    text = timeline_markdown(TIMELINE)
    assert "| 2026-01-02T00:00:00Z | ✘ fail | compute.gemm: pass, then fail; also another: driver: 1, then 2 |" in text
    assert "- compute.gemm gemm best rate · bf16: 700 TFLOP/s, not measured, 350 TFLOP/s (-50.0 %)" in text
