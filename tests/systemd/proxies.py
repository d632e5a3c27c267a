"""The proxies of the manual: events come through while their stream is open, pictures whole."""

from __future__ import annotations

import pytest

from tests.systemd.jobs import ENDLESS, QUICK, SPOOL, show, submit, wait_for_step, wait_until
from tests.systemd.machine import Machine

_CONFIG = "/etc/genzo/genzo.toml"
_SITE = "https://genzo.example"
_CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
    "-subj /CN=genzo.example -keyout /etc/ssl/genzo.example.key -out /etc/ssl/genzo.example.pem"
)


def configure(machine: Machine, text: str) -> None:
    """Put the lines below the table's name, which the configuration has already."""
    config = machine.run("cat", _CONFIG).stdout
    assert config.count("\n[http]\n") == 1
    machine.run("tee", _CONFIG, stdin=config.replace("\n[http]\n", f"\n{text}"))
    machine.run("systemctl", "restart", "genzo-httpd.service")
    refused = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8000/api/info"
    assert machine.sh(refused) == "401"


def nginx(machine: Machine, text: str) -> None:
    """nginx, with a certificate made for it."""
    _need(machine, "nginx", "openssl")
    machine.sh(f"{_CERTIFICATE}; rm -f /etc/nginx/sites-enabled/*")
    machine.run("tee", "/etc/nginx/conf.d/genzo.conf", stdin=text)
    _try(machine, "nginx.service")


def caddy(machine: Machine, text: str) -> None:
    """Caddy, with a certificate of its own authority, as nobody can be asked for one."""
    _need(machine, "caddy")
    alone = "{\n    local_certs\n    skip_install_trust\n}\n"
    machine.run("tee", "/etc/caddy/Caddyfile", stdin=alone + text)
    _try(machine, "caddy.service")


def _need(machine: Machine, *programs: str) -> None:
    for program in programs:
        if machine.run("sh", "-c", f"command -v {program}", check=False).returncode:
            pytest.skip(f"not installed: {program}")


def _try(machine: Machine, unit: str) -> None:
    """What a client sees through the proxy that `unit` is."""
    machine.run("systemctl", "start", unit)
    token = machine.run("cat", "/etc/genzo/tokens").stdout.strip()
    curl = f"curl -sS -k --noproxy '*' --fail -H 'Authorization: Bearer {token}'"
    job_id = submit(machine, ENDLESS)
    try:
        machine.wait_for(f"{curl} {_SITE}/api/info")
        _listen(machine, f"{curl} -N {_SITE}/api/sse/{job_id}", job_id)
    finally:
        machine.run("genzo", "cancel", job_id)
    picture = str(wait_until(machine, submit(machine, QUICK), "completed")["images"][0]["filename"])
    machine.sh(f"{curl} -o /tmp/fetched {_SITE}/api/images/{picture}")
    machine.sh(f"cmp /tmp/fetched $(find {SPOOL}/gallery -name {picture})")
    machine.run("systemctl", "stop", unit)


def _listen(machine: Machine, stream: str, job_id: str) -> None:
    """Events of a job that goes on are heard one by one, from a stream that goes on."""
    wait_for_step(machine, job_id, 1)
    command = ("systemd-run", "--quiet", "--unit=listener", "sh", "-c")
    machine.run(*command, f"exec {stream} > /tmp/heard")
    heard = "$(grep -c '^data:' /tmp/heard)"
    machine.wait_for(f"[ {heard} -ge 2 ]")
    before = int(machine.sh(f"echo {heard}"))
    machine.wait_for(f"[ {heard} -gt {before} ]")
    assert show(machine, job_id)["status"] == "processing"
    assert machine.property("listener", "ActiveState") == "active"
    machine.run("systemctl", "stop", "listener")
