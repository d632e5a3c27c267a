from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from daemon.errors import RenderError
from daemon.families import ModelSpec
from daemon.families.sdxl import Sdxl
from spool.catalogue import SlotState, read_reports
from spool.control import Verb, command
from spool.gallery import PictureName, newest_first, publish_picture
from spool.layout import Spool
from spool.live import read_events
from spool.picture_files import PictureFormat
from spool.problems import Problem
from spool.settings import OutputSettings, Settings
from spool.states import Status, scan
from tests.daemon.slots import record_of, running_slot, submit
from tests.services import wait_for


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


def test_a_queued_job_is_rendered_and_recorded(spool: Spool, tiny_spec: ModelSpec) -> None:
    with running_slot(spool, tiny_spec):
        job_id = submit(spool, seed=3, count=2)
        record = record_of(spool, job_id)
        wait_for(lambda: not scan(spool.slot_of("0")), what="the ticket's end")
    assert record.status is Status.COMPLETED
    assert [image.seed for image in record.images] == [3, 4]
    assert record.render["scheduler"]
    events = [event.data for event in read_events(spool.events(job_id))]
    assert [event["step"] for event in events] == [*range(7), 6]
    assert {event["total_steps"] for event in events} == {6}
    feed = [json.loads(line)["filename"] for line in spool.feed.read_text().splitlines()]
    assert feed == [image.filename for image in record.images]


def test_jobs_run_by_priority_and_then_by_age(spool: Spool, tiny_spec: ModelSpec) -> None:
    with running_slot(spool, tiny_spec):
        pass  # publishes the catalogue
    low = submit(spool, priority=10)
    first = submit(spool)
    second = submit(spool)
    high = submit(spool, priority=90)
    with running_slot(spool, tiny_spec):
        ends = {record_of(spool, job).started_at: job for job in (low, first, second, high)}
    assert [ends[instant] for instant in sorted(ends, key=str)] == [high, first, second, low]


def test_a_job_from_before_any_catalogue_takes_the_model_s_defaults(
    spool: Spool, tiny_spec: ModelSpec
) -> None:
    job_id = submit(spool, resolved=False, seed=8)
    with running_slot(spool, tiny_spec):
        record = record_of(spool, job_id)
    assert record.status is Status.COMPLETED
    assert record.job is not None
    assert (record.job["model"], record.job["seed"]) == ("tiny", 8)


def test_a_job_from_before_any_catalogue_that_cannot_be_fails_with_its_field(
    spool: Spool, tiny_spec: ModelSpec
) -> None:
    job_id = submit(spool, resolved=False, width=100)
    with running_slot(spool, tiny_spec):
        record = record_of(spool, job_id)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert record.error["errors"][0]["pointer"] == "#/width"


def test_what_a_prompt_says_in_vain_stands_in_the_record(
    spool: Spool, tiny_spec: ModelSpec
) -> None:
    with running_slot(spool, tiny_spec):
        warned = record_of(spool, submit(spool, prompt="a [cow|dog]", count=2))
        plain = record_of(spool, submit(spool, prompt="a (cow:1.2)"))
    assert warned.status is plain.status is Status.COMPLETED
    (warning,) = warned.warnings
    assert warning.startswith("prompt: [cow|dog] is prompt alternation, which is not supported")
    assert plain.warnings == ()


def test_a_lora_in_the_prompt_is_refused_and_pointed_to_its_field(
    spool: Spool, tiny_spec: ModelSpec
) -> None:
    job_id = submit(spool, resolved=False, prompt="a cat <lora:ink:0.8>")
    with running_slot(spool, tiny_spec):
        record = record_of(spool, job_id)
        with pytest.raises(Problem, match="name LoRAs in the field loras"):
            submit(spool, negative_prompt="<lyco:x:1>")
    assert record.status is Status.FAILED
    assert record.error is not None
    assert record.error["errors"][0]["pointer"] == "#/prompt"
    assert "name LoRAs in the field loras" in record.error["detail"]


def test_a_prompt_without_end_fails_its_job_alone(spool: Spool, tiny_spec: ModelSpec) -> None:
    with running_slot(spool, tiny_spec):
        failed = record_of(spool, submit(spool, prompt="BREAK " * 3000))
        assert record_of(spool, submit(spool)).status is Status.COMPLETED
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert "shorten it" in failed.error["detail"]


def test_a_slot_passes_over_jobs_that_only_another_slot_can_render(
    spool: Spool, tiny_spec: ModelSpec
) -> None:
    other = replace(tiny_spec, name="other")
    # One after the other: diffusers does not load in two threads of a process at once.
    with running_slot(spool, other, name="b"):
        pass
    with running_slot(spool, tiny_spec, name="a"):
        others = [submit(spool, model="other") for _ in range(2)]
        assert record_of(spool, submit(spool, model="tiny")).slot == "a"
        assert [name.job_id for name in scan(spool.queued)] == others
    with running_slot(spool, other, name="b"):
        assert {record_of(spool, job_id).slot for job_id in others} == {"b"}


def test_a_job_whose_model_no_slot_has_fails_and_says_so(
    spool: Spool, tiny_spec: ModelSpec
) -> None:
    gone = replace(tiny_spec, name="gone")
    with running_slot(spool, gone):
        pass
    job_id = submit(spool, model="gone")
    with running_slot(spool, tiny_spec):
        record = record_of(spool, job_id)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert "gone" in record.error["detail"]


def test_a_picture_that_cannot_be_rendered_fails_its_job_alone(
    spool: Spool, tiny_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    denoise = Sdxl.denoise

    def failing(self: Sdxl, job: object, seed: int, on_step: object) -> object:
        if seed == 13:
            raise RenderError("the latents are not finite")
        return denoise(self, job, seed, on_step)  # type: ignore[arg-type]

    monkeypatch.setattr(Sdxl, "denoise", failing)
    with running_slot(spool, tiny_spec):
        bad, good = submit(spool, seed=13), submit(spool, seed=14)
        assert record_of(spool, good).status is Status.COMPLETED
        failed = record_of(spool, bad)
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert "not finite" in failed.error["detail"]


def test_a_job_cancelled_before_its_turn_is_never_started(
    spool: Spool, tiny_spec: ModelSpec
) -> None:
    with running_slot(spool, tiny_spec):
        pass
    job_id = submit(spool)
    spool.cancel_request(job_id).touch()
    with running_slot(spool, tiny_spec):
        record = record_of(spool, job_id)
    assert (record.status, record.starts, record.started_at) == (Status.CANCELLED, 0, None)
    assert not spool.cancel_request(job_id).exists()


def test_a_job_cancelled_before_its_second_start_keeps_the_pictures_of_the_first(
    spool: Spool, tiny_spec: ModelSpec
) -> None:
    with running_slot(spool, tiny_spec):
        whole = record_of(spool, submit(spool, seed=3))
    job_id = submit(spool, seed=3, count=2)
    png = PictureName(whole.job_id, 0).picture(spool).read_bytes()
    publish_picture(spool, PictureName(job_id, 0), png, b"thumbnail")
    spool.cancel_request(job_id).touch()
    with running_slot(spool, tiny_spec):
        record = record_of(spool, job_id)
    assert record.status is Status.CANCELLED
    assert record.images == (replace(whole.images[0], filename=f"{job_id}-0.png"),)


def test_a_running_job_stops_at_the_next_step_and_keeps_its_finished_pictures(
    spool: Spool, tiny_spec: ModelSpec
) -> None:
    with running_slot(spool, tiny_spec):
        job_id = submit(spool, count=100, steps=50)
        first = PictureName.parse(f"{job_id}-0.png")
        assert first is not None
        wait_for(first.picture(spool).exists, what="the first picture")
        assert command(spool, Verb.CANCEL, job_id).status is Status.PROCESSING
        record = record_of(spool, job_id)
    assert record.status is Status.CANCELLED
    assert 0 < len(record.images) < 100
    last = read_events(spool.events(job_id))[-1]
    assert last.data["status"] == "cancelled"


def test_a_stop_puts_the_job_back_with_the_count_it_had(spool: Spool, tiny_spec: ModelSpec) -> None:
    with running_slot(spool, tiny_spec):
        job_id = submit(spool, steps=200, count=50)
        wait_for(lambda: read_events(spool.events(job_id)), what="the first step")
    (name,) = scan(spool.queued)
    assert (name.job_id, name.starts) == (job_id, 0)
    assert read_events(spool.events(job_id))[-1].data["status"] == "queued"


def test_pictures_of_an_earlier_start_are_adopted_not_rendered_again(
    spool: Spool, tiny_spec: ModelSpec
) -> None:
    with running_slot(spool, tiny_spec):
        job_id = submit(spool, steps=200, count=20)
        second = PictureName.parse(f"{job_id}-1.png")
        assert second is not None
        wait_for(second.picture(spool).exists, what="the second picture")
    inode = second.picture(spool).stat().st_ino
    with running_slot(spool, tiny_spec):
        record = record_of(spool, job_id)
    assert record.status is Status.COMPLETED
    assert [image.index for image in record.images] == list(range(20))
    assert second.picture(spool).stat().st_ino == inode


def test_a_job_that_goes_on_in_another_format_has_each_picture_once(
    spool: Spool, tiny_spec: ModelSpec
) -> None:
    with running_slot(spool, tiny_spec):
        job_id = submit(spool, steps=200, count=20)
        second = PictureName(job_id, 1).picture(spool)
        wait_for(second.exists, what="the second picture")
    before = list(newest_first(spool))
    jpeg = Settings(output=OutputSettings(format=PictureFormat.JPEG))
    with running_slot(spool, tiny_spec, settings=jpeg) as running:
        assert running.models.entries[0].output_format == "jpeg"
        record = record_of(spool, job_id)
    names = sorted(newest_first(spool))
    assert [str(name) for name in names] == [image.filename for image in record.images]
    assert [name.index for name in names] == list(range(20))
    assert {name.format for name in before} == {PictureFormat.PNG}
    assert [name for name in names if name.format is PictureFormat.PNG] == sorted(before)
    assert {(image.width, image.height) for image in record.images} == {(64, 64)}


def test_a_picture_that_cannot_be_encoded_fails_its_job_and_not_the_daemon(
    spool: Spool, tiny_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: object) -> NoReturn:
        raise ValueError("no such chunk")

    with running_slot(spool, tiny_spec) as running:
        with monkeypatch.context() as patch:
            patch.setattr("daemon.publishing.encode_picture", faulty)
            failed = record_of(spool, submit(spool))
        assert record_of(spool, submit(spool)).status is Status.COMPLETED
        assert running.error is None
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert "no such chunk" in failed.error["detail"]


def test_an_idle_slot_says_so_and_lists_its_models(spool: Spool, tiny_spec: ModelSpec) -> None:
    with running_slot(spool, tiny_spec):
        wait_for(lambda: read_reports(spool)[0].state is SlotState.IDLE, what="idleness")
        (report,) = read_reports(spool)
    assert [model.name for model in report.models] == ["tiny"]
    assert report.models[0].parameter_schema["properties"]["width"]["default"]
