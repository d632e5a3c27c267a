"""What the latest records say of how long jobs take."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from spool import records
from spool.history import REMEMBERED, History, Sample, Work, estimate
from spool.layout import Spool
from spool.outcomes import Outcome, record_of
from spool.records import publish_record
from spool.states import Status
from tests.spool.samples import draw


def sample(steps: int, seconds: float, pixels: int = 1, model: str = "a") -> Sample:
    return Sample(Work(model, pixels, steps), seconds)


def rendered(spool: Spool, seconds: float, starts: int = 1, **fields: Any) -> None:
    outcome = Outcome(Status.COMPLETED, starts, "0", render={"seconds": seconds})
    publish_record(spool, record_of(draw(spool, **fields), outcome))


def test_nothing_is_known_without_a_sample() -> None:
    assert estimate([], Work("a", 1, 20)) is None


def test_jobs_of_one_size_lie_on_a_line_over_their_steps() -> None:
    samples = [sample(steps, 2 + 0.5 * steps) for steps in (10, 20, 30)]
    assert estimate(samples, Work("a", 1, 50)) == pytest.approx(27)


def test_jobs_that_are_all_alike_are_scaled() -> None:
    assert estimate([sample(20, 10)] * 3, Work("a", 1, 40)) == pytest.approx(20)


def test_a_few_slow_ones_do_not_bend_the_line() -> None:
    samples = [sample(steps, 0.5 * steps) for steps in (4, 8, 12, 16, 20, 24, 28)]
    samples[2], samples[5] = sample(12, 300), sample(24, 300)
    assert estimate(samples, Work("a", 1, 20)) == pytest.approx(10, rel=0.2)


def test_another_size_of_the_same_model_is_judged_by_its_pixels() -> None:
    samples = [sample(20, 1 + 20 * pixels * 0.01, pixels) for pixels in (64, 128)]
    assert estimate(samples, Work("a", 256, 20)) == pytest.approx(1 + 20 * 2.56)


def test_a_model_of_which_nothing_is_known_is_judged_by_the_others() -> None:
    samples = [sample(20, 10), sample(40, 20, model="b")]
    assert estimate(samples, Work("c", 1, 10)) == pytest.approx(5)
    assert estimate(samples, Work("b", 1, 10)) == pytest.approx(5)


def test_only_jobs_that_were_rendered_whole_are_learnt_from(spool: Spool) -> None:
    failed = Outcome(Status.FAILED, 1, "0", render={"seconds": 0.1})
    publish_record(spool, record_of(draw(spool, steps=20), failed))
    rendered(spool, 0.1, starts=2, steps=20)
    history = History(spool)
    history.refresh()
    assert history.seconds(Work("tiny", 128 * 128, 20)) is None
    rendered(spool, 8, steps=20, count=2)
    history.refresh()
    assert history.seconds(Work("tiny", 128 * 128, 20)) == pytest.approx(4)


def test_a_record_is_read_once_and_only_the_latest_are(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        rendered(spool, 5)
    read: list[str] = []

    def counting(spool: Spool, job_id: str) -> records.Record | None:
        read.append(job_id)
        return records.read_record(spool, job_id)

    monkeypatch.setattr("spool.history.read_record", counting)
    history = History(spool)
    history.refresh()
    rendered(spool, 5)
    history.refresh()
    history.refresh()
    assert len(read) == len(set(read)) == 4

    last = records.read_record(spool, read[-1])
    assert last is not None
    shard = spool.record(last.job_id).parent
    for number in itertools.islice(itertools.count(), REMEMBERED + 50):
        job_id = f"{last.job_id[:12]}{number:06d}-aaaaaa"
        other = dataclasses.replace(last, job_id=job_id)
        (shard / f"{job_id}.json").write_bytes(other.encode())
    read.clear()
    fresh = History(spool)
    fresh.refresh()
    assert len(read) == REMEMBERED


def test_a_file_that_is_no_record_is_passed_over(spool: Spool) -> None:
    rendered(spool, 5)
    (shard,) = {path.parent for path in spool.done.glob("*/*/*.json")}
    (shard / "20261123T121728417-7f3a9c.json").write_text("not a record")
    (shard / "zzz.json").write_text("{}")
    history = History(spool)
    history.refresh()
    assert history.seconds(Work("tiny", 128 * 128, 20)) == pytest.approx(5)
