"""Comparison: labels, every cell against its report, what counts as a difference, shares of a device's own peak."""

from __future__ import annotations

import msgspec
import planted
import pytest
from report_material import HOSTILE, MACHINE, random_report, report, result

from torchprobes.model import Expectation, Fact, Figure, Inventory, Machine, Report, Result, Verdict
from torchprobes.reports.comparison import compared, platforms, timeline
from torchprobes.reports.comparison.model import Comparison, Row

H200, A800, RTX, CPU = "NVIDIA H200", "NVIDIA A800-SXM4-80GB", "NVIDIA GeForce RTX 4090", ""


def machine(host: str = "node7", gpu: str = H200, count: int = 1) -> Machine:
    gpus = tuple({"index": index, "name": gpu} for index in range(count)) if gpu else ()
    return msgspec.structs.replace(MACHINE, host=host, gpus=gpus)


def of(*results: Result, host: str = "node7", gpu: str = H200, started: str = "2026-01-02T03:04:05Z") -> Report:
    base = report(results)
    return msgspec.structs.replace(base, machine=machine(host, gpu), started=started)


def gemm(rate: float, spread: float | None = None, verdict: Verdict = Verdict.PASS, **fields: object) -> Result:
    figure = Figure(name="gemm_best_rate", value=rate, unit="FLOP/s", n=100, spread=spread, labels={"dtype": "bf16"})
    return result("compute.gemm", verdict, device="cuda:0", figures=(figure,), **fields)


def sdpa(way: str) -> Result:
    return result("compute.sdpa", device="cuda:0", facts=(Fact(name="sdpa.causal-64.default", value=way),))


def held(*reports: Report) -> Comparison:
    return compared(platforms([(f"{index}.json", each) for index, each in enumerate(reports)]))


def row(comparison: Comparison, name: str) -> Row:
    return next(each for each in comparison.rows if each.name == name)


# --- columns -------------------------------------------------------------------------------------------------------


def labels(*reports: Report) -> list[str]:
    return [each.label for each in platforms([(f"runs/{n}.json", each) for n, each in enumerate(reports)])]


def test_a_label_is_the_host_without_its_domain_where_that_tells_platforms_apart() -> None:
    assert labels(of(host="node1.example.org"), of(host="node2.example.org")) == ["node1", "node2"]


def test_an_address_is_no_host_with_a_domain() -> None:
    assert labels(of(host="192.0.2.1"), of(host="192.0.2.2")) == ["192.0.2.1", "192.0.2.2"]


def test_hosts_that_differ_only_by_domain_keep_it() -> None:
    assert labels(of(host="node1.a"), of(host="node1.b")) == ["node1.a", "node1.b"]


def test_one_host_with_two_pytorches_is_told_by_them() -> None:
    other = msgspec.structs.replace(of(), target=msgspec.structs.replace(of().target, torch="2.1.2"))
    assert labels(of(), other) == ["torch 2.6.0", "torch 2.1.2"]


def test_one_host_at_two_times_is_told_by_the_time() -> None:
    assert labels(of(), of(started="2026-01-03T03:04:05Z")) == ["2026-01-02", "2026-01-03"]


def test_two_parts_are_taken_where_one_is_not_enough() -> None:
    found = labels(of(host="a"), of(host="a", gpu=A800), of(host="b"), of(host="b", gpu=A800))
    assert found == [f"{host} · {gpu}" for host in "ab" for gpu in (H200, A800)]


def test_labels_of_the_very_same_report_are_unique_all_the_same() -> None:
    same = [("x/report.json", of())] * 3
    found = [each.label for each in platforms(same)]
    assert found == ["node7", "node7 #2", "node7 #3"]


def test_devices_in_words() -> None:
    two = msgspec.structs.replace(of(), machine=machine(count=2))
    (first, second, third) = platforms([("a", two), ("b", of(gpu=CPU)), ("c", of(host="c", gpu=A800))])
    assert (first.device, second.device, third.device) == (f"2 x {H200}", "CPU (Xeon)", A800)
    assert (first.sort, second.sort) == (H200, "cpu")


def test_a_gpu_without_a_name_is_no_cpu() -> None:
    gpus = ({"index": 0, "name": {"state": "hung", "why": "no answer"}},)
    lost = msgspec.structs.replace(of(), machine=msgspec.structs.replace(MACHINE, gpus=gpus))
    assert platforms([("a", lost)])[0].device == "GPU of unknown name"


def test_a_device_that_only_torch_knows_is_taken_from_its_probes() -> None:
    told = result("compute.gemm", device="xpu:0", facts=(Fact(name="gpu.name", value="Kunlun XPU"),))
    assert platforms([("a", of(told, gpu=CPU))])[0].device == "Kunlun XPU"


# --- cells ---------------------------------------------------------------------------------------------------------


def test_every_cell_of_real_reports_says_what_its_report_says() -> None:
    columns = platforms([(name, planted.real(name)) for name in planted.REAL])
    found = compared(columns)
    assert {row.name for row in found.rows} == {r.name for p in columns for r in p.report.results}
    for each in found.rows:
        for column, cell in zip(columns, each.cells, strict=True):
            said = next((r for r in column.report.results if r.name == each.name), None)
            assert cell.verdict is (said.verdict if said else None)
            if said is not None:
                values = {(f.name, tuple(sorted(f.labels.values()))): f.value for f in said.figures}
                assert {figure.value for figure in cell.figures} <= set(values.values())
                assert cell.findings == tuple(dict.fromkeys(f.id for f in said.findings))


def test_a_figure_that_is_told_twice_is_in_its_cell_once_as_it_was_told_last() -> None:
    twice = result(figures=(Figure(name="a_s", value=1.0, unit="s"), Figure(name="a_s", value=2.0, unit="s")))
    (cell,) = row(held(of(twice)), "env.identity").cells
    assert [said.value for said in cell.figures] == [2.0]


def test_labels_that_tell_the_circumstances_do_not_part_a_figure() -> None:
    def copy(threads: str) -> Result:
        labelled = {"kind": "device", "threads": threads, "bytes": threads}
        return result("compute.bandwidth", figures=(Figure(name="copy_rate", value=1e9, unit="B/s", labels=labelled),))

    keys = {cell.figures[0].key for cell in row(held(of(copy("2")), of(copy("8"))), "compute.bandwidth").cells}
    assert keys == {"copy_rate kind=device"}


# --- figures by their device's own peak ------------------------------------------------------------------------------


def test_a_share_is_of_the_device_s_own_peak() -> None:
    cells = row(held(of(gemm(989e12 * 0.81)), of(gemm(312e12 * 0.79), gpu=A800)), "compute.gemm").cells
    assert [round(cell.figures[0].share or 0, 2) for cell in cells] == [0.81, 0.79]
    assert [cell.figures[0].of for cell in cells] == ["H200's peak", "A800 SXM 80 GB's peak"]


def test_81_percent_of_one_peak_and_79_of_another_are_the_same_and_flash_to_math_is_lost() -> None:
    found = held(of(gemm(989e12 * 0.81), sdpa("flash")), of(gemm(312e12 * 0.79), sdpa("math"), gpu=A800))
    assert row(found, "compute.gemm").change == "same"
    assert row(found, "compute.sdpa").change == "lost"
    assert row(found, "compute.sdpa").words[0] == f"sdpa causal-64: flash on {H200}, math on {A800}: lost"


def test_half_of_the_share_is_worse_on_another_device_too() -> None:
    assert row(held(of(gemm(989e12 * 0.8)), of(gemm(312e12 * 0.3), gpu=A800)), "compute.gemm").change == "worse"


def test_values_of_unlike_devices_without_a_peak_are_not_compared() -> None:
    found = row(held(of(gemm(1e12), gpu="GPU X"), of(gemm(9e12), gpu="GPU Y")), "compute.gemm")
    assert (found.change, [cell.figures[0].share for cell in found.cells]) == ("same", [None, None])


def test_a_recalled_peak_judges_nothing() -> None:
    tf32 = Figure(name="gemm_rate", value=10e12, unit="FLOP/s", labels={"dtype": "tf32"})
    cell = row(held(of(result("compute.gemm", device="cuda:0", figures=(tf32,)), gpu=RTX)), "compute.gemm").cells[0]
    assert cell.figures[0].share is None


def test_an_expectation_makes_the_share_where_no_peak_is_known() -> None:
    expected = Expectation(name="gemm_best_rate", value=4e12, unit="FLOP/s", labels={"dtype": "bf16"})
    cell = row(held(of(gemm(3e12, expectations=(expected,)), gpu="GPU X")), "compute.gemm").cells[0]
    assert (cell.figures[0].share, cell.figures[0].of) == (0.75, "what is expected")


@pytest.mark.parametrize(
    ("now", "spread", "change"),
    [
        (0.98, 0.001, "same"),  # within 3 %
        (0.95, 0.001, "worse"),
        (1.05, 0.001, "better"),
        (0.95, 0.03, "same"),  # twice the joint spread is 8.5 %
        (0.95, None, "same"),  # measured often, spread not recorded: 10 %
        (0.80, None, "worse"),
    ],
)
def test_like_devices_differ_beyond_three_percent_and_twice_the_joint_spread(
    now: float, spread: float | None, change: str
) -> None:
    half = None if spread is None else spread * 700e12
    assert row(held(of(gemm(700e12, half)), of(gemm(700e12 * now, half))), "compute.gemm").change == change


def test_counts_have_no_noise() -> None:
    def with_breaks(count: float) -> Result:
        return result("compile.default", figures=(Figure(name="graph_breaks", value=count, unit="breaks"),))

    found = row(held(of(with_breaks(0)), of(with_breaks(1))), "compile.default")
    assert found.change == "worse"
    assert "from nothing" in found.words[0]


def test_figures_of_a_probe_that_broke_mean_nothing() -> None:
    found = row(held(of(gemm(700e12)), of(gemm(1.0, verdict=Verdict.ERROR))), "compute.gemm")
    assert found.change == "other"
    assert not any("gemm_best_rate" in words for words in found.words)


def test_a_figure_that_is_no_number_is_no_ratio() -> None:
    assert row(held(of(gemm(float("nan"))), of(gemm(float("inf")))), "compute.gemm").change == "same"


# --- rows ----------------------------------------------------------------------------------------------------------

P, D, F, S, U, E = Verdict.PASS, Verdict.DEGRADED, Verdict.FAIL, Verdict.SKIP, Verdict.UNSURE, Verdict.ERROR


@pytest.mark.parametrize(
    ("verdicts", "change"),
    [
        ((P, P), "same"), ((P, F), "lost"), ((P, S), "lost"), ((P, D), "lost"), ((F, P), "gained"), ((S, P), "gained"),
        ((P, U), "other"), ((E, P), "other"), ((P, P, F), "lost"), ((F, P, P), "gained"), ((U, P, F), "lost"),
    ],
)  # fmt: skip
def test_a_row_by_its_verdicts(verdicts: tuple[Verdict, ...], change: str) -> None:
    found = held(*(of(result(verdict=verdict), host=f"n{n}") for n, verdict in enumerate(verdicts)))
    assert row(found, "env.identity").change == change


def test_a_probe_that_one_platform_was_asked_stands_alone() -> None:
    found = row(held(of(result(), host="a"), of(host="b")), "env.identity")
    assert (found.change, found.words, found.cells[1].verdict) == ("alone", ("asked on a only",), None)


def test_what_differs_comes_first_and_what_is_lost_before_all() -> None:
    slow = (result(), result("a.same"), gemm(500e12, 1e12), sdpa("math"))
    found = held(of(result(), result("a.same"), gemm(700e12, 1e12), sdpa("flash")), of(*slow))
    assert [(each.name, each.change) for each in found.rows][:3] == [
        ("compute.sdpa", "lost"), ("compute.gemm", "worse"), ("env.identity", "same"),
    ]  # fmt: skip
    assert len(found.differing) == 2


def test_channels_are_the_tuner_s_and_not_the_way() -> None:
    def link(text: str) -> Result:
        return result("ddp.allreduce", facts=(Fact(name="ddp.link.0-1", value=text),))

    assert row(held(of(link("P2P/CUMEM x 24")), of(link("P2P/CUMEM x 16"))), "ddp.allreduce").change == "same"
    assert row(held(of(link("P2P/CUMEM x 24")), of(link("SHM/direct x 2"))), "ddp.allreduce").change == "lost"


def test_words_stay_short_however_many_platforms_there_are() -> None:
    many = [of(result(verdict=F if n == 400 else P), host=f"node{n}") for n in range(500)]
    (words,) = row(held(*many), "env.identity").words
    assert "fail on node400" in words
    assert len(words) < 200


def test_one_platform_is_compared_with_nothing() -> None:
    found = held(planted.real("cpu"))
    assert not found.differing
    assert not found.causes


def test_no_platform_at_all() -> None:
    assert held().rows == ()


# --- outliers --------------------------------------------------------------------------------------------------------


def fleet(slow: float, count: int = 12, spread: float | None = 1e12) -> Comparison:
    rates = [700e12 * (1 + 0.002 * (n % 5)) for n in range(count)]
    return held(*(of(gemm(slow if n == 7 else rate, spread), host=f"node{n}") for n, rate in enumerate(rates)))


def test_a_node_that_lies_apart_is_an_outlier_with_its_z() -> None:
    (found,) = fleet(600e12).outliers
    assert (found.platform, found.row, found.of) == ("node7", "compute.gemm", 12)
    assert found.z < -3.5


def test_what_is_within_the_noise_is_no_outlier_however_alike_the_others_are() -> None:
    same = [of(gemm(690e12 if n == 7 else 700e12, 1e12), host=f"node{n}") for n in range(12)]
    assert not held(*same).outliers


def test_three_are_no_fleet() -> None:
    assert not fleet(100e12, count=3).outliers


def test_an_outlier_is_one_among_its_own_kind_only() -> None:
    gpus = [of(gemm(700e12, 1e12), host=f"a{n}") for n in range(8)]
    others = [of(gemm(250e12, 1e12), host=f"b{n}", gpu=A800) for n in range(8)]
    assert not held(*gpus, *others).outliers


def looked_at(limit: float, used: float) -> Result:
    told = (("power_limit_w", limit, "W"), ("memory_used_bytes", used, "B"), ("temperature_c", 30.0 + used % 3, "°C"))
    figures = tuple(Figure(name=name, value=value, unit=unit, labels={"gpu": "0"}) for name, value, unit in told)
    return msgspec.structs.replace(result("telemetry", device="gpu:0", figures=figures), group="telemetry")


def test_a_setting_of_a_snapshot_differs_and_what_comes_and_goes_with_jobs_does_not() -> None:
    nodes = [of(looked_at(350.0 if n == 4 else 700.0, 1e9 * n), host=f"node{n}") for n in range(6)]
    found = held(*nodes)
    (words,) = row(found, "telemetry").words
    assert words.startswith("power_limit_w gpu=0: 700 W on node0, 350 W on node4")
    assert [(each.platform, each.key) for each in found.outliers] == [("node4", "power_limit_w gpu=0")]


# --- what no probe covered -------------------------------------------------------------------------------------------


def test_what_no_probe_covers_is_told_of_a_green_matrix_too() -> None:
    lines = held(planted.real("cpu")).uncovered
    assert [line.partition(":")[0] for line in lines[:4]] == [
        "data path", "storage", "network between nodes", "collectives of several nodes",
    ]  # fmt: skip
    assert any(line.startswith("CUDA graphs") for line in lines)


def test_what_ran_is_not_told_as_uncovered() -> None:
    lines = held(of(gemm(700e12))).uncovered
    assert not any(line.startswith("GPU products") for line in lines)
    assert any(line.startswith("attention kernels: ask for it: torchdoctor check compute.sdpa") for line in lines)


def test_what_was_asked_and_skipped_is_uncovered_with_its_reason() -> None:
    lines = held(of(result("data.image", Verdict.SKIP, reason="neither PIL nor cv2"))).uncovered
    assert "image decoding: data.image came to skip: neither PIL nor cv2" in lines


def test_what_ran_on_some_is_told_of_the_others() -> None:
    lines = held(of(gemm(700e12), host="a"), of(host="b")).uncovered
    assert "GPU products and their speed: not on b" in lines


def test_a_snapshot_covers_no_feature() -> None:
    passive = msgspec.structs.replace(of(), tier="snapshot")
    lines = held(passive).uncovered
    assert lines[0] == "every feature on node7: a snapshot is passive, and no probe ran"


# --- time ------------------------------------------------------------------------------------------------------------


def test_a_time_line_tells_what_changed_since_the_report_before_and_which_figures_drift() -> None:
    rates = ("2026-01-03T00:00:00Z", 700e12), ("2026-01-05T00:00:00Z", 500e12), ("2026-01-04T00:00:00Z", 699e12)
    found = timeline(platforms([(at, of(gemm(rate, 1e12), started=at)) for at, rate in rates]))
    (line,) = found.lines
    assert [moment.started[:10] for moment in line.moments] == ["2026-01-03", "2026-01-04", "2026-01-05"]
    assert [len(moment.changes) for moment in line.moments] == [0, 0, 1]
    assert line.moments[2].changes[0].startswith("compute.gemm: gemm_best_rate")
    (track,) = line.tracks
    assert (track.values, round(track.drift or 0, 3)) == ((700e12, 699e12, 500e12), 0.714)


def test_a_node_of_one_report_has_no_time_line() -> None:
    found = timeline(platforms([("a", of(host="a")), ("b", of(host="b")), ("c", of(host="b"))]))
    assert ([line.host for line in found.lines], found.alone) == (["b"], ("a",))


# --- what others wrote -----------------------------------------------------------------------------------------------


def test_reports_of_hostile_texts_are_compared_and_their_labels_are_unique() -> None:
    columns = platforms([(f"{seed}", random_report(seed)) for seed in range(60)])
    found = compared(columns)
    assert len({each.label for each in columns}) == 60
    assert sum(cell.verdict is not None for row in found.rows for cell in row.cells) == sum(
        len(each.report.results) for each in columns
    )


def test_hostile_names_of_settings_make_short_words() -> None:
    long = "x" * 100_000
    parts = {text: {text or "empty": text, long: text} for text in HOSTILE}
    one, other = (Inventory(parts=parts), Inventory(parts={kind: dict.fromkeys(parts[kind], long) for kind in parts}))
    made = [msgspec.structs.replace(of(host=h), machine=msgspec.structs.replace(MACHINE, host=h, inventory=inventory))
            for h, inventory in (("a", one), ("b", other))]  # fmt: skip
    causes = held(*made).causes
    assert causes
    assert max(len(cause.words) for cause in causes) < 500


def test_a_figure_of_a_hostile_name_makes_short_words() -> None:
    def long(value: float) -> Result:
        return result(figures=(Figure(name="x" * 100_000, value=value, unit="s", n=50),))

    (words,) = row(held(of(long(1.0), host="a"), of(long(9.0), host="b")), "env.identity").words
    assert len(words) < 300
