"""Volume session: planes are clicked, accepted and propagated into a labelmap that can be taken back."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from AdaptCore.adapt.learner import Learner
from AdaptCore.errors import ImageError, PromptError
from AdaptCore.predict.cache import EmbeddingCache
from AdaptCore.predict.geometry import axis_plane, extract, oblique_plane
from AdaptCore.predict.intensity import Window
from AdaptCore.predict.propagate import PropagatedPlane, PropagationPolicy, dice
from AdaptCore.predict.volume import VolumeSession
from AdaptCore.prompts import Click
from Testing.learning_toy import LearningToy
from Testing.toy_model import BatchToy, ToyModel

SHAPE = (60, 50, 24)
CENTRE = (28, 25, 11)
RADIUS = 9
TIMEOUT = 20.0


def a_ball(radius: float = RADIUS, centre: tuple[int, int, int] = CENTRE) -> np.ndarray:
    grid = np.ogrid[tuple(slice(0, size) for size in SHAPE)]
    return sum((axis - middle) ** 2 for axis, middle in zip(grid, centre)) < radius**2


def a_scan(dtype: type = np.int16) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 20, SHAPE)
    return (100 + noise + 400 * a_ball()).astype(dtype)


@pytest.fixture
def a_model() -> ToyModel:
    return ToyModel()


@pytest.fixture
def a_session(a_model):
    with VolumeSession(a_model, a_scan(), precompute=0) as session:
        yield session


@pytest.fixture
def an_accepted_session(a_session):
    plane = axis_plane(SHAPE, 2, CENTRE[2])
    a_session.plane(plane).click(CENTRE[0], CENTRE[1])
    a_session.accept(plane)
    return a_session


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_click_accept_and_propagate_along_any_axis_gives_the_ball(a_session, axis):
    plane = axis_plane(SHAPE, axis, CENTRE[axis])
    a_session.plane(plane).click(*plane.pixel(CENTRE))
    a_session.accept(plane)
    result = a_session.propagate(axis, CENTRE[axis])
    assert dice(a_session.labelmap > 0, a_ball()) > 0.9
    assert abs(max(result.masks) - (CENTRE[axis] + RADIUS)) <= 2
    assert abs(min(result.masks) - (CENTRE[axis] - RADIUS)) <= 2
    assert CENTRE[axis] not in result.masks
    assert result.confidences.keys() == result.masks.keys()
    assert not result.cancelled


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_volume_of_any_type_is_segmented_and_never_modified(a_model, dtype):
    volume = (a_scan() // 3).astype(dtype)
    before = volume.copy()
    with VolumeSession(a_model, volume) as session:
        plane = axis_plane(SHAPE, 2, 11)
        session.plane(plane).click(28, 25)
        session.accept(plane)
        session.propagate(2, 11)
        assert dice(session.labelmap > 0, a_ball()) > 0.9
    assert np.array_equal(volume, before)
    assert volume.dtype == dtype


def test_colour_volume_is_segmented(a_model):
    volume = np.repeat((a_scan() // 3).astype(np.uint8)[..., None], 3, axis=3)
    with VolumeSession(a_model, volume, precompute=0) as session:
        plane = axis_plane(SHAPE, 2, 11)
        assert dice(session.plane(plane).click(28, 25).mask, a_ball()[:, :, 11].T) > 0.9


def test_oblique_plane_is_segmented_and_written_only_where_it_passes(a_session):
    half = np.sqrt(0.5)
    plane = oblique_plane((28 - 20 * half, 5, 11 - 20 * half), (half, 0, half), (0, 1, 0), (40, 40))
    prediction = a_session.plane(plane).click(20, 20)
    truth = extract(a_ball().astype(np.float32), plane) > 0.5
    assert dice(prediction.mask, truth) > 0.9
    a_session.accept(plane)
    i, j, k = np.nonzero(a_session.labelmap)
    assert len(i) > 100
    assert (np.abs((i - 28) - (k - 11)) <= 1).all()
    assert a_ball(RADIUS + 1.5)[i, j, k].all()


def test_plane_session_is_kept_with_its_prompts(a_session):
    plane = axis_plane(SHAPE, 2, 11)
    session = a_session.plane(plane)
    session.click(28, 25)
    assert a_session.plane(axis_plane(SHAPE, 2, 11)) is session
    assert a_session.plane(axis_plane(SHAPE, 2, 12)) is not session


def test_plane_sessions_without_a_prompt_are_forgotten(a_session):
    def looked_at(index):
        return weakref.ref(a_session.plane(axis_plane(SHAPE, 2, index)))

    a_session.plane(axis_plane(SHAPE, 2, 3)).click(28, 25)
    a_session.plane(axis_plane(SHAPE, 2, 4)).click(28, 25)
    a_session.plane(axis_plane(SHAPE, 2, 4)).undo()
    looks = [looked_at(index) for index in (3, 4, 5, 6, 7)]
    gc.collect()
    assert [look() is not None for look in looks] == [True, True, False, False, True]
    assert a_session.plane(axis_plane(SHAPE, 2, 3)).prompts.clicks == (Click(28, 25),)
    assert a_session.plane(axis_plane(SHAPE, 2, 4)).redo() is not None


def test_untouched_plane_session_stays_the_same_until_labels_change(a_session):
    plane = axis_plane(SHAPE, 2, 11)
    session = a_session.plane(plane)
    assert a_session.plane(plane) is session
    a_session.accept(plane, np.ones(plane.shape, bool))
    assert a_session.plane(plane).prediction.mask.all()


def test_window_is_chosen_from_the_volume_or_given(a_model):
    with VolumeSession(a_model, a_scan()) as session:
        assert session.window.low == pytest.approx(100, abs=1)
        assert 480 < session.window.high < 520
    with VolumeSession(a_model, a_scan(), window=Window(0, 1000)) as session:
        assert session.window == Window(0, 1000)


def test_other_window_keeps_prompts_and_undo_but_is_used_for_new_clicks(a_session):
    plane = axis_plane(SHAPE, 2, 11)
    answer = a_session.plane(plane).click(28, 25)
    a_session.set_window(Window(5000, 6000))
    session = a_session.plane(plane)
    assert session.prediction is answer
    assert session.click(29, 25).mask.all()
    assert session.undo() is answer


def test_undo_and_redo_of_accept_and_propagation(an_accepted_session):
    session = an_accepted_session
    accepted = session.labelmap.copy()
    session.propagate(2, 11)
    propagated = session.labelmap.copy()
    assert propagated.sum() > accepted.sum() > 0
    session.undo()
    assert np.array_equal(session.labelmap, accepted)
    session.undo()
    assert not session.labelmap.any()
    assert not session.can_undo
    assert not session.is_confirmed(2, 11)
    session.undo()
    session.redo()
    session.redo()
    session.redo()
    assert np.array_equal(session.labelmap, propagated)
    assert session.is_confirmed(2, 11)
    assert not session.can_redo


def test_new_accept_after_undo_drops_what_was_undone(an_accepted_session):
    an_accepted_session.undo()
    an_accepted_session.accept(axis_plane(SHAPE, 2, 3), np.ones((50, 60), bool))
    assert not an_accepted_session.can_redo
    assert an_accepted_session.labelmap.sum() == 50 * 60


def test_accepting_again_replaces_the_plane(an_accepted_session):
    plane = axis_plane(SHAPE, 2, 11)
    mask = np.zeros(plane.shape, bool)
    mask[3, 4] = True
    an_accepted_session.accept(plane, mask)
    assert np.argwhere(an_accepted_session.labelmap).tolist() == [[4, 3, 11]]
    an_accepted_session.undo()
    assert an_accepted_session.labelmap[28, 25, 11] == 1


def test_labelmap_cannot_be_written_from_outside(a_session):
    with pytest.raises(ValueError, match="read-only"):
        a_session.labelmap[0, 0, 0] = 1


def test_confirmed_planes_are_never_changed_by_propagation(an_accepted_session):
    session = an_accepted_session
    corner = np.zeros((50, 60), bool)
    corner[:4, :4] = True
    wanted = extract(a_ball(), axis_plane(SHAPE, 2, 14)) | corner
    session.accept(axis_plane(SHAPE, 2, 14), wanted)
    crossing = np.zeros((24, 60), bool)
    session.accept(axis_plane(SHAPE, 1, 20), crossing)
    result = session.propagate(2, 11)
    assert 14 not in result.masks
    assert {13, 15} <= result.masks.keys()
    labels = session.labelmap[:, :, 14].T.astype(bool)
    assert np.array_equal(np.delete(labels, 20, axis=0), np.delete(wanted, 20, axis=0))
    assert not session.labelmap[:, 20, :].any()


def test_propagation_keeps_to_its_extent(an_accepted_session):
    result = an_accepted_session.propagate(2, 11, extent=(9, 12))
    assert sorted(result.masks) == [9, 10, 12]
    assert np.flatnonzero(an_accepted_session.labelmap.any(axis=(0, 1))).tolist() == [9, 10, 11, 12]


def test_cancelled_propagation_writes_what_was_done_as_one_step(an_accepted_session):
    session, done = an_accepted_session, []
    before = session.labelmap.copy()
    result = session.propagate(2, 11, progress=lambda *told: done.append(told), cancelled=lambda: len(done) == 3)
    assert result.cancelled
    assert sorted(result.masks) == [12, 13, 14]
    assert np.flatnonzero(session.labelmap.any(axis=(0, 1))).tolist() == [11, 12, 13, 14]
    assert done[0][:2] == (1, 23)
    session.undo()
    assert np.array_equal(session.labelmap, before)


def test_propagation_that_finds_nothing_is_no_step(a_session):
    plane = axis_plane(SHAPE, 2, 11)
    a_session.accept(plane, np.zeros(plane.shape, bool))
    assert dict(a_session.propagate(2, 11).masks) == {}
    a_session.undo()
    assert not a_session.can_undo


def test_failing_model_leaves_the_labels_as_they_were(an_accepted_session, a_model):
    before = an_accepted_session.labelmap.copy()

    def fail(done: int, total: int, confidence: float) -> None:
        raise RuntimeError("the window was closed")

    with pytest.raises(RuntimeError, match="closed"):
        an_accepted_session.propagate(2, 11, progress=fail)
    assert np.array_equal(an_accepted_session.labelmap, before)
    assert not an_accepted_session.can_redo


def test_click_on_a_propagated_plane_corrects_what_propagation_gave(an_accepted_session):
    session = an_accepted_session
    plane = axis_plane(SHAPE, 2, 13)
    assert session.plane(plane).prediction is None
    result = session.propagate(2, 11)
    start = session.plane(plane).prediction
    assert start is not None
    assert np.array_equal(start.mask, result.masks[13])
    corrected = session.plane(plane).click(28, 25, positive=False)
    assert corrected.mask.sum() < start.mask.sum()


def test_labels_of_others_are_corrected_as_those_of_a_propagation(a_session):
    drawn = a_ball(RADIUS + 3)
    a_session.follow(drawn)
    plane = axis_plane(SHAPE, 2, CENTRE[2])
    np.testing.assert_array_equal(a_session.plane(plane).prediction.mask.T, drawn[..., CENTRE[2]])
    outer = CENTRE[0] + RADIUS + 1
    a_session.plane(plane).click(outer, CENTRE[1], positive=False)
    a_session.accept(plane)
    assert not a_session.labelmap[outer, CENTRE[1], CENTRE[2]]
    np.testing.assert_array_equal(np.delete(a_session.labelmap, CENTRE[2], axis=2), np.delete(drawn, CENTRE[2], axis=2))
    assert a_session.steps == 1
    a_session.undo()
    np.testing.assert_array_equal(a_session.labelmap, drawn)


def test_plane_on_which_others_have_drawn_nothing_starts_empty(a_session):
    a_session.follow(a_ball())
    beyond = axis_plane(SHAPE, 2, CENTRE[2] + RADIUS + 2)
    assert a_session.plane(beyond).prediction is None


def test_labels_that_others_have_changed_since_are_what_a_plane_starts_from(an_accepted_session):
    plane, beside = axis_plane(SHAPE, 2, CENTRE[2]), axis_plane(SHAPE, 2, CENTRE[2] + 1)
    an_accepted_session.follow(a_ball())
    assert an_accepted_session.plane(beside).prediction.mask.any()
    drawn = a_ball(3)
    an_accepted_session.follow(drawn)
    np.testing.assert_array_equal(an_accepted_session.plane(beside).prediction.mask.T, drawn[..., CENTRE[2] + 1])
    assert an_accepted_session.is_confirmed(2, CENTRE[2]), "an accepted plane stays accepted"
    assert not an_accepted_session.is_confirmed(2, CENTRE[2] + 1)
    an_accepted_session.undo()
    assert not an_accepted_session.labelmap[..., CENTRE[2]].any(), "what the accepted mask had changed"
    assert an_accepted_session.plane(plane).prompts.clicks


def test_propagation_replaces_what_others_have_drawn_and_clears_it_where_the_object_ends(a_session):
    a_session.follow(np.ones(SHAPE, bool))
    plane = axis_plane(SHAPE, 2, CENTRE[2])
    a_session.accept(plane, a_ball()[..., CENTRE[2]].T)
    a_session.propagate(2, CENTRE[2])
    assert dice(a_session.labelmap > 0, a_ball()) > 0.9


def test_labels_of_another_shape_are_refused(a_session):
    with pytest.raises(ImageError, match=r"got shape \(3, 4, 5\)"):
        a_session.follow(np.ones((3, 4, 5), bool))


def test_plane_that_only_crosses_an_accepted_one_starts_empty(an_accepted_session):
    crossing = axis_plane(SHAPE, 0, CENTRE[0])
    assert an_accepted_session.labelmap[CENTRE[0]].any()
    assert an_accepted_session.plane(crossing).prediction is None


def test_plane_starts_empty_again_once_its_propagation_was_taken_back(an_accepted_session):
    an_accepted_session.propagate(2, 11)
    an_accepted_session.undo()
    assert an_accepted_session.plane(axis_plane(SHAPE, 2, 13)).prediction is None


def test_changed_voxels_are_not_answered_from_an_old_embedding(a_model):
    volume = a_scan()
    with VolumeSession(a_model, volume, precompute=0, zoom=None) as session:
        session.plane(axis_plane(SHAPE, 2, 11)).click(28, 25)
    cache = EmbeddingCache()
    for encoded, change in ((2, 0), (2, 0), (3, 50)):
        volume[5:10, 5:10, 11] += change
        with VolumeSession(a_model, volume, cache=cache, precompute=0, zoom=None, window=Window(0, 600)) as session:
            session.plane(axis_plane(SHAPE, 2, 11)).click(28, 25)
        assert a_model.encoded == encoded


def test_neighbours_are_encoded_in_the_background_nearest_first(a_model):
    with VolumeSession(a_model, a_scan(), precompute=2, zoom=None) as session:
        session.plane(axis_plane(SHAPE, 2, 0))
        assert session.wait(TIMEOUT)
        assert a_model.encoded == 2
        session.plane(axis_plane(SHAPE, 2, 11))
        assert session.wait(TIMEOUT)
        assert a_model.encoded == 6
        session.plane(axis_plane(SHAPE, 2, 12)).click(28, 25)
        assert session.wait(TIMEOUT)
        assert a_model.encoded == 8


def test_labels_of_others_are_corrected_after_another_session_has_taken_over(a_model):
    shown = axis_plane(SHAPE, 2, 11)
    drawn = np.zeros(SHAPE, bool)
    drawn[20:30, 20:30, 11] = True
    with VolumeSession(a_model, a_scan(), zoom=None) as first, VolumeSession(a_model, a_scan(), zoom=None) as second:
        first.follow(drawn)
        second.take_over(first)
        assert np.array_equal(second.plane(shown).prediction.mask, drawn[..., 11].T)


def test_labels_of_others_are_taken_over_on_some_planes_only(a_model):
    drawn = np.zeros(SHAPE, bool)
    drawn[20:30, 20:30, 10:13] = True
    with VolumeSession(a_model, a_scan(), zoom=None) as session:
        session.follow(drawn, [axis_plane(SHAPE, 2, 11)])
        assert session.labelmap.any(axis=(0, 1)).nonzero()[0].tolist() == [11]
        assert session.plane(axis_plane(SHAPE, 2, 10)).prediction is None
        assert session.plane(axis_plane(SHAPE, 2, 11)).prediction.mask.sum() == 100


def test_neighbours_are_asked_for_once_until_another_plane_or_window_is(a_model):
    asked = []
    with VolumeSession(a_model, a_scan(), precompute=1, zoom=None) as session:
        request = session._worker.request
        session._worker.request = lambda jobs: asked.append(len(jobs)) or request(jobs)
        for index in (11, 11, 12, 11):
            session.plane(axis_plane(SHAPE, 2, index))
        assert asked == [2, 2, 2]
        session.set_window(Window(0, 600))
        session.plane(axis_plane(SHAPE, 2, 11))
        assert asked == [2, 2, 2, 2]


def test_dropped_embeddings_are_computed_again(a_model):
    cache = EmbeddingCache(max_bytes=0)
    with VolumeSession(a_model, a_scan(), cache=cache, zoom=None) as session:
        plane = axis_plane(SHAPE, 2, 11)
        first = session.plane(plane).click(28, 25)
        session.plane(plane).undo()
        assert np.array_equal(session.plane(plane).click(28, 25).logits, first.logits)


def test_error_in_the_background_is_raised_by_the_prompt_on_its_plane_only(caplog):
    class Failing(ToyModel):
        def encode(self, image):
            if image[0, 0] == 1.0:
                raise RuntimeError("cannot encode slice 12")
            return super().encode(image)

    volume = a_scan()
    volume[0, 0, 12] = 900
    before = threading.active_count()
    with VolumeSession(Failing(), volume, precompute=1, zoom=None) as session:
        session.plane(axis_plane(SHAPE, 2, 11))
        assert session.wait(TIMEOUT)
        assert "cannot encode slice 12" in caplog.text
        for index in (11, 13):
            session.plane(axis_plane(SHAPE, 2, index)).click(28, 25)
        with pytest.raises(RuntimeError, match="slice 12"):
            session.plane(axis_plane(SHAPE, 2, 12)).click(28, 25)
        session.accept(axis_plane(SHAPE, 2, 11))
    assert threading.active_count() == before


def test_accepting_nothing_or_propagating_from_nowhere_is_refused(a_session):
    plane = axis_plane(SHAPE, 2, 11)
    with pytest.raises(PromptError, match="no prediction"):
        a_session.accept(plane)
    a_session.plane(plane)
    with pytest.raises(PromptError, match="no prediction"):
        a_session.accept(plane)
    with pytest.raises(PromptError, match="not accepted"):
        a_session.propagate(2, 11)
    with pytest.raises(PromptError, match="outside the volume"):
        a_session.propagate(2, 24)
    with pytest.raises(ImageError, match="Expected a mask of the shape of its plane"):
        a_session.accept(plane, np.ones((3, 3), bool))
    assert not a_session.can_undo


@pytest.mark.parametrize("extent", [(12, 20), (0, 24), (-1, 15), (20, 2)])
def test_extent_that_does_not_fit_is_refused(an_accepted_session, extent):
    with pytest.raises(PromptError, match="Expected slices from 0 to 23 around slice 11"):
        an_accepted_session.propagate(2, 11, extent=extent)


@pytest.mark.parametrize("volume", [np.zeros(9), np.zeros((9, 9)), np.zeros((3, 3, 3, 4)), np.zeros((3, 3, 3, 3, 3))])
def test_image_of_another_dimension_is_refused(a_model, volume):
    with pytest.raises(ImageError, match=r"\(i, j, k\)"):
        VolumeSession(a_model, volume)


def test_volume_without_a_finite_voxel_is_refused(a_model):
    with pytest.raises(ImageError, match="at least 1 finite voxel"):
        VolumeSession(a_model, np.full((3, 3, 3), np.nan))


def test_nan_voxels_count_as_dark(a_model):
    volume = a_scan(np.float32)
    volume[:10] = np.nan
    volume[50:] = np.inf
    with VolumeSession(a_model, volume, precompute=0) as session:
        prediction = session.plane(axis_plane(SHAPE, 2, 11)).click(28, 25)
    assert dice(prediction.mask, a_ball()[:, :, 11].T) > 0.9


def test_constant_volume_does_not_crash(a_model):
    with VolumeSession(a_model, np.full(SHAPE, 7, np.int16)) as session:
        plane = axis_plane(SHAPE, 2, 11)
        assert session.plane(plane).click(5, 5).mask.shape == (50, 60)
        session.accept(plane)
        assert not session.propagate(2, 11).cancelled


def test_single_slice_can_be_accepted_and_has_no_neighbours(a_model):
    with VolumeSession(a_model, a_scan()[:, :, 11:12]) as session:
        plane = axis_plane((60, 50, 1), 2, 0)
        session.plane(plane).click(28, 25)
        session.accept(plane)
        assert dict(session.propagate(2, 0).masks) == {}
        assert dice(session.labelmap[:, :, 0] > 0, a_ball()[:, :, 11]) > 0.9


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["accept", "undo", "redo"]), st.integers(0, 2), st.integers(0, 3)), max_size=10)
)
def test_labelmap_history_leads_back_to_every_earlier_state(actions):
    session = VolumeSession(ToyModel(), np.arange(64, dtype=np.int16).reshape(4, 4, 4), precompute=0)
    past, future = [session.labelmap.copy()], []
    for name, axis, index in actions:
        if name == "undo":
            session.undo()
            if len(past) > 1:
                future.append(past.pop())
        elif name == "redo":
            session.redo()
            if future:
                past.append(future.pop())
        else:
            steps = session.steps
            session.accept(axis_plane((4, 4, 4), axis, index), np.random.default_rng(axis + index).random((4, 4)) > 0.5)
            if session.steps > steps:
                past, future = [*past, session.labelmap.copy()], []
        assert session.steps == len(past) - 1
        assert np.array_equal(session.labelmap, past[-1])


def test_session_dropped_without_close_is_freed(a_model):
    session = VolumeSession(a_model, a_scan(), zoom=None)
    session.plane(axis_plane(SHAPE, 2, 11))
    assert session.wait(TIMEOUT)
    freed = weakref.ref(session)
    del session
    gc.collect()
    assert freed() is None


@pytest.mark.parametrize("zoom", [True, False])
def test_propagation_zooms_as_its_session_does(a_model, monkeypatch, zoom):
    policies = []

    def spy(*arguments):
        policies.append(next(argument for argument in arguments if isinstance(argument, PropagationPolicy)))
        return iter(())

    monkeypatch.setattr("AdaptCore.predict.volume.propagate_planes", spy)
    with VolumeSession(a_model, a_scan(), zoom=zoom, precompute=0) as session:
        session.accept(axis_plane(SHAPE, 2, 11), np.ones((50, 60), bool))
        session.propagate(2, 11)
    assert [policy.zoom is not None for policy in policies] == [zoom, zoom]


@pytest.fixture
def a_scripted_session(a_session, monkeypatch):
    """Propagation gives full masks on the slices that `reach` says, and passes confirmed ones."""
    full = np.ones((50, 60), bool)
    reach = set(range(SHAPE[2]))

    def walk(indices):
        for index in indices:
            if a_session.is_confirmed(2, index):
                continue
            if index not in reach:
                return
            yield PropagatedPlane(index, full, 1.0)

    def scripted(*arguments):
        return walk(next(argument for argument in arguments if isinstance(argument, range)))

    monkeypatch.setattr("AdaptCore.predict.volume.propagate_planes", scripted)
    a_session.accept(axis_plane(SHAPE, 2, 11), full)
    return a_session, reach


def labelled_slices(session: VolumeSession) -> list[int]:
    return np.flatnonzero(session.labelmap.any(axis=(0, 1))).tolist()


def test_propagation_that_ends_earlier_clears_the_tail_of_the_one_before(a_scripted_session):
    session, reach = a_scripted_session
    session.propagate(2, 11)
    assert labelled_slices(session) == list(range(24))
    reach.intersection_update(range(9, 15))
    session.propagate(2, 11)
    assert labelled_slices(session) == list(range(9, 15))
    assert session.plane(axis_plane(SHAPE, 2, 18)).prediction is None
    session.undo()
    assert labelled_slices(session) == list(range(24))


def test_propagation_that_finds_nothing_clears_what_was_carried(a_scripted_session):
    session, reach = a_scripted_session
    session.propagate(2, 11)
    reach.clear()
    assert not session.propagate(2, 11).masks
    assert labelled_slices(session) == [11]


def test_tail_is_cleared_to_the_extent_or_the_next_confirmed_plane_only(a_scripted_session):
    session, reach = a_scripted_session
    session.propagate(2, 11)
    for index in (13, 17):
        session.accept(axis_plane(SHAPE, 2, index), np.ones((50, 60), bool))
    reach.intersection_update({12, 14})
    session.propagate(2, 11, extent=(8, 22))
    assert labelled_slices(session) == [*range(8), 11, 12, 13, 14, *range(17, 24)]


def test_cancelled_propagation_keeps_the_slices_that_it_did_not_reach(a_scripted_session):
    session, reach = a_scripted_session
    session.propagate(2, 11)
    reach.intersection_update({10, 9, 12})
    done = []
    session.propagate(2, 11, progress=lambda *told: done.append(told), cancelled=lambda: len(done) == 2)
    assert labelled_slices(session) == list(range(13))
    reach.update(range(24))
    session.propagate(2, 11)
    done.clear()
    reach.intersection_update({12})
    session.propagate(2, 11, progress=lambda *told: done.append(told), cancelled=lambda: len(done) == 1)
    assert labelled_slices(session) == list(range(24))


def test_step_that_changes_nothing_is_none(an_accepted_session):
    session = an_accepted_session
    session.propagate(2, 11)
    steps, labels = session.steps, session.labelmap.copy()
    plane = axis_plane(SHAPE, 2, 11)
    session.accept(plane)
    session.propagate(2, 11)
    assert session.steps == steps
    assert np.array_equal(session.labelmap, labels)


def test_history_holds_changed_voxels_only(a_session):
    plane = axis_plane(SHAPE, 2, 11)
    a_session.accept(plane, np.zeros(plane.shape, bool))
    mask = np.zeros(plane.shape, bool)
    mask[3, 4:7] = True
    a_session.accept(plane, mask)
    (part,) = a_session._changes[-1].parts
    assert part.voxels.values().size == 3
    assert part.voxels.dtype == np.int32


def test_plane_whose_click_was_undone_shows_later_labels(an_accepted_session):
    session = an_accepted_session
    plane = axis_plane(SHAPE, 2, 13)
    session.plane(plane).click(CENTRE[0], CENTRE[1])
    session.plane(plane).undo()
    result = session.propagate(2, 11)
    prediction = session.plane(plane).prediction
    assert prediction is not None
    assert np.array_equal(prediction.mask, result.masks[13])


def test_undone_click_can_be_redone_once_the_labels_are_back(an_accepted_session):
    session = an_accepted_session
    plane = axis_plane(SHAPE, 2, 13)
    answer = session.plane(plane).click(CENTRE[0], CENTRE[1])
    session.accept(plane)
    session.undo()
    session.plane(plane).undo()
    assert session.plane(plane).redo() is answer


def test_fine_plane_starts_from_labels_without_gaps(a_session):
    for index in range(SHAPE[2]):
        a_session.accept(axis_plane(SHAPE, 2, index), np.ones((50, 60), bool))
    fine = oblique_plane((10, 10, 11), (0.5, 0, 0), (0, 0.5, 0), (40, 40))
    assert a_session.plane(fine).prediction.mask.all()


def test_plane_that_is_taken_up_again_teaches_nothing():
    plane = axis_plane(SHAPE, 2, CENTRE[2])
    mask = a_ball()[:, :, CENTRE[2]].T
    with Learner(LearningToy()) as learner, VolumeSession(learner.frozen, a_scan(), learner=learner) as session:
        session.accept(plane, mask, teach=False)
        assert learner.wait(TIMEOUT)
        assert np.array_equal(session.labelmap[:, :, CENTRE[2]].T, mask)
        assert learner.knowledge.history == ()
        session.undo()
        session.accept(plane, mask)
        assert learner.wait(TIMEOUT)
        assert len(learner.knowledge.history) == 1


def test_session_goes_on_from_the_labels_of_another_one_and_undoes_what_that_did(an_accepted_session, a_model):
    an_accepted_session.propagate(2, CENTRE[2])
    carried, plane = an_accepted_session.labelmap.copy(), axis_plane(SHAPE, 2, CENTRE[2])
    an_accepted_session.close()
    with VolumeSession(a_model, a_scan(), precompute=0) as session:
        session.take_over(an_accepted_session)
        assert np.array_equal(session.labelmap, carried) and session.steps == 2
        assert session.is_confirmed(2, CENTRE[2])
        session.undo()
        alone = np.zeros_like(carried)
        alone[:, :, CENTRE[2]] = carried[:, :, CENTRE[2]]
        assert np.array_equal(session.labelmap, alone)
        session.redo()
        assert np.array_equal(session.labelmap, carried)
        session.plane(plane).click(2, 2, positive=False)
        session.accept(plane)
        assert session.steps <= 3
    with VolumeSession(a_model, a_scan()[:-1]) as other, pytest.raises(ValueError, match="expected a session"):
        other.take_over(an_accepted_session)


@pytest.mark.parametrize(
    ("spacing", "shapes"), [((4.0, 5.0, 9.0), [None, (32, 36), (32, 32)]), (None, [None, (32, 32)])]
)
def test_first_click_is_asked_in_windows_of_the_volumes_spacing(spacing, shapes):
    with VolumeSession(BatchToy(), a_scan(), spacing=spacing, precompute=0) as session:
        plane = session.plane(axis_plane(session.shape, 2, 11))
        plane.click(28, 25)
        sizes = sorted(plane.look.sizes, key=lambda look: -look.seen.numel())
    assert [look.window and look.window.shape for look in sizes] == shapes


def test_an_object_is_carried_as_one_step_and_leaves_accepted_slices_as_they_are(an_accepted_session):
    session, ball = an_accepted_session, a_ball()
    accepted = session.labelmap[:, :, CENTRE[2]] > 0
    box = (slice(10, 50), slice(10, 40), slice(2, 20))
    mask = ball[box].copy()
    mask[0, 0, CENTRE[2] - 2] = True
    seen = session.with_accepted(mask, (10, 10, 2))
    assert session.carry(mask, (10, 10, 2)) and session.steps == 2
    found = session.labelmap > 0
    np.testing.assert_array_equal(found[box], seen)
    np.testing.assert_array_equal(found[:, :, CENTRE[2]], accepted)
    assert found[10, 10, CENTRE[2]] == accepted[10, 10]
    others = [k for k in range(SHAPE[2]) if k != CENTRE[2]]
    np.testing.assert_array_equal(
        found[box][..., [k - 2 for k in others if 2 <= k < 20]], mask[..., [k - 2 for k in others if 2 <= k < 20]]
    )
    session.undo()
    np.testing.assert_array_equal(session.labelmap[:, :, CENTRE[2]] > 0, accepted)
    assert not session.labelmap[:, :, others].any()
    session.redo()
    np.testing.assert_array_equal(session.labelmap > 0, found)


def test_a_smaller_object_clears_what_was_carried_before(a_session):
    ball, smaller = a_ball(), a_ball(RADIUS - 3)
    assert a_session.carry(ball, (0, 0, 0))
    assert not a_session.carry(ball, (0, 0, 0)), "nothing has changed"
    low = [int(axis.min()) for axis in np.nonzero(smaller)]
    box = tuple(slice(first, None) for first in low)
    np.testing.assert_array_equal(a_session.beyond(smaller[box], low), ball & ~smaller)
    assert a_session.carry(smaller[box], low)
    np.testing.assert_array_equal(a_session.labelmap > 0, smaller)
    a_session.undo()
    np.testing.assert_array_equal(a_session.labelmap > 0, ball)
