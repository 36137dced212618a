"""Windows are folded anew when there is something to see, and never kept across a jump of a recording."""

from __future__ import annotations

from fakes import FakeHistory, gpu

from torchdoctor.live import Glance

S = 10**9
WHO = gpu(0).uuid


def test_a_window_is_kept_for_the_time_of_a_column_and_at_least_a_second() -> None:
    for seconds, columns, kept_s in ((120.0, 40, 3.0), (120.0, 240, 1.0), (3600.0, 60, 60.0)):
        history = FakeHistory()
        glance = Glance(history)
        glance.at(100 * S)
        first = glance.window(WHO, "power_w", seconds, columns)
        glance.at(100 * S + int((kept_s - 0.1) * S))
        assert glance.window(WHO, "power_w", seconds, columns) is first
        glance.at(100 * S + int(kept_s * S))
        assert glance.window(WHO, "power_w", seconds, columns) is not first
        assert len(history.asked) == 2


def test_other_questions_have_answers_of_their_own() -> None:
    history = FakeHistory()
    glance = Glance(history)
    glance.window(WHO, "power_w", 60, 10)
    glance.window(WHO, "power_w", 60, 20)
    glance.window(WHO, "temperature_c", 60, 10)
    glance.window(gpu(1).uuid, "power_w", 60, 10)
    assert len(history.asked) == 4


def test_what_was_never_read_is_asked_again_and_an_earlier_time_forgets() -> None:
    history = FakeHistory()
    glance = Glance(history)
    glance.at(50 * S)
    assert glance.window("GPU-gone", "power_w", 60, 10) is None
    assert glance.window("GPU-gone", "power_w", 60, 10) is None
    assert len(history.asked) == 2
    kept = glance.window(WHO, "power_w", 60, 10)
    glance.at(20 * S)
    assert glance.window(WHO, "power_w", 60, 10) is not kept


def test_it_stays_small_whatever_is_asked() -> None:
    glance = Glance(FakeHistory())
    for columns in range(1, 2000):
        glance.window(WHO, "power_w", 60, columns)
    assert len(glance._kept) <= 257
