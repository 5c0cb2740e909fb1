"""What a profile file holds: prior, statistics and recent picks, and whose they are; no voxel, no image and no path."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from AdaptCore.errors import ProfileError
from AdaptCore.facts import PROFILES
from AdaptCore.json_text import parse
from AdaptCore.names import clean_name
from AdaptCore.preference.belief import Statistics
from AdaptCore.preference.mixture import Mixture
from AdaptCore.preference.profile import LatentSpace, Pick, Profile
from AdaptCore.preference.recipe import DEFAULT, Recipe
from AdaptCore.printable import shortened
from AdaptCore.sealed import read_sealed, write_sealed

PRIOR, SETTLED, RECENT = ("weights", "means", "variances"), "settled.", "recent."
PARTS = ("counts", "sums", "squares")


def read_profile(path: Path, recipe: Recipe = DEFAULT) -> Profile:
    """Read a profile file.

    Args:
        recipe: what the profile goes on with.

    Raises:
        ProfileError: it cannot be read, is cut short or damaged, of another kind, of a newer version or no profile.
    """
    tensors, facts = read_sealed(path, PROFILES.kind)
    try:
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        names, settled = parse(facts["recent"]), Statistics(*(arrays[SETTLED + part] for part in PARTS))
        recent = zip(*(arrays[RECENT + part] for part in PARTS), names, strict=True)
        profile = Profile(
            user=clean_name(facts["user"], "user", ProfileError),
            task=clean_name(facts["task"], "task", ProfileError),
            space=LatentSpace(facts["model"], facts["digest"], Mixture(*(arrays[f"prior.{part}"] for part in PRIOR))),
            settled=settled,
            recent=tuple(Pick(Statistics(*parts), str(name)) for *parts, name in recent),
            picks=int(facts["picks"]),
            recipe=recipe,
        )
        _ = profile.belief.mixture
    except (KeyError, TypeError, ValueError) as error:
        reason = shortened(str(error))
        raise ProfileError(f"{path}: Expected the content of a profile, got another one ({reason}).") from error
    return profile


def write_profile(path: Path, profile: Profile) -> None:
    """Write a profile file whole or not at all; see `write_sealed`.

    Raises:
        OutputError: the system could not write.
    """
    prior, shape = profile.space.prior, profile.settled.sums.shape
    arrays = {f"prior.{part}": getattr(prior, part) for part in PRIOR}
    arrays |= {SETTLED + part: getattr(profile.settled, part) for part in PARTS}
    recent = [pick.statistics for pick in profile.recent]
    arrays |= _stacked(recent, shape)
    facts = {
        "user": profile.user,
        "task": profile.task,
        "model": profile.space.model,
        "digest": profile.space.digest,
        "picks": str(profile.picks),
        "recent": json.dumps([pick.name for pick in profile.recent]),
    }
    write_sealed(path, PROFILES.kind, _tensors(arrays), facts)


def _stacked(recent: Sequence[Statistics], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    shapes = {"counts": shape[:1], "sums": shape, "squares": shape}
    return {
        RECENT + part: np.array([getattr(one, part) for one in recent]).reshape(len(recent), *shapes[part])
        for part in PARTS
    }


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
