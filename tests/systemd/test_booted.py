"""The services on a machine with a real systemd."""

from __future__ import annotations

import json

import pytest

from spool.exits import Exit
from tests.services import wait_for
from tests.systemd.jobs import (
    ENDLESS,
    LONG,
    QUICK,
    SPOOL,
    drop,
    pictures,
    show,
    submit,
    wait_for_step,
    wait_until,
)
from tests.systemd.machine import POLL_SECONDS, Machine

DAEMON = "genzod@0.service"
CONFIG = "/etc/genzo/genzo.toml"
WRONG_CONFIGURATIONS = {
    "colour = 1": "colour",
    "[http]\nport = 99999": "http.port",
    '[[model]]\nname = "m"\nfamily = "sdxl"\nweights = "/nowhere"': "/nowhere",
    '[[model]]\nname = "m"\nfamily = "dalle"\nweights = "/srv"': "dalle",
    'spool = "': "genzo.toml",
}

# Holds the main thread of a process still until the process ends; its other threads go on.
HOLD = """
import ctypes, os, sys
pid, WALL = int(sys.argv[1]), 0x40000000
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
    if ptrace(request, pid, None, None):
        sys.exit(f"ptrace: errno {ctypes.get_errno()}")
while os.WIFSTOPPED(os.waitpid(pid, WALL)[1]):
    pass
"""


def restarts(machine: Machine, unit: str = DAEMON) -> int:
    return int(machine.property(unit, "NRestarts"))


def test_installing_once_more_changes_nothing(machine: Machine) -> None:
    before = machine.sh("find /etc -newer /etc/genzo -name 'genzo*'; systemctl list-units 'genzo*'")
    again = machine.run("genzo", "install")
    assert "nothing was changed" in again.stderr
    assert "rsync -rt --omit-dir-times" in again.stdout
    after = machine.sh("find /etc -newer /etc/genzo -name 'genzo*'; systemctl list-units 'genzo*'")
    assert after == before


def test_a_dropped_job_is_rendered(machine: Machine) -> None:
    drop(machine, "hello.json", QUICK)
    machine.wait_for(f"ls {SPOOL}/outgoing/hello/*/result.json")
    result = json.loads(machine.sh(f"cat {SPOOL}/outgoing/hello/*/result.json"))
    assert result["status"] == "completed"


def test_a_daemon_that_is_killed_in_mid_job_comes_back_and_completes_it_once(
    machine: Machine,
) -> None:
    before = restarts(machine)
    job_id = submit(machine, LONG)
    wait_for_step(machine, job_id, 3)
    machine.sh(f"kill -9 $(systemctl show --value -p MainPID {DAEMON})")
    job = wait_until(machine, job_id, "completed")
    assert (restarts(machine), job["starts"]) == (before + 1, 2)
    assert pictures(machine, job_id) == [f"{job_id}-0.png"]


def test_a_hung_step_is_ended_by_the_watchdog_and_the_job_completes(machine: Machine) -> None:
    drop_in = f"/run/systemd/system/{DAEMON}.d/watchdog.conf"
    machine.sh(f"mkdir -p $(dirname {drop_in}); printf '[Service]\\nWatchdogSec=6\\n' > {drop_in}")
    machine.sh(f"systemctl daemon-reload && systemctl restart {DAEMON}")
    try:
        before = restarts(machine)
        job_id = submit(machine, LONG)
        wait_for_step(machine, job_id, 3)
        pid = machine.property(DAEMON, "MainPID")
        machine.run(
            "systemd-run", "--quiet", "--unit=hold", "/opt/genzo/bin/python", "-c", HOLD, pid
        )
        job = wait_until(machine, job_id, "completed")
        assert (restarts(machine), job["starts"]) == (before + 1, 2)
        assert pictures(machine, job_id) == [f"{job_id}-0.png"]
        said = machine.sh(f"journalctl -u {DAEMON} --no-pager")
        assert "Watchdog timeout" in said
        # Where it hung.
        assert "Fatal Python error: Aborted" in said
    finally:
        machine.sh(f"rm {drop_in}; systemctl daemon-reload; systemctl stop hold", check=False)
        machine.sh(f"systemctl restart {DAEMON}")


@pytest.mark.parametrize("text", WRONG_CONFIGURATIONS)
def test_a_wrong_configuration_ends_the_service_for_good_and_the_status_says_why(
    machine: Machine, text: str
) -> None:
    machine.run("systemctl", "stop", DAEMON)
    machine.run("systemctl", "reset-failed", DAEMON, check=False)
    machine.run("cp", CONFIG, "/tmp/genzo.toml")
    try:
        machine.run("tee", CONFIG, stdin=text)
        assert machine.run("systemctl", "start", DAEMON, check=False).returncode != 0
        # One that is to be started again would be "auto-restart" from here on.
        assert machine.property(DAEMON, "SubState") == "failed"
        assert machine.property(DAEMON, "ExecMainStatus") == str(int(Exit.CONFIGURATION))
        assert restarts(machine) == 0
        status = machine.sh(f"systemctl status --no-pager -n 0 {DAEMON}", check=False)
        assert WRONG_CONFIGURATIONS[text] in status
    finally:
        machine.run("cp", "/tmp/genzo.toml", CONFIG)
    if text == list(WRONG_CONFIGURATIONS)[-1]:
        machine.run("systemctl", "restart", DAEMON)


def test_a_request_to_a_stopped_http_layer_starts_and_is_answered_by_it(machine: Machine) -> None:
    machine.run("systemctl", "stop", "genzo-httpd.service")
    assert machine.property("genzo-httpd.service", "ActiveState") == "inactive"
    for host in ("127.0.0.1", "[::1]"):
        answer = machine.sh(f"curl -sS --max-time 30 http://{host}:8000/healthz")
        assert json.loads(answer) == {"status": "ok"}
    assert machine.property("genzo-httpd.service", "ActiveState") == "active"


def test_no_connection_is_refused_while_the_http_layer_restarts(machine: Machine) -> None:
    asked = machine.sh(
        "systemctl restart --no-block genzo-httpd.service\n"
        "for n in $(seq 40); do\n"
        "  curl -sS -o /dev/null --max-time 30 -w '%{http_code}\\n' http://127.0.0.1:8000/healthz\n"
        "done"
    )
    assert set(asked.splitlines()) <= {"200"}, asked


def test_the_journal_tells_the_life_of_one_job(machine: Machine) -> None:
    job_id = submit(machine, QUICK)
    wait_until(machine, job_id, "completed")
    found = machine.sh(f"journalctl -u {DAEMON} GENZO_JOB={job_id} -o json --no-pager")
    lines = [json.loads(line) for line in found.splitlines()]
    assert [line["GENZO_SLOT"] for line in lines] == ["0"] * len(lines)
    assert "completed" in lines[-1]["MESSAGE"]
    assert lines[-1]["GENZO_MODEL"] == "embedded"


def test_the_status_tells_job_step_and_queue(machine: Machine) -> None:
    job_ids = [submit(machine, ENDLESS), submit(machine, QUICK)]
    wait_for_step(machine, job_ids[0], 1)

    def told() -> bool:
        status = machine.property(DAEMON, "StatusText")
        return f"rendering {job_ids[0]}, step" in status and status.endswith("1 waiting")

    wait_for(told, seconds=60, what="the status line", every_seconds=POLL_SECONDS)
    machine.run("genzo", "cancel", *job_ids)


def test_from_inside_the_daemon_nothing_but_the_spool_and_its_cache_can_be_written(
    machine: Machine,
) -> None:
    for unit in (DAEMON, "genzo-httpd.service"):
        pid = machine.property(unit, "MainPID")
        inside = (
            f"nsenter -t {pid} --mount --root --wdns=/ setpriv --reuid $(id -u genzo) "
            "--regid $(id -g genzo) --clear-groups"
        )
        for path in ("/etc/x", "/usr/x", "/opt/genzo/x", "/var/lib/x", "/home/x", "/root/x"):
            said = machine.sh(f"{inside} touch {path}", check=False)
            assert "Read-only file system" in said or "Permission denied" in said, (unit, path)
        # Not even root's permissions help: the file system itself is read-only there.
        said = machine.sh(f"nsenter -t {pid} --mount --root touch /etc/x", check=False)
        assert "Read-only file system" in said
        machine.sh(f"{inside} touch {SPOOL}/tmp/x && rm {SPOOL}/tmp/x")


def test_the_services_reach_no_network(machine: Machine) -> None:
    for unit in (DAEMON, "genzo-httpd.service"):
        pid = machine.property(unit, "MainPID")
        said = machine.sh(
            f"nsenter -t {pid} --net curl -sS --max-time 5 http://127.0.0.1:8000/healthz",
            check=False,
        )
        assert "Failed to connect" in said or "Couldn't connect" in said, said


def test_house_keeping_runs_in_its_sandbox(machine: Machine) -> None:
    machine.run("systemctl", "start", "genzo-clean.service")
    assert machine.property("genzo-clean.service", "Result") == "success"
    assert machine.property("genzo-clean.timer", "ActiveState") == "active"


def test_restarting_everything_under_a_stream_of_jobs_loses_and_doubles_none(
    machine: Machine,
) -> None:
    count = 200
    before = len(pictures(machine))
    job = json.dumps({**QUICK, "steps": 1})
    script = (
        f"for n in $(seq {count}); do\n"
        f"  echo '{job}' > /tmp/stream-$n.json\n"
        f"  chmod 644 /tmp/stream-$n.json; mv /tmp/stream-$n.json {SPOOL}/incoming/\n"
        "  sleep 0.1\n"
        "done"
    )
    machine.run("systemd-run", "--quiet", "--unit=stream", "sh", "-c", script)
    results = f"ls -d {SPOOL}/outgoing/stream-*/*/result.json | wc -l"
    for finished in (5, 50, 100, count):
        machine.wait_for(f"[ $({results}) -ge {finished} ]", seconds=300)
        if finished < count:
            machine.run("systemctl", "restart", "genzod.target", "genzo-httpd.service")
    assert len(pictures(machine)) - before == count
    assert machine.sh(f"ls {SPOOL}/work/queued {SPOOL}/work/held | grep json", check=False) == ""
    assert machine.sh(f"find {SPOOL}/work/active -type f") == ""
    assert show(machine, submit(machine, QUICK))["status"] is not None
