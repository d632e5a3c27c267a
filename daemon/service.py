"""genzod: one slot's daemon, from its arguments to its exit status."""

from __future__ import annotations

import argparse
import faulthandler
import logging
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from daemon.errors import DaemonError
from daemon.heartbeat import Heartbeat
from daemon.models import Models, specs_of
from spool import settings
from spool.catalogue import Catalogue, SlotState
from spool.claims import TAKE_OVER_SECONDS, Slot
from spool.exits import Exit
from spool.intake import Intake
from spool.journal import start_logging
from spool.layout import Spool
from spool.notify import notify, say
from spool.presence import SpoolGone
from spool.problems import NotASpool, SlotBusy
from spool.recovery import recover
from spool.settings import Settings

log = logging.getLogger("genzod")

_RETURN_SECONDS = 2.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """Run genzod and exit with an `Exit`."""
    # A watchdog ends a hung process with SIGABRT; where it hung is then in the journal.
    faulthandler.enable()
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: sys.exit(Exit.OK))
    arguments = _arguments()
    start_logging("genzod", GENZO_SLOT=arguments.slot)
    sys.exit(_run(arguments))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="genzod", description="Render the jobs of a spool.", allow_abbrev=False
    )
    parser.add_argument("--spool", type=Path, metavar="DIR", help="the spool's directory")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration")
    parser.add_argument("--slot", default="0", metavar="NAME", help="this daemon's slot (0)")
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> Exit:
    try:
        config = settings.load(arguments.config)
        directory = arguments.spool or config.spool_directory
        spool = Spool.open(directory)
        specs = specs_of(config.model, config.daemon)
        models = Models(specs, config.output.format, config.daemon.host_memory)
        slot = _acquire(spool, arguments.slot)
    except (settings.SettingsError, NotASpool, DaemonError, ValueError) as error:
        return _refuse(error, Exit.CONFIGURATION)
    except SlotBusy as error:
        return _refuse(error, Exit.SLOT_BUSY)
    except OSError as error:
        return _without_disk(error)
    while True:
        try:
            return _hold(slot, models, config)
        except SpoolGone as gone:
            log.error("%s; waiting for it", gone)
        slot = _return_of(directory, slot.name)


def _hold(slot: Slot, models: Models, config: Settings) -> Exit:
    """Serve `slot` and give it up at the end, whatever that is. Raises SpoolGone."""
    try:
        return _serve(slot, models, config)
    except ModuleNotFoundError as error:
        return _refuse(f"{error}; pip install 'genzo[gpu]'", Exit.CONFIGURATION)
    except OSError as error:
        return _without_disk(error)
    finally:
        slot.release()


def _without_disk(error: OSError) -> Exit:
    return _refuse(f"the spool cannot be written: {error}", Exit.IO_ERROR)


def _refuse(reason: object, code: Exit) -> Exit:
    """`code`, once the reason is in the log and in `systemctl status`."""
    log.critical("%s", reason)
    say(str(reason))
    return code


def _acquire(spool: Spool, name: str) -> Slot:
    try:
        return Slot.acquire(spool, name, timeout_seconds=0)
    except SlotBusy as error:
        log.warning("%s; waiting %g s for it", error, TAKE_OVER_SECONDS)
        return Slot.acquire(spool, name)


def _return_of(directory: Path, name: str) -> Slot:
    """The slot `name`, once there is a spool in `directory` again. Ended by a signal only."""
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: sys.exit(Exit.OK))
    while True:
        time.sleep(_RETURN_SECONDS)
        with suppress(NotASpool, SlotBusy, SpoolGone, OSError):
            return Slot.acquire(Spool.open(directory), name, timeout_seconds=0)


def _serve(slot: Slot, models: Models, config: Settings) -> Exit:
    """Recover, take jobs in, load the model, and render until told to end."""
    heartbeat = Heartbeat(slot.spool, slot.name, models, config.daemon.device)
    heartbeat.say(SlotState.STARTING)
    for sentence in recover(slot, starting=True):
        log.info("%s", sentence)
    # Others read the catalogue of all slots; this one's models are in it from the line above.
    intake = Intake(slot.spool, lambda: Catalogue.read(slot.spool), config)
    intake.start()
    try:
        return _render(slot, models, heartbeat, config)
    finally:
        intake.stop()
        intake.join()
        with suppress(OSError):  # a spool that is gone, or a disk that broke
            heartbeat.say(SlotState.STOPPED)


def _render(slot: Slot, models: Models, heartbeat: Heartbeat, config: Settings) -> Exit:
    # torch and diffusers take seconds to import; jobs are taken in meanwhile.
    import torch  # noqa: PLC0415

    from daemon.loop import Loop  # noqa: PLC0415
    from daemon.progress import PreviewClock  # noqa: PLC0415

    loop = Loop(slot, models, heartbeat, PreviewClock(config.daemon.previews_per_second), config)
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: loop.stop())
    try:
        models.load_first()
    except DaemonError as error:
        return _refuse(error, Exit.CONFIGURATION)
    notify("READY=1")
    log.info("slot %s is ready, spool %s", slot.name, slot.spool.root)
    try:
        loop.run()
    except torch.AcceleratorError as error:
        return _refuse(error, Exit.DEVICE_LOST)
    return Exit.OK
