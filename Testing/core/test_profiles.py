"""Profiles outlive the program: files, refusals, two writers at once, writers that die, and picks taken back."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from AdaptCore import sealed
from AdaptCore.errors import OutputError, ProfileError
from AdaptCore.facts import PROFILES, Kind
from AdaptCore.preference.belief import Belief
from AdaptCore.preference.mixture import Mixture
from AdaptCore.preference.profile import LatentSpace, Profile
from AdaptCore.preference.profiles import ProfileStore
from AdaptCore.preference.recipe import DEFAULT

WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from AdaptCore.preference.profiles import ProfileStore
from Testing.core.test_profiles import a_space_of

folder, place, count = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
store = ProfileStore(folder / "profiles")
profile = store.load("Anna", "cup", a_space_of())
(folder / f"ready{place}").touch()
while not (folder / "go").exists():
    time.sleep(0.01)
for _ in range(count):
    profile = store.pick(profile, np.full((2, 3), place))
"""


def a_space_of(digest: str = "a" * 64, components: int = 4, dimensions: int = 3) -> LatentSpace:
    rng = np.random.default_rng(0)
    shape = (components, dimensions)
    mixture = Mixture(np.full(components, 1 / components), rng.normal(0, 2, shape), rng.uniform(0.3, 0.6, shape))
    return LatentSpace("tiny", digest, mixture)


def pick(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=(5, 3))


@pytest.fixture
def a_space() -> LatentSpace:
    return a_space_of()


@pytest.fixture
def a_store(tmp_path: Path) -> ProfileStore:
    return ProfileStore(tmp_path / "profiles")


@pytest.fixture
def a_profile(a_store: ProfileStore, a_space: LatentSpace) -> Profile:
    """Anna's for the cup, with three picks."""
    profile = a_store.load("Anna", "cup", a_space)
    for number in range(3):
        profile = a_store.pick(profile, pick(number))
    return profile


def same(one: Profile, other: Profile) -> bool:
    """Whether two profiles hold the same picks and believe the same."""
    return (one.user, one.task, one.picks, [p.name for p in one.recent]) == (
        other.user,
        other.task,
        other.picks,
        [p.name for p in other.recent],
    ) and same_belief(one.belief, other.belief)


def same_belief(one: Belief, other: Belief) -> bool:
    return all(
        np.allclose(getattr(one.mixture, part), getattr(other.mixture, part), rtol=1e-12, atol=1e-15)
        for part in ("weights", "means", "variances")
    )


def taught(space: LatentSpace, *numbers: int) -> Belief:
    belief = Belief.fresh(space.prior)
    for number in numbers:
        belief = belief.observe(pick(number))
    return belief


def rewritten(path: Path, kind: Kind = PROFILES.kind, **facts: str) -> None:
    """Change facts of a profile file, with a checksum that fits."""
    tensors, old = sealed.read_sealed(path, PROFILES.kind)
    kept = {name: fact for name, fact in {**old, **facts}.items() if name not in ("kind", "version")}
    sealed.write_sealed(path, kind, tensors, kept)


def test_a_fresh_user_starts_from_the_prior_and_nothing_is_written(a_store: ProfileStore, a_space: LatentSpace) -> None:
    profile = a_store.load(" Anna ", "optic cup", a_space)
    assert (profile.user, profile.task, profile.picks) == ("Anna", "optic cup", 0)
    np.testing.assert_allclose(profile.belief.mixture.means, a_space.prior.means)
    assert not a_store.folder.exists() and a_store.profiles() == ()


def test_what_was_picked_comes_back(a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace) -> None:
    profile = a_store.load("Anna", "cup", a_space)
    assert profile.picks == 3 and same(profile, a_profile)
    assert same_belief(profile.belief, taught(a_space, 0, 1, 2))
    assert abs(profile.belief.mixture.weights - a_space.prior.weights).max() > 0.03


def test_a_profile_of_many_picks_believes_what_the_picks_taught(a_space: LatentSpace) -> None:
    profile = Profile.fresh("Anna", "cup", a_space)
    for number in range(20):
        profile = profile.picked(pick(number))
    assert profile.picks == 20 and len(profile.recent) == DEFAULT.undoable == 6
    assert same_belief(profile.belief, taught(a_space, *range(20)))


def test_users_and_tasks_are_apart(a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace) -> None:
    for user, task in (("anna", "cup"), ("Anna", "disc"), ("Ben", "cup"), ("Annacup", "x"), ("Anna cup", "cup")):
        assert a_store.load(user, task, a_space).picks == 0
    a_store.pick(a_store.load("Ben", "cup", a_space), pick(7))
    assert [(info.user, info.task, info.picks) for info in a_store.profiles()] == [
        ("Anna", "cup", 3),
        ("Ben", "cup", 1),
    ]
    info = a_store.profiles()[0]
    assert (info.model, info.digest, info.problem) == ("tiny", "a" * 64, "")


@pytest.mark.parametrize(
    ("user", "task"), [("Änne Ü.", "视杯"), ("con", "a/b\\c:d*?"), ("x" * 200, ".."), ("عصب", "🫀")]
)
def test_any_names_give_a_file_name_for_every_system(
    a_store: ProfileStore, a_space: LatentSpace, user: str, task: str
) -> None:
    a_store.pick(a_store.load(user, task, a_space), pick(0))
    name = a_store.path(user, task).name.removesuffix(".profile.safetensors")
    assert name.isascii() and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") and len(name) <= 60
    assert [(info.user, info.task) for info in a_store.profiles()] == [(user, task)]


def test_names_cannot_be_mistaken_for_each_other(a_store: ProfileStore) -> None:
    assert a_store.path("a b", "c") != a_store.path("a", "b c")


@pytest.mark.parametrize(
    ("user", "task", "what"), [("", "cup", "user"), ("a\nb", "cup", "user"), ("Anna", " ", "task")]
)
def test_names_that_cannot_be_shown_are_refused(
    a_store: ProfileStore, a_space: LatentSpace, user: str, task: str, what: str
) -> None:
    with pytest.raises(ProfileError, match=f"Expected a {what} name of 1 to 200 characters on one line, got"):
        a_store.load(user, task, a_space)


def test_the_last_pick_can_be_taken_back(a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace) -> None:
    profile = a_store.undo(a_profile)
    assert profile.picks == 2 and same_belief(profile.belief, taught(a_space, 0, 1))
    assert same(a_store.load("Anna", "cup", a_space), profile)
    for left in (1, 0):
        profile = a_store.undo(profile)
        assert profile.picks == left
    assert same_belief(profile.belief, Belief.fresh(a_space.prior))
    with pytest.raises(ProfileError, match="has 0 picks, none of which can be undone"):
        a_store.undo(profile)


def test_only_the_latest_picks_can_be_taken_back(a_space: LatentSpace) -> None:
    profile = Profile.fresh("Anna", "cup", a_space)
    for number in range(9):
        profile = profile.picked(pick(number))
    for _ in range(6):
        profile = profile.without(profile.last_pick())
    assert profile.picks == 3 and same_belief(profile.belief, taught(a_space, 0, 1, 2))
    with pytest.raises(ProfileError, match=r"has 3 picks, none of which can be undone: only the latest 6 can"):
        profile.last_pick()


def test_undo_takes_back_ours_and_not_what_others_picked_since(
    a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace
) -> None:
    theirs = a_store.pick(a_store.load("Anna", "cup", a_space), pick(50))
    after = a_store.undo(a_profile)
    assert after.picks == 3 and after.recent[-1].name == theirs.recent[-1].name
    assert [p.name for p in after.recent[:2]] == [p.name for p in a_profile.recent[:2]]
    with pytest.raises(ProfileError, match="cannot be undone: only the latest 3 can"):
        a_store.undo(a_profile)


def test_picks_of_two_programs_add_up(a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace) -> None:
    ours, theirs = a_profile, a_store.load("Anna", "cup", a_space)
    theirs = a_store.pick(theirs, pick(11))
    ours = a_store.pick(ours, pick(21))
    theirs = a_store.pick(theirs, pick(12))
    assert (ours.picks, theirs.picks) == (5, 6)
    assert same_belief(a_store.load("Anna", "cup", a_space).belief, taught(a_space, 0, 1, 2, 11, 21, 12))


@pytest.mark.slow
def test_two_processes_that_pick_at_once_lose_nothing(
    a_store: ProfileStore, a_space: LatentSpace, tmp_path: Path, repository: Path
) -> None:
    count, places = 15, (-1.0, 2.0)
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(place), str(count)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for place in places
    ]
    while not all((tmp_path / f"ready{place}").exists() for place in places):
        assert all(writer.poll() is None for writer in writers), [writer.communicate() for writer in writers]
        time.sleep(0.01)
    (tmp_path / "go").touch()
    for writer in writers:
        assert writer.wait(60) == 0, writer.communicate()
    profile = a_store.load("Anna", "cup", a_space)
    found = profile.belief.statistics
    assert profile.picks == 2 * count
    assert found.total == pytest.approx(sum(0.5 ** (age / DEFAULT.half_life) for age in range(2 * count)))
    summed = (found.sums + found.counts[:, None] * a_space.prior.means).sum(axis=0) / found.total
    np.testing.assert_allclose(summed, sum(places) / 2, atol=0.1)
    assert [path.name for path in a_store.folder.iterdir()] == [a_store.path("Anna", "cup").name]


def keep_picking(folder: Path, told: int) -> None:
    """Pick without end; a byte is sent for each pick that is stored."""
    store = ProfileStore(folder)
    profile = store.load("Anna", "cup", a_space_of())
    while True:
        profile = store.pick(profile, pick(0))
        os.write(told, b".")


@pytest.mark.slow
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs processes that start at once")
def test_a_process_killed_at_any_moment_leaves_the_old_or_the_new_profile(
    a_store: ProfileStore, a_space: LatentSpace
) -> None:
    context, moments = multiprocessing.get_context("fork"), random.Random(0)
    stored, inside = 0, 0
    for _ in range(30):
        hear, tell = os.pipe()
        writer = context.Process(target=keep_picking, args=(a_store.folder, tell))
        writer.start()
        os.close(tell)
        acknowledged = len(os.read(hear, 1))
        time.sleep(moments.uniform(0.0, 0.05))
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
        with os.fdopen(hear, "rb") as stream:
            acknowledged += len(stream.read())
        profile = a_store.load("Anna", "cup", a_space)
        assert stored + acknowledged <= profile.picks <= stored + acknowledged + 1
        assert profile.belief.statistics.total <= profile.picks + 1e-9
        stored = profile.picks
        lock = a_store.path("Anna", "cup").with_name(f"{a_store.path('Anna', 'cup').name}.lock")
        inside += lock.exists()
        lock.unlink(missing_ok=True)
    assert stored >= 30 and inside > 5, "writers were killed while they wrote"
    assert not list(a_store.folder.glob("*.bak"))


@pytest.mark.parametrize("left", [0, 4, 9, 60, 0.3, 0.9, 0.999])
def test_truncated_file_is_refused_and_stays(
    a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace, left: float
) -> None:
    path = a_store.path("Anna", "cup")
    content = path.read_bytes()
    content = content[: int(left if left >= 1 else left * len(content))]
    path.write_bytes(content)
    for action in (lambda: a_store.load("Anna", "cup", a_space), lambda: a_store.undo(a_profile)):
        with pytest.raises(ProfileError, match=r"anna-cup-\w+\.profile\.safetensors: (Expected|The profile file) "):
            action()
    assert path.read_bytes() == content
    (info,) = a_store.profiles()
    assert info.problem.startswith(str(path)) and info.picks == 0


@pytest.mark.parametrize("place", [8, 40, 200, 0.5, 0.9])
def test_flipped_bit_is_noticed(a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace, place: float) -> None:
    path = a_store.path("Anna", "cup")
    content = bytearray(path.read_bytes())
    content[int(place if place >= 1 else place * len(content))] ^= 4
    path.write_bytes(content)
    with pytest.raises(ProfileError):
        a_store.load("Anna", "cup", a_space)


@pytest.mark.parametrize("other", [a_space_of("b" * 64), a_space_of(dimensions=5)])
def test_a_profile_of_another_model_is_refused(a_store: ProfileStore, a_profile: Profile, other: LatentSpace) -> None:
    before = a_store.path("Anna", "cup").read_bytes()
    with pytest.raises(
        ProfileError, match=r"'Anna' for 'cup' was learnt with model tiny \(weights aaaaaaaaaaaa, z \(4"
    ):
        a_store.load("Anna", "cup", other)
    assert a_store.path("Anna", "cup").read_bytes() == before


def test_a_profile_of_a_newer_version_is_refused(
    a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace
) -> None:
    rewritten(a_store.path("Anna", "cup"), replace(PROFILES.kind, version=2))
    with pytest.raises(ProfileError, match="Expected a profile file of version 1, got version 2 of a newer AdaptSeg"):
        a_store.load("Anna", "cup", a_space)


@pytest.mark.parametrize(
    "facts", [{"recent": "[]"}, {"recent": "{"}, {"recent": "3"}, {"picks": "many"}, {"recent": '["a", "b", "c", "d"]'}]
)
def test_odd_facts_are_refused(
    a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace, facts: dict[str, str]
) -> None:
    rewritten(a_store.path("Anna", "cup"), **facts)
    with pytest.raises(ProfileError, match="Expected the content of a profile"):
        a_store.load("Anna", "cup", a_space)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("prior.variances", -torch.ones(4, 3, dtype=torch.float64)),
        ("prior.weights", torch.ones(4, dtype=torch.float64)),
        ("settled.counts", torch.ones(5, dtype=torch.float64)),
        ("settled.sums", torch.full((4, 3), torch.nan, dtype=torch.float64)),
        ("recent.squares", torch.zeros(3, 4, 3, dtype=torch.float64)),
        ("recent.counts", torch.tensor(1.0)),
    ],
)
def test_odd_statistics_are_refused(
    a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace, name: str, tensor: torch.Tensor
) -> None:
    path = a_store.path("Anna", "cup")
    tensors, facts = sealed.read_sealed(path, PROFILES.kind)
    sealed.write_sealed(
        path, PROFILES.kind, {**tensors, name: tensor}, {k: v for k, v in facts.items() if k != "version"}
    )
    with pytest.raises(ProfileError, match="Expected the content of a profile"):
        a_store.load("Anna", "cup", a_space)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_text("<html>"), "got a web page"),
        (lambda path: path.write_bytes(b""), "got an empty file"),
        (
            lambda path: torch.save({"a": torch.ones(2)}, path),
            "Expected a profile file of AdaptSeg, got a PyTorch file",
        ),
        (
            lambda path: save_file({"a": torch.ones(2)}, path),
            "Expected a profile file of AdaptSeg, got another safetensors file",
        ),
        (
            lambda path: sealed.write_sealed(path, sealed.Kind("task", ProfileError), {}, {}),
            "got another safetensors file",
        ),
        (lambda path: path.mkdir(), "cannot be read"),
    ],
)
def test_a_file_of_another_kind_is_no_profile(
    a_store: ProfileStore, tmp_path: Path, write: Callable[[Path], object], message: str
) -> None:
    write(tmp_path / "other")
    with pytest.raises(ProfileError, match=message):
        a_store.import_(tmp_path / "other")
    assert a_store.profiles() == ()


@pytest.mark.parametrize("foreign", [b"damaged", None])
def test_a_file_that_breaks_during_a_session_is_kept_aside_and_the_session_goes_on(
    a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace, foreign: bytes | None
) -> None:
    path = a_store.path("Anna", "cup")
    if foreign is None:
        rewritten(path, digest="f" * 64)
        foreign = path.read_bytes()
    path.write_bytes(foreign)
    with pytest.warns(UserWarning, match=r"anna-cup-\w+\.profile\.safetensors: .*\. It is kept as .*\.bak"):
        a_store.pick(a_profile, pick(3))
    (backup,) = a_store.folder.glob("*.bak")
    assert backup.read_bytes() == foreign
    assert same_belief(a_store.load("Anna", "cup", a_space).belief, taught(a_space, 0, 1, 2, 3))


def test_z_that_cannot_be_learnt_changes_nothing(
    a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace
) -> None:
    before = a_store.path("Anna", "cup").read_bytes()
    with pytest.raises(ValueError, match="expected finite values"):
        a_store.pick(a_profile, np.full((1, 3), np.nan))
    assert a_store.path("Anna", "cup").read_bytes() == before
    assert [path.name for path in a_store.folder.iterdir()] == [a_store.path("Anna", "cup").name]


def test_reset_can_be_undone(a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace) -> None:
    backup = a_store.reset("Anna", "cup")
    assert a_store.profiles() == () and a_store.load("Anna", "cup", a_space).picks == 0
    a_store.import_(backup)
    assert same(a_store.load("Anna", "cup", a_space), a_profile)


def test_a_damaged_profile_can_be_reset(a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace) -> None:
    a_store.path("Anna", "cup").write_bytes(b"rubbish")
    assert a_store.reset("Anna", "cup").read_bytes() == b"rubbish"
    assert a_store.load("Anna", "cup", a_space).picks == 0


def test_a_profile_that_another_program_has_reset_begins_with_what_is_new(
    a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace
) -> None:
    a_store.reset("Anna", "cup")
    with pytest.raises(ProfileError, match=r"no profile of 'Anna' for 'cup'\. Those in .*: none"):
        a_store.undo(a_profile)
    a_store.pick(a_profile, pick(9))
    assert same_belief(a_store.load("Anna", "cup", a_space).belief, taught(a_space, 9))


def test_an_exported_profile_can_be_imported_elsewhere(
    a_store: ProfileStore, a_profile: Profile, a_space: LatentSpace, tmp_path: Path
) -> None:
    a_store.export("Anna", "cup", tmp_path / "anna.safetensors")
    elsewhere = ProfileStore(tmp_path / "elsewhere")
    info = elsewhere.import_(tmp_path / "anna.safetensors", user="Dr. A")
    assert (info.user, info.task, info.picks) == ("Dr. A", "cup", 3)
    assert same_belief(elsewhere.load("Dr. A", "cup", a_space).belief, a_profile.belief)
    elsewhere.import_(tmp_path / "anna.safetensors", task="disc")
    assert elsewhere.load("Anna", "disc", a_space).picks == 3
    with pytest.raises(OutputError, match="This file is there already"):
        a_store.export("Anna", "cup", tmp_path / "anna.safetensors")
    with pytest.raises(ProfileError, match=r"There is a profile of 'Anna' for 'cup' already\. Choose another name"):
        a_store.import_(tmp_path / "anna.safetensors")


def test_an_unknown_profile_is_told_with_those_that_there_are(a_store: ProfileStore, a_profile: Profile) -> None:
    with pytest.raises(ProfileError, match=r"no profile of 'Ben' for 'cup'\. Those in .*: 'Anna' for 'cup'"):
        a_store.reset("Ben", "cup")


def test_a_file_under_the_name_of_another_is_told(a_store: ProfileStore, a_profile: Profile) -> None:
    path = a_store.path("Anna", "cup")
    path.rename(path.with_name("copy.profile.safetensors"))
    (info,) = a_store.profiles()
    assert info.problem.endswith(
        "The file holds the profile of 'Anna' for 'cup' under the file name of another one. Import it instead."
    )


def test_nothing_but_names_and_statistics_is_stored(a_store: ProfileStore, a_profile: Profile) -> None:
    tensors, facts = sealed.read_sealed(a_store.path("Anna", "cup"), PROFILES.kind)
    assert set(facts) == {"user", "task", "model", "digest", "picks", "recent", "kind", "version"}
    assert len(json.loads(facts["recent"])) == 3
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert shapes == {
        **{"prior.weights": (4,), "prior.means": (4, 3), "prior.variances": (4, 3)},
        **{"settled.counts": (4,), "settled.sums": (4, 3), "settled.squares": (4, 3)},
        **{"recent.counts": (3, 4), "recent.sums": (3, 4, 3), "recent.squares": (3, 4, 3)},
    }
    assert a_store.path("Anna", "cup").stat().st_size < 4000


def test_profiles_are_kept_in_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path))
    assert ProfileStore().folder == tmp_path / "profiles"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, a_space: LatentSpace) -> None:
    (tmp_path / "profiles").write_text("a file", encoding="utf-8")
    store = ProfileStore(tmp_path / "profiles")
    with pytest.raises(OutputError, match="cannot be made"):
        store.pick(store.load("Anna", "cup", a_space), pick(0))
