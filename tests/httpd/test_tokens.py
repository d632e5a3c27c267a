"""Tokens and the sessions made from them; the server with tokens is in test_gate."""

from __future__ import annotations

import ast
import hmac
import inspect
from pathlib import Path
from typing import Any

import pytest

from httpd import tokens as module
from httpd.tokens import SESSION_SECONDS, UNNAMED, Tokens, gather
from spool import tokens
from spool.settings import HttpSettings, SettingsError

ALICE, BOB = tokens.draw(), tokens.draw()
NOW = 1_800_000_000.0


@pytest.fixture
def both() -> Tokens:
    return Tokens({"alice": ALICE, "bob": BOB})


def test_a_token_is_known_by_its_name(both: Tokens) -> None:
    assert [both.name_of(token) for token in (ALICE, BOB)] == ["alice", "bob"]
    assert both.names == ["alice", "bob"]


@pytest.mark.parametrize("token", ["", "x", ALICE[:-1], ALICE + "x", ALICE.swapcase(), "\udcff"])
def test_another_token_is_not_known(both: Tokens, token: str) -> None:
    assert both.name_of(token) is None


def test_a_huge_token_is_not_even_hashed(both: Tokens) -> None:
    assert both.name_of("x" * 10_000_000) is None


def test_without_tokens_nobody_is_known() -> None:
    assert not Tokens()
    assert Tokens().name_of("") is None


def test_a_session_outlives_the_process_that_opened_it(both: Tokens) -> None:
    session = both.open_session("bob", NOW)
    assert Tokens({"bob": BOB}).name_of_session(session, NOW + 60) == "bob"


def test_a_session_ends_with_its_token_and_with_its_time(both: Tokens) -> None:
    session = both.open_session("bob", NOW)
    assert Tokens({"alice": ALICE}).name_of_session(session, NOW) is None
    assert Tokens({"bob": ALICE}).name_of_session(session, NOW) is None
    assert both.name_of_session(session, NOW + SESSION_SECONDS - 1) == "bob"
    assert both.name_of_session(session, NOW + SESSION_SECONDS) is None


def test_a_session_cannot_be_prolonged_or_read(both: Tokens) -> None:
    session = both.open_session("bob", NOW)
    expiry, _, mac = session.partition(".")
    for forged in (
        f"{int(expiry) + 1}.{mac}",
        f"0{session}",
        f"{session}=",
        mac,
        "",
        ".",
        "²." + mac,
    ):
        assert both.name_of_session(forged, NOW) is None
    assert BOB not in session


def compared_plainly(source: str) -> list[str]:
    """The == and != between what might be secret."""
    public = {"name", "len", "total", "called"}
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Compare)
        and any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)
        and not any(isinstance(n, ast.Name) and n.id in public for n in ast.walk(node))
    ]


def test_nothing_secret_is_compared_but_in_constant_time() -> None:
    source = inspect.getsource(module)
    assert compared_plainly(source) == []
    assert source.count("hmac.compare_digest(") == 2


def test_every_token_is_compared_also_behind_the_right_one(
    both: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[object] = []
    compare = hmac.compare_digest

    def counting(a: Any, b: Any) -> bool:
        compared.append(a)
        return compare(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    both.name_of(ALICE)
    both.name_of_session(both.open_session("alice"))
    assert len(compared) == 4


def settings(**fields: object) -> HttpSettings:
    return HttpSettings.model_validate(fields)


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_tokens_come_from_all_three_places(tmp_path: Path) -> None:
    file = write(tmp_path / "tokens", f"# who\n\nbob {BOB}\n")
    carol = tokens.draw()
    found = gather(settings(token=carol, tokens={"alice": ALICE}, token_file=file), None)
    assert [found.name_of(token) for token in (ALICE, BOB, carol)] == ["alice", "bob", UNNAMED]


def test_a_file_may_hold_a_token_alone_as_genzo_token_prints_it(tmp_path: Path) -> None:
    found = gather(settings(token_file=write(tmp_path / "t", f"{BOB}\n")), None)
    assert found.name_of(BOB) == UNNAMED


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no token; make one with: genzo token"),
        ("short", "line 1: a token has at least 32"),
        (f"# x\na b {BOB}", "line 2: write a name"),
        (f"-a {BOB}", "line 1: '-a' cannot name"),
        (f"a {BOB}\na {ALICE}", "line 2: the name 'a' stands twice"),
        (f"a {BOB}\nb {BOB}", "stands twice"),
        ("é" * 40, "ascii"),
    ],
)
def test_a_file_that_is_at_fault_is_named_with_its_line(
    tmp_path: Path, text: str, says: str
) -> None:
    file = write(tmp_path / "t", text)
    with pytest.raises(SettingsError, match=says) as caught:
        gather(settings(token_file=file), None)
    assert BOB not in str(caught.value)


def test_a_file_that_everyone_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="chmod"):
        gather(settings(token_file=write(tmp_path / "t", BOB, 0o644)), None)
    config = write(tmp_path / "genzo.toml", "", 0o644)
    with pytest.raises(SettingsError, match="chmod"):
        gather(settings(tokens={"bob": BOB}), config)
    assert gather(settings(), config).names == []


def test_a_token_of_the_environment_needs_no_secret_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path / "genzo.toml", "", 0o644)
    monkeypatch.setenv("GENZO_HTTP_TOKEN", BOB)
    assert gather(settings(token=BOB), config).name_of(BOB) == UNNAMED


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"http\.token_file: .*none"):
        gather(settings(token_file=tmp_path / "none"), None)
