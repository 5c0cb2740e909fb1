"""Candidates and preference for objects: whole alternatives of one volume, picked, undone and learnt from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from AdaptCore.errors import PromptError
from AdaptCore.models.volumetric import VolumetricModel
from AdaptCore.predict.block import BlockSession, ObjectPrediction, WindowPolicy
from AdaptCore.predict.openings import Answer, overlap
from AdaptCore.preference.adviser import Adviser, Round, space_of
from AdaptCore.preference.candidates import propose
from AdaptCore.preference.latent import COMPONENTS, Latent
from AdaptCore.preference.object_change import change_of
from AdaptCore.preference.present import present_of
from AdaptCore.preference.profile import Profile
from AdaptCore.preference.recipe import DEFAULT
from AdaptCore.preference.samplers import FreeSampler, ReadoutSampler
from AdaptCore.preference.samples import Samples
from Testing.tiny_volume_model import TINY_VOLUMETRIC, tiny_volume_model

SPACING = (1.0, 1.0, 2.0)
POLICY = WindowPolicy(side=32, sizes=(24.0, 48.0), more=0)


def a_latent(model: VolumetricModel, seed: int = 0) -> Latent:
    """Any basis; components at random, the first of each half at the origin."""
    generator = torch.Generator().manual_seed(seed)
    length, token = TINY_VOLUMETRIC.readout + 1, TINY_VOLUMETRIC.channels[3]
    means = torch.randn(COMPONENTS, length, generator=generator)
    means[:: COMPONENTS // 2] = 0
    basis = torch.randn(length, length, generator=generator)
    gate = torch.randn(COMPONENTS, token + 1, generator=generator)
    return Latent(model.digest, basis, gate, means, torch.rand(COMPONENTS, length, generator=generator) + 0.1)


def an_adviser(model: VolumetricModel, latent: Latent | None) -> Adviser:
    return Adviser(Profile.fresh("Anna", "lesion", space_of(model, latent)), latent)


def a_session(model: VolumetricModel, adviser: Adviser | None = None, clicks: int = 1) -> BlockSession:
    volume = np.random.default_rng(5).random((40, 36, 20), dtype=np.float32)
    session = BlockSession(model, volume, SPACING, POLICY, preference=adviser)
    for number in range(clicks):
        session.click(20 + 3 * number, 18, 10)
    return session


@pytest.fixture(scope="module")
def a_model() -> VolumetricModel:
    return tiny_volume_model()


@pytest.fixture(scope="module", params=[True, False], ids=["readout", "free"])
def latent(request: pytest.FixtureRequest, a_model: VolumetricModel) -> Iterator[Latent | None]:
    yield a_latent(a_model) if request.param else None


def mask_of(prediction: ObjectPrediction | None) -> np.ndarray:
    assert prediction is not None
    return prediction.on((40, 36, 20))


def distances(shown: Round) -> list[float]:
    """Share of the union that is in one only, of all pairs of what is shown."""
    masks = [mask_of(look) for look in (shown.present, *shown.looks)]
    return [1 - (a & b).sum() / (a | b).sum() for place, a in enumerate(masks) for b in masks[:place]]


def test_candidates_are_whole_objects_that_differ(a_model: VolumetricModel, latent: Latent | None) -> None:
    session, adviser = a_session(a_model), an_adviser(a_model, latent)
    shown = adviser.ask(session)
    assert shown.present is session.prediction and 1 <= len(shown.looks) <= 4
    sizes = [int(look.mask.sum()) for look in shown.looks]
    assert sizes == sorted(sizes) and min(sizes) > 0 and min(distances(shown)) > 0.01
    chances = [shown.proposal.probability, *(each.probability for each in shown.proposal.candidates)]
    assert all(0 <= chance <= 1 for chance in chances) and sum(chances) <= 1 + 1e-6
    for look, candidate in zip(shown.looks, shown.proposal.candidates):
        assert mask_of(look)[20, 18, 10], "all hold the click"
        assert candidate.member < 0 or look.asked is shown.present.asked, "what is drawn answers the same question"
    again = an_adviser(a_model, latent).ask(session)
    assert [mask_of(look).sum() for look in again.looks] == sizes, "the same question has the same candidates"


def test_openings_are_offered_where_they_may_be_meant(a_model: VolumetricModel) -> None:
    session, adviser = a_session(a_model), an_adviser(a_model, None)
    others = [each for each in adviser.ask(session).proposal.candidates if each.member < 0]
    assert 1 <= len(others) <= DEFAULT.openings
    offered = present_of(session).others(DEFAULT)
    assert session.prediction is not None
    raw = np.array([session.prediction.likelihood, *(look.likelihood for look in offered)])
    told = sorted(each.probability for each in others)
    assert told == pytest.approx(sorted(raw[1:] / raw.sum())), "answers that are not shown are like one that is"
    proposal = adviser.ask(session).proposal
    drawn = [each.probability for each in proposal.candidates if each.member >= 0]
    assert proposal.probability + sum(drawn) <= raw[0] / raw.sum() + 1e-6
    assert not any(each.member < 0 for each in adviser.ask(session, sizes=False).proposal.candidates)
    assert not any(each.member < 0 for each in adviser.ask(a_session(a_model, clicks=2)).proposal.candidates)


def test_a_pick_is_a_step_and_the_next_prompt_goes_on_from_it(a_model: VolumetricModel, latent: Latent | None) -> None:
    session = a_session(a_model)
    shown = an_adviser(a_model, latent).ask(session)
    for look, candidate in zip(shown.looks, shown.proposal.candidates):
        assert shown.look(candidate) is look
        assert session.take(look) is session.prediction is look
        assert session.undo() is shown.present
    session.take(shown.looks[0])
    added = session.click(24, 18, 10)
    assert added.asked.prior is not None and added.asked.prior.shape == (32, 32, 32)
    session.undo()
    assert session.prediction is shown.looks[0] and session.undo() is shown.present


def test_nothing_can_be_chosen_before_a_prompt(a_model: VolumetricModel) -> None:
    session = BlockSession(a_model, np.zeros((20, 20, 20), np.float32), SPACING, POLICY)
    with pytest.raises(PromptError, match="There is nothing to choose from yet"):
        an_adviser(a_model, None).ask(session)


@pytest.mark.parametrize("clicks", [1, 2])
def test_no_z_is_the_plain_answer(a_model: VolumetricModel, clicks: int) -> None:
    question = a_session(a_model, clicks=clicks).question
    assert question is not None and question.is_opening == (clicks == 1)
    decoding = a_model.answer(question)
    plain = decoding.logits[decoding.best]
    latent = a_latent(a_model)
    readout, free = ReadoutSampler(a_model, latent, question), FreeSampler(a_model, question)
    assert torch.allclose(readout.logits(np.zeros((1, 4)))[0], plain, atol=1e-4)
    assert torch.allclose(free.logits(np.zeros((1, 4)))[0], plain, atol=1e-5)
    z = np.array([[2.0, 0.0, 0.0, 0.0]])
    canvas = a_model.canvas(question)
    moved = canvas.logits((canvas.vector + 2 * latent.basis[:, 0])[None])
    assert torch.allclose(readout.logits(z), moved, atol=1e-3)
    assert (free.logits(z)[0] > 0).sum() > (plain > 0).sum(), "an outward shift makes the object larger"


def test_accepted_objects_teach_what_the_next_answer_is_like(a_model: VolumetricModel, latent: Latent | None) -> None:
    adviser = an_adviser(a_model, latent)
    session = a_session(a_model)
    plain = mask_of(session.prediction)
    wanted = mask_of(session.with_answer(FreeSampler(a_model, session.question).logits(np.array([[1.5, 0, 0, 0]]))[0]))
    assert wanted.sum() > 1.02 * plain.sum()
    for _ in range(6):
        adviser.learn(a_model, session.examples(wanted))
    assert adviser.profile.picks == 6
    preferred = mask_of(a_session(a_model, adviser).prediction)

    def dice(mask: np.ndarray) -> float:
        return 2 * (mask & wanted).sum() / (mask.sum() + wanted.sum())

    assert dice(preferred) > dice(plain)


def test_changes_are_told_in_millilitres_and_on_the_slice_that_shows_most(a_model: VolumetricModel) -> None:
    session = a_session(a_model)
    held = session.prediction
    assert held is not None
    box = (slice(10, 14), slice(8, 12), slice(4, 8))
    before = replace(held, box=box, mask=np.ones((4, 4, 4), bool))
    grown = np.ones((4, 6, 4), bool)
    grown[0, 0, 0] = False
    grown[:, 4:, :] = False
    grown[:, 4:, 2] = True
    after = replace(held, box=(slice(10, 14), slice(8, 14), slice(4, 8)), mask=grown)
    change = change_of(before, after, session.shape, 0.002)
    assert change.added == pytest.approx(8 * 2 / 1000) and change.removed == pytest.approx(2 / 1000)
    assert change.millilitres == pytest.approx(14 / 1000)
    assert (change.axis, change.index) == (2, 6) and change.before.shape == (36, 40)
    assert change.before.sum() == 16 and change.after.sum() == 24 and change.after[8:14, 10:14].all()
    same = change_of(before, before, session.shape, 0.002, axis=0)
    assert same.millilitres == 0 and same.before.shape == (20, 36)
    empty = replace(held, box=(slice(0, 0),) * 3, mask=np.zeros((0, 0, 0), bool))
    assert change_of(empty, after, session.shape, 0.002).added == pytest.approx(grown.sum() * 2 / 1000)
    assert change_of(empty, empty, session.shape, 0.002).before.shape == (36, 40)


def test_volumes_of_masks_are_clustered_as_planes_are() -> None:
    places = np.indices((12, 12, 12))
    away = np.sqrt(((places - 5.5) ** 2).sum(0))
    radii = np.array([2, 2.1, 3, 3.1, 4, 5, 5.1])
    samples = Samples((radii[:, None, None, None] - away).astype(np.float32), np.arange(7.0)[:, None])
    proposal = propose(samples, (4 - away).astype(np.float32), 0)
    assert [sorted(each.members) for each in proposal.candidates] == [[0, 1], [2, 3], [5, 6]]
    assert list(proposal.members) == [4]
    stray = samples.logits.copy()
    stray[5, 0, 0, 0] = 1.0
    kept = propose(Samples(stray, samples.z), (4 - away).astype(np.float32), 0)
    assert not any(each.added[0, 0, 0] for each in kept.candidates), "a part that lies apart is left out"


def test_of_the_other_openings_the_most_unlike_are_offered(a_model: VolumetricModel) -> None:
    session = a_session(a_model)
    held = session.prediction
    assert held is not None and len(held.others) > DEFAULT.openings
    offered = present_of(session).others(DEFAULT)
    alike = {opening: overlap(opening.answer, Answer(held.window, held.logits, 1.0)) for opening in held.others}
    farthest = min(alike, key=lambda opening: alike[opening])
    assert np.array_equal(mask_of(offered[0]), mask_of(session.opened(farthest)))
    masks = [mask_of(held), *map(mask_of, offered)]
    unlike = [max((a & b).sum() / (a | b).sum() for b in masks[:place]) for place, a in enumerate(masks) if place]
    assert unlike == sorted(unlike), "each one is more like what is shown than the one before"
    assert present_of(session).others(replace(DEFAULT, size_distinct=1.1)) == []
