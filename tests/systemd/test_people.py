"""What the members of group genzo may do on a machine, and what everyone else may not."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.services import wait_for
from tests.systemd.jobs import ENDLESS, QUICK, SPOOL, drop, show, submit, wait_until
from tests.systemd.machine import Machine


@pytest.fixture(scope="module", autouse=True)
def people(machine: Machine) -> None:
    """alice and carol are members of the group, bob is not."""
    for name in ("alice", "carol"):
        machine.run("useradd", "--create-home", "--groups", "genzo", name)
    machine.run("useradd", "--create-home", "bob")


@pytest.fixture
def waiting(machine: Machine) -> Iterator[str]:
    """A job of alice's that waits behind a long one."""
    before = submit(machine, ENDLESS)
    wait_until(machine, before, "processing")
    job_id = submit(machine, QUICK, user="alice")
    wait_until(machine, job_id, "queued")
    yield job_id
    for left in (job_id, before):
        machine.run("genzo", "cancel", left, check=False)


def test_a_member_drops_a_job_and_fetches_its_picture(machine: Machine) -> None:
    drop(machine, "alice.json", QUICK, user="alice")
    machine.wait_for(f"ls {SPOOL}/outgoing/alice/*/result.json")
    machine.sh(f"cp {SPOOL}/outgoing/alice/*/*.png ~/ && ls ~/*.png", user="alice")


def test_a_member_sees_the_queue_the_records_and_the_pictures(
    machine: Machine, waiting: str
) -> None:
    assert waiting in machine.sh("genzo queue", user="carol")
    assert json.loads(machine.sh(f"genzo show {waiting} --json", user="carol"))["request"]
    machine.sh(f"cat {SPOOL}/gallery/*/*/*.png > /dev/null", user="carol")
    machine.sh(f"cat {SPOOL}/done/*/*/*.json > /dev/null", user="carol")


def test_a_member_cancels_its_own_job(machine: Machine, waiting: str) -> None:
    machine.sh(f"genzo cancel {waiting}", user="alice")
    assert wait_until(machine, waiting, "cancelled")


def test_a_member_cannot_read_the_drop_box(machine: Machine) -> None:
    for attempt in (f"ls {SPOOL}/incoming", f"cat {SPOOL}/seen/*/*", f"ls {SPOOL}/locks"):
        assert "Permission denied" in machine.sh(attempt, user="alice", check=False)


def test_a_member_cannot_replace_remove_or_cancel_what_is_anothers(
    machine: Machine, waiting: str
) -> None:
    machine.sh(f"genzo cancel {waiting}", user="carol", check=False)
    ticket = machine.sh(f"ls {SPOOL}/work/queued/*{waiting}*")
    for attempt in (
        f"rm {ticket}",
        f"echo x > {ticket}",
        f"mv {ticket} {SPOOL}/work/held/",
        f"touch {SPOOL}/work/live/{waiting}.cancel",
        f"rm {SPOOL}/gallery/*/*/*.png",
        f"rm -r {SPOOL}/done",
    ):
        said = machine.sh(attempt, user="carol", check=False)
        assert "denied" in said or "not permitted" in said, (attempt, said)
    # A file that lies in the drop box for longer than a moment: a name that is no job's.
    machine.sh(f"echo alice > {SPOOL}/incoming/.kept", user="alice")
    for attempt in ("rm -f", "mv -f /tmp/x", "echo x >"):
        machine.sh(f"touch /tmp/x; {attempt} {SPOOL}/incoming/.kept", user="carol", check=False)
    assert machine.sh(f"cat {SPOOL}/incoming/.kept") == "alice"
    machine.sh(f"rm {SPOOL}/incoming/.kept")
    wait_for(
        lambda: machine.sh(f"ls {SPOOL}/rejected/ | grep cancel", check=False),
        what="the refusal of carol's order",
    )
    assert show(machine, waiting)["status"] == "queued"


def test_whoever_is_not_a_member_may_do_none_of_it(machine: Machine, waiting: str) -> None:
    for attempt in (
        f"ls {SPOOL}",
        "genzo queue",
        f"genzo show {waiting}",
        f"genzo cancel {waiting}",
        f"echo '{{}}' > {SPOOL}/incoming/bob.json",
        f"ls {SPOOL}/gallery",
    ):
        said = machine.sh(f"{attempt}; echo status $?", user="bob", check=False)
        assert "ermission denied" in said, (attempt, said)
        assert "status 0" not in said
    assert show(machine, waiting)["status"] == "queued"
