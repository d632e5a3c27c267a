from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from spool.exits import Exit
from spool.layout import Spool


def genzod(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "daemon", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
    )


def test_a_directory_that_is_no_spool_is_a_configuration_error(tmp_path: Path) -> None:
    ended = genzod("--spool", str(tmp_path))
    assert ended.returncode == Exit.CONFIGURATION
    assert f"genzo init {tmp_path}" in ended.stderr


def test_each_fault_of_the_configuration_ends_the_daemon_naming_it(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "spool")
    model = '[[model]]\nname = "m"\nfamily = "{}"\nweights = "{}"\n'
    faults = {
        "colour = 1": "colour",
        "[http]\nport = 99999": "http.port",
        model.format("sdxl", "/nowhere"): "/nowhere",
        model.format("dalle", tmp_path): "dalle",
        'spool = "': "genzo.toml",
    }
    config = tmp_path / "genzo.toml"
    for text, named in faults.items():
        config.write_text(text)
        ended = genzod("--config", str(config), "--spool", str(spool.root))
        assert (ended.returncode, named in ended.stderr) == (Exit.CONFIGURATION, True), text
        assert "Traceback" not in ended.stderr


def test_a_slot_name_that_is_a_path_is_refused(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "spool")
    ended = genzod("--spool", str(spool.root), "--slot", "../x")
    assert ended.returncode == Exit.CONFIGURATION


def test_systemd_is_told_when_the_model_can_render(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "spool")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(120)
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon", "--spool", str(spool.root)],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        try:
            heard = [channel.recv(4096).decode()]
            while "READY=1" not in heard[-1]:
                heard.append(channel.recv(4096).decode())
        finally:
            process.terminate()
            assert process.wait(60) == Exit.OK
    assert "STATUS=starting" in heard[0]
