"""From a prompt to a picture, as someone at the page sees it."""

from __future__ import annotations

import json

from playwright.sync_api import Page, expect

from tests.page.browsing import field, submit, tile
from tests.page.conftest import Visitor
from tests.page.darkroom import Darkroom

RENDERING_MS = 180_000
"""A large picture, on a machine that is busy with other things."""


def test_a_picture_forms_before_ones_eyes_and_arrives_in_every_window(
    page: Page, visit: Visitor
) -> None:
    elsewhere = visit()
    expect(tile(elsewhere, "a red circle on a white background")).to_be_visible()
    prompt = "a yellow star above a green triangle on a black background"
    field(page, "Steps").fill("60")
    field(page, "Pictures").fill("3")
    submit(page, prompt)
    preview = page.get_by_role("img", name=f"Preview of {prompt}")
    expect(preview).to_be_visible()
    first = preview.get_attribute("src")
    assert first is not None
    assert first.startswith("data:image/jpeg;base64,")
    expect(preview).not_to_have_attribute("src", first)
    progress = page.get_by_role("progressbar", name=f"Progress of {prompt}")
    assert float(progress.get_attribute("value") or 0) > 0
    expect(tile(page, prompt)).to_be_visible(timeout=RENDERING_MS)
    expect(tile(elsewhere, prompt)).to_be_visible()
    expect(preview).to_be_hidden()


def test_a_double_click_and_a_repeated_click_make_one_job(page: Page, darkroom: Darkroom) -> None:
    with page.expect_response("**/api/generate") as answered:
        field(page, "Prompt").fill("a blue square")
        field(page, "Width").fill("64")
        field(page, "Height").fill("64")
        page.get_by_role("button", name="Generate").dblclick()
    job_id = answered.value.json()["job_id"]
    expect(tile(page, "a blue square")).to_be_visible()
    alike = [job for job in _jobs(page) if job["request"]["prompt"] == "a blue square"]
    assert [job["job_id"] for job in alike] == [job_id]


def test_a_try_that_got_no_answer_is_repeated_under_its_key(visit: Visitor) -> None:
    page = visit(expected="ERR_")
    keys: list[str | None] = []

    def lose_first_answer(route: object, request: object) -> None:
        keys.append(request.header_value("Idempotency-Key"))  # type: ignore[attr-defined]
        if len(keys) == 1:
            route.fetch()  # type: ignore[attr-defined]
            route.abort()  # type: ignore[attr-defined]
        else:
            route.continue_()  # type: ignore[attr-defined]

    page.route("**/api/generate", lose_first_answer)
    field(page, "Width").fill("64")
    field(page, "Height").fill("64")
    submit(page, "a green circle, asked for twice")
    expect(page.get_by_role("alert").filter(has_text="No connection")).to_be_visible()
    submit(page, "a green circle, asked for twice")
    expect(tile(page, "a green circle, asked for twice")).to_be_visible()
    assert keys[0] == keys[1] is not None
    prompts = [job["request"]["prompt"] for job in _jobs(page)]
    assert prompts.count("a green circle, asked for twice") == 1


def test_a_running_job_and_a_waiting_one_are_cancelled(page: Page) -> None:
    field(page, "Pictures").fill("50")
    field(page, "Steps").fill("200")
    submit(page, "a long job")
    expect(page.get_by_role("button", name="Cancel: a long job")).to_be_visible()
    submit(page, "a job behind it")
    waiting = page.get_by_role("listitem").filter(has_text="a job behind it")
    expect(waiting).to_contain_text("No. 1")
    # Its line moves down as the card above it appears.
    expect(page.get_by_alt_text("Preview of a long job")).to_be_visible()
    page.get_by_role("button", name="Cancel: a job behind it").click()
    expect(waiting).to_have_count(0)
    page.get_by_role("button", name="Cancel: a long job").click()
    expect(page.get_by_role("heading", name="Queue")).to_be_hidden()


def test_what_the_server_refuses_is_said_at_the_field(visit: Visitor) -> None:
    page = visit(expected="422")
    submit(page, "a house <lora:style:1>")
    prompt = field(page, "Prompt")
    expect(prompt).to_have_attribute("aria-invalid", "true")
    expect(prompt).to_be_focused()
    expect(page.locator("#field-prompt-fault")).to_contain_text("must not contain a tag")


def test_what_the_schema_forbids_is_said_before_it_is_sent(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    field(page, "Width").fill("100")
    field(page, "Steps").fill("60")
    field(page, "Sampler").select_option("lcm")
    submit(page, "a red house")
    expect(page.locator("#field-width-fault")).to_have_text("A multiple of 8: 96 or 104")
    expect(page.locator("#field-steps-fault")).to_have_text("From 1 to 50")
    field(page, "Prompt").fill(" ")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#field-prompt-fault")).to_contain_text("Describe")
    assert not [url for url in sent if url.endswith("/api/generate")]


def test_only_what_differs_from_the_model_is_sent(page: Page) -> None:
    page.get_by_text("2:3").click()
    page.get_by_role("checkbox", name="Random").uncheck()
    field(page, "Seed").fill("7")
    with page.expect_request("**/api/generate") as asked:
        submit(page, "a red circle")
    body = json.loads(asked.value.post_data or "")
    assert body == {"prompt": "a red circle", "width": 208, "height": 304, "seed": 7}


def test_a_prompt_never_becomes_markup(page: Page, darkroom: Darkroom) -> None:
    hostile = "<img src=x onerror=alert(1)> </textarea><script>alert(2)</script> &amp; {total} '"
    page.on("dialog", lambda dialog: _fail(dialog.message))
    field(page, "Width").fill("64")
    field(page, "Height").fill("64")
    submit(page, hostile)
    expect(tile(page, hostile)).to_be_visible()
    tile(page, hostile).click()
    expect(page.locator("#sheet-prompt")).to_have_text(hostile)
    assert page.locator("script").count() == 1


def _fail(message: str) -> None:
    raise AssertionError(f"the page ran a prompt: {message}")


def _jobs(page: Page) -> list[dict[str, dict[str, str]]]:
    jobs: list[dict[str, dict[str, str]]] = page.evaluate(
        "fetch('/api/jobs?limit=100').then(r => r.json()).then(b => b.jobs)"
    )
    return jobs
