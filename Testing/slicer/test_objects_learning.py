"""Tasks learn from accepted objects in the scene, into a file of their own, guarded and undone as for slices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from AdaptCore.adapt.recipe import VOLUMES
from AdaptCore.adapt.tasks import TaskStore
from Testing.learning_toy import LearningToy
from Testing.slicer.panel import Panel
from Testing.slicer.scenes import CENTRE
from Testing.tiny_volume_model import tiny_volume_model


@pytest.fixture(autouse=True)
def a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TaskStore:
    """The user's tasks, none yet."""
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path / "home"))
    return TaskStore()


@pytest.fixture
def a_session(a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any) -> Iterator[Panel]:
    """A panel where the task "tube" is chosen and prompts are about whole objects."""
    panel = Panel(a_scene, a_slice_view, LearningToy(), volume_model=tiny_volume_model())
    panel.choose(a_volume, a_segmentation, "lesion")
    panel.logic.setAtObject(True)
    panel.logic.setTask("tube")
    yield panel
    panel.logic.close()


def accept(panel: Panel) -> None:
    panel.click(CENTRE)
    panel.wait()
    assert not panel.messages, panel.messages
    panel.logic.accept()
    panel.wait()


def test_an_accepted_object_teaches_the_task_and_undo_takes_it_back(a_session: Panel, a_store: TaskStore) -> None:
    accept(a_session)
    assert a_session.logic.task.history and len(a_session.logic.task.history) == 1
    info = a_store.info("tube (objects)")
    assert (info.accepted, info.model, info.recipe) == (1, "tiny3d", VOLUMES.name)
    assert not a_store.path("tube").exists(), "the model of planes has learnt nothing"
    a_session.logic.undo()
    a_session.wait()
    assert not a_session.logic.task.history and not a_session.segment("lesion").any()
    a_session.logic.redo()
    a_session.wait()
    assert len(a_session.logic.task.history) == 1


def test_one_name_learns_slices_and_objects_apart(a_session: Panel, a_store: TaskStore) -> None:
    accept(a_session)
    a_session.logic.setAtObject(False)
    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.wait()
    assert len(a_session.logic.task.history) == 1
    assert (a_store.info("tube").model, a_store.info("tube (objects)").model) == ("learning toy", "tiny3d")
    assert a_session.logic.task.names() == ("tube",)


def test_a_task_of_objects_that_the_command_has_begun_is_gone_on_with(a_session: Panel, a_store: TaskStore) -> None:
    frozen = tiny_volume_model()
    task = a_store.load("nodule", frozen, VOLUMES)
    a_store.save(task, task.known)
    a_session.logic.setTask("nodule")
    accept(a_session)
    assert a_store.info("nodule").accepted == 1
    assert not a_store.path("nodule (objects)").exists()


def test_a_task_that_may_not_learn_only_answers(a_session: Panel, a_store: TaskStore) -> None:
    a_session.logic.setLearning(False)
    accept(a_session)
    assert not a_session.logic.task.history and not a_store.path("tube (objects)").exists()


def test_the_panel_counts_objects(a_session: Panel) -> None:
    from InteractiveAdaptSegLib.ViewModel import taskState
    from InteractiveAdaptSegLib.Words import taskText

    accept(a_session)
    assert taskText(taskState(a_session.logic), str).startswith("tube: 1 object of 1 volume accepted; ")
