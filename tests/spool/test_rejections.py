from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spool import drops
from spool.acceptance import is_known, key_of, remember_rejection
from spool.drops import Signature
from spool.layout import Spool
from spool.problems import FieldError, Problem
from spool.quoting import printable
from spool.rejections import refuse, shortened
from tests.spool.crashes import killed_at_each_effect

PROBLEM = Problem.of_fields((FieldError("steps: 0 is below 1, the least", "/steps"),))
KEY = key_of("k")


def _drop(spool: Spool, name: str, text: str = "{}") -> Path:
    path = spool.incoming / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _refuse(spool: Spool, path: Path, key: str = KEY) -> Path:
    return refuse(spool, path, drops.look(spool, path), PROBLEM, key)


def _rejected(spool: Spool) -> list[str]:
    paths = (path for path in spool.rejected.rglob("*") if not path.is_dir())
    return sorted(path.relative_to(spool.rejected).as_posix() for path in paths)


def test_a_refused_file_lies_beside_its_reason(spool: Spool) -> None:
    target = _refuse(spool, _drop(spool, "sub/a.json", "content"))
    assert target == spool.rejected / "sub" / "a.json"
    assert target.read_text() == "content"
    report = json.loads((spool.rejected / "sub" / "a.json.problem.json").read_bytes())
    assert report == {**PROBLEM.as_json(), "file": "sub/a.json"}
    assert report["errors"] == [{"detail": "steps: 0 is below 1, the least", "pointer": "#/steps"}]


def test_to_refuse_a_file_twice_changes_nothing(spool: Spool) -> None:
    path = _drop(spool, "a.json")
    assert _refuse(spool, path) == _refuse(spool, path)
    assert _rejected(spool) == ["a.json", "a.json.problem.json"]


def test_of_two_files_of_one_name_both_are_kept(spool: Spool) -> None:
    path = _drop(spool, "a.json", "first")
    _refuse(spool, path)
    path.unlink()
    second = _refuse(spool, _drop(spool, "a.json", "second"))
    assert second.name == f"a.json~{KEY[:8]}"
    assert second.read_text() == "second"
    assert (spool.rejected / "a.json").read_text() == "first"
    assert second.with_name(f"{second.name}.problem.json").exists()


@pytest.mark.parametrize("make", ["link", "pipe"])
def test_what_is_no_regular_file_is_told_but_not_kept(spool: Spool, make: str) -> None:
    """A link that is kept under a folder's name would lead later files out of the spool."""
    path = spool.incoming / "sub"
    if make == "link":
        path.symlink_to(spool.queued)
    else:
        os.mkfifo(path)
    _refuse(spool, path)
    assert _rejected(spool) == ["sub.problem.json"]
    path.unlink()
    _refuse(spool, _drop(spool, "sub/forged.json"))
    assert list(spool.queued.iterdir()) == []
    assert (spool.rejected / "sub" / "forged.json").is_file()


def test_a_file_that_was_replaced_since_it_was_read_is_not_kept(spool: Spool) -> None:
    path = _drop(spool, "a.json", "first")
    signature = drops.look(spool, path)
    os.replace(_drop(spool, ".new", "second"), path)
    refuse(spool, path, signature, PROBLEM, KEY)
    assert _rejected(spool) == ["a.json.problem.json"]
    assert path.read_text() == "second"


def test_a_folder_with_the_name_of_a_refused_file_is_no_obstacle(spool: Spool) -> None:
    path = _drop(spool, "x.json")
    _refuse(spool, path)
    path.unlink()
    assert _refuse(spool, _drop(spool, "x.json/y.json")) == spool.rejected / "y.json"
    assert _refuse(spool, _drop(spool, "x.json/a/b/z.json")) == spool.rejected / "z.json"


def test_a_folder_with_the_name_of_a_report_is_no_obstacle(spool: Spool) -> None:
    _refuse(spool, _drop(spool, "victim.json.problem.json/a.json"))
    target = _refuse(spool, _drop(spool, "victim.json"), key_of("other"))
    assert target.read_text() == "{}"
    assert target.with_name(f"{target.name}.problem.json").is_file()


def test_a_name_of_255_bytes_is_kept_as_far_as_it_goes(spool: Spool) -> None:
    names = ["n" * 250 + ".json", "n" * 251 + "json", "改" * 85]
    targets = set()
    for number, name in enumerate(names):
        path = _drop(spool, name, name)
        target = _refuse(spool, path, key_of(number))
        assert target.read_text() == name
        assert target.with_name(f"{target.name}.problem.json").exists()
        targets.add(target)
    assert len(targets) == 3


def test_a_name_that_is_not_utf_8_is_told_in_print(spool: Spool) -> None:
    target = _refuse(spool, _drop(spool, os.fsdecode(b"caf\xe9\n.json")))
    report = json.loads(target.with_name(f"{target.name}.problem.json").read_bytes())
    assert report["file"] == r"caf\udce9\n.json"


def test_a_kill_at_any_line_of_a_refusal_is_completed_when_the_file_is_taken_again(
    tmp_path: Path,
) -> None:
    numbers = iter(range(1000))

    def dropped() -> tuple[Spool, Path]:
        spool = Spool.create(tmp_path / str(next(numbers)))
        return spool, _drop(spool, "sub/a.json", "content")

    def take(scene: tuple[Spool, Path]) -> None:
        spool, path = scene
        signature = drops.look(spool, path)
        if not is_known(spool, KEY):
            refuse(spool, path, signature, PROBLEM, KEY)
            remember_rejection(spool, KEY, PROBLEM)
        drops.discard(spool, path, signature)

    deaths = 0
    for scene in killed_at_each_effect(dropped, take):
        spool, path = scene
        deaths += 1
        drops.restore_set_aside(spool)
        assert path.exists()
        take(scene)
        assert not path.exists()
        assert is_known(spool, KEY)
        assert _rejected(spool) == ["sub/a.json", "sub/a.json.problem.json"]
        assert (spool.rejected / "sub" / "a.json").read_text() == "content"
    assert deaths > 10


@given(st.text(st.characters(exclude_characters="/\x00", exclude_categories=["Cs"]), min_size=1))
def test_a_shortened_name_fits_with_its_suffix(name: str) -> None:
    for keep in ("", "~12345678"):
        short = shortened(name, f"{keep}.problem.json", keep=keep)
        assert len(os.fsencode(f"{short}.problem.json")) <= 255
        assert short.endswith(keep)
        if len(os.fsencode(name)) <= 200:
            assert short == name + keep


def test_names_that_differ_only_in_what_is_cut_stay_different() -> None:
    names = ["n" * 254 + last for last in "ab"]
    assert len({shortened(name, ".problem.json") for name in names}) == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a.json", "a.json"),
        ("赤 😀", "赤 😀"),
        ("a\nb\x1b[2J", r"a\nb\x1b[2J"),
        ("\u202egpj", r"\u202egpj"),
        (os.fsdecode(b"\xff"), r"\udcff"),
    ],
)
def test_text_of_strangers_is_shown_without_controls(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_any_text_is_shown_in_one_line_of_utf_8(text: str) -> None:
    assert printable(text).isprintable()
    printable(text).encode()


def test_a_signature_knows_its_file_after_a_rename(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    signature = Signature.of(path.stat())
    path.rename(tmp_path / "b")
    assert signature.is_of((tmp_path / "b").stat())
    (tmp_path / "b").write_text("xy")
    assert not signature.is_of((tmp_path / "b").stat())
