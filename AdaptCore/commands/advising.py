"""Options of `adaptseg segment` that let a user's preference answer and learn, and that ask for and pick candidates."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from AdaptCore.errors import FullDiskError, OutputError
from AdaptCore.facts import OTHERWISE

if TYPE_CHECKING:
    from AdaptCore.commands.picking import Rounds
    from AdaptCore.predict.block import BlockSession
    from AdaptCore.predict.plane import PlaneSession
    from AdaptCore.preference.adviser import Adviser
    from AdaptCore.preference.latent import Latent
    from AdaptCore.preference.profile import Profile
    from AdaptCore.preference.samplers import AnyModel

ALL = 10**9
"""Picks of one command that are kept apart until they are saved."""


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
        help="write the candidates, whole objects or masks of each plane with prompts, and contact sheets; made where "
        "missing",
    )
    group.add_argument(
        "--pick",
        action="append",
        default=[],
        metavar="C[,N]",
        help="take candidate C, by the number that --candidates gives it, with --slice that of plane N; N may be left "
        "out where one plane has prompts; once more for one of the candidates after that pick; with --user NAME "
        "--learn it teaches too",
    )


def check_arguments(arguments: argparse.Namespace) -> None:
    """Check the profile before the image is read; a full disk costs what is learnt, but no mask.

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
        with suppress(FullDiskError):
            prepare_folder(store.folder, (path.name,))


def begin(arguments: argparse.Namespace, model: AnyModel, unit: str = "plane") -> Advice:
    """Who answers with what the user prefers, and knows what else they may want.

    Args:
        model: before any task has taught it.
        unit: what is accepted, for people.

    Raises:
        ProfileError: the profile is of another model, or its file cannot be used.
    """
    if arguments.user is None and arguments.candidates is None and not arguments.pick:
        return Advice()
    from AdaptCore.preference.adviser import Adviser, space_of
    from AdaptCore.preference.latent import latent_of
    from AdaptCore.preference.profile import Profile
    from AdaptCore.preference.profiles import ProfileStore

    latent, task = latent_of(model.digest), task_of(arguments)
    space = space_of(model, latent)
    if arguments.user is None:
        return Advice(Adviser(Profile.fresh("", task, space), latent), latent)
    store = ProfileStore()
    profile = store.load(arguments.user, task, space)
    adviser = Adviser(replace(profile, recipe=replace(profile.recipe, undoable=ALL)), latent)
    return Advice(adviser, latent, adviser, profile, arguments.learn, unit)


def task_of(arguments: argparse.Namespace) -> str:
    """The task that the profile is for."""
    return OTHERWISE if arguments.task is None else str(arguments.task)


@dataclass(frozen=True, eq=False)
class Advice:
    """A user's preference in use by one command.

    Attributes:
        adviser: knows candidates; None without --user, --candidates and --pick.
        latent: the adviser's.
        preference: the adviser where it is to answer; None without --user.
        stored: the profile before anything was learnt.
        learns: whether what is accepted and picked teaches it.
        unit: what is accepted, for people.
    """

    adviser: Adviser | None = None
    latent: Latent | None = None
    preference: Adviser | None = None
    stored: Profile | None = None
    learns: bool = False
    unit: str = "plane"

    @property
    def label(self) -> str:
        """For people, behind the name of the model."""
        return f", user {self.preference.profile.user}" if self.preference else ""

    def picked(self, session: PlaneSession | BlockSession, plane: int | None, numbers: Sequence[int]) -> Rounds:
        """Make candidates a session's answer, one of each round; the profile learns them once all are found.

        Args:
            plane: its index, for messages; None for an object.
            numbers: of the candidates, from 1.

        Raises:
            PromptError: a round has fewer candidates; no pick of this session is learnt.
        """
        from AdaptCore.commands.picking import Rounds
        from AdaptCore.preference.adviser import Adviser

        assert self.adviser is not None
        rounds = Rounds(session, plane, Adviser(self.adviser.profile, self.latent))
        for number in numbers:
            rounds.pick(number)
        for shown, candidate in rounds.picked if self.learns else ():
            self.adviser.picked(shown, candidate)
        return rounds

    def saved(self) -> list[str]:
        """Save what was learnt; a line about the profile, none without --user.

        Raises:
            OutputError: the system could not write.
        """
        if self.preference is None or self.stored is None:
            return []
        from AdaptCore.preference.profile import counted_picks
        from AdaptCore.preference.profiles import ProfileStore

        store, profile = ProfileStore(), self.stored
        known = counted_picks(profile.picks) if profile.picks else "no pick yet, so the model itself has answered"
        whose = f"Profile of {profile.user!r} for {profile.task!r}"
        if self.learns:
            try:
                profile = store.join(profile, self.preference.profile.recent[len(profile.recent) :])
            except OutputError as error:
                raise type(error)(f"{whose}: What it has learnt is not saved. {error}") from error
            known = f"the accepted {self.unit}s are learnt; it holds {counted_picks(profile.picks)}"
        return [f"{whose}: {known}; {store.path(profile.user, profile.task)}"]
