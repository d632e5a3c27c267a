"""The queue played through."""

from __future__ import annotations

from spool.forecast import SlotAhead, Waiting, play

BOTH = frozenset({"a", "b"})


def jobs(*seconds: float, model: str = "a") -> list[Waiting]:
    return [Waiting(place, str(place), model, each) for place, each in enumerate(seconds)]


def test_one_slot_takes_one_after_the_other() -> None:
    forecast = play([SlotAhead(BOTH, 5)], jobs(10, 20, 30))
    assert forecast.ends == {"0": 15, "1": 35, "2": 65}
    assert (forecast.places, forecast.free) == ((15, 35, 65), 65)


def test_several_slots_share_the_queue() -> None:
    forecast = play([SlotAhead(BOTH), SlotAhead(BOTH, 3)], jobs(10, 10, 10, 10))
    assert forecast.ends == {"0": 10, "1": 13, "2": 20, "3": 23}


def test_a_slot_passes_over_what_it_does_not_serve() -> None:
    queue = [
        Waiting(0, "0", "b", 10),
        Waiting(1, "1", "b", 10),
        Waiting(2, "2", "a", 10),
        Waiting(3, "3", "nobody's", 10),
    ]
    forecast = play([SlotAhead(frozenset({"a"})), SlotAhead(frozenset({"b"}))], queue)
    assert forecast.ends == {"0": 10, "1": 20, "2": 10}


def test_a_job_that_waits_for_its_hour_lets_others_go_first_and_then_takes_its_place() -> None:
    queue = [Waiting(0, "early", "a", 10, due=15), *jobs(0, 10, 10, 10)[1:]]
    forecast = play([SlotAhead(BOTH)], queue)
    assert forecast.ends == {"1": 10, "2": 20, "early": 30, "3": 40}


def test_a_slot_that_has_nothing_else_waits_for_the_hour() -> None:
    forecast = play([SlotAhead(BOTH), SlotAhead(frozenset({"b"}))], [Waiting(0, "x", "a", 5, 60)])
    assert forecast.ends == {"x": 65}


def test_what_came_since_follows_those_that_were_played() -> None:
    forecast = play([SlotAhead(BOTH)], jobs(10, 20))
    assert forecast.end_at(3, 7) == 37
    assert forecast.end_at(1, 7) == 7
    assert forecast.end_at(2, 7) == 17
    assert forecast.end_at(13, 7) == 30 + 10 * 15 + 7
    assert play([SlotAhead(BOTH, 4)], []).end_at(1, 7) == 11
