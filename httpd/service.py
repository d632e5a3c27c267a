"""genzo-httpd: the arguments, the socket, the server, and how it ends."""

from __future__ import annotations

import argparse
import errno
import logging
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from httpd.activation import inherited_listeners
from httpd.application import create_application
from httpd.descriptors import connections_for
from httpd.server import BACKLOG, Server, drop_the_dead
from httpd.tokens import Tokens, gather
from spool import settings
from spool.catalogue import Catalogue
from spool.exits import Exit
from spool.intake import Intake
from spool.journal import start_logging
from spool.layout import Spool
from spool.notify import say
from spool.problems import NotASpool

log = logging.getLogger(__name__)

_INTAKE_SECONDS = 0.5


class CannotListen(Exception):
    """No socket could be had; the message says why and what to do."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a spool until SIGTERM or SIGINT. Returns the exit status, one of `spool.exits`."""
    asked = _parser().parse_args(arguments)
    start_logging("genzo-httpd")
    # Its warnings are of what strangers send, who must not fill the log.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    try:
        configured = settings.load(asked.config)
        spool = Spool.open(asked.spool or configured.spool_directory)
        tokens = gather(configured.http, settings.find(asked.config))
    except (settings.SettingsError, NotASpool) as error:
        return _refuse(error, Exit.CONFIGURATION)
    host = asked.host or configured.http.host
    port = configured.http.port if asked.port is None else asked.port
    try:
        listeners = inherited_listeners() or [listen(host, port)]
        for listener in listeners:
            drop_the_dead(listener)
            _require_token(listener, configured.http, tokens)
    except CannotListen as error:
        return _refuse(error, error.code)
    return serve(spool, listeners, configured, tokens)


def _refuse(reason: Exception, code: Exit) -> Exit:
    """`code`, once the reason is in the log and in `systemctl status`."""
    log.error("%s", reason)
    say(str(reason))
    return code


def serve(
    spool: Spool, listeners: list[socket.socket], configured: settings.Settings, tokens: Tokens
) -> int:
    """Serve `spool` on `listeners` and take dropped jobs beside it, until a signal comes."""
    most = connections_for(configured.http.connections)
    application = create_application(
        spool, settings=configured, tokens=tokens, most_connections=most
    )
    server = Server(
        application,
        application.state.context.close_streams,
        most_connections=most,
        proxies=configured.http.proxies,
    )
    application.state.connections = server.server_state
    intake = Intake(spool, lambda: Catalogue.read(spool), configured)
    intake.start()
    try:
        server.run(sockets=listeners)
    finally:
        intake.stop()
        intake.join(_INTAKE_SECONDS)
    log.info("stopped")
    return Exit.OK if server.started else Exit.FAILURE


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to `host`. Raises CannotListen."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise CannotListen(f"--host {host}: {error}; use 127.0.0.1", Exit.CONFIGURATION) from None
    family, kind, protocol, _, address = found[0]
    # The protocol has to be named: asyncio turns off Nagle's algorithm only where it is TCP, and
    # with it every answer takes 40 ms.
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        hint = "; another server has it: stop that one, or choose another --port"
        raise CannotListen(
            f"cannot listen on {host} port {port}: {error.strerror}"
            f"{hint if error.errno == errno.EADDRINUSE else ''}",
            Exit.FAILURE,
        ) from None
    return listener


def _require_token(listener: socket.socket, http: settings.HttpSettings, tokens: Tokens) -> None:
    """Let nobody but this machine in without a token, unless that is written out."""
    host = listener.getsockname()[0]
    if not ip_address(host).is_loopback:
        reached = f"others reach {host}"
    elif http.hosts or http.proxies:
        reached = "others come in by the names or proxies of [http]"
    else:
        return
    if tokens:
        log.info("others are let in with a token: %s", ", ".join(tokens.names))
    elif http.insecure:
        log.warning("%s and need no token: [http] insecure is set", reached)
    else:
        listener.close()
        raise CannotListen(
            f"{reached}, and no token is set: make one with `genzo token` and name its file in "
            "[http] token_file, or write insecure = true; a tunnel (ssh -L) needs neither",
            Exit.CONFIGURATION,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="genzo-httpd", description="Serves a spool over HTTP: jobs, progress and pictures."
    )
    parser.add_argument("--spool", type=Path, metavar="DIR", help="the spool")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration to read")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument(
        "--port", type=_port, help="port to listen on (default 8000; 0: a free one)"
    )
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port from 0 to 65535")
    return port
