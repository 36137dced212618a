"""The child that tells several times a second who computes on a few GPUs, over the fake driver library."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import msgspec
import pytest
from fake_driver import FakeDriver
from sample_material import gpu

from torchprobes.runner.neighbours import PROGRAM, Neighbours
from torchprobes.runner.visible import Seat
from torchprobes.samples import ProcessSample

DEADLINE_S = 30.0
LINES = msgspec.json.Decoder(list[ProcessSample])


def until(test: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not test():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def started(*uuids: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-I", "-B", str(PROGRAM), *uuids]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.parametrize("age", ["driver", "old_driver"])
def test_it_tells_the_processes_of_these_gpus_and_ends_with_its_lifeline(
    age: str, request: pytest.FixtureRequest
) -> None:
    fake: FakeDriver = request.getfixturevalue(age)
    fake.processes((0, 4242, 1 << 20), (1, 5252, 1 << 20))
    with started("GPU-fake-1") as child:
        assert child.stdout is not None
        assert child.stdin is not None
        for _ in range(2):
            assert [(p.pid, p.gpu_uuid) for p in LINES.decode(child.stdout.readline())] == [(5252, "GPU-fake-1")]
        child.stdin.close()
        assert child.wait(DEADLINE_S) == 0


def test_the_runner_sees_who_comes_and_ends_the_child(driver: FakeDriver) -> None:
    driver.processes((0, 4242, 1 << 20))
    seats = [Seat(gpu=gpu(uuid="GPU-fake-0")), Seat(gpu=gpu(uuid="AMD-1", vendor="amd"))]
    watch = Neighbours(seats)
    until(lambda: [p.pid for p in watch.processes] == [4242], "the stranger")
    assert watch._child is not None
    watch.close()
    until(lambda: watch.processes == (), "the end of the watch")
    assert watch._child.returncode is not None


def test_where_there_is_no_driver_nobody_is_seen_and_nothing_is_said(driver: FakeDriver) -> None:
    driver.init(9)
    watch = Neighbours([Seat(gpu=gpu(uuid="GPU-fake-0"))])
    until(lambda: watch._child is not None and watch._child.returncode is not None, "its end")
    assert watch.processes == ()
    assert Neighbours([Seat(gpu=gpu(uuid="AMD-1", vendor="amd"))])._child is None
