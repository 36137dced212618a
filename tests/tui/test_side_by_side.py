"""Two texts side by side: rows that belong together, words that differ, nodes and the kernels made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from log_app import OneWidgetApp, screen_text

from torchdoctor.log_source import Part, compare, link, read_code
from torchdoctor.widgets.code_paint import code_text, languages, runs
from torchdoctor.widgets.side_by_side import Compared, SideBySide, rows_of
from torchdoctor.widgets.side_rows import MOST_LINES, Pair, aligned, changed_words, linked

BEFORE = """\
class GraphModule(torch.nn.Module):
    def forward(self, L_x_: "f32[3, 16][16, 1]cpu"):
        l_x_ = L_x_
        linear: "f32[3, 16][16, 1]cpu" = torch._C._nn.linear(l_x_, w);  l_x_ = None
        sin: "f32[3, 16][16, 1]cpu" = torch.sin(linear);  linear = None
        return (sin,)
""".splitlines()
AFTER = [line.replace("3, 16", "s77, 16") for line in BEFORE]
AFTER.insert(4, '        mul: "f32[s77, 16][16, 1]cpu" = linear * 1.5')

CODE = """\
# AOT ID: ['0_inference']
async_compile = AsyncCompile()

cpp_fused_gelu_0 = async_compile.cpp_pybinding(['float*'], r'''
#include <torch/csrc/inductor/cpp_prefix.h>
extern "C"  void  kernel(float* in_out_ptr0)
{ auto tmp0 = 0.5; } // half
''')

# Graph fragment:
#   %relu : [num_users=1] = call_function[target=torch.ops.aten.relu.default](args = (%x,), kwargs = {})
triton_poi_fused_relu_0 = async_compile.triton('triton_poi_fused_relu_0', '''
import triton
@triton.jit
def triton_poi_fused_relu_0(in_ptr0):
    return 0  # one program a block
''', device_str='cuda')

def call(args):
    # [Provenance debug handles] cpp_fused_gelu_0:2
    cpp_fused_gelu_0(buf1)
    # [Provenance debug handles] extern_kernels.addmm:1
    extern_kernels.addmm(arg1_1)
""".splitlines()
GRAPH = """\
class <lambda>(torch.nn.Module):
    def forward(self, x: "f32[4]"):
        addmm: "f32[4]" = torch.ops.aten.addmm.default(x)
        mul: "f32[4]" = torch.ops.aten.mul.Tensor(addmm, 0.5)
        erf: "f32[4]" = torch.ops.aten.erf.default(mul)
        relu: "f32[4]" = torch.ops.aten.relu.default(erf)
        return (relu,)
""".splitlines()
MAPPINGS = {"cppCodeToPost": {"extern_kernels.addmm:1": ["addmm"], "cpp_fused_gelu_0:2": ["mul", "erf", "nowhere"]}}


def changes(pairs: tuple[Pair, ...]) -> str:
    return "".join({"same": "=", "changed": "~", "left": "-", "right": "+"}[pair.change] for pair in pairs)


def test_lines_of_two_compiles_are_matched_without_their_shapes() -> None:
    pairs = aligned(BEFORE, AFTER)
    assert changes(pairs) == "=~=~+~="
    assert (pairs[5].left, pairs[5].right) == (4, 5)


def test_every_line_of_both_stands_in_one_row_in_its_order() -> None:
    for left, right in ((BEFORE, AFTER), (AFTER, BEFORE), (CODE, GRAPH), ([], AFTER), (AFTER, []), (CODE, CODE)):
        pairs = aligned(left, right)
        assert [pair.left for pair in pairs if pair.left is not None] == list(range(len(left)))
        assert [pair.right for pair in pairs if pair.right is not None] == list(range(len(right)))
        for pair in pairs:
            if pair.left is not None and pair.right is not None:
                assert (pair.change == "same") == (left[pair.left] == right[pair.right])


def test_a_line_in_the_place_of_another_one_stands_beside_it_only_if_it_is_like_it() -> None:
    assert changes(aligned(["a", "x = sin(y)", "b"], ["a", "x = cos(y)", "b"])) == "=~="
    assert changes(aligned(["a", "x = sin(y)", "b"], ["a", "class Other: pass", "b"])) == "=-+="


def test_the_words_that_differ_are_lit() -> None:
    gone, come = changed_words('x: "f32[3, 16]" = sin(y)', 'x: "f32[s77, 16]" = sin(y)')
    assert [('x: "f32[3, 16]" = sin(y)'[a:b]) for a, b in gone] == ["3"]
    assert [('x: "f32[s77, 16]" = sin(y)'[a:b]) for a, b in come] == ["s77"]
    assert changed_words("same", "same") == ((), ())


def test_long_texts_are_compared_to_their_limit() -> None:
    left = [f"{n % 7} }} line" for n in range(MOST_LINES + 100)]
    assert len(aligned(left, list(reversed(left)))) <= 2 * MOST_LINES


def test_nodes_are_linked_with_the_text_and_the_calls_of_their_kernels() -> None:
    links = linked(GRAPH, CODE, MAPPINGS)
    assert links.source == "provenance"
    assert links.right_of[3] == links.right_of[4] == (3, 4, 5, 6, 7, 19, 20), "mul and erf share a kernel"
    assert links.right_of[2] == (21, 22), "an extern kernel has a call only"
    assert links.left_of[5] == (3, 4)
    assert 5 not in links.right_of, "the provenance does not name relu"


def test_without_provenance_the_comments_of_triton_kernels_tell() -> None:
    links = linked(GRAPH, CODE, {})
    assert links.source == "the comments of the kernels"
    assert links.right_of == {5: (11, 12, 13, 14, 15, 16)}


@pytest.mark.parametrize("mappings", [{"cppCodeToPost": 7}, {"cppCodeToPost": {"a": {"b": 1}}}, {"cppCodeToPost": [1]}])
def test_a_provenance_that_is_not_what_it_should_be_links_nothing(mappings: dict[str, object]) -> None:
    assert linked(GRAPH[:-2], CODE, mappings).right_of == {}


# --- languages --------------------------------------------------------------------------------------------------------


def test_each_line_of_output_code_has_its_language() -> None:
    found = languages(CODE, "python")
    assert found[3:8] == ["python", "cpp", "cpp", "cpp", "python"]
    assert found[11:17] == ["python"] * 6
    assert languages(["'''a", "b", "''' + c", "d"], "python") == ["python", "string", "python", "python"]
    assert languages(["x = 1  # it's '''", "y"], "python") == ["python", "python"]
    assert languages(["a", "b"], "ir") == ["ir", "ir"]


def test_parts_of_lines_are_told_apart() -> None:
    parts = {CODE[6][start:end]: what for start, end, what in runs("cpp", CODE[6])}
    assert parts == {"auto": "keyword", "0.5": "number", "// half": "comment"}
    assert runs("string", "abc") == [(0, 3, "string")]
    assert ("return", "keyword") in {("    return 0"[a:b], what) for a, b, what in runs("python", "    return 0")}


def test_a_payload_loses_its_tabs_and_text_from_outside_does_not_act() -> None:
    made = code_text(b"\tx = 1\r\n\t\ty\n\tbad \x1b]52;c;eA==\x07 \xff\n", "python", payload=True, ascii_only=False)
    assert made.lines[0] == "x = 1"
    assert made.lines[1].strip() == "y"
    assert made.lines[2].startswith(r"bad \x1b]52;c;eA==\x07")
    assert all(line.isprintable() for line in made.lines)


# --- from files, on a screen ------------------------------------------------------------------------------------------


def part(folder: Path, name: str, lines: Sequence[str]) -> Part:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return str(path), None, "python"


def test_files_are_compared_and_what_is_missing_is_said(tmp_path: Path) -> None:
    before, after = part(tmp_path, "a.py", BEFORE), part(tmp_path, "b.py", AFTER)
    made = compare(before, after, "two", ascii_only=False)
    assert made.differs == 4
    assert compare(before, before, "two", ascii_only=False).title == "two; they are the same"
    lost = compare(before, (str(tmp_path / "no.py"), None, "python"), "two", ascii_only=False)
    assert "it is not on this machine" in lost.cause
    assert "not a regular file" in read_code(str(tmp_path), None, "python", ascii_only=False).cause


def test_a_provenance_too_deep_or_torn_is_none(tmp_path: Path) -> None:
    graph, code = part(tmp_path, "g.py", GRAPH), part(tmp_path, "c.py", CODE)
    for text in ('{"cppCodeToPost": {"a', "[" * 100_000, "[]"):
        (tmp_path / "p.json").write_text(text)
        made = link(graph, code, (str(tmp_path / "p.json"), None, "json"), "", ascii_only=False)
        assert "lit by the comments of the kernels" in made.title
    (tmp_path / "p.json").write_text(json.dumps(MAPPINGS))
    made = link(graph, code, (str(tmp_path / "p.json"), None, "json"), "", ascii_only=False)
    assert "lit by provenance" in made.title


def graphs() -> Compared:
    left, right = (
        code_text("\n".join(of).encode(), "python", payload=False, ascii_only=False) for of in (BEFORE, AFTER)
    )
    return Compared(left, right, aligned(left.lines, right.lines))


@pytest.mark.parametrize("width", [60, 80, 200])
async def test_both_texts_are_on_the_screen_whatever_its_width(width: int) -> None:
    view = SideBySide()
    app = OneWidgetApp(view)
    async with app.run_test(size=(width, 20)) as pilot:
        view.show(graphs())
        view.focus()
        await pilot.pause()
        rows = screen_text(app)
        first = next(at for at, row in enumerate(rows) if "s77" in row)
        assert ("3, 16" in rows[first]) == (width == 200)
        assert len(view._rows) == len(rows_of(view.compared.pairs, width == 200))
        assert view.cursor == 1, "it begins at the first difference"
        await pilot.press("e", "e")
        assert "return" not in view.text_at(view.cursor)
        await pilot.press("right")
        assert view.scroll_offset.x > 0 or width == 200
    assert "\n+        mul:" in view.as_text()
    assert view.as_text().count("\n-") == 3


async def test_what_belongs_to_the_line_under_the_cursor_stands_beside_it() -> None:
    left, right = (code_text("\n".join(of).encode(), "python", payload=False, ascii_only=False) for of in (GRAPH, CODE))
    view = SideBySide()
    app = OneWidgetApp(view)
    async with app.run_test(size=(160, 12)) as pilot:
        view.show(Compared(left, right, links=linked(GRAPH, CODE, MAPPINGS)))
        view.focus()
        await pilot.press("down")
        await pilot.pause()
        row = next(row for row in screen_text(app) if "aten.mul.Tensor" in row)
        assert "cpp_fused_gelu_0 = async_compile" in row
        assert row.count("=  ") >= 1
        await pilot.press("s")
        await pilot.pause()
        assert view.side == "right"
        assert "cpp_fused_gelu_0" in view.text_at(view.cursor)
        row = next(row for row in screen_text(app) if "cpp_fused_gelu_0 = async_compile" in row)
        assert "aten.mul.Tensor" in row, "the graph follows"
