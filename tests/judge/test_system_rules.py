"""data.image, data.csv, serving.*, system.* judged: each fault in a sound run has its card, nothing unread passes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from sound import (
    CPU,
    CPU_FIGURES,
    CSV,
    CSV_FIGURES,
    DISK,
    DISK_FIGURES,
    IMAGE,
    IMAGE_FIGURES,
    SERVING,
    SERVING_FIGURES,
    Facts,
    figure,
    ids,
    judged,
    readings,
)

from torchprobes.model import Figure, Judgement, Verdict

F, D, U, P = Verdict.FAIL, Verdict.DEGRADED, Verdict.UNSURE, Verdict.PASS

SOUND: Mapping[str, tuple[Facts, tuple[Figure, ...]]] = {
    "data.image": (IMAGE, IMAGE_FIGURES),
    "data.csv": (CSV, CSV_FIGURES),
    "serving.fastapi": (SERVING, SERVING_FIGURES),
    "system.cpu": (CPU, CPU_FIGURES),
    "system.disk": (DISK, DISK_FIGURES),
}


def changed(probe: str, change: Mapping[str, object], *figures: Figure) -> Judgement:
    """A sound run with something changed; the last figure of a name counts."""
    facts, sound = SOUND[probe]
    evidence = {"serving.answers": "327 of 327", **dict.fromkeys(change, "as seen")}
    return judged(readings(probe, {**facts, **change}, sound + figures, evidence=evidence))


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        ("data.image", "a 1280 x 720 JPEG became the right tensor: pil 6.06 ms, cv2 2.79 ms"),
        (
            "data.csv",
            "100 MiB read rightly by pandas 3.1.1: c 900 ms, 400 MiB at the peak; pyarrow 300 ms, 400 MiB at the peak",
        ),
        (
            "serving.fastapi",
            "327 of 327; ready after 2.1 s, first inference 19 ms, p50 and p99 18 ms and 53 ms, /health 3.9 ms (v1)",
        ),
        ("system.cpu", "16 threads on 32 cores, no quota, beside 1 GPU, AVX512 kernels"),
        ("system.disk", "7 folders looked at; the least room is 50 GiB at /home"),
    ],
)
def test_a_sound_run_passes_with_what_was_seen(probe: str, reason: str) -> None:
    judgement = changed(probe, {})
    assert (judgement.verdict, judgement.findings, judgement.reason) == (P, (), reason)


LIBGL = "libGL.so.1: cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("probe", "change", "card", "verdict"),
    [
        ("data.image", {"image.cv2.raised": "builtins.ImportError", "image.cv2.raised.message": LIBGL}, "DAT-001", F),
        ("data.image", {"image.opencv.wheels": 2}, "DAT-002", D),
        ("data.image", {"image.pil.raised": "builtins.OSError", "image.pil.raised.message": "broken"}, "DAT-003", F),
        ("data.image", {"image.cv2.shape": "(3, 1, 1)"}, "DAT-004", F),
        ("data.image", {"image.pil.libjpeg_turbo": False}, "DAT-006", D),
        ("data.csv", {"csv.c.values": "wrong"}, "DAT-010", F),
        ("data.csv", {"csv.pyarrow.raised": "pyarrow.lib.ArrowInvalid"}, "DAT-011", F),
        ("data.csv", {"csv.c.ending": -9, "csv.c.values": ...}, "DAT-012", F),
        ("data.csv", {"csv.c.ending": "timeout", "csv.c.values": ...}, "DAT-012", F),
        ("serving.fastapi", {"serving.started": False, "serving.raised": "builtins.OSError"}, "SRV-001", F),
        ("serving.fastapi", {"serving.alive": False, "serving.failures": 3}, "SRV-002", F),
        ("serving.fastapi", {"serving.failures": 1, "serving.answers": "wrong"}, "SRV-003", F),
        ("serving.fastapi", {"serving.answers": "wrong"}, "SRV-004", F),
        ("system.cpu", {"torch.threads": 64}, "SYS-001", D),
        ("system.cpu", {"torch.threads": 1, "env.OMP_NUM_THREADS": "1"}, "SYS-002", D),
        ("system.cpu", {"gpu.0000:1b:00.0.near": False}, "SYS-003", D),
        ("system.cpu", {"gpu.0000:2b:00.0.near": False}, "SYS-004", P),
        ("system.cpu", {"cpu.frequency_driver": "acpi-cpufreq"}, "SYS-005", D),
        ("system.cpu", {"torch.capability": "DEFAULT", "env.ATEN_CPU_CAPABILITY": "default"}, "SYS-006", D),
        ("system.disk", {"disk.hf_home.state": "hung"}, "SYS-020", F),
        ("system.disk", {"disk.hf_home.state": "unreadable"}, "SYS-021", U),
        ("system.disk", {"disk.triton_cache.writable": False}, "SYS-022", F),
        ("system.disk", {"disk.home.writable": False}, "SYS-023", D),
        ("system.disk", {"disk.inductor_cache.noexec": True}, "SYS-026", F),
        ("system.disk", {"disk.triton_cache.kind": "nfs4"}, "SYS-027", P),
        ("system.disk", {"disk.hf_home.kind": "overlay"}, "SYS-028", P),
        ("system.disk", {"shm.total_bytes": 64 << 20}, "DTL-006", D),
    ],
)
def test_each_fault_has_its_card(probe: str, change: Mapping[str, object], card: str, verdict: Verdict) -> None:
    judgement = changed(probe, change)
    assert (ids(judgement), judgement.verdict) == ([f"TD-{card}"], verdict)
    assert judgement.findings[0].seen


BELOW_HOME = tuple(
    figure("disk_free", 50 << 30, place=name, path=path)
    for name, path in (("triton_cache", "/home/.triton/cache"), ("torch_home", "/home/.cache/torch"))
)


@pytest.mark.parametrize(
    ("locked", "cards"),
    [
        (("home", "torch_home", "triton_cache"), ["TD-SYS-022"]),
        (("home", "triton_cache", "hf_home"), ["TD-SYS-022", "TD-SYS-023"]),
        (("home", "torch_home", "tmp"), ["TD-SYS-022", "TD-SYS-023"]),
        (("home", "torch_home"), ["TD-SYS-023"]),
    ],
)
def test_what_lies_below_a_home_that_cannot_be_written_is_told_with_it(
    locked: tuple[str, ...], cards: list[str]
) -> None:
    """Once, with what is needed to run if that lies there; a folder elsewhere has a cause of its own."""
    judgement = changed("system.disk", {f"disk.{place}.writable": False for place in locked}, *BELOW_HOME)
    assert ids(judgement) == cards


@pytest.mark.parametrize(
    ("probe", "found", "card", "verdict", "seen"),
    [
        ("data.image", figure("image_error", 60.0, decoder="cv2"), "DAT-004", F, "cv2 is 60.0 levels off"),
        ("data.image", figure("image_difference", 3), "DAT-005", P, "differ by up to 3 of 255 levels"),
        ("data.csv", figure("csv_memory", 1.8e9, engine="c", series="peak"), "DAT-013", P, "17 times it"),
        ("serving.fastapi", figure("health_p50_us", 4e5, handler="def", clients="4"), "SRV-005", D, "400 ms (p50)"),
        ("serving.fastapi", figure("health_p50_us", 17400.0, handler="async def"), "SRV-006", P, "17.4 ms (p50)"),
        ("system.cpu", figure("throttled_share", 0.4, n=900), "SYS-007", P, "40% of 900"),
        ("system.disk", figure("disk_free", 5e8, place="tmp", path="/tmp"), "SYS-024", D, "(limit 1 GiB)"),
        ("system.disk", figure("disk_free_inodes", 12, place="tmp", path="/tmp"), "SYS-025", D, "for 12 files"),
    ],
)
def test_each_number_past_its_limit_has_its_card(
    probe: str, found: Figure, card: str, verdict: Verdict, seen: str
) -> None:
    judgement = changed(probe, {}, found)
    assert (ids(judgement), judgement.verdict) == ([f"TD-{card}"], verdict)
    assert seen in judgement.findings[0].seen


def test_too_many_threads_are_told_with_quota_and_gain() -> None:
    told = readings(
        "system.cpu",
        {**CPU, "torch.threads": 32, "cpu.quota": 4.0, "cpu.affinity": 64},
        (
            figure("allowed_cores", 4.0),
            figure("fewer_threads_speedup", 3.1, threads="32", fewer="4"),
            figure("fewer_threads_speedup_low", 2.8, threads="32", fewer="4"),
        ),
        evidence={"cpu.quota": "/sys/fs/cgroup/pod7"},
    )
    (finding,) = judged(told).findings
    assert finding.seen == (
        "torch uses 32 threads, and the quota of /sys/fs/cgroup/pod7 allows 4 cores; "
        "a product is 3.10 (at least 2.80) times as fast with 4 threads"
    )


def test_a_small_shm_that_is_noexec_and_a_self_clocked_governor_are_no_findings() -> None:
    assert changed("system.disk", {}, figure("disk_free", 1.0, place="shm", path="/dev/shm")).findings == ()
    assert changed("system.cpu", {"cpu.frequency_driver": "amd-pstate-epp"}).findings == ()


@pytest.mark.parametrize(
    ("probe", "missing"),
    [
        ("data.csv", "csv.c.values"),
        ("serving.fastapi", "serving.answers"),
        ("system.cpu", "torch.threads"),
        ("system.cpu", "cpu.quota"),
    ],
)
def test_what_was_not_read_is_no_pass(probe: str, missing: str) -> None:
    assert changed(probe, {missing: ...}).verdict is U


def test_what_was_not_timed_is_no_pass() -> None:
    for probe, (facts, _figures) in SOUND.items():
        assert judged(readings(probe, facts)).verdict is U, probe
