"""`adaptseg profiles`: what each user prefers on each task - list, show, export, import, reset, undo."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from AdaptCore.commands.advising import counted_picks
from AdaptCore.commands.console import say

if TYPE_CHECKING:
    from AdaptCore.preference.profile import Profile
    from AdaptCore.preference.profiles import ProfileInfo

NOTICEABLE = 0.05
"""Components with less weight than this are not shown, now or before any pick."""

UNMOVED = 0.05
"""Standard deviations of the prior; a mean that moved by less is told as not moved."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser("profiles", help="list, show, export, import, reset and undo users' preferences")
    parser.description = "What each user prefers on each task: adaptseg segment --user NAME --task NAME --learn"
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="show all profiles").set_defaults(run=run_list)
    show = actions.add_parser("show", help="show what a user's picks have taught")
    _add_names(show)
    show.add_argument("--picture", type=Path, metavar="FILE.png", help="draw what has moved from the prior")
    show.set_defaults(run=run_show)
    export = actions.add_parser("export", help="write a profile to a file")
    _add_names(export)
    export.add_argument("path", type=Path, metavar="FILE")
    export.set_defaults(run=run_export)
    take = actions.add_parser("import", help="take over a profile from a file")
    take.add_argument("path", type=Path, metavar="FILE")
    take.add_argument("--user", metavar="NAME", help="another user than the one in the file")
    take.add_argument("--task", metavar="NAME", help="another task than the one in the file")
    take.set_defaults(run=run_import)
    reset = actions.add_parser("reset", help="begin a profile anew; what it has learnt is kept aside")
    _add_names(reset)
    reset.set_defaults(run=run_reset)
    undo = actions.add_parser("undo", help="take back the latest pick")
    _add_names(undo)
    undo.set_defaults(run=run_undo)


def run_list(arguments: argparse.Namespace) -> None:
    from AdaptCore.preference.profiles import ProfileStore

    store = ProfileStore()
    profiles = store.profiles()
    for info in profiles:
        say(info.problem or _row(info))
    if not profiles:
        say(f"No profile in {store.folder}.")


def run_show(arguments: argparse.Namespace) -> None:
    """Print a profile's facts; the picture is checked and written first, so that an error costs no output.

    Raises:
        AdaptSegError: there is no such profile, its file cannot be used, or the picture cannot be written.
    """
    from AdaptCore.atomic import write_bytes
    from AdaptCore.io import check_output
    from AdaptCore.preference.profiles import ProfileStore

    store = ProfileStore()
    profile = store.read(arguments.user, arguments.task)
    if arguments.picture:
        from AdaptCore.evaluate.profile_picture import profile_picture

        check_output(arguments.picture, suffixes=(".png",))
        write_bytes(arguments.picture, profile_picture(profile.space.prior, profile.belief.mixture, NOTICEABLE))
    space = profile.space
    facts = [
        ("User", profile.user),
        ("Task", profile.task),
        ("Picks", describe_picks(profile)),
        ("Model", f"{space.model} (weights {space.digest[:12]})"),
        ("File", str(store.path(profile.user, profile.task))),
        ("Components", f"{space.prior.components}, those with a weight of {NOTICEABLE:.0%} or more:"),
        *describe_components(profile),
    ]
    for label, text in facts:
        say(f"{label:<16}{text}")


def run_export(arguments: argparse.Namespace) -> None:
    from AdaptCore.preference.profiles import ProfileStore

    ProfileStore().export(arguments.user, arguments.task, arguments.path)
    say(f"{arguments.path}: profile of {arguments.user!r} for {arguments.task!r}")


def run_import(arguments: argparse.Namespace) -> None:
    from AdaptCore.preference.profiles import ProfileStore

    say(_row(ProfileStore().import_(arguments.path, arguments.user, arguments.task)))


def run_reset(arguments: argparse.Namespace) -> None:
    from AdaptCore.preference.profiles import ProfileStore

    backup = ProfileStore().reset(arguments.user, arguments.task)
    say(
        f"The profile of {arguments.user!r} for {arguments.task!r} begins anew. "
        f'To undo this: adaptseg profiles import "{backup}"'
    )


def run_undo(arguments: argparse.Namespace) -> None:
    """Take back the latest pick that is stored.

    Raises:
        ProfileError: there is no such profile, its file cannot be used, or no pick can be taken back.
    """
    from AdaptCore.preference.profiles import ProfileStore

    store = ProfileStore()
    after = store.undo(store.read(arguments.user, arguments.task))
    say(f"The latest pick of {after.user!r} for {after.task!r} is taken back; left: {describe_picks(after)}")


def describe_picks(profile: Profile) -> str:
    """How many there are, and how many of them can be taken back."""
    return f"{profile.picks} ({len(profile.recent)} can be taken back)" if profile.picks else "0"


def describe_components(profile: Profile) -> list[tuple[str, str]]:
    """Number and state of each component with a noticeable weight, the heaviest first."""
    prior, present = profile.space.prior, profile.belief.mixture
    heaviest_first = present.weights.argsort(kind="stable")[::-1]
    told = []
    for component in heaviest_first[present.weights[heaviest_first] >= NOTICEABLE]:
        moved = (present.means[component] - prior.means[component]) / prior.variances[component] ** 0.5
        axis = int(abs(moved).argmax())
        how = f"mean moved most along z{axis + 1}, by {moved[axis]:+.1f} standard deviations"
        if abs(moved[axis]) < UNMOVED:
            how = "mean not moved"
        weight, before = present.weights[component], prior.weights[component]
        told.append((f"  {component + 1}", f"weight {weight:.2f}, {before:.2f} before any pick; {how}"))
    return told


def _add_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("user", metavar="USER")
    parser.add_argument("task", metavar="TASK")


def _row(info: ProfileInfo) -> str:
    return f"{info.user:<20} {info.task:<24} {counted_picks(info.picks):<10} {info.model}"
