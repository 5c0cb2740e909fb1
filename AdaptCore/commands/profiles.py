"""`adaptseg profiles`: what each user prefers on each task - list, show, export, import, reset, undo."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from AdaptCore.commands.console import add_command, complain, say

if TYPE_CHECKING:
    from AdaptCore.preference.profile import Profile
    from AdaptCore.preference.profiles import ProfileInfo

NOTICEABLE = 0.05
"""Components with less weight than this are not shown, now or before any pick."""

UNMOVED = 0.05
"""Standard deviations of the prior; a mean that moved by less is told as not moved."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = add_command(subparsers, "profiles", "list, show, export, import, reset and undo users' preferences")
    parser.epilog = "A profile begins with: adaptseg segment ... --user NAME --task NAME --learn"
    actions = parser.add_subparsers(dest="action", required=True)
    add_command(actions, "list", "show all profiles", run_list)
    show = add_command(actions, "show", "show what a user's picks have taught", run_show)
    _add_names(show)
    show.add_argument(
        "--picture", type=Path, metavar="FILE.png", help="draw what the picks have changed into this file"
    )
    export = add_command(actions, "export", "write a profile to a file", run_export)
    _add_names(export)
    export.add_argument("path", type=Path, metavar="FILE", help="the file to write")
    take = add_command(actions, "import", "read a profile from a file", run_import)
    take.add_argument("path", type=Path, metavar="FILE", help="a file that profiles export has written")
    take.add_argument("--user", metavar="NAME", help="another user than the one in the file")
    take.add_argument("--task", metavar="NAME", help="another task than the one in the file")
    reset = add_command(actions, "reset", "begin a profile anew; what it has learnt is kept aside", run_reset)
    _add_names(reset)
    undo = add_command(actions, "undo", "take back the latest pick", run_undo)
    _add_names(undo)


def run_list(arguments: argparse.Namespace) -> None:
    from AdaptCore.preference.profiles import ProfileStore

    store = ProfileStore()
    profiles = store.profiles()
    for info in profiles:
        if info.problem:
            complain(info.problem)
        else:
            say(_row(info))
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
        from AdaptCore.evaluate.drawing import check_installed

        check_installed()
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
    parser.add_argument("user", metavar="USER", help="whose preference, as profiles list shows it")
    parser.add_argument("task", metavar="TASK", help="for which task, as profiles list shows it")


def _row(info: ProfileInfo) -> str:
    from AdaptCore.preference.profile import counted_picks

    return f"{info.user:<20} {info.task:<24} {counted_picks(info.picks):<10} {info.model}"
