from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spool import drops, ids, states
from spool.catalogue import Catalogue, publish_report
from spool.claims import Slot
from spool.finishing import finish
from spool.layout import Spool
from spool.live import LiveWriter
from spool.patience import Patience
from spool.states import Status
from spool.taking import Taker
from spool.tickets import Ticket
from spool.views import job_view, unfinished_jobs
from tests.spool.processes import NOBODY, ROOT, as_root, genzo, genzo_as
from tests.spool.samples import claim_job, completed, hold_job, queue_job, report


def _ticket(spool: Spool) -> Ticket:
    [name] = states.scan(spool.queued)
    return Ticket.decode((spool.queued / str(name)).read_bytes())


def test_init_makes_a_spool_and_says_where_and_what_is_next(tmp_path: Path) -> None:
    done = genzo("init", tmp_path / "new")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'new'}\n")
    assert "genzod" in done.stderr
    assert Spool.open(tmp_path / "new").root == tmp_path / "new"
    assert genzo("init", tmp_path / "new").returncode == 0


def test_init_takes_the_spool_of_the_option_or_the_environment(tmp_path: Path) -> None:
    assert genzo("init", "--spool", tmp_path / "a").returncode == 0
    environment = {**os.environ, "GENZO_SPOOL": str(tmp_path / "b")}
    assert genzo("init", env=environment).returncode == 0
    for name in ("a", "b"):
        assert Spool.open(tmp_path / name)


@pytest.mark.parametrize("place", ["before", "after", "variable", "file"])
def test_a_spool_is_named_by_option_variable_or_file(spool: Spool, place: str) -> None:
    job_id = queue_job(spool).job_id
    config = spool.root.parent / "genzo.toml"
    config.write_text(f'spool = "{spool.root}"\n')
    environment = {**os.environ}
    if place == "variable":
        environment["GENZO_SPOOL"] = str(spool.root)
    arguments = {
        "before": ("--spool", spool.root, "queue"),
        "after": ("queue", "--spool", spool.root),
        "variable": ("queue",),
        "file": ("--config", config, "queue"),
    }[place]
    done = genzo(*arguments, env=environment)
    assert done.returncode == 0, done.stderr
    assert job_id in done.stdout


def test_a_prompt_is_queued_and_its_id_alone_is_printed(spool: Spool) -> None:
    done = genzo("submit", "--spool", spool.root, "a red circle")
    assert done.returncode == 0, done.stderr
    ticket = _ticket(spool)
    assert done.stdout == f"{ticket.job_id}\n"
    assert done.stderr == ""
    assert ticket.request.prompt == "a red circle"
    assert (ticket.origin, ticket.owner_uid) == ("cli", os.getuid())


def test_every_field_of_a_job_can_be_given_as_an_option(spool: Spool) -> None:
    publish_report(spool, report())
    options = {
        "negative_prompt": "blur",
        "model": "tiny",
        "sampler": "dpmpp_2m",
        "name": "test",
        "width": 256,
        "height": 64,
        "steps": 3,
        "seed": 7,
        "count": 2,
        "priority": 90,
        "guidance_scale": 1.5,
        "not_before": "2026-11-24T02:00:00+01:00",
    }
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    loras = ["--lora", "ink:0.5:0.25", "--lora", "ink"]
    done = genzo("submit", "--spool", spool.root, "x", *arguments, *loras)
    assert done.returncode == 0, done.stderr
    request = _ticket(spool).request.model_dump(mode="json")
    assert request == {
        "prompt": "x",
        **options,
        "loras": [
            {"id": "ink", "weight": 0.5, "trigger_weight": 0.25},
            {"id": "ink", "weight": 1.0, "trigger_weight": 0.5},
        ],
    }


def test_a_job_file_is_queued_and_options_go_over_it(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"prompt": "x", "steps": 5, "seed": 1} // mine')
    done = genzo("submit", "--spool", spool.root, "--file", tmp_path / "job.json", "--steps", 6)
    assert done.returncode == 0, done.stderr
    request = _ticket(spool).request
    assert (request.prompt, request.steps, request.seed) == ("x", 6, 1)


def test_a_job_may_come_on_standard_input(spool: Spool) -> None:
    done = genzo("submit", "--spool", spool.root, "--file", "-", input='{"prompt": "赤い丸"}')
    assert done.returncode == 0, done.stderr
    assert _ticket(spool).request.prompt == "赤い丸"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("x", "--width", "100"), "width: 100 is not a multiple of 8"),
        (("x", "--steps", "0"), "steps: "),
        (("x", "--seed", "1.5"), "seed: "),
        (("x", "--model", "nosuch"), "no model is named 'nosuch'"),
        (("x", "--lora", "nosuch"), "no LoRA 'nosuch'"),
        (("--file", "/nonexistent.json"), "/nonexistent.json"),
        (("--file", "/dev/null"), "empty"),
    ],
)
def test_a_job_that_is_refused_says_why_and_queues_nothing(
    spool: Spool, arguments: tuple[str, ...], says: str
) -> None:
    publish_report(spool, report())
    done = genzo("submit", "--spool", spool.root, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("genzo: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert states.scan(spool.queued) == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nosuch",),
        ("submit",),
        ("submit", "x", "--file", "-"),
        ("submit", "x", "--steps", "many"),
        ("submit", "x", "--lora", "ink:strong"),
        ("submit", "x", "--lora", "ink:1:1:1"),
        ("show",),
        ("queue", "--nosuch"),
    ],
)
def test_a_wrong_usage_has_status_2(arguments: tuple[str, ...]) -> None:
    done = genzo(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")


@pytest.mark.parametrize(
    "arguments", [("queue",), ("show", "x"), ("cancel", "x"), ("submit", "x"), ("watch", "x")]
)
def test_a_directory_that_is_no_spool_is_told(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = genzo(*arguments, "--spool", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{tmp_path} is not a spool" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_that_is_wrong_is_told(tmp_path: Path) -> None:
    config = tmp_path / "genzo.toml"
    config.write_text("colour = 1")
    done = genzo("queue", "--config", config)
    assert done.returncode == 1
    assert f"{config}: colour" in done.stderr


@as_root
def test_who_may_not_write_the_queue_drops_the_job_and_intake_keeps_its_id(
    public_directory: Path,
) -> None:
    spool = Spool.create(public_directory / "spool")
    for path in (spool.root, spool.root / "spool.json", spool.incoming):
        os.chown(path, 0, NOBODY)
    for path in (spool.work, spool.queued):
        path.chmod(0o2755)
    done = genzo_as(NOBODY, "submit", "--spool", spool.root, "a red circle", "--steps", "3")
    assert done.returncode == 0, done.stderr
    job_id = done.stdout.strip()
    assert ids.is_job_id(job_id)
    assert states.scan(spool.queued) == []
    [path] = drops.walk(spool.incoming)
    assert path.name == f"{job_id}.json"
    assert json.loads(path.read_bytes()) == {"prompt": "a red circle", "steps": 3}
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(spool.incoming.iterdir()) == [path]

    Taker(spool, Catalogue, Patience(spool)).take([(path, drops.look(spool, path))])
    ticket = _ticket(spool)
    assert (ticket.job_id, ticket.owner_uid, ticket.origin) == (job_id, NOBODY, "drop")


@as_root
def test_who_may_not_even_enter_the_spool_is_told_so(public_directory: Path) -> None:
    spool = Spool.create(public_directory / "spool")
    done = genzo_as(NOBODY, "submit", "--spool", spool.root, "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Permission denied" in done.stderr


def test_the_queue_shows_what_runs_waits_and_is_held(spool: Spool) -> None:
    held = hold_job(spool)
    waiting = queue_job(spool, prompt="two\nlines \x1b[2J\u202e", name="a name\x07")
    claim = claim_job(Slot.acquire(spool, "gpu0"), prompt="running").start()
    with LiveWriter(spool, claim.job_id, 1) as live:
        live.progress(5, 20)
    done = genzo("queue", "--spool", spool.root)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["-", claim.job_id],
        ["1", waiting.job_id],
        ["-", held.job_id],
    ]
    assert "processing 5/20" in lines[0]
    assert "a name " in lines[1]
    assert all(line.isprintable() for line in lines)


def test_an_empty_queue_prints_nothing_on_standard_output(spool: Spool) -> None:
    done = genzo("queue", "--spool", spool.root)
    assert (done.returncode, done.stdout) == (0, "")
    assert "empty" in done.stderr


def test_the_queue_as_json_is_the_list_of_the_views(spool: Spool) -> None:
    hold_job(spool)
    queue_job(spool, prompt="赤い丸")
    done = genzo("queue", "--json", "--spool", spool.root)
    assert json.loads(done.stdout) == [
        json.loads(json.dumps(view.as_json())) for view in unfinished_jobs(spool)
    ]
    assert len(json.loads(done.stdout)) == 2


def test_a_job_as_json_is_its_view(spool: Spool) -> None:
    claim = claim_job(Slot.acquire(spool, "gpu0"))
    finish(claim, completed(claim.ticket))
    for job_id in (queue_job(spool).job_id, hold_job(spool).job_id, claim.job_id):
        done = genzo("show", job_id, "--json", "--spool", spool.root)
        view = job_view(spool, job_id)
        assert view is not None
        assert json.loads(done.stdout) == json.loads(json.dumps(view.as_json()))


def test_a_finished_job_is_shown_with_the_paths_of_its_pictures(spool: Spool) -> None:
    claim = claim_job(Slot.acquire(spool, "gpu0"), steps=3)
    finish(claim, completed(claim.ticket))
    done = genzo("show", claim.job_id, "--spool", spool.root)
    assert done.returncode == 0
    facts = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert facts["job"] == claim.job_id
    assert facts["status"] == "completed"
    assert facts["steps"] == "3"
    assert facts["picture"].startswith(str(spool.gallery))
    assert facts["picture"].endswith(f"{claim.job_id}-0.png")


@pytest.mark.parametrize("job_id", ["20261123T121728417-7f3a9c", "x", "../../spool"])
@pytest.mark.parametrize("command", ["show", "cancel", "watch"])
def test_an_unknown_job_is_told_with_status_1(spool: Spool, command: str, job_id: str) -> None:
    done = genzo(command, job_id, "--spool", spool.root)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"no job {job_id}" in done.stderr
    assert "Traceback" not in done.stderr


def test_jobs_are_cancelled_and_each_is_told(spool: Spool) -> None:
    queued = queue_job(spool)
    running = claim_job(Slot.acquire(spool, "gpu0"))
    done = genzo("cancel", queued.job_id, running.job_id, "x", "--spool", spool.root)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"{queued.job_id} cancelled",
        f"{running.job_id} processing (asked to stop at its next step)",
    ]
    assert "no job x" in done.stderr
    assert spool.cancel_request(running.job_id).exists()
    assert genzo("cancel", queued.job_id, "--spool", spool.root).returncode == 0


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_watch_ends_with_the_job_and_its_status(spool: Spool, status: Status) -> None:
    claim = claim_job(Slot.acquire(spool, "gpu0"))
    record = completed(claim.ticket)
    if status is Status.FAILED:
        error = {"detail": "no more memory"}
        record = dataclasses.replace(record, status=status, images=(), error=error)
    finish(claim, record)
    done = genzo("watch", claim.job_id, "--spool", spool.root)
    if status is Status.COMPLETED:
        assert done.returncode == 0
        assert done.stdout.endswith(f"{claim.job_id}-0.png\n")
    else:
        assert (done.returncode, done.stdout) == (1, "")
        assert "no more memory" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (("queue",), {"pydantic", "torch", "jsonschema", "watchdog", "rich"}),
        (("queue", "--json"), {"pydantic", "torch", "jsonschema", "watchdog", "rich"}),
        (("show", "20261123T121728417-7f3a9c"), {"pydantic", "torch", "jsonschema", "watchdog"}),
        (("submit", "x"), {"torch", "diffusers", "watchdog", "rich"}),
        (("cancel", "x"), {"torch", "diffusers", "watchdog", "rich"}),
        (("images",), {"torch", "PIL", "jsonschema", "watchdog", "rich"}),
    ],
)
def test_a_command_imports_only_what_it_needs(
    spool: Spool, arguments: tuple[str, ...], forbidden: set[str]
) -> None:
    code = (
        "import sys\n"
        "from spool.cli.main import main\n"
        "try:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code, *arguments, "--spool", str(spool.root)]
    queue_job(spool)
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    modules = done.stderr.split()
    assert "spool.layout" in modules
    assert forbidden.isdisjoint(modules)


def test_a_reader_that_goes_away_is_no_error(spool: Spool) -> None:
    for _ in range(300):
        queue_job(spool, prompt="x" * 1000)
    command = [sys.executable, "-m", "spool", "queue", "--spool", str(spool.root)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_every_command_is_described() -> None:
    done = genzo("--help")
    assert done.returncode == 0
    for command in ("init", "submit", "queue", "show", "watch", "images", "cancel"):
        assert f"\n    {command} " in done.stdout
        assert genzo(command, "--help").returncode == 0
