"""Rules of what goes with compiling: sound readings pass, and one thing broken in them is one finding."""

from __future__ import annotations

import pytest
from sound import Facts, figure, ids, judged, readings

from torchprobes.model import Figure, Verdict

PLACE = "toolchain.place.inductor"
TOOLCHAIN: Facts = {
    **{f"toolchain.{tool}.found": f"/usr/bin/{tool}" for tool in ("cxx", "cc")},
    **{f"toolchain.{tool}.works": "right" for tool in ("cxx", "cc", "python_h")},
    "toolchain.cxx.version": "g++ 12.2.0",
    "toolchain.python_h": True,
    "toolchain.python_h.needed": True,
    "toolchain.triton.found": True,
    "toolchain.triton.version": "3.6.0",
    "toolchain.triton.pin": "triton==3.6.0",
    "toolchain.triton.pinned": True,
    "toolchain.nvidia": True,
    "toolchain.ptxas.90": "right",
    "toolchain.libcuda.folder": "/usr/lib",
    "toolchain.libcuda.linked": True,
    PLACE: "/tmp/torchinductor_me",
    f"{PLACE}.writable": True,
    f"{PLACE}.executable": True,
    f"{PLACE}.own": True,
    f"{PLACE}.network": False,
    "toolchain.place.home": "/home/me",
    "toolchain.place.home.writable": True,
}
SPACE = (figure("free_bytes", 50e9, place="inductor"), figure("free_inodes", 1e6, place="inductor"))

BREAKS: Facts = {
    "breaks.control": "clean",
    "trap.print": "told",
    "trap.print.answer": True,
    "trap.item": "told",
    "trap.logging": "captured",
}
RECOMPILES: Facts = {
    "recompiles.limit": 8,
    "recompiles.automatic_dynamic_shapes": True,
    "recompiles.static.reason": "tensor 'x' size mismatch at index 0. expected 5, actual 6",
}


def recompile_figures(**changed: float) -> tuple[Figure, ...]:
    graphs = {"static": 8.0, "automatic": 2.0, "dynamic": 1.0, "dtypes": 4.0, "strings": 8.0, "numbers": 2.0, **changed}
    told = [figure("graphs", value, case=case) for case, value in graphs.items()]
    told += [figure("reasons", value - 1, case=case) for case, value in graphs.items()]
    return (*told, *(figure("wrong_answers", 0, case=case) for case in graphs), figure("eager_calls", 4, case="static"))


CACHE: Facts = {
    "config.fx_graph_cache": True,
    **{f"cache.{role}.ending": 0 for role in ("cold", "warm", "disabled")},
    **{f"cache.{role}.answer": "abc" for role in ("cold", "warm", "disabled")},
}


def cache_figures(cold: float = 0, warm: float = 1, disabled: float = 0) -> tuple[Figure, ...]:
    hits = {"cold": cold, "warm": warm, "disabled": disabled}
    told = [figure("hits", value, cache=role) for role, value in hits.items()]
    told += [figure("autograd_hits", 0, cache=role) for role in hits]
    return (*told, *(figure("first_call_s", 2, cache=role) for role in hits))


WORKERS: Facts = {
    f"workers.in.{place}": "right"
    for place in ("process", "thread", "daemonic process", "forked process", "DataLoader worker")
}
DEBUG: Facts = {
    "debug.ending": 0,
    "debug.answer": "abc",
    "debug.output_code": "torch_compile_debug/model/output_code.py",
    "debug.empty": "debug.log",
}
DEBUG_FIGURES = (
    figure("debug_files", 10),
    figure("debug_bytes", 344156),
    figure("debug_content_bytes", 5011, file="output_code.py"),
)


def step_figures(model: str, **changed: float) -> tuple[Figure, ...]:
    values = {"error_eager_64": 1e-7, "error_compiled_64": 2e-7, "eager_us": 978.0, "compiled_us": 945.0, **changed}
    values |= {"speedup": 1.03, "speedup_low": 1.0, "speedup_high": 1.06, "loss_first": 1.0, "loss_last": 0.6}
    told = tuple(figure(name, value, model=model) for name, value in values.items())
    return (*told, figure("compiled_calls_per_step", 1, model="reference"), figure("loss_difference", 1e-6))


SOUND: dict[str, tuple[Facts, tuple[Figure, ...], list[str]]] = {
    "compile.toolchain": (TOOLCHAIN, SPACE, []),
    "compile.breaks": (BREAKS, (figure("documented_breaks", 517),), []),
    "compile.recompiles": (RECOMPILES, recompile_figures(), ["TD-CMP-125"]),
    "compile.cache": (CACHE, cache_figures(), []),
    "compile.workers": (WORKERS, (figure("workers_left", 0),), []),
    "compile.debug": (DEBUG, DEBUG_FIGURES, ["TD-CMP-152"]),
    "compile.transformer": ({"transformer.finite": True}, step_figures("transformer"), ["TD-CMP-163"]),
    "compile.train": ({"train.backward": True}, step_figures("train"), ["TD-CMP-163"]),
}


@pytest.mark.parametrize("probe", SOUND)
def test_sound_readings_pass(probe: str) -> None:
    facts, figures, info = SOUND[probe]
    judgement = judged(readings(probe, facts, figures))
    assert judgement.verdict is Verdict.PASS, judgement
    assert ids(judgement) == info


FAIL, DEGRADED, UNSURE, PASS = Verdict.FAIL, Verdict.DEGRADED, Verdict.UNSURE, Verdict.PASS


@pytest.mark.parametrize(
    ("change", "device", "expected", "verdict"),
    [
        ({"toolchain.cxx.found": None, "toolchain.cxx.works": ...}, "cpu", ["TD-CMP-001"], FAIL),
        ({"toolchain.cxx.works": "wrong"}, "cuda:0", ["TD-CMP-001"], DEGRADED),
        ({"toolchain.cc.found": None, "toolchain.cxx.found": None}, "cuda:0", ["TD-CMP-002"], FAIL),
        ({"toolchain.cc.found": None}, "cpu", [], PASS),
        ({"toolchain.python_h": False}, "cpu", ["TD-CMP-003"], FAIL),
        ({"toolchain.python_h": False, "toolchain.python_h.needed": False}, "cpu", [], PASS),
        ({"toolchain.python_h": False, "toolchain.python_h.needed": False}, "cuda:0", ["TD-CMP-003"], FAIL),
        ({"toolchain.cxx.works": "not loaded"}, "cpu", ["TD-CMP-104"], FAIL),
        ({"toolchain.triton.found": False}, "cuda:0", ["TD-CMP-007"], FAIL),
        ({"toolchain.triton.pinned": False}, "cuda:0", ["TD-CMP-100"], DEGRADED),
        ({"toolchain.triton.pinned": False}, "cpu", ["TD-CMP-100"], PASS),
        ({"toolchain.ptxas.90": ..., "toolchain.ptxas.120": "refused"}, "cuda:0", ["TD-CMP-006"], FAIL),
        ({"toolchain.ptxas.90": ..., "toolchain.ptxas.61": "refused"}, "cuda:0", ["TD-CMP-008"], FAIL),
        ({"toolchain.ptxas.90": ...}, "cuda:0", [], UNSURE),
        ({"toolchain.libcuda.linked": False}, "cuda:0", ["TD-CMP-004"], FAIL),
        ({f"{PLACE}.writable": False, f"{PLACE}.own": False}, "cpu", ["TD-CMP-010"], FAIL),
        ({f"{PLACE}.executable": False}, "cpu", ["TD-CMP-005"], FAIL),
        ({f"{PLACE}.own": False}, "cpu", ["TD-CMP-106"], PASS),
        ({f"{PLACE}.network": True}, "cpu", ["TD-CMP-105"], PASS),
        ({"toolchain.place.home.writable": False}, "cuda:0", ["TD-CMP-103"], DEGRADED),
        ({"toolchain.place.home.writable": False}, "cpu", ["TD-CMP-103"], PASS),
        ({"toolchain.user": None, "toolchain.user.needed": True}, "cpu", ["TD-CMP-101"], FAIL),
        ({"toolchain.user": None, "toolchain.user.needed": False}, "cpu", [], PASS),
        ({"toolchain.tmp": "none"}, "cpu", ["TD-CMP-102"], FAIL),
        (
            {"toolchain.place.home.state": "hung", "toolchain.place.home.writable": ...},
            "cuda:0",
            ["TD-CMP-109"],
            DEGRADED,
        ),
        ({"toolchain.place.home.state": "hung", "toolchain.place.home.writable": ...}, "cpu", ["TD-CMP-109"], PASS),
        ({f"{PLACE}.state": "hung", f"{PLACE}.writable": ...}, "cpu", ["TD-CMP-109"], FAIL),
        ({"toolchain.place.tmp.state": "hung"}, "cuda:0", ["TD-CMP-109"], FAIL),
        ({"path.state": "hung"}, "cpu", ["TD-ENV-058"], UNSURE),
        ({"toolchain.compile_threads": "not a number"}, "cpu", ["TD-CMP-108"], FAIL),
    ],
)
def test_one_broken_part_of_the_toolchain(change: Facts, device: str, expected: list[str], verdict: Verdict) -> None:
    judgement = judged(readings("compile.toolchain", {**TOOLCHAIN, **change}, SPACE, device=device))
    assert (ids(judgement), judgement.verdict) == (expected, verdict), judgement


@pytest.mark.parametrize(
    "words",
    [
        "exit code 1: a.cpp:11:1: fatal error: error closing /scratch/ccp4fdZb.s: No space left on device",
        "exit code -6: Cannot create temporary file in /tmp/: Read-only file system",
        "exit code 1: clang: error: unable to make temporary file: No space left on device",
    ],
)
def test_a_compiler_that_has_no_room_for_its_own_files_is_not_broken(words: str) -> None:
    tools = ("cxx", "cc", "python_h")
    facts = {**TOOLCHAIN, **{f"toolchain.{tool}.works": "not built" for tool in tools}}
    evidence = {f"toolchain.{tool}.works": words for tool in tools}
    judgement = judged(readings("compile.toolchain", facts, SPACE, evidence))
    assert (ids(judgement), judgement.verdict) == (["TD-CMP-102"], FAIL)
    assert words in judgement.reason


def test_a_version_that_cannot_compile_in_a_daemonic_process_is_told_as_that() -> None:
    words = {"workers.in.daemonic process": "AssertionError: daemonic processes are not allowed to have children"}
    facts = {**WORKERS, "workers.in.daemonic process": "raised"}
    judgement = judged(readings("compile.workers", facts, (figure("workers_left", 0),), words))
    assert (ids(judgement), judgement.verdict) == (["TD-CMP-145"], DEGRADED)


def test_a_full_disk_is_told_with_what_is_left_and_the_limit() -> None:
    little = (figure("free_bytes", 20 << 20, place="inductor"),)
    judgement = judged(readings("compile.toolchain", TOOLCHAIN, little))
    assert ids(judgement) == ["TD-CMP-107"]
    assert "(at least 537 MB)" in judgement.reason or "512 MiB" in judgement.reason, judgement.reason


@pytest.mark.parametrize(
    ("probe", "change", "figures", "expected", "verdict"),
    [
        ("compile.breaks", {"trap.item": "told in part"}, None, ["TD-CMP-110"], DEGRADED),
        ("compile.breaks", {"breaks.control": "broken"}, None, ["TD-CMP-111"], DEGRADED),
        ("compile.breaks", {"trap.print.answer": False}, None, ["TD-CMP-112"], FAIL),
        ("compile.breaks", {"trap.print.raised": "AssertionError"}, None, ["TD-CMP-113"], PASS),
        ("compile.breaks", {"breaks.control": ...}, None, [], UNSURE),
        ("compile.recompiles", {}, recompile_figures(automatic=8.0), ["TD-CMP-120", "TD-CMP-125"], DEGRADED),
        ("compile.recompiles", {}, recompile_figures(dynamic=8.0), ["TD-CMP-121", "TD-CMP-125"], DEGRADED),
        ("compile.recompiles", {}, recompile_figures(static=3.0), ["TD-CMP-123", "TD-CMP-125"], DEGRADED),
        ("compile.cache", {}, cache_figures(warm=0), ["TD-CMP-060"], DEGRADED),
        ("compile.cache", {"config.fx_graph_cache": False}, cache_figures(warm=0), ["TD-CMP-061"], PASS),
        (
            "compile.cache",
            {"env.TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"},
            cache_figures(warm=0),
            ["TD-CMP-132"],
            DEGRADED,
        ),
        ("compile.cache", {}, cache_figures(disabled=1), ["TD-CMP-130"], UNSURE),
        ("compile.cache", {"cache.warm.answer": "other"}, None, ["TD-CMP-131"], FAIL),
        ("compile.cache", {"cache.warm.ending": -9}, None, ["TD-CMP-062"], UNSURE),
        ("compile.workers", {"workers.in.thread": "raised"}, None, ["TD-CMP-140"], FAIL),
        ("compile.workers", {"workers.in.forked process": "hung"}, None, ["TD-CMP-141"], PASS),
        ("compile.workers", {"workers.in.DataLoader worker": "wrong"}, None, ["TD-CMP-142"], FAIL),
        ("compile.workers", {}, (figure("workers_left", 2),), ["TD-CMP-143"], DEGRADED),
        ("compile.workers", {"workers.children.ending": "timeout"}, None, ["TD-CMP-144"], UNSURE),
        ("compile.debug", {"debug.output_code": ...}, (figure("debug_content_bytes", 0, file="output_code.py"),),
         ["TD-CMP-150", "TD-CMP-152"], DEGRADED),
        ("compile.debug", {"debug.ending": 1}, None, ["TD-CMP-151", "TD-CMP-152"], UNSURE),
        ("compile.transformer", {}, step_figures("transformer", error_compiled_64=0.3), ["TD-CMP-160", "TD-CMP-163"],
         FAIL),
        ("compile.train", {"train.backward": False}, None, ["TD-CMP-161", "TD-CMP-163"], DEGRADED),
    ],
)  # fmt: skip
def test_one_broken_thing_is_one_finding(
    probe: str, change: Facts, figures: tuple[Figure, ...] | None, expected: list[str], verdict: Verdict
) -> None:
    facts, sound, _ = SOUND[probe]
    judgement = judged(readings(probe, {**facts, **change}, sound if figures is None else figures))
    assert (ids(judgement), judgement.verdict) == (expected, verdict), judgement
