"""Options of `adaptseg segment` that let a user's preference answer and learn, and that ask for candidates."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from AdaptCore.models.base import Model
    from AdaptCore.preference.adviser import Adviser

OTHERWISE = "default"
"""Task of a profile where none is named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("preference")
    group.add_argument(
        "--user",
        metavar="NAME",
        help=f"answer with what this user prefers for the --task (default: {OTHERWISE!r}); --learn teaches that too",
    )
    group.add_argument(
        "--candidates",
        type=Path,
        metavar="FOLDER",
        help="write other masks that may be wanted of each plane with prompts, and contact sheets; made where missing",
    )


def check_arguments(arguments: argparse.Namespace) -> None:
    """Check the profile before the image is read.

    Raises:
        AdaptSegError: this cannot be a name, the profile's file cannot be used, or its folder cannot be written.
    """
    if arguments.user is None:
        return
    from AdaptCore.atomic import prepare_folder
    from AdaptCore.preference.profile_file import read_profile
    from AdaptCore.preference.profiles import ProfileStore

    store = ProfileStore()
    path = store.path(arguments.user, task_of(arguments))
    if path.exists():
        read_profile(path)
    if arguments.learn:
        prepare_folder(store.folder, (path.name,))


def begin(arguments: argparse.Namespace, model: Model) -> Advice:
    """Who answers with what the user prefers, and knows what else they may want.

    Args:
        model: before any task has taught it.

    Raises:
        ProfileError: the profile is of another model, or its file cannot be used.
    """
    if arguments.user is None and arguments.candidates is None:
        return Advice()
    from AdaptCore.preference.adviser import Adviser, space_of
    from AdaptCore.preference.latent import latent_of
    from AdaptCore.preference.profile import Profile
    from AdaptCore.preference.profiles import ProfileStore

    latent, task = latent_of(model.digest), task_of(arguments)
    space = space_of(model, latent)
    if arguments.user is None:
        return Advice(Adviser(Profile.fresh("", task, space), latent))
    store = ProfileStore()
    adviser = Adviser(store.load(arguments.user, task, space), latent, store)
    path = store.path(arguments.user, task)
    return Advice(adviser, adviser, path, arguments.learn)


def task_of(arguments: argparse.Namespace) -> str:
    """The task that the profile is for."""
    return OTHERWISE if arguments.task is None else str(arguments.task)


@dataclass(frozen=True, eq=False)
class Advice:
    """A user's preference in use by one command.

    Attributes:
        adviser: knows candidates; None without --user and --candidates.
        preference: the adviser where it is to answer; None without --user.
        path: of the profile.
        learns: whether the accepted planes teach it.
    """

    adviser: Adviser | None = None
    preference: Adviser | None = None
    path: Path | None = None
    learns: bool = False

    @property
    def label(self) -> str:
        """For people, behind the name of the model."""
        return f", user {self.preference.profile.user}" if self.preference else ""

    def told(self) -> list[str]:
        """A line about the profile; none without --user."""
        if not self.preference:
            return []
        profile = self.preference.profile
        known = counted_picks(profile.picks) if profile.picks else "no pick yet, so the model itself has answered"
        if self.learns:
            known = f"the accepted planes are learnt; it holds {counted_picks(profile.picks)}"
        return [f"Profile of {profile.user!r} for {profile.task!r}: {known}; {self.path}"]


def counted_picks(count: int) -> str:
    return "1 pick" if count == 1 else f"{count} picks"
