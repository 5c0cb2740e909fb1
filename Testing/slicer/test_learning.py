"""Tasks in the scene: accepted planes teach the chosen task, which answers, is saved, and never waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from AdaptCore.adapt.history import Event, Outcome
from AdaptCore.adapt.learner import Knowledge
from AdaptCore.adapt.tasks import TaskStore
from AdaptCore.errors import ModelError, OutputError, TaskError
from AdaptCore.preference.adviser import Adviser
from Testing.learning_toy import LearningToy, a_cone
from Testing.slicer.panel import Panel, save_and_reload
from Testing.slicer.scenes import CENTRE, SHAPE
from Testing.toy_model import ToyModel

BESIDE = (CENTRE[0] + 6, CENTRE[1], CENTRE[2])
ABOVE = (CENTRE[0], CENTRE[1], CENTRE[2] + 1)
TIMEOUT = 20.0


@pytest.fixture(autouse=True)
def a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TaskStore:
    """The user's tasks, none yet."""
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path / "home"))
    return TaskStore()


@pytest.fixture
def voxels() -> np.ndarray:
    """A tube without a clear border, int16 (i, j, k): the frozen model finds too little of it."""
    cone = a_cone(2 * max(SHAPE), 8.0)
    start = [max(SHAPE) - centre for centre in CENTRE[:2]]
    shown = cone[start[0] : start[0] + SHAPE[0], start[1] : start[1] + SHAPE[1]]
    return np.repeat((500 * shown).astype(np.int16)[:, :, None], SHAPE[2], axis=2)


@pytest.fixture
def a_panel(a_scene: Any, a_slice_view: Any) -> Iterator[Panel]:
    panel = Panel(a_scene, a_slice_view, LearningToy())
    yield panel
    panel.logic.close()


@pytest.fixture
def a_session(a_panel: Panel, a_volume: Any, a_segmentation: Any) -> Panel:
    """A panel where the segment "lesion" is chosen, and the task "tube"."""
    a_panel.choose(a_volume, a_segmentation, "lesion")
    a_panel.logic.setTask("tube")
    return a_panel


def accept(panel: Panel, voxel: tuple[int, int, int] = CENTRE) -> None:
    """Click on a slice, correct the mask so that it grows, and accept it."""
    panel.click(voxel)
    panel.click((voxel[0] + 6, *voxel[1:]))
    panel.logic.accept()


def stored(store: TaskStore, name: str = "tube") -> int:
    """Accepted images that a task's file tells of."""
    return store.info(name).accepted if store.path(name).exists() else 0


def bias(panel: Panel) -> float:
    """The weight of the model that answers."""
    return float(panel.logic._task.model.decoder_parameters()["bias"])


def store_eager_task(store: TaskStore, name: str, history: tuple[Outcome, ...] = ()) -> None:
    """Save a task that takes everything for the object."""
    frozen = LearningToy()
    task = store.load(name, frozen)
    eager = LearningToy(frozen.decoder_parameters()["bias"] + 0.01)
    store.save(task, Knowledge(eager, frozen, task.known.memory, history))


def threads() -> list[str]:
    """The threads that learn or save."""
    names = ("AdaptCore-learner", "InteractiveAdaptSeg-task")
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(names)]


def test_accepted_plane_teaches_the_task_and_is_saved(a_session: Panel, a_store: TaskStore) -> None:
    a_session.click(CENTRE)
    before = bias(a_session)
    a_session.click(BESIDE)
    a_session.logic.accept()
    assert a_session.logic.isBusy
    a_session.wait()
    assert len(a_session.logic.task.history) == stored(a_store) == 1
    assert bias(a_session) > before
    known = a_store.load("tube", LearningToy()).known.model
    assert float(known.decoder_parameters()["bias"]) == pytest.approx(bias(a_session), abs=1e-6)


def test_what_was_learnt_answers_on_the_next_slice(a_session: Panel) -> None:
    a_session.click(ABOVE)
    frozen = a_session.logic.mask
    accept(a_session)
    a_session.wait()
    other = (CENTRE[0], CENTRE[1], CENTRE[2] + 2)
    a_session.click(other)
    assert a_session.logic.mask.sum() > frozen.sum()


def test_without_a_task_nothing_is_learnt_or_stored(a_session: Panel, a_store: TaskStore) -> None:
    a_session.logic.setTask(None)
    a_session.click(CENTRE)
    before = bias(a_session)
    accept(a_session)
    assert not a_session.logic.isBusy
    assert bias(a_session) == before
    assert a_session.logic.task.history == a_store.names() == ()


def test_choosing_a_task_loads_no_model_and_stores_nothing(a_scene: Any, a_slice_view: Any, a_store: TaskStore) -> None:
    from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic

    loaded: list[LearningToy] = []
    logic = SegmentationLogic(a_scene, loadModel=lambda *given: loaded.append(LearningToy()) or loaded[-1])
    logic.setTask("tube")
    logic.close()
    assert loaded == [] and a_store.names() == ()


def test_task_that_may_not_learn_only_answers(a_session: Panel, a_store: TaskStore) -> None:
    a_session.logic.setLearning(False)
    assert not a_session.logic.task.isLearning
    accept(a_session)
    assert not a_session.logic.isBusy
    a_session.logic.setLearning(True)
    accept(a_session, ABOVE)
    a_session.wait()
    assert stored(a_store) == 1


@pytest.mark.parametrize("must_learn", [False, True])
def test_clicks_adapt_the_model_on_their_slice_only_where_it_may_learn(a_session: Panel, must_learn: bool) -> None:
    a_session.logic.setLearning(must_learn)
    a_session.click(CENTRE)
    a_session.click(BESIDE)
    plane = a_session.logic._requireTarget().region(a_session.logic.activePlane).session
    assert (plane.model is not a_session.logic._task.model) is must_learn
    a_session.logic.setLearning(False)
    assert plane.model is a_session.logic._task.model


def test_prompts_are_answered_while_a_task_is_being_saved(a_session: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    save, goes_on = TaskStore.save, threading.Event()
    monkeypatch.setattr(TaskStore, "save", lambda *given, **options: goes_on.wait(TIMEOUT) and save(*given, **options))
    accept(a_session)
    a_session.click(ABOVE)
    assert a_session.logic.mask.any()
    a_session.logic.accept()
    assert a_session.logic.isBusy
    goes_on.set()
    a_session.wait()
    assert len(a_session.logic.task.history) == 2


def test_undone_acceptance_is_forgotten_and_redone_learnt_again(a_session: Panel, a_store: TaskStore) -> None:
    accept(a_session)
    a_session.wait()
    learnt = bias(a_session)
    a_session.logic.undo()
    a_session.wait()
    assert len(a_session.logic.task.history) == stored(a_store) == 0
    assert bias(a_session) < learnt
    a_session.logic.redo()
    a_session.wait()
    assert bias(a_session) == learnt
    assert len(a_session.logic.task.history) == stored(a_store) == 1


def test_acceptance_is_undone_in_the_task_that_learnt_it(a_session: Panel) -> None:
    accept(a_session)
    a_session.wait()
    a_session.logic.setTask("other")
    a_session.logic.undo()
    a_session.logic.setTask("tube")
    assert a_session.logic.task.history == ()


def test_loaded_scene_teaches_nothing_a_second_time(a_session: Panel, a_store: TaskStore, tmp_path: Path) -> None:
    accept(a_session)
    other = save_and_reload(a_session, tmp_path)
    other.logic.setTask("tube")
    other.look_at(CENTRE)
    assert other.logic.showPlane(other.view)
    other.wait()
    assert len(other.logic.task.history) == stored(a_store) == 1
    accept(other, ABOVE)
    other.wait()
    assert len(other.logic.task.history) == stored(a_store) == 2
    other.logic.close()


def test_changed_voxels_teach_nothing_a_second_time(a_session: Panel) -> None:
    accept(a_session)
    a_session.volume.GetImageData().Modified()
    a_session.catch_up()
    assert a_session.logic.showPlane(a_session.view)
    a_session.wait()
    assert len(a_session.logic.task.history) == 1


def test_closing_the_scene_saves_and_ends_the_task(a_session: Panel, a_store: TaskStore) -> None:
    accept(a_session)
    accept(a_session, ABOVE)
    a_session.scene.Clear(False)
    assert stored(a_store) == 2
    assert threads() == []
    assert len(a_session.logic.task.history) == 2


def test_task_goes_on_in_the_next_scene(
    a_session: Panel, a_store: TaskStore, make_volume: Callable[..., Any], new_view: Callable[[], Any]
) -> None:
    accept(a_session)
    a_session.scene.Clear(False)
    a_session.view = new_view()
    a_session.choose(make_volume(), a_session.scene.AddNewNodeByClass("vtkMRMLSegmentationNode"), "")
    accept(a_session)
    a_session.wait()
    assert a_session.logic.task.name == "tube"
    assert len(a_session.logic.task.history) == stored(a_store) == 2


@pytest.fixture
def new_view(a_scene: Any) -> Callable[[], Any]:
    """Adds an axial slice view to a scene that has lost its own."""

    def make() -> Any:
        view = a_scene.CreateNodeByClass("vtkMRMLSliceNode")
        view.UnRegister(None)
        view.SetLayoutName("Red")
        view = a_scene.AddNode(view)
        view.SetOrientation("Axial")
        return view

    return make


def test_closing_the_logic_saves_and_ends_all_tasks(a_session: Panel, a_store: TaskStore) -> None:
    accept(a_session)
    a_session.logic.setTask("other")
    accept(a_session, ABOVE)
    a_session.logic.close()
    assert stored(a_store) == stored(a_store, "other") == 1
    assert threads() == []


def test_tasks_have_weights_of_their_own_and_are_switched_in_the_middle_of_a_slice(
    a_session: Panel, a_store: TaskStore
) -> None:
    store_eager_task(a_store, "all of it")
    a_session.click(CENTRE)
    little = a_session.logic.mask
    a_session.logic.setTask("all of it")
    np.testing.assert_array_equal(a_session.logic.mask, little)
    a_session.click(BESIDE)
    assert a_session.logic.mask.all()
    a_session.logic.setTask(None)
    a_session.click((CENTRE[0], CENTRE[1] + 1, CENTRE[2]))
    assert a_session.logic.mask.mean() < 0.5
    a_session.logic.setTask("all of it")
    a_session.click(ABOVE)
    assert a_session.logic.mask.all()


def test_segment_that_is_taken_up_again_is_answered_by_the_task_chosen_meanwhile(
    a_session: Panel, a_store: TaskStore
) -> None:
    store_eager_task(a_store, "all of it")
    a_session.click(CENTRE)
    a_session.choose(a_session.volume, a_session.segmentation, "organ")
    a_session.logic.setTask("all of it")
    a_session.choose(a_session.volume, a_session.segmentation, "lesion")
    a_session.click(BESIDE)
    assert a_session.logic.mask.all()


def test_candidates_are_asked_of_the_task_that_is_chosen(
    a_session: Panel, a_store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_eager_task(a_store, "all of it")
    asked: list[object] = []
    ask = Adviser.ask
    monkeypatch.setattr(
        Adviser, "ask", lambda adviser, plane, around, sizes: asked.append(plane.model) or ask(adviser, plane, around)
    )
    a_session.logic.candidates.setWanted(True)
    a_session.click(CENTRE)
    a_session.wait()
    a_session.logic.setTask("all of it")
    a_session.wait()
    assert len(asked) == 2 and asked[0] is not asked[1] is a_session.logic._task.model


def told(session: Panel) -> list[str]:
    """What the user was told, without that features are kept; see the test of that."""
    return [message for message in session.messages if not message.startswith("Kept with task 'tube' from now on")]


def test_pick_is_no_second_lesson(a_session: Panel, a_store: TaskStore) -> None:
    a_session.logic.candidates.setWanted(True)
    a_session.click(CENTRE)
    a_session.wait()
    a_session.logic.pick(1)
    a_session.logic.accept()
    a_session.wait()
    assert len(a_session.logic.task.history) == stored(a_store) == 1
    assert told(a_session) == []


def test_volumes_share_a_task(a_session: Panel, a_store: TaskStore, make_volume: Callable[..., Any]) -> None:
    accept(a_session)
    a_session.wait()
    learnt = bias(a_session)
    a_session.choose(make_volume(), a_session.scene.AddNewNodeByClass("vtkMRMLSegmentationNode"), "")
    assert bias(a_session) == learnt
    accept(a_session)
    a_session.wait()
    assert len(a_session.logic.task.history) == stored(a_store) == 2
    assert len(threads()) == 2


def test_propagation_is_taught_by_what_was_painted_by_hand(a_session: Panel) -> None:
    import slicer

    painted = np.zeros(SHAPE, np.uint8)
    painted[CENTRE[0] - 7 : CENTRE[0] + 8, CENTRE[1] - 7 : CENTRE[1] + 8, CENTRE[2]] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(painted.T, a_session.segmentation, "lesion", a_session.volume)
    a_session.look_at(CENTRE)
    a_session.logic.propagate(a_session.view)
    a_session.wait()
    assert len(a_session.logic.task.history) == 1


def test_click_on_a_further_part_is_taught_that_part_alone(a_session: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    from AdaptCore.adapt.learner import Learner

    taught: list[Any] = []
    monkeypatch.setattr(Learner, "learn", lambda self, examples, image: taught.append(examples) or len(taught))
    a_session.click(CENTRE)
    first = a_session.logic.mask
    a_session.logic.accept()
    a_session.logic.clearPrompts()
    a_session.click((2, 2, CENTRE[2]))
    both = a_session.logic.mask
    assert (first & both).sum() == first.sum() < both.sum()
    a_session.logic.accept()
    examples = taught[1]
    prediction = a_session.logic._requireTarget().region(a_session.logic.activePlane).session.prediction
    np.testing.assert_array_equal(examples[0].mask, prediction.mask)
    assert not (examples[0].mask & first).all()


@pytest.mark.parametrize("is_loaded", [False, True])
def test_damaged_task_is_refused_and_its_file_stays(a_session: Panel, a_store: TaskStore, is_loaded: bool) -> None:
    if is_loaded:
        a_session.click(CENTRE)
    a_store.prepare("old")
    a_store.path("old").write_bytes(b"rubbish")
    with pytest.raises(TaskError, match="Expected a task file of AdaptSeg"):
        a_session.logic.setTask("old")
    assert a_store.path("old").read_bytes() == b"rubbish"
    assert a_session.logic.task.name == "tube"
    assert a_session.logic.task.names() == ("tube",)


def test_task_of_another_model_is_refused_at_the_first_prompt(
    a_session: Panel, a_store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_eager_task(a_store, "tube")
    before = a_store.path("tube").read_bytes()
    monkeypatch.setattr(a_session.model, "digest", "71", raising=False)
    with pytest.raises(TaskError, match="Choose that model, or another task name"):
        a_session.click(CENTRE)
    assert a_session.count_points() == (0, 0)
    assert a_store.path("tube").read_bytes() == before
    a_session.logic.setTask("another")
    a_session.click(CENTRE)
    assert a_session.logic.mask.any()


@pytest.mark.parametrize("name", ["", "two\nlines", "x" * 201])
def test_odd_name_is_refused(a_session: Panel, name: str) -> None:
    with pytest.raises(TaskError, match="on one line, got"):
        a_session.logic.setTask(name)
    assert a_session.logic.task.name == "tube"


def test_model_that_cannot_learn_is_refused_for_a_task(
    a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any
) -> None:
    panel = Panel(a_scene, a_slice_view, ToyModel())
    panel.choose(a_volume, a_segmentation, "lesion")
    panel.logic.setTask("tube")
    with pytest.raises(ModelError, match="model toy cannot learn: choose no task"):
        panel.click(CENTRE)
    panel.logic.setTask(None)
    panel.click(CENTRE)
    with pytest.raises(ModelError, match="model toy cannot learn"):
        panel.logic.setTask("tube")
    assert panel.logic.task.name is None
    panel.logic.close()


def test_lesson_that_fails_is_told_of_once(
    a_session: Panel, a_store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*given: object, **options: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("AdaptCore.adapt.learner.take_steps", failing)
    for voxel in (CENTRE, ABOVE):
        accept(a_session, voxel)
        a_session.wait()
    assert a_session.messages == ["Nothing was learnt from the last accepted mask: out of memory"]


@pytest.fixture
def a_full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Nothing can be saved until this is called."""
    save = TaskStore.save

    def refuse(*given: object, **options: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(TaskStore, "save", refuse)
    return lambda: monkeypatch.setattr(TaskStore, "save", save)


def test_task_that_cannot_be_saved_is_told_of_once_and_nothing_is_lost(
    a_session: Panel, a_store: TaskStore, a_full_disk: Callable[[], None]
) -> None:
    for voxel in (CENTRE, ABOVE):
        accept(a_session, voxel)
        a_session.wait()
    assert a_session.messages == ["What task 'tube' has learnt is not saved yet: the disk is full"]
    a_session.scene.Clear(False)
    assert stored(a_store) == 0
    a_full_disk()
    a_session.logic.close()
    assert stored(a_store) == 2


def test_saving_that_breaks_down_is_raised_where_the_news_are_taken(
    a_session: Panel, a_store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*given: object, **options: object) -> None:
        raise MemoryError("the memory is full")

    with monkeypatch.context() as broken:
        broken.setattr(TaskStore, "save", save)
        accept(a_session)
        with pytest.raises(MemoryError, match="the memory is full"):
            a_session.wait()
        assert not a_session.logic.isBusy
    a_session.logic.close()
    assert stored(a_store) == 1


def test_features_of_the_images_are_kept_with_the_task_and_told_once(a_session: Panel, a_store: TaskStore) -> None:
    a_session.volume.SetName("Doe^Jane")
    for _ in range(2):
        accept(a_session)
        a_session.wait()
    task, replay = a_store.path("tube"), a_store.replay_path("tube")
    assert {file.name for file in a_store.folder.iterdir()} == {task.name, replay.name}
    assert b"Jane" not in task.read_bytes() + replay.read_bytes()
    (message,) = a_session.messages
    assert message.startswith(
        "Kept with task 'tube' from now on, so that later adaptation steps repeat them: derived image features of 1 "
        f"accepted slice, which may show anatomy, in {replay} ("
    )
    assert len(a_store.load("tube", LearningToy()).known.memory.images) == 2


def test_features_that_cannot_be_used_are_kept_aside_and_told(a_session: Panel, a_store: TaskStore) -> None:
    accept(a_session)
    a_session.wait()
    a_session.logic.close()
    replay = a_store.replay_path("tube")
    replay.write_bytes(b"damaged")
    again = Panel(a_session.scene, a_session.view, LearningToy())
    again.choose(a_session.volume, a_session.segmentation, "organ")
    again.logic.setTask("tube")
    again.click(CENTRE)
    (message,) = again.messages
    assert message.startswith(f"{replay}: ") and f" It is kept as {replay}." in message
    accept(again, ABOVE)
    again.wait()
    assert sum("It is kept as" in text for text in again.messages) == 1
    again.logic.close()


def test_features_without_room_are_told_once_and_cost_no_task(
    a_session: Panel, a_store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(path: Path, *rest: object) -> None:
        raise OutputError(f"{path}: The file cannot be written (No space left on device).")

    monkeypatch.setattr("AdaptCore.adapt.tasks.write_sealed", no_room)
    for voxel in (CENTRE, ABOVE):
        accept(a_session, voxel)
        a_session.wait()
    assert a_session.messages == [
        f"{a_store.replay_path('tube')}: The file cannot be written (No space left on device). The task itself is "
        "saved, but later adaptation steps cannot repeat it."
    ]
    assert stored(a_store) == 2


def test_click_that_cannot_be_learnt_from_is_answered_and_told_once(
    a_session: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*arguments: object, **options: object) -> None:
        raise MemoryError

    a_session.click(CENTRE)
    monkeypatch.setattr("AdaptCore.adapt.clicks.take_steps", no_room)
    a_session.click(BESIDE)
    assert a_session.count_points() == (2, 0)
    assert a_session.messages == ["cpu is out of memory. The click is answered, but nothing is learnt from it."]
    a_session.click((CENTRE[0] - 3, *CENTRE[1:]))
    assert len(a_session.messages) == 1


def test_an_accepted_mask_that_is_taken_back_leaves_no_features(a_session: Panel, a_store: TaskStore) -> None:
    accept(a_session)
    a_session.wait()
    a_session.logic.undo()
    a_session.wait()
    assert a_store.load("tube", LearningToy()).known.memory.images == ()
    assert not a_store.replay_path("tube").exists()


def test_tasks_are_listed_with_those_that_are_not_saved_yet(a_session: Panel, a_store: TaskStore) -> None:
    store_eager_task(a_store, "all of it")
    assert a_session.logic.task.names() == ("all of it", "tube")
    a_session.logic.setTask(None)
    assert a_session.logic.task.names() == ("all of it",)


def test_task_is_not_changed_during_a_propagation(a_session: Panel) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    accept(a_session)
    a_session.logic.propagate()
    for change in (lambda: a_session.logic.setTask(None), lambda: a_session.logic.setLearning(False)):
        with pytest.raises(SceneError, match="propagation is under way"):
            change()
    a_session.wait()
    assert a_session.logic.task.isLearning


def test_slices_of_one_volume_are_one_image_and_tell_no_gain(a_session: Panel, a_store: TaskStore) -> None:
    from InteractiveAdaptSegLib.ViewModel import TaskState, taskState

    assert taskState(a_session.logic) == TaskState("tube", isLearning=True)
    for index in range(1, 11):
        accept(a_session, (*CENTRE[:2], index))
        a_session.wait()
    state = taskState(a_session.logic)
    assert state.accepted == 10 and state.images == 1 and state.isAdapted
    assert state.gain is None and state.isMeasured
    assert all(outcome.opener is None for outcome in a_session.logic.task.history)
    a_session.scene.Clear(False)
    assert taskState(a_session.logic) == state
    a_session.logic.setTask(None)
    assert taskState(a_session.logic) is None
    a_session.logic.setTask("tube")
    assert taskState(a_session.logic) == state
    a_session.logic.setLearning(False)
    assert not taskState(a_session.logic).isLearning


FIRST, WORSE, BETTER = Outcome(1, 0.5, 0.9), Outcome(1, 0.5, 0.48), Outcome(1, 0.5, 0.6)
MISTAKE, RETURNED = Outcome(1, 0.9, 0.1, Event.CONTRADICTORY), Outcome(1, 0.5, 0.3, Event.RETURNED)


@pytest.mark.parametrize(
    ("history", "is_adapted"),
    [
        ((FIRST,), True),
        ((FIRST, BETTER), True),
        ((FIRST, WORSE), False),
        ((FIRST, BETTER, WORSE, MISTAKE), True),
        ((FIRST, *[BETTER] * 9, *[WORSE] * 8), False),
        ((FIRST, *[WORSE] * 9, *[BETTER] * 8, *[MISTAKE] * 8), True),
        ((FIRST, *[BETTER] * 8, RETURNED), False),
        ((FIRST, *[WORSE] * 8, RETURNED, BETTER), True),
    ],
)
def test_panel_tells_which_model_answers(
    a_session: Panel, a_store: TaskStore, history: tuple[Outcome, ...], is_adapted: bool
) -> None:
    from InteractiveAdaptSegLib.ViewModel import TaskState, taskState

    store_eager_task(a_store, "all of it", history)
    a_session.logic.setTask("all of it")
    state = TaskState("all of it", True, len(history), len(history), is_adapted)
    assert taskState(a_session.logic) == state
    a_session.logic.setMeasured(False)
    a_session.click(CENTRE)
    a_session.logic.setMeasured(True)
    assert a_session.logic.mask.all() == is_adapted
    assert taskState(a_session.logic) == state


def test_panel_tells_that_the_original_model_answers_before_anything_was_learnt(
    a_session: Panel, a_store: TaskStore
) -> None:
    from InteractiveAdaptSegLib.ViewModel import taskState

    task = a_store.load("cup", a_session.model)
    a_store.save(task, replace(task.known, history=(MISTAKE,)))
    for name, accepted in (("tube", 0), ("cup", 1)):
        a_session.logic.setTask(name)
        state = taskState(a_session.logic)
        assert (state.accepted, state.isAdapted, state.gain) == (accepted, False, None)


def test_reset_task_begins_as_the_original_model_and_its_file_is_kept(a_session: Panel, a_store: TaskStore) -> None:
    from InteractiveAdaptSegLib.ViewModel import TaskActions, taskActions

    assert taskActions(a_session.logic) == TaskActions()
    a_session.click(CENTRE)
    original = bias(a_session)
    a_session.click(BESIDE)
    a_session.logic.accept()
    a_session.wait()
    segment, learnt = a_session.segment("lesion"), a_store.path("tube").read_bytes()
    assert taskActions(a_session.logic) == TaskActions(canReset=True, canUndoLesson=True)
    a_session.logic.resetTask()
    assert bias(a_session) == original and a_session.logic.task.history == ()
    assert taskActions(a_session.logic) == TaskActions() and a_session.logic.task.name == "tube"
    (kept,) = a_store.folder.glob("*.bak")
    assert kept.read_bytes() == learnt and not a_store.path("tube").exists()
    assert told(a_session) == [f"Task 'tube' begins anew; its old file is {kept}"]
    np.testing.assert_array_equal(a_session.segment("lesion"), segment)
    a_session.logic.undo()
    a_session.logic.redo()
    a_session.wait()
    assert a_session.logic.task.history == () and bias(a_session) == original
    accept(a_session, ABOVE)
    a_session.wait()
    assert stored(a_store) == 1 and len(threads()) == 2


def test_reset_waits_for_what_is_being_learnt(a_session: Panel, a_store: TaskStore) -> None:
    accept(a_session)
    a_session.logic.resetTask()
    a_session.wait()
    assert a_session.logic.task.history == () and not a_store.path("tube").exists()
    (kept,) = a_store.folder.glob("*.bak")
    a_store.import_(kept, "before")
    assert stored(a_store, "before") == 1


def test_task_is_reset_before_a_model_is_loaded(a_session: Panel, a_store: TaskStore) -> None:
    from InteractiveAdaptSegLib.ViewModel import TaskActions, taskActions

    store_eager_task(a_store, "all of it", (FIRST,))
    a_session.logic.setTask("all of it")
    assert taskActions(a_session.logic) == TaskActions(canReset=True)
    a_session.logic.resetTask()
    assert taskActions(a_session.logic) == TaskActions()
    a_session.click(CENTRE)
    assert not a_session.logic.mask.all()


def test_open_slice_is_answered_by_the_original_model_after_the_reset(a_session: Panel, a_store: TaskStore) -> None:
    a_session.logic.setMeasured(False)
    store_eager_task(a_store, "all of it", (FIRST,))
    a_session.logic.setTask("all of it")
    a_session.click(CENTRE)
    assert a_session.logic.mask.all()
    a_session.logic.resetTask()
    assert a_session.logic.mask.all(), "what was answered stays"
    a_session.click(BESIDE)
    assert not a_session.logic.mask.all()


def test_what_cannot_be_reset_says_why(a_session: Panel, a_store: TaskStore) -> None:
    with pytest.raises(TaskError, match="no task 'tube'"):
        a_session.logic.resetTask()
    a_session.logic.setTask(None)
    with pytest.raises(TaskError, match="no task is chosen"):
        a_session.logic.resetTask()


def test_task_that_cannot_be_saved_is_not_reset(a_session: Panel, a_full_disk: Callable[[], None]) -> None:
    accept(a_session)
    with pytest.raises(OutputError, match=r"'tube' stays as it is: .*the disk is full"):
        a_session.logic.resetTask()
    assert len(a_session.logic.task.history) == 1
    a_full_disk()


def test_last_lesson_is_taken_back_and_undo_learns_it_again(a_session: Panel, a_store: TaskStore) -> None:
    from InteractiveAdaptSegLib.ViewModel import TaskActions, taskActions

    a_session.click(CENTRE)
    original = bias(a_session)
    a_session.click(BESIDE)
    a_session.logic.accept()
    assert not taskActions(a_session.logic).canUndoLesson, "it is still being learnt"
    a_session.wait()
    taught, segment = bias(a_session), a_session.segment("lesion")
    a_session.logic.undoLesson()
    a_session.wait()
    assert bias(a_session) == original != taught
    assert len(a_session.logic.task.history) == stored(a_store) == 0
    np.testing.assert_array_equal(a_session.segment("lesion"), segment)
    assert taskActions(a_session.logic) == TaskActions()
    with pytest.raises(TaskError, match="taken back already"):
        a_session.logic.undoLesson()
    a_session.logic.undo()
    a_session.wait()
    assert bias(a_session) == taught and stored(a_store) == 1 and taskActions(a_session.logic).canUndoLesson
    a_session.logic.redo()
    a_session.wait()
    assert bias(a_session) == original and stored(a_store) == 0
    np.testing.assert_array_equal(a_session.segment("lesion"), segment)
    assert told(a_session) == []


def test_only_the_latest_lesson_is_taken_back(a_session: Panel, a_store: TaskStore) -> None:
    from InteractiveAdaptSegLib.ViewModel import taskActions

    for voxel in (CENTRE, ABOVE):
        accept(a_session, voxel)
        a_session.wait()
    first, _second = a_session.logic.task.history
    a_session.logic.undoLesson()
    a_session.wait()
    assert a_session.logic.task.history == (first,) and stored(a_store) == 1
    assert taskActions(a_session.logic).canReset and not taskActions(a_session.logic).canUndoLesson


def test_lesson_of_an_earlier_session_or_of_another_task_is_not_taken_back(
    a_session: Panel, a_store: TaskStore, a_scene: Any, a_slice_view: Any
) -> None:
    from InteractiveAdaptSegLib.ViewModel import taskActions

    accept(a_session)
    a_session.wait()
    a_session.logic.setTask("other")
    assert not taskActions(a_session.logic).canUndoLesson
    a_session.logic.setTask("tube")
    assert taskActions(a_session.logic).canUndoLesson
    a_session.logic.close()
    later = Panel(a_scene, a_slice_view, LearningToy())
    later.choose(a_session.volume, a_session.segmentation, "lesion")
    later.logic.setTask("tube")
    later.click(ABOVE)
    assert taskActions(later.logic).canReset and not taskActions(later.logic).canUndoLesson
    later.logic.close()


def test_lesson_that_another_one_has_followed_is_not_learnt_again(a_session: Panel, a_store: TaskStore) -> None:
    accept(a_session)
    a_session.wait()
    a_session.logic.undoLesson()
    accept(a_session, ABOVE)
    a_session.wait()
    for _ in range(4):
        a_session.logic.undo()
    a_session.wait()
    assert told(a_session) == [
        "The task cannot learn this image again: it has learnt another one, or begun anew, since."
    ]
    assert a_session.logic.task.history == ()


def test_task_is_not_taken_back_during_a_propagation(a_session: Panel) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError
    from InteractiveAdaptSegLib.ViewModel import TaskActions, taskActions

    accept(a_session)
    a_session.wait()
    a_session.logic.propagate()
    assert taskActions(a_session.logic) == TaskActions()
    for change in (a_session.logic.resetTask, a_session.logic.undoLesson):
        with pytest.raises(SceneError, match="propagation is under way"):
            change()
    a_session.wait()
    assert len(a_session.logic.task.history) == 1
