"""Profiles on disk: each user's preference on each task outlives the program, and two programs may add picks to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np

from AdaptCore import names
from AdaptCore.aside import keep_aside, set_aside, told
from AdaptCore.atomic import check_folder, prepare_folder
from AdaptCore.errors import OutputError, ProfileError
from AdaptCore.facts import PROFILES
from AdaptCore.locks import locked
from AdaptCore.preference.mixture import Mixture
from AdaptCore.preference.profile import LatentSpace, Pick, Profile
from AdaptCore.preference.profile_file import read_profile, write_profile
from AdaptCore.preference.recipe import DEFAULT, Recipe


@dataclass(frozen=True)
class ProfileInfo:
    """What is told of a profile without its model.

    Attributes:
        user: name of the user; of the file where that cannot be read.
        task: name of the task.
        path: of the file.
        model: name of the model whose z it is about.
        digest: SHA256 of that model's weights (hex).
        picks: number of picks.
        problem: why the file cannot be used, empty where it can.
    """

    user: str
    task: str
    path: Path
    model: str = ""
    digest: str = ""
    picks: int = 0
    problem: str = ""


class ProfileStore:
    """The profiles in one folder, one file for each user and task; nothing is kept in memory.

    What is on disk counts: a pick is added to it, and taken from it, under a lock.

    Args:
        folder: None for `profiles` in the user's folder; made when the first profile is written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = PROFILES.folder if folder is None else Path(folder)

    def profiles(self) -> tuple[ProfileInfo, ...]:
        """All profile files, sorted by user and task; one that cannot be used is among them with its problem."""
        paths = self.folder.glob(f"*{PROFILES.end}") if self.folder.is_dir() else ()
        return tuple(sorted((self._listed(path) for path in paths), key=lambda info: (info.user, info.task)))

    def path(self, user: str, task: str) -> Path:
        """Where a profile is or would be.

        Raises:
            ProfileError: this cannot be a name of a user or task.
        """
        return self.folder / PROFILES.file_name(*_clean(user, task))

    def load(self, user: str, task: str, space: LatentSpace, recipe: Recipe = DEFAULT) -> Profile:
        """A profile with what was picked; that of a user who has not picked yet is fresh.

        Raises:
            ProfileError: this cannot be a name, or the file is damaged, of another model or version; it stays as it is.
        """
        path = self.path(user, task)
        if not path.exists():
            return Profile.fresh(*_clean(user, task), space, recipe)
        return _read_for(path, space, recipe)

    def read(self, user: str, task: str) -> Profile:
        """What is stored for these names, of any model.

        Raises:
            ProfileError: there is none of these names, or its file cannot be used.
        """
        return read_profile(self._existing(user, task))

    def pick(self, profile: Profile, z: np.ndarray, prior: Mixture | None = None) -> Profile:
        """Add a pick to what is stored, what other programs have added included.

        A file in its place that cannot be used is kept aside, with a warning, and `profile` takes its place.

        Args:
            z: (n, D) of the picked candidate's members.
            prior: of the question that they answer, None for the common one.

        Returns:
            The profile that is stored now; the pick is its latest.

        Raises:
            ValueError: z of another shape, none of them, or values that are not finite.
            OutputError: the system could not write; nothing has changed.
        """
        return self._follow(profile, lambda stored: stored.picked(z, prior))

    def undo(self, profile: Profile) -> Profile:
        """Take back the latest pick of `profile`, and none that other programs have added since.

        Returns:
            The profile that is stored now.

        Raises:
            ProfileError: it cannot be taken back any more, or the stored file is missing or cannot be used.
            OutputError: the system could not write; nothing has changed.
        """
        name = profile.last_pick()
        path = self._existing(profile.user, profile.task)
        with locked(path):
            after = _read_for(path, profile.space, profile.recipe).without(name)
            write_profile(path, after)
        return after

    def join(self, profile: Profile, picks: Iterable[Pick]) -> Profile:
        """Add picks that were made without the store, or taken back from it, to what is stored; all else as `pick`."""
        return self._follow(profile, lambda stored: reduce(Profile.joined, picks, stored))

    def reset(self, user: str, task: str) -> Path:
        """Begin a profile anew: its file is kept aside and can be imported again.

        Returns:
            Where the old file is.

        Raises:
            ProfileError: there is none of these names.
            OutputError: the system could not write.
        """
        path = self._existing(user, task)
        with locked(path), told(path):
            return set_aside(path)

    def export(self, user: str, task: str, path: Path) -> None:
        """Write a profile to a file that another machine can import.

        Raises:
            ProfileError: there is none of these names, or its file cannot be used.
            OutputError: a file is there already, or the system could not write.
        """
        profile = self.read(user, task)
        check_folder(path)
        if path.exists():
            raise OutputError(f"{path}: This file is there already. Choose another file name.")
        write_profile(path, profile)

    def import_(self, path: Path, user: str | None = None, task: str | None = None) -> ProfileInfo:
        """Take over a profile from a file.

        Args:
            user: None for the one in the file.
            task: None for the one in the file.

        Raises:
            ProfileError: the file is damaged, of a newer version or no profile, or there is a profile of these names.
            OutputError: the system could not write.
        """
        profile = read_profile(path)
        user, task = _clean(profile.user if user is None else user, profile.task if task is None else task)
        target = self.path(user, task)
        prepare_folder(self.folder, (target.name,))
        with locked(target):
            if target.exists():
                raise ProfileError(f"There is a profile of {user!r} for {task!r} already. Choose another name.")
            write_profile(target, replace(profile, user=user, task=task))
        return self._info(target)

    def _follow(self, profile: Profile, step: Callable[[Profile], Profile]) -> Profile:
        """Write what follows the stored profile."""
        path = self.path(profile.user, profile.task)
        prepare_folder(self.folder, (path.name,))
        with locked(path):
            after = step(self._stored(profile))
            write_profile(path, after)
        return after

    def _existing(self, user: str, task: str) -> Path:
        path = self.path(user, task)
        if path.exists():
            return path
        known = [f"{info.user!r} for {info.task!r}" for info in self.profiles() if not info.problem]
        raise ProfileError(
            f"There is no profile of {user!r} for {task!r}. Those in {self.folder}: {', '.join(known) or 'none'}."
        )

    def _stored(self, profile: Profile) -> Profile:
        """What is in the profile's place, a fresh one where nothing is; `profile` once an unusable file was moved."""
        path = self.path(profile.user, profile.task)
        try:
            return self.load(profile.user, profile.task, profile.space, profile.recipe)
        except ProfileError as error:
            keep_aside(path, error)
            return profile

    def _listed(self, path: Path) -> ProfileInfo:
        try:
            return self._info(path)
        except ProfileError as error:
            return ProfileInfo(path.name, "", path, problem=str(error))

    def _info(self, path: Path) -> ProfileInfo:
        profile = read_profile(path)
        if path.name != self.path(profile.user, profile.task).name:
            raise ProfileError(
                f"{path}: The file holds the profile of {profile.user!r} for {profile.task!r} under the file name of "
                "another one. Import it instead."
            )
        space = profile.space
        return ProfileInfo(profile.user, profile.task, path, space.model, space.digest, profile.picks)


def _clean(user: str, task: str) -> tuple[str, str]:
    return names.clean_name(user, "user", ProfileError), names.clean_name(task, "task", ProfileError)


def _read_for(path: Path, space: LatentSpace, recipe: Recipe) -> Profile:
    """Read a profile of this space.

    Raises:
        ProfileError: as `read_profile`, or it is of another model.
    """
    profile = read_profile(path, recipe)
    stored = profile.space
    if stored.digest != space.digest or stored.prior.means.shape != space.prior.means.shape:
        raise ProfileError(
            f"{path}: The profile of {profile.user!r} for {profile.task!r} was learnt with model {stored.model} "
            f"(weights {stored.digest[:12]}, z {stored.prior.means.shape}), not with {space.model} "
            f"({space.digest[:12]}, z {space.prior.means.shape}). Choose that model, or another user name: "
            "slices and objects have profiles of their own."
        )
    return profile
