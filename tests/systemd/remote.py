"""What the manual shows of other machines: the machine itself, over ssh, as another user."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.systemd.jobs import QUICK, SPOOL
from tests.systemd.machine import Machine

_SENDER = "mia"
_AUTHORIZED = "/home/ann/.ssh/authorized_keys"
_SENT = f"find {SPOOL}/rejected {SPOOL}/outgoing/from-afar /tmp/from-afar.json 2>/dev/null | sort"


def drop_and_fetch(machine: Machine, text: str) -> None:
    """Both lines once, and once more when the job has ended: dropped once, fetched."""
    _connect(machine)
    machine.sh(f"install -D -o ann -m 600 /home/{_SENDER}/.ssh/id_ed25519.pub {_AUTHORIZED}")
    _lay_job(machine, "from-afar.json")
    _send(machine, text)
    results = f"{SPOOL}/outgoing/from-afar"
    machine.wait_for(f"ls {results}/*/result.json")
    _send(machine, text)
    machine.sh(f"cmp /home/{_SENDER}/results/from-afar/*/*.png {results}/*/*.png")
    assert len(machine.sh(f"ls {results}").split()) == 1


def restrict_key(machine: Machine, text: str) -> None:
    """The line of the manual, with a key that exists; all but dropping is refused."""
    _connect(machine)
    key = machine.sh(f"cut -d' ' -f1,2 /home/{_SENDER}/.ssh/id_ed25519.pub")
    line = text.replace("ssh-ed25519 AAAA…", key)
    assert key in line
    machine.run("tee", _AUTHORIZED, stdin=line)
    machine.wait_for(f'[ -z "$(ls {SPOOL}/incoming)" ]')
    before = machine.sh(_SENT)
    for attempt in (
        "ssh ann@workstation id",
        "ssh ann@workstation",
        f"ssh ann@workstation cat {SPOOL}/spool.json",
        "rsync -a ann@workstation: stolen/",
        f"rsync -a ann@workstation:{SPOOL}/outgoing/ stolen/",
        "rsync -rt jobs/ ann@workstation:../rejected/",
        f"rsync -rt jobs/ ann@workstation:{SPOOL}/rejected/",
        "rsync -rt --remove-source-files ann@workstation: stolen/",
        "scp jobs/from-afar.json ann@workstation:/tmp/",
        "sftp -b /dev/null ann@workstation",
        "ssh -N -o ExitOnForwardFailure=yes -R 9009:127.0.0.1:8000 ann@workstation",
    ):
        said = machine.sh(f"cd; {attempt} < /dev/null; echo status $?", user=_SENDER)
        assert not said.endswith("status 0"), (attempt, said)
        assert "Connection refused" not in said
    assert machine.sh("ls ~/stolen 2>/dev/null | wc -l", user=_SENDER) == "0"
    assert machine.sh(_SENT) == before


def drop_with_restricted_key(machine: Machine, text: str) -> None:
    """It does what it is for."""
    _connect(machine)
    _lay_job(machine, "with-a-key.json")
    _send(machine, text)
    machine.wait_for(f"ls {SPOOL}/outgoing/with-a-key/*/result.json")
    machine.run("rm", _AUTHORIZED)


def tunnel(machine: Machine, text: str) -> None:
    """From another port, since both ends are this machine."""
    _connect(machine)
    machine.sh(f"install -D -o ann -m 600 /home/{_SENDER}/.ssh/id_ed25519.pub {_AUTHORIZED}")
    command = text.replace("-L 8000:", "-L 18000:").strip()
    assert command != text.strip()
    machine.run(
        *("systemd-run", "--quiet", "--unit=tunnel", f"--uid={_SENDER}", "sh", "-c"),
        f"exec {command}",
    )
    machine.wait_for("curl -sS --fail http://127.0.0.1:18000/healthz")
    machine.run("systemctl", "stop", "tunnel")


def _connect(machine: Machine) -> None:
    """An ssh server, and a user with a key who knows it; skips where there is no server."""
    if machine.run("sh", "-c", "command -v sshd", check=False).returncode:
        pytest.skip("not installed: openssh-server")
    if machine.run("id", _SENDER, check=False).returncode:
        machine.run("useradd", "--create-home", _SENDER)
        machine.sh("cd; ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519", user=_SENDER)
        machine.run("systemctl", "start", "systemd-user-sessions.service", "ssh.service")
        machine.sh(
            "ssh-keyscan -T 60 -t ed25519 workstation 2>/dev/null > ~/.ssh/known_hosts && "
            "printf 'BatchMode yes\\n' > ~/.ssh/config",
            user=_SENDER,
        )


def _lay_job(machine: Machine, name: str) -> None:
    job = shlex.quote(json.dumps(QUICK))
    machine.sh(f"mkdir -p ~/jobs; echo {job} > ~/jobs/{name}", user=_SENDER)


def _send(machine: Machine, text: str) -> None:
    machine.sh(f"set -e; cd\n{text}", user=_SENDER)
