"""The tokens that are let in, and the sessions that stand for one in a browser's cookie.

A session is `EXPIRY.MAC`: the second at which it ends, and an HMAC of that under a key made from
the token. So it says nothing of the token, the server keeps nothing, a restart does not end it,
and the token's removal does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from spool import tokens
from spool.settings import HttpSettings, SettingsError

SESSION_SECONDS = 30 * 86_400
UNNAMED = "token"
"""The name of a token that was given none."""

_SESSION = re.compile(r"(\d{1,12})\.([A-Za-z0-9_-]{43})", re.ASCII)
_MAX_CHARS = 4096


class Tokens:
    """Who may come in, by name. False if no token is asked for.

    Every comparison takes the same time whatever is compared, and all tokens are compared.
    """

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        self._digests: dict[str, bytes] = {}
        self._keys: dict[str, bytes] = {}
        for name, secret in (secrets or {}).items():
            self._digests[name] = _digest(secret)
            self._keys[name] = _mac(secret.encode(), "genzo session key, 1")

    def __bool__(self) -> bool:
        return bool(self._digests)

    @property
    def names(self) -> list[str]:
        """The names of the tokens; the tokens themselves are not kept."""
        return list(self._digests)

    def name_of(self, token: str) -> str | None:
        """The name of `token`, or None if it is none of ours."""
        if len(token) > _MAX_CHARS:
            return None
        given = _digest(token)
        return _name_of(
            (name, hmac.compare_digest(digest, given)) for name, digest in self._digests.items()
        )

    def open_session(self, name: str, now: float | None = None) -> str:
        """A session of the token `name`, from `now` (seconds since 1970) on."""
        expiry = str(int(time.time() if now is None else now) + SESSION_SECONDS)
        return f"{expiry}.{_text(_mac(self._keys[name], expiry))}"

    def name_of_session(self, session: str, now: float | None = None) -> str | None:
        """The name of the token that `session` stands for; None if it is over, or no session."""
        match = _SESSION.fullmatch(session)
        if match is None:
            return None
        expiry, mac = match.groups()
        name = _name_of(
            (name, hmac.compare_digest(_text(_mac(key, expiry)), mac))
            for name, key in self._keys.items()
        )
        return name if int(expiry) > (time.time() if now is None else now) else None


def gather(http: HttpSettings, config: Path | None) -> Tokens:
    """The tokens of the settings, which were read from `config`, and of their token_file.

    Raises SettingsError if one is not valid or stands twice, or if everyone may read the file
    that it stands in.
    """
    named = {name: secret.get_secret_value() for name, secret in http.tokens.items()}
    of_file = dict(_read(http.token_file)) if http.token_file else {}
    plain = {UNNAMED: http.token.get_secret_value()} if http.token else {}
    in_config = bool(named) or (http.token is not None and not os.environ.get("GENZO_HTTP_TOKEN"))
    if config is not None and in_config:
        _refuse_public(config)
    total = len(named) + len(of_file) + len(plain)
    secrets = {**named, **of_file, **plain}
    if len(secrets) < total or len(set(secrets.values())) < total:
        raise SettingsError(
            "http: a token or its name stands twice among token, tokens and token_file; leave one"
        )
    return Tokens(secrets)


def _read(path: Path) -> Iterator[tuple[str, str]]:
    """The names and tokens in a file that has one a line, its name before it or none."""
    _refuse_public(path)
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"http.token_file: {path}: {error}") from None
    known = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        *name, token = line.split()
        try:
            if len(name) > 1:
                raise ValueError("write a name and a token, or a token alone")
            called = tokens.check_name(name[0]) if name else UNNAMED
            if called in known:
                raise ValueError(f"the name {called!r} stands twice")
            known.add(called)
            yield called, tokens.check(token)
        except ValueError as error:
            raise SettingsError(f"http.token_file: {path}, line {number}: {error}") from None
    if not known:
        raise SettingsError(f"http.token_file: {path} holds no token; make one with: genzo token")


def _refuse_public(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise SettingsError(f"http.token_file: {path}: {error.strerror}") from None
    if mode & stat.S_IROTH:
        raise SettingsError(
            f"{path} holds a token and everyone may read it; chmod o-rwx it, "
            "or name a file of its own in http.token_file"
        )


def _name_of(answers: Iterator[tuple[str, bool]]) -> str | None:
    """The name beside True; every answer is asked for, so that the time tells nothing."""
    found = None
    for name, is_right in answers:
        found = name if is_right else found
    return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _text(mac: bytes) -> str:
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
