"""The process: how it starts, what it refuses to start with, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from spool import tokens
from spool.exits import Exit
from spool.layout import Spool
from tests.httpd.conftest import TIMEOUT_SECONDS, Served, start_server, stop_server
from tests.httpd.stand_in import StandIn, report
from tests.services import wait_for


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool.create(tmp_path / "spool")
    report(made)
    return made


@pytest.fixture
def running(spool: Spool) -> Iterator[Served]:
    """A server that a test may end itself."""
    server = start_server(spool)
    yield server
    if server.process.poll() is None:
        stop_server(server)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "httpd", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """What a failed start says, which is one line."""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.stderr


def test_a_missing_spool_is_one_line_and_exit_78(tmp_path: Path) -> None:
    result = run("--spool", str(tmp_path / "none"), "--port", "0")
    assert result.returncode == Exit.CONFIGURATION
    assert f"genzo init {tmp_path / 'none'}" in one_line(result)


def test_a_missing_configuration_is_one_line_and_exit_78(spool: Spool, tmp_path: Path) -> None:
    result = run("--spool", str(spool.root), "--config", str(tmp_path / "none.toml"))
    assert result.returncode == Exit.CONFIGURATION
    assert "none.toml" in one_line(result)


def test_a_taken_port_is_one_line_and_exit_1(running: Served, spool: Spool) -> None:
    result = run("--spool", str(spool.root), "--port", str(running.port))
    assert result.returncode == Exit.FAILURE
    assert f"port {running.port}" in one_line(result)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_host_that_others_reach_is_refused(spool: Spool, host: str) -> None:
    result = run("--spool", str(spool.root), "--port", "0", "--host", host)
    assert result.returncode == Exit.CONFIGURATION
    assert "genzo token" in one_line(result)


@pytest.mark.parametrize("setting", ['hosts = ["genzo.example"]', 'proxies = ["10.0.0.0/8"]'])
def test_a_proxy_that_lets_others_in_needs_a_token_too(
    spool: Spool, tmp_path: Path, setting: str
) -> None:
    config = tmp_path / "genzo.toml"
    config.write_text(f"[http]\n{setting}\n")
    result = run("--spool", str(spool.root), "--port", "0", "--config", str(config))
    assert result.returncode == Exit.CONFIGURATION
    assert "genzo token" in one_line(result)


def test_a_host_that_others_reach_is_served_where_that_is_written_out(
    spool: Spool, tmp_path: Path
) -> None:
    config = tmp_path / "genzo.toml"
    config.write_text("[http]\ninsecure = true\n")
    server = start_server(spool, "--host", "0.0.0.0", "--config", str(config))
    assert "insecure" in server.log_text()
    assert server.client.get("/api/info").status_code == 200
    assert stop_server(server) == 0


def test_a_token_that_everyone_may_read_is_refused(spool: Spool, tmp_path: Path) -> None:
    config = tmp_path / "genzo.toml"
    config.write_text(f'[http]\ntoken = "{tokens.draw()}"\n')
    config.chmod(0o644)
    result = run("--spool", str(spool.root), "--port", "0", "--config", str(config))
    assert result.returncode == Exit.CONFIGURATION
    assert "everyone may read" in one_line(result)


def test_the_configuration_names_spool_and_port(spool: Spool, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "genzo.toml"
    config.write_text(f'spool = "{spool.root}"\n[http]\nport = {port}\n')
    command = [sys.executable, "-m", "httpd", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert f"http://127.0.0.1:{port}" in process.stderr.readline()
        process.terminate()
        assert process.wait(TIMEOUT_SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_a_second_with_streams_open(
    running: Served, number: signal.Signals
) -> None:
    job_id = running.submit()
    with ExitStack() as stack:
        streams = [stack.enter_context(running.listen(job_id)) for _ in range(5)]
        gallery = stack.enter_context(running.listen("gallery"))
        for events in streams:
            events.next()
        began = time.monotonic()
        running.process.send_signal(number)
        for events in (*streams, gallery):
            assert events.rest() == []
        assert running.process.wait(TIMEOUT_SECONDS) == 0
        assert time.monotonic() - began < 1
    assert running.log.read_text().splitlines()[-1].endswith("stopped")


def test_a_listener_that_does_not_read_does_not_delay_the_end(running: Served) -> None:
    job_id = running.submit()
    daemon = StandIn(running.spool)
    job = daemon.begin(job_id)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", running.port))
        deaf.sendall(f"GET /api/sse/{job_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        deaf.recv(100)
        for step in range(60):
            job.step(step, preview=b"\xff" * 200_000)
            time.sleep(0.005)
        assert running.client.get("/healthz").status_code == 200
        began = time.monotonic()
        assert stop_server(running) == 0
        assert time.monotonic() - began < 1.5
    daemon.slot.release()


def test_a_listener_that_leaves_is_forgotten(running: Served) -> None:
    open_before = len(os.listdir(f"/proc/{running.process.pid}/fd"))
    for _ in range(20):
        with running.listen(running.submit()) as events:
            events.next()

    def is_quiet() -> bool:
        return len(os.listdir(f"/proc/{running.process.pid}/fd")) < open_before + 5

    wait_for(is_quiet, seconds=5, what="the sockets to be closed")


def test_answers_are_not_held_back_by_the_network_stack(running: Served) -> None:
    began = time.monotonic()
    for _ in range(50):
        running.client.get("/healthz")
    assert time.monotonic() - began < 1


def test_two_servers_share_a_spool(running: Served, spool: Spool) -> None:
    other = start_server(spool)
    job_id = other.submit()
    assert running.client.get(f"/api/jobs/{job_id}").json()["status"] == "queued"
    assert stop_server(other) == 0


def test_it_serves_and_watches_another_spool_that_comes_in_place_of_the_first(
    running: Served, spool: Spool
) -> None:
    spool.root.rename(spool.root.with_name("elsewhere"))
    wait_for(lambda: "waiting for it" in running.log_text(), what="the log to say so")
    assert running.client.get("/healthz").status_code == 200
    report(Spool.create(spool.root))
    daemon = StandIn(spool)
    wait_for(lambda: "is there again" in running.log_text(), what="the new spool to be watched")
    job_id = running.submit()
    with running.listen(job_id) as events:
        delays = []
        run = daemon.begin(job_id)
        run.step(0)
        events.until(status="processing")
        for step in range(1, 8):
            began = time.monotonic()
            run.step(step)
            events.until(step=step)
            delays.append(time.monotonic() - began)
    daemon.slot.release()
    assert sorted(delays)[3] < 0.5, "the steps come by polling"


def test_it_listens_on_ipv6_too(spool: Spool) -> None:
    try:
        server = start_server(spool, "--host", "::1")
    except AssertionError:
        pytest.skip("this machine has no IPv6 loopback")
    with socket.create_connection(("::1", server.port), 5) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\nHost: [::1]:80\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert stop_server(server) == 0


def test_torch_and_the_daemon_are_never_imported() -> None:
    script = (
        "import sys, httpd.service; "
        "print([m for m in ('torch', 'daemon', 'PIL', 'diffusers', 'numpy') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
