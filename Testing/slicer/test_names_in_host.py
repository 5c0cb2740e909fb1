"""The names that are learnt under are chosen in the panel, and saved with the scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from AdaptCore.adapt.tasks import TaskStore
from Testing.learning_toy import LearningToy
from Testing.slicer.scenes import CENTRE
from Testing.slicer.user import User

pytestmark = pytest.mark.usefixtures("a_learning_model")


def type_names(user: User, task: str, name: str) -> None:
    from Testing.host.user import type_text

    type_text(user.ui.taskSelector, task)
    type_text(user.ui.userSelector, name)
    user.host.process_events()


def shown_names(user: User) -> tuple[str, str]:
    user.host.process_events()
    return user.ui.taskSelector.currentText, user.ui.userSelector.currentText


def chosen_names(user: User) -> tuple[str | None, str | None]:
    return user.panel.session.task.name, user.panel.session.profile.user


def save(scene: Any, folder: Path) -> str:
    path = str(folder / "scene.mrb")
    assert scene.WriteToMRB(path, None)
    return path


def load(scene: Any, path: str) -> None:
    scene.Clear(False)
    assert scene.ReadFromMRB(path, True, None)


def test_loaded_scene_goes_on_under_its_names(a_user: User, a_scene: Any, tmp_path: Path) -> None:
    type_names(a_user, "Lesion", "Anna")
    path = save(a_scene, tmp_path)
    type_names(a_user, "Cup", "Ben")
    load(a_scene, path)
    assert shown_names(a_user) == chosen_names(a_user) == ("Lesion", "Anna")


def test_scene_without_names_goes_on_under_those_that_are_chosen(a_user: User, a_scene: Any, tmp_path: Path) -> None:
    path = save(a_scene, tmp_path)
    type_names(a_user, "Lesion", "Anna")
    load(a_scene, path)
    assert shown_names(a_user) == chosen_names(a_user) == ("Lesion", "Anna")
    path = save(a_scene, tmp_path)
    type_names(a_user, "Cup", "Ben")
    load(a_scene, path)
    assert chosen_names(a_user) == ("Lesion", "Anna"), "the scene has taken them over"


def test_names_that_were_taken_away_stay_away_until_another_scene_is_loaded(a_user: User, a_scene: Any) -> None:
    type_names(a_user, "Lesion", "Anna")
    type_names(a_user, "", "")
    a_user.host.leave()
    a_user.host.open("InteractiveAdaptSeg")
    assert chosen_names(a_user) == (None, None)


def test_scene_loaded_while_another_module_is_open_is_taken_up_on_return(
    a_user: User, a_scene: Any, tmp_path: Path
) -> None:
    type_names(a_user, "Lesion", "Anna")
    path = save(a_scene, tmp_path)
    type_names(a_user, "Cup", "Ben")
    a_user.host.leave()
    load(a_scene, path)
    assert chosen_names(a_user) == ("Cup", "Ben")
    a_user.host.open("InteractiveAdaptSeg")
    assert shown_names(a_user) == chosen_names(a_user) == ("Lesion", "Anna")


def test_task_that_cannot_be_used_is_told_of_and_stays_in_the_scene(a_user: User, a_scene: Any, tmp_path: Path) -> None:
    type_names(a_user, "Lesion", "")
    a_user.begin()
    a_user.click(CENTRE)
    a_user.press("accept")
    a_user.wait()
    path = save(a_scene, tmp_path)
    type_names(a_user, "", "")
    TaskStore().path("Lesion").write_bytes(b"nothing")
    load(a_scene, path)
    a_user.host.process_events()
    assert a_user.panel.session.task.name is None
    assert "Lesion" in a_user.panel.choices.node.task
    assert "task" in a_user.message


def test_task_of_another_model_is_taken_up_when_the_scenes_model_is_there(
    a_user: User, a_scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from AdaptCore.models.registry import add_model
    from Testing.small_model import write_small_model

    class Other(LearningToy):
        digest = "b" * 64

    write_small_model(tmp_path / "mine.safetensors")
    add_model(tmp_path / "mine.safetensors", "mine", licence="CC0-1.0")
    session = a_user.panel.session
    session.model._loadModel = lambda name, device: LearningToy() if name == "compact" else Other()
    a_user.ui.modelSection.collapsed = False
    a_user.panel.onModelChosen("mine")
    a_user.wait()
    type_names(a_user, "Lesion", "Anna")
    a_user.begin()
    a_user.click(CENTRE)
    a_user.press("accept")
    a_user.wait()
    path = save(a_scene, tmp_path)
    type_names(a_user, "", "")
    a_user.panel.onModelChosen("compact")
    a_user.wait()
    load(a_scene, path)
    a_user.wait()
    assert session.model.answering == "mine"
    assert shown_names(a_user) == chosen_names(a_user) == ("Lesion", "Anna")
    assert len(session.task.history) == 1
