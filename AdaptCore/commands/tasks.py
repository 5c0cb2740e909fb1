"""`adaptseg tasks`: what was learnt under each name - list, show, rename, export, import, reset."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from AdaptCore.adapt.guard import adapted_answers
from AdaptCore.adapt.history import Outcome, images_of
from AdaptCore.adapt.trial import Evidence, evidence
from AdaptCore.commands.console import add_command, complain, counted, say

if TYPE_CHECKING:
    from AdaptCore.adapt.tasks import TaskInfo


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = add_command(
        subparsers, "tasks", "list, show, rename, export, import and reset what was learnt under names"
    )
    parser.epilog = "A task begins with: adaptseg segment IMAGE --click I,J,K --out FILE --task NAME --learn"
    actions = parser.add_subparsers(dest="action", required=True)
    add_command(actions, "list", "show all tasks", run_list)
    show = add_command(actions, "show", "show what a task has learnt and what it gained", run_show)
    _add_name(show)
    show.add_argument("--picture", type=Path, metavar="FILE.png", help="draw its learning curve into this file")
    rename = add_command(actions, "rename", "give a task another name", run_rename)
    rename.add_argument("name", metavar="OLD", help="the task's present name")
    rename.add_argument("new", metavar="NEW", help="its name from now on")
    export = add_command(actions, "export", "write a task to a file, without features of images", run_export)
    _add_name(export)
    export.add_argument("path", type=Path, metavar="FILE", help="the file to write")
    take = add_command(actions, "import", "read a task from a file", run_import)
    take.add_argument("path", type=Path, metavar="FILE", help="a file that tasks export has written")
    take.add_argument("--name", metavar="NAME", help="another name than the one in the file")
    reset = add_command(actions, "reset", "begin a task anew; what it has learnt is kept aside", run_reset)
    _add_name(reset)


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the task, as tasks list shows it")


def run_list(arguments: argparse.Namespace) -> None:
    from AdaptCore.adapt.tasks import TaskStore

    store = TaskStore()
    tasks = store.tasks()
    for info in tasks:
        if info.problem:
            complain(info.problem)
        else:
            say(_row(info))
    if not tasks:
        say(f"No task in {store.folder}.")


def run_show(arguments: argparse.Namespace) -> None:
    """Print a task's facts; the picture is checked and written first, so that an error costs no output.

    Raises:
        AdaptSegError: there is no such task, its file cannot be used, or the picture cannot be written.
    """
    from AdaptCore.adapt.tasks import TaskStore
    from AdaptCore.atomic import write_bytes
    from AdaptCore.io import check_output

    store = TaskStore()
    info = store.info(arguments.name)
    if arguments.picture:
        from AdaptCore.evaluate.drawing import check_installed

        check_installed()
        from AdaptCore.evaluate.task_curve import task_curve

        check_output(arguments.picture, suffixes=(".png",))
        write_bytes(arguments.picture, task_curve(info.history))
    found = evidence(info.history)
    facts = [
        ("Task", info.name),
        ("Accepted masks", describe_events(info.history)),
        ("Gain", describe_gain(found)),
        ("Clicks saved", describe_clicks(found)),
        ("Next answer", describe_answering(info.history)),
        ("Model", f"{info.model} (weights {info.digest[:12]})"),
        ("Recipe", info.recipe),
        ("File", f"{info.path} ({info.size / 1e6:.1f} MB)"),
        ("Kept", store.kept(info.name)),
    ]
    for label, text in facts:
        say(f"{label:<16}{text}")


def run_rename(arguments: argparse.Namespace) -> None:
    from AdaptCore.adapt.tasks import TaskStore

    store = TaskStore()
    store.rename(arguments.name, arguments.new)
    say(f"{store.info(arguments.new).name}: {store.path(arguments.new)}")


def run_export(arguments: argparse.Namespace) -> None:
    from AdaptCore.adapt.tasks import TaskStore

    TaskStore().export(arguments.name, arguments.path)
    say(f"{arguments.path}: task {arguments.name!r} without features of images")


def run_import(arguments: argparse.Namespace) -> None:
    from AdaptCore.adapt.tasks import TaskStore

    say(_row(TaskStore().import_(arguments.path, arguments.name)))


def run_reset(arguments: argparse.Namespace) -> None:
    from AdaptCore.adapt.tasks import TaskStore

    backup = TaskStore().reset(arguments.name)
    say(f'{arguments.name} begins anew. To undo this: adaptseg tasks import "{backup}"')


def describe_events(history: Sequence[Outcome]) -> str:
    """How many masks were accepted, of how many images, and what became of them."""
    counts = Counter(outcome.event.value for outcome in history)
    parts = ", ".join(f"{count} {event}" for event, count in counts.most_common())
    images = len(images_of(history))
    return f"{len(history)} of {counted(images, 'image')} ({parts})" if parts else "0"


def describe_answering(history: Sequence[Outcome]) -> str:
    """Which model answers the next image, but for the trial's openings."""
    return "by the adapted model" if adapted_answers(history) else "by the frozen model"


def describe_gain(found: Evidence) -> str:
    """What learning has brought to the first mask, as far as the trial knows."""
    if found.iou is None:
        return f"not known yet: {_compared(found)}"
    gain = f"{_signed(found.iou.value)} IoU, 95 % interval {_signed(found.iou.low)} to {_signed(found.iou.high)}"
    return f"{gain}; {_compared(found)}" if found.is_known else f"not known yet: {gain}; {_compared(found)}"


def describe_clicks(found: Evidence) -> str:
    """Prompts that an object takes less, and what it has cost to know that."""
    if found.clicks is None or found.cost is None:
        return "not known yet"
    clicks = (
        f"{found.clicks.value:.1f} for each object, 95 % interval {found.clicks.low:.1f} to {found.clicks.high:.1f}"
    )
    cost = f"measuring has cost about {max(0, round(found.cost))}"
    return f"{clicks}; {cost}" if found.clicks.is_known else f"not known yet: {clicks}; {cost}"


def _compared(found: Evidence) -> str:
    objects = len(found.compared)
    return (
        f"{counted(objects, 'object')} of {counted(found.images, 'image')} "
        f"compared, {found.opened_frozen} opened by the frozen model"
    )


def _signed(gain: float) -> str:
    return f"{round(gain, 2) + 0:+.2f}"


def _row(info: TaskInfo) -> str:
    replay = "with features of images" if info.replay else ""
    images = counted(info.accepted, "image")
    return f"{info.name:<24} {images:<12} {info.model:<16} {f'{info.size / 1e6:.1f} MB':<9} {replay}".rstrip()
