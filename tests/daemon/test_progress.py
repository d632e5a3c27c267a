from __future__ import annotations

from pathlib import Path

import pytest

from daemon.progress import Cancelled, PreviewClock, Stopped, checkpoint


def test_previews_are_due_at_the_rate_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("daemon.progress.time.monotonic", lambda: now)
    clock = PreviewClock(4)
    due = []
    for _ in range(40):
        due.append(clock.due())
        now += 0.05
    assert sum(due) == pytest.approx(8, abs=1)


def test_a_rate_of_zero_never_makes_a_preview() -> None:
    clock = PreviewClock(0)
    clock.due()
    assert not clock.due()


def test_a_checkpoint_tells_a_cancelled_job_from_a_stopping_daemon(tmp_path: Path) -> None:
    stopping = False
    check = checkpoint(tmp_path / "cancel", lambda: stopping)
    check()
    stopping = True
    with pytest.raises(Stopped):
        check()
    (tmp_path / "cancel").touch()
    with pytest.raises(Cancelled):
        check()
