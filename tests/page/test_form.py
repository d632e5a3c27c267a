"""The form: made from the models' schemas, kept over reloads."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from spool import ids
from spool.catalogue import ModelEntry, SlotReport, SlotState, publish_report
from tests.httpd.stand_in import LORA, parameter_schema
from tests.page.browsing import field, submit
from tests.page.conftest import Visitor
from tests.page.darkroom import Darkroom


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Darkroom]:
    """A server that knows two models, one with LoRAs and one that takes neither them nor more."""
    plain = parameter_schema()
    for name in ("loras", "negative_prompt"):
        plain["properties"][name]["x-refusal"] = "the model takes none; leave it out"
    lora = {
        "id": LORA,
        "name": "Line art",
        "trigger_words": ["line art"],
        "weight": 0.8,
        "trigger_weight": 0.4,
    }
    models = (
        ModelEntry("painter", "sdxl", parameter_schema(), default=True, available_loras=(lora,)),
        ModelEntry("photographer", "flux", plain),
    )
    with Darkroom.opened(tmp_path_factory.mktemp("shop") / "spool", with_daemon=False) as room:
        publish_report(room.spool, SlotReport("0", SlotState.IDLE, ids.now(), 1, "cpu", models))
        yield room


def test_a_reload_keeps_what_was_written(page: Page) -> None:
    field(page, "Prompt").fill("half a thought")
    field(page, "Negative prompt").fill("haste")
    field(page, "Steps").fill("33")
    field(page, "Sampler").select_option("ddim")
    page.get_by_role("checkbox", name="Random").uncheck()
    field(page, "Seed").fill("99")
    page.get_by_text("More", exact=True).click()
    field(page, "Name").fill("mine")
    page.reload()
    expect(field(page, "Prompt")).to_have_value("half a thought")
    expect(field(page, "Negative prompt")).to_have_value("haste")
    expect(field(page, "Steps")).to_have_value("33")
    expect(field(page, "Sampler")).to_have_value("ddim")
    expect(field(page, "Seed")).to_have_value("99")
    expect(field(page, "Name")).to_have_value("mine")
    page.get_by_role("button", name="Reset").click()
    expect(field(page, "Steps")).to_have_value("20")
    expect(field(page, "Prompt")).to_have_value("half a thought")


def test_ranges_and_help_come_from_the_schema(page: Page) -> None:
    steps = field(page, "Steps")
    expect(steps).to_have_attribute("min", "1")
    expect(steps).to_have_attribute("max", "200")
    expect(field(page, "Width")).to_have_attribute("step", "8")
    page.get_by_role("button", name="About Steps").click()
    expect(page.get_by_text("Denoising steps; more take longer")).to_be_visible()
    described = steps.get_attribute("aria-describedby") or ""
    assert "field-steps-help" in described.split()


def test_a_suggested_prompt_is_taken_over(page: Page) -> None:
    chip = page.get_by_role("group", name="Examples").get_by_role("button").nth(1)
    chip.click()
    expect(field(page, "Prompt")).to_have_value(chip.inner_text())
    expect(field(page, "Prompt")).to_be_focused()


def test_a_model_is_chosen_and_asked_only_what_it_takes(visit: Visitor, shop: Darkroom) -> None:
    page = visit(port=shop.port)
    field(page, "Prompt").fill("a harbour")
    expect(page.get_by_role("group", name="LoRAs")).to_be_visible()
    field(page, "Model").select_option("photographer")
    expect(page.get_by_role("group", name="LoRAs")).to_have_count(0)
    expect(field(page, "Negative prompt")).to_have_count(0)
    expect(field(page, "Prompt")).to_have_value("a harbour")
    with page.expect_request("**/api/generate") as asked:
        page.get_by_role("button", name="Generate").click()
    assert json.loads(asked.value.post_data or "") == {
        "prompt": "a harbour",
        "model": "photographer",
    }


def test_a_lora_is_added_with_its_own_weights(visit: Visitor, shop: Darkroom) -> None:
    page = visit(port=shop.port)
    loras = page.get_by_role("group", name="LoRAs")
    loras.get_by_label("Choose a LoRA").select_option(LORA)
    loras.get_by_role("button", name="Add").click()
    expect(loras.get_by_text("Triggered by line art")).to_be_visible()
    weight = loras.get_by_label("Weight", exact=True)
    expect(weight).to_be_focused()
    expect(weight).to_have_value("0.8")
    weight.fill("1.25")
    with page.expect_request("**/api/generate") as asked:
        submit(page, "a bird")
    body = json.loads(asked.value.post_data or "")
    assert body["loras"] == [{"id": LORA, "weight": 1.25, "trigger_weight": 0.4}]
    page.reload()
    expect(weight).to_have_value("1.25")
    loras.get_by_role("button", name="Remove Line art").click()
    expect(weight).to_have_count(0)
    expect(loras.get_by_label("Choose a LoRA")).to_be_focused()
