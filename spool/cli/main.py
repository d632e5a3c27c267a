"""genzo: its arguments, and the exit statuses 0 (done), 1 (not done, with the reason), 2 (usage).

Each command imports what it needs when it runs: `genzo queue` in a shell prompt must be quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spool.problems import SpoolError

Command = Callable[[argparse.Namespace], int]
_LORA_WEIGHTS = ("weight", "trigger_weight")
_VERBS = {
    "cancel": "Cancel jobs",
    "hold": "Keep waiting jobs from being started",
    "release": "Put held jobs back into the queue",
    "retry": "Queue finished jobs anew, with the same seed",
}


def main() -> None:
    """Run the command and exit with its status."""
    arguments = _parser().parse_args()
    command: Command = arguments.command
    try:
        status = command(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except (SpoolError, OSError) as error:
        print(f"genzo: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    # Suppressed, so that a command's missing option does not undo one before the command.
    common.add_argument(
        "--spool", type=Path, metavar="DIR", default=argparse.SUPPRESS, help="the spool's directory"
    )
    common.add_argument(
        "--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="the configuration"
    )
    parser = argparse.ArgumentParser(
        prog="genzo", description="Drop a job into a spool, get a picture.", parents=[common]
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=text, description=f"{text}.", parents=[common], allow_abbrev=False
        )
        sub.set_defaults(command=command)
        return sub

    init = add("init", _init, "Make a directory a spool")
    init.add_argument("directory", type=Path, nargs="?", metavar="DIR")
    _add_submit(add("submit", _submit, "Queue a job and print its id"))
    queue = add("queue", _queue, "Show the jobs that run, wait or are on hold")
    queue.add_argument("--json", action="store_true", help="print a JSON list")
    show = add("show", _show, "Show one job")
    show.add_argument("job_id", metavar="ID")
    show.add_argument("--json", action="store_true", help="print what GET /api/jobs/ID answers")
    watch = add("watch", _watch, "Follow jobs to their end, with a progress bar each")
    watch.add_argument("job_ids", nargs="+", metavar="ID")
    images = add("images", _images("images"), "List the newest pictures, and what made one")
    _add_images(images, common)
    for verb, text in _VERBS.items():
        add(verb, _order(verb), text).add_argument("job_ids", nargs="+", metavar="ID")
    clean = add("clean", _clean, "Remove what is older than the configuration's [keep] says")
    clean.add_argument("--dry-run", action="store_true", help="remove nothing, say what would be")
    clean.add_argument("--json", action="store_true", help="print a JSON object")
    doctor = add("doctor", _doctor, "Look for what is wrong with the spool and the machine")
    doctor.add_argument("--no-gpu", action="store_true", help="do not ask torch for the GPUs")
    doctor.add_argument("--json", action="store_true", help="print a JSON object")
    add("token", _token, "Print a new token for the configuration of genzo-httpd")
    models = add("models", _models("models"), "List the models, and what a file would be")
    _add_models(models, common)
    _add_install(add)
    demo = add("demo", _demo, "Render two pictures on a fresh spool and show them over HTTP")
    demo.add_argument(
        "--port", type=int, default=8000, help="port of the page, 0 for any (%(default)s)"
    )
    return parser


def _add_images(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    def positive(text: str) -> int:
        if (number := int(text)) < 1:
            raise ValueError(text)
        return number

    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    actions = parser.add_subparsers(metavar="ACTION")
    text = "Print what a picture says of itself"
    show = actions.add_parser(
        "show", help=text, description=f"{text}.", parents=[common], allow_abbrev=False
    )
    show.add_argument("file", metavar="FILE", help="a path, or a name in the gallery")
    show.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print a JSON object, genzo's own record in it",
    )
    show.set_defaults(command=_images("show"))


def _add_install(add: Callable[[str, Command, str], argparse.ArgumentParser]) -> None:
    def slots(text: str) -> tuple[str, ...]:
        return tuple(filter(None, text.split(",")))

    install = add("install", _installation("install"), "Set up the services and start them")
    install.add_argument(
        "--slots", type=slots, metavar="N,…", help="the GPUs to use (default: all there are)"
    )
    uninstall = add("uninstall", _installation("uninstall"), "Remove the services, not the data")
    for parser in (install, uninstall):
        parser.add_argument("--user", action="store_true", help="for this user, without root")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")


def _add_models(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    actions = parser.add_subparsers(metavar="ACTION")
    for name, text in (
        ("check", "Say what a file or folder is, and what it lacks"),
        ("add", "Add a file or folder to genzo.toml"),
    ):
        action = actions.add_parser(
            name, help=text, description=f"{text}.", parents=[common], allow_abbrev=False
        )
        action.add_argument("path", type=Path, metavar="PATH")
        action.set_defaults(command=_models(name))


def _add_submit(parser: argparse.ArgumentParser) -> None:
    def number(text: str) -> Any:
        return float(text) if "." in text or "e" in text.lower() else int(text)

    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("prompt", nargs="?", metavar="PROMPT", help="what the picture shows")
    source.add_argument(
        "--file", metavar="JOB.json", help="a job file instead; - is standard input"
    )
    parser.add_argument("--negative-prompt", metavar="TEXT")
    parser.add_argument("--model", metavar="NAME")
    parser.add_argument("--sampler", metavar="NAME")
    parser.add_argument("--name", metavar="TEXT", help="a name for people")
    parser.add_argument(
        "--not-before", metavar="TIME", help="start it then, such as 2026-11-24T02:00:00+01:00"
    )
    for name in ("width", "height", "steps", "seed", "count", "priority", "guidance-scale"):
        parser.add_argument(f"--{name}", type=number, metavar="N")
    parser.add_argument(
        "--lora",
        action="append",
        type=_lora,
        dest="loras",
        metavar="ID[:WEIGHT[:TRIGGER_WEIGHT]]",
        help="a LoRA to apply; may be repeated",
    )


def _lora(text: str) -> dict[str, Any]:
    name, *weights = text.split(":")
    try:
        numbers = [float(weight) for weight in weights]
        return {"id": name, **dict(zip(_LORA_WEIGHTS[: len(numbers)], numbers, strict=True))}
    except ValueError:
        message = f"{text!r}: write ID, ID:WEIGHT or ID:WEIGHT:TRIGGER_WEIGHT"
        raise argparse.ArgumentTypeError(message) from None


def _init(arguments: argparse.Namespace) -> int:
    from spool.cli.places import spool_directory
    from spool.layout import Spool

    spool = Spool.create(arguments.directory or spool_directory(arguments))
    print(spool.root)
    print(
        f"A spool. Next: genzod --spool {spool.root} & and then\n"
        f'genzo submit --spool {spool.root} "a red circle on a white background"',
        file=sys.stderr,
    )
    return 0


def _submit(arguments: argparse.Namespace) -> int:
    from spool.cli.submit import submit

    return submit(arguments)


def _queue(arguments: argparse.Namespace) -> int:
    from spool.cli.show import queue

    return queue(arguments)


def _show(arguments: argparse.Namespace) -> int:
    from spool.cli.show import show

    return show(arguments)


def _images(action: str) -> Command:
    def run(arguments: argparse.Namespace) -> int:
        from spool.cli import images

        command: Command = getattr(images, action)
        return command(arguments)

    return run


def _watch(arguments: argparse.Namespace) -> int:
    from spool.cli.places import open_spool
    from spool.cli.watch import watch

    return watch(open_spool(arguments), arguments.job_ids)


def _order(verb: str) -> Command:
    def run(arguments: argparse.Namespace) -> int:
        from spool.cli.order import order
        from spool.control import Verb

        return order(arguments, Verb(verb))

    return run


def _models(action: str) -> Command:
    def run(arguments: argparse.Namespace) -> int:
        from spool.cli import models

        command: Command = getattr(models, action)
        return command(arguments)

    return run


def _installation(action: str) -> Command:
    def run(arguments: argparse.Namespace) -> int:
        from spool.cli import install

        command: Command = getattr(install, action)
        return command(arguments)

    return run


def _clean(arguments: argparse.Namespace) -> int:
    from spool.cli.clean import clean

    return clean(arguments)


def _doctor(arguments: argparse.Namespace) -> int:
    from spool.cli.doctor import doctor

    return doctor(arguments)


def _token(_arguments: argparse.Namespace) -> int:
    from spool import tokens

    print(tokens.draw())
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from spool.cli.demo import demo

    return demo(arguments.port)
