"""The adviser: fresh it changes nothing, it learns what is picked and accepted, and takes it back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from AdaptCore.errors import ProfileError, PromptError
from AdaptCore.models.compact import CompactModel
from AdaptCore.predict.masks import mask_logits
from AdaptCore.predict.plane import PlaneSession
from AdaptCore.preference.adviser import Adviser, narrowed, space_of, varied
from AdaptCore.preference.latent import HALF, Latent
from AdaptCore.preference.mixture import Mixture
from AdaptCore.preference.profile import Profile
from AdaptCore.preference.profiles import ProfileStore
from AdaptCore.preference.recipe import DEFAULT
from AdaptCore.preference.samplers import ReadoutSampler
from Testing.core.test_samplers import a_latent
from Testing.tiny_model import tiny_model


@pytest.fixture
def a_model() -> CompactModel:
    return tiny_model()


@pytest.fixture
def latent(a_model: CompactModel) -> Latent:
    return a_latent(a_model)


def an_adviser(model: CompactModel, latent: Latent | None, store: ProfileStore | None = None) -> Adviser:
    return Adviser(Profile.fresh("Anna", "cup", space_of(model, latent)), latent, store)


def a_session(model: CompactModel, adviser: Adviser | None = None, clicks: int = 1) -> PlaneSession:
    image = np.random.default_rng(5).random((40, 56), dtype=np.float32)
    session = PlaneSession(model, image, zoom=False, preference=adviser)
    for number in range(clicks):
        session.click(20 + 5 * number, 20)
    return session


def test_a_fresh_user_gets_the_plain_answer(a_model: CompactModel, latent: Latent) -> None:
    adviser = an_adviser(a_model, latent)
    plain, advised = a_session(a_model).prediction, a_session(a_model, adviser).prediction
    assert plain and advised and np.array_equal(plain.logits, advised.logits)


@pytest.mark.parametrize("trained", [True, False])
def test_candidates_differ_from_the_answer_and_tell_how(a_model: CompactModel, latent: Latent, trained: bool) -> None:
    adviser = an_adviser(a_model, latent if trained else None)
    session = a_session(a_model)
    shown = adviser.ask(session)
    assert session.prediction and 1 <= len(shown.proposal.candidates) <= 4
    for candidate in shown.proposal.candidates:
        logits = shown.look(candidate).logits
        assert logits.shape == session.shape
        assert (logits.numpy() > 0).sum() != session.prediction.mask.sum()
        assert candidate.added.any() or candidate.removed.any()
        assert shown.z(candidate).shape == (len(candidate.members), adviser.profile.space.prior.dimensions)


def test_the_same_question_has_the_same_candidates(a_model: CompactModel, latent: Latent) -> None:
    first, second = (an_adviser(a_model, latent).ask(a_session(a_model)) for _ in range(2))
    for one, other in zip(first.looks, second.looks, strict=True):
        assert torch.equal(one.logits, other.logits)
    assert [one.member for one in first.proposal.candidates] == [one.member for one in second.proposal.candidates]


def test_nothing_can_be_chosen_before_a_prompt(a_model: CompactModel, latent: Latent) -> None:
    session = PlaneSession(a_model, np.zeros((40, 56), np.float32))
    with pytest.raises(PromptError, match="There is nothing to choose from yet"):
        an_adviser(a_model, latent).ask(session)
    with pytest.raises(PromptError, match="There is nothing to choose for yet"):
        session.take_mask(np.zeros((40, 56), bool))


def a_disc(radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:96, :128]
    return np.hypot(columns - 60, rows - 50) < radius


def a_session_of_sizes(model: CompactModel, likelihoods: dict[float, float]) -> PlaneSession:
    """A session whose answer is a disc of radius 10 in a window, with discs of other radii at other sizes."""
    image = np.random.default_rng(5).random((96, 128), dtype=np.float32)
    session = PlaneSession(model, image, spacing=(1.0, 1.0))
    session.click(60, 50)
    assert session.look
    closest = min(session.look.sizes, key=lambda look: look.seen.numel())
    whole = next(look for look in session.look.sizes if look.window is None)
    present = closest.with_answer(torch.from_numpy(mask_logits(closest.part_of(a_disc(10)))))
    others = [
        replace(whole, logits=torch.from_numpy(mask_logits(a_disc(radius))), likelihood=likelihood)
        for radius, likelihood in likelihoods.items()
    ]
    session.take(replace(present, others=tuple(others), likelihood=1 - sum(likelihoods.values())))
    return session


def test_answers_at_other_sizes_are_offered_where_they_may_be_meant(a_model: CompactModel, latent: Latent) -> None:
    session = a_session_of_sizes(a_model, {30: 0.3, 10.3: 0.2, 29: 0.1, 20: 0.06, 40: 0.04})
    shown = an_adviser(a_model, latent).ask(session)
    sizes = [candidate for candidate in shown.proposal.candidates if candidate.member < 0]
    assert [int((shown.look(each).logits > 0).sum()) for each in sizes] == [a_disc(20).sum(), a_disc(30).sum()], (
        "not what is alike, nor what is unlikely"
    )
    assert [each.probability for each in sizes] == pytest.approx([0.06, 0.3])
    assert len(shown.proposal.candidates) <= 4
    assert shown.proposal.probability + sum(each.probability for each in shown.proposal.candidates) <= 1 + 1e-6
    assert shown.view is None and shown.proposal.logits.shape == (96, 128)
    assert sizes[1].area_change == a_disc(30).sum() - session.prediction.mask.sum()
    assert np.array_equal(shown.z(sizes[0]), np.zeros((1, latent.basis.shape[1])))


def test_picked_size_brings_its_window_and_its_question(a_model: CompactModel, latent: Latent) -> None:
    adviser, session = an_adviser(a_model, latent), a_session_of_sizes(a_model, {30: 0.3})
    before = session.look
    shown = adviser.ask(session)
    (size,) = [candidate for candidate in shown.proposal.candidates if candidate.member < 0]
    assert np.array_equal(session.take(shown.look(size)).mask, a_disc(30))
    assert session.window is None and session.question is before.others[0].question
    assert [look.window for look in session.look.others] == [before.window], "the first answer is still offered"
    adviser.picked(shown, size)
    assert adviser.profile.picks == 1
    session.undo()
    assert session.look is before


def test_other_sizes_are_offered_once(a_model: CompactModel, latent: Latent) -> None:
    adviser, session = an_adviser(a_model, latent), a_session_of_sizes(a_model, {30: 0.3})
    others = adviser.ask(session, sizes=False)
    more = adviser.ask(session, around=np.zeros((1, latent.basis.shape[1])))
    for shown in (others, more):
        assert all(candidate.member >= 0 for candidate in shown.proposal.candidates)
        assert shown.view == session.window


def test_a_pick_is_a_step_that_undo_takes_back(a_model: CompactModel, latent: Latent) -> None:
    session = a_session(a_model)
    before = session.prediction
    shown = an_adviser(a_model, latent).ask(session)
    candidate = shown.proposal.candidates[0]
    after = session.take(shown.look(candidate))
    assert before and np.array_equal(after.mask, shown.look(candidate).logits.numpy() > 0)
    assert after.mask[20, 20], "the click is obeyed"
    assert session.undo() is before and session.redo() is after
    assert [example.question for example in session.examples(after.mask)].count(session.question) == 2


def test_accepted_masks_teach_what_the_next_answer_is_like(a_model: CompactModel, latent: Latent) -> None:
    adviser = an_adviser(a_model, latent)
    session = a_session(a_model)
    question = session.question
    assert question
    z = np.zeros((1, latent.basis.shape[1]))
    z[0, 2] = 8.0
    wanted = ReadoutSampler(a_model, latent, question).logits(z)[0] > 0
    plane = torch.nn.functional.interpolate(wanted[None, None, :23].float(), session.shape, mode="nearest")[0, 0]
    mask = plane.numpy() > 0
    plain = np.mean(a_session(a_model).prediction.mask == mask)  # type: ignore[union-attr]
    for _ in range(4):
        adviser.learn(a_model, session.examples(mask))
    advised = np.mean(a_session(a_model, adviser).prediction.mask == mask)  # type: ignore[union-attr]
    assert advised > plain + 0.02
    counts = adviser.profile.belief.statistics.counts
    assert counts[:HALF].sum() == pytest.approx(4, abs=0.1) and counts[HALF:].sum() < 1e-6, "openings were answered"


def test_an_empty_mask_teaches_nothing(a_model: CompactModel, latent: Latent) -> None:
    adviser, session = an_adviser(a_model, latent), a_session(a_model)
    adviser.learn(a_model, session.examples(np.zeros(session.shape, bool)))
    assert adviser.profile.picks == 0


def test_a_pick_is_learnt_and_taken_back(a_model: CompactModel, latent: Latent) -> None:
    adviser = an_adviser(a_model, latent)
    shown = adviser.ask(a_session(a_model))
    adviser.picked(shown, shown.proposal.candidates[-1])
    counts = adviser.profile.belief.statistics.counts
    assert adviser.profile.picks == 1 and counts.sum() == pytest.approx(1)
    adviser.undo()
    assert adviser.profile.picks == 0 and adviser.profile.belief.statistics.counts.sum() == 0
    with pytest.raises(ProfileError, match="none of which can be undone"):
        adviser.undo()


def test_what_is_learnt_is_kept_in_the_store(a_model: CompactModel, latent: Latent, tmp_path: Path) -> None:
    store = ProfileStore(tmp_path)
    adviser = an_adviser(a_model, latent, store)
    shown = adviser.ask(a_session(a_model))
    adviser.picked(shown, shown.proposal.candidates[0])
    kept = store.load("Anna", "cup", space_of(a_model, latent))
    assert kept.picks == 1
    assert np.allclose(kept.belief.mixture.means, adviser.profile.belief.mixture.means)
    adviser.undo()
    assert store.load("Anna", "cup", space_of(a_model, latent)).picks == 0


def test_an_answer_that_contradicts_the_clicks_is_not_preferred(a_model: CompactModel, latent: Latent) -> None:
    session = a_session(a_model)
    assert session.prediction and session.question and session.prediction.mask[20, 20]
    constant = torch.zeros_like(latent.basis)
    constant[-1, 0] = 1.0
    alike = torch.zeros_like(latent.means)
    lowering = Latent(latent.digest, constant, torch.zeros_like(latent.gate), alike, alike + 1)
    profile, z = an_adviser(a_model, lowering).profile, np.zeros((1, latent.basis.shape[1]))
    z[0, 0] = -1.0
    preferred = Adviser(profile.picked(z), lowering).preferred(a_model, session.question)
    assert preferred is not None and float(preferred[0, 0]) < session.prediction.logits[0, 0]
    z[0, 0] = -20.0
    assert Adviser(profile.picked(z), lowering).preferred(a_model, session.question) is None


def test_masks_that_contradict_a_click_are_not_offered_where_others_do_not(
    a_model: CompactModel, latent: Latent
) -> None:
    shown = an_adviser(a_model, latent).ask(a_session(a_model))
    across = 20.5 / 56 * shown.samples.logits.shape[2]
    at_click = shown.samples.logits[:, int(across), int(across)]
    assert DEFAULT.agreeing <= len(at_click) < DEFAULT.samples and (at_click > 0).all()
    assert len(shown.samples.z) == len(at_click)
    every = Profile.fresh("Anna", "cup", space_of(a_model, latent), replace(DEFAULT, agreeing=DEFAULT.samples + 1))
    assert Adviser(every, latent).ask(a_session(a_model)).samples.count == DEFAULT.samples


def test_an_accepted_mask_is_one_pick_of_its_opening_and_one_of_all_later_questions(
    a_model: CompactModel, latent: Latent
) -> None:
    adviser, session = an_adviser(a_model, latent), a_session(a_model, clicks=8)
    examples = session.examples(np.pad(np.ones((20, 20), bool), ((5, 15), (8, 28))))
    assert len(examples) == 8
    assert len(adviser.learn_picks(a_model, examples)) == 2 == adviser.profile.picks
    opening, later = adviser.profile.recent
    assert opening.statistics.counts[:HALF].sum() == pytest.approx(1) == later.statistics.counts[HALF:].sum()
    assert len(adviser.learn_picks(a_model, examples[:1])) == 1


def test_masks_of_a_round_vary_along_few_axes() -> None:
    mean = np.zeros((1, 20))
    mean[0, 3] = 2.0
    mixture = Mixture(np.ones(1), mean, np.linspace(0.1, 2.0, 20)[None])
    z = varied(mixture, replace(DEFAULT, habit=0.0), np.random.default_rng(0))
    moved = z.std(axis=0) > 0
    assert z.shape == (DEFAULT.samples, 20) and moved.sum() == DEFAULT.axes and moved[-DEFAULT.axes :].all()
    assert np.allclose(z[:, ~moved], mean[:, ~moved])


def test_masks_of_a_round_have_more_or_less_of_the_habit() -> None:
    mean = np.array([[2.0, -4.0, 0.0]])
    mixture = Mixture(np.ones(1), mean, np.full((1, 3), 1e-12))
    z = varied(mixture, replace(DEFAULT, samples=4000, habit=0.5), np.random.default_rng(0))
    shares = z[:, 0] / 2
    assert np.allclose(z, shares[:, None] * mean, atol=1e-4)
    assert shares.mean() == pytest.approx(1, abs=0.05) and shares.std() == pytest.approx(0.5, abs=0.05)


def test_more_like_this_lies_around_the_pick_and_is_tighter() -> None:
    mixture = Mixture(np.array([0.5, 0.5]), np.zeros((2, 3)), np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
    near = narrowed(mixture, np.array([[1.0, 0, 0], [3.0, 0, 0]]), DEFAULT)
    assert near.means.tolist() == [[2.0, 0.0, 0.0]]
    assert near.variances[0].tolist() == pytest.approx([2 * DEFAULT.narrowing] * 3)
