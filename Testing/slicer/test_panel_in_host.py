"""The panel as Slicer loads it, in a stand-in for Slicer's window: real buttons, real mouse in a real slice view."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Testing.slicer.scenes import CENTRE, OTHER_CENTRE, SHAPE
from Testing.slicer.user import MODULE, User

BESIDE = (CENTRE[0] + 3, CENTRE[1], CENTRE[2])
EDGE = (CENTRE[0] + 7, CENTRE[1], CENTRE[2])


def test_module_names_itself_in_slicers_list(a_loaded_module: Any) -> None:
    assert a_loaded_module.title == "Interactive AdaptSeg"
    assert a_loaded_module.categories == ("Segmentation",)
    assert a_loaded_module.dependencies == ("Markups", "Plots", "Segmentations")


def test_opened_panel_chooses_the_first_volume_and_offers_the_tools(a_user: User) -> None:
    assert a_user.ui.volumeSelector.currentNode() is a_user.volume
    assert a_user.ui.segmentationSelector.currentNode() is None
    assert a_user.status == "Choose a tool and point at the object in a slice view."
    assert a_user.enabled() == {"positive", "negative"}
    assert not a_user.ui.progressBar.isVisible()
    assert not a_user.ui.installButton.isVisible()


def test_click_in_a_slice_view_gives_a_mask_that_accept_writes_into_the_segment(
    a_user: User, an_ellipsoid: np.ndarray
) -> None:
    a_user.press("newSegment")
    assert a_user.status == "Choose a tool and point at the object in a slice view."
    a_user.press("positive")
    assert a_user.ui.positiveButton.checked
    a_user.click(CENTRE)
    assert a_user.status == "Accept the mask, or correct it with + and - prompts."
    assert not a_user.segment().any()
    a_user.press("accept")
    assert a_user.status == "Accepted. Propagate it, or go on with another slice."
    written, truth = a_user.segment(), an_ellipsoid[:, :, CENTRE[2]]
    assert not np.delete(written, CENTRE[2], axis=2).any()
    assert (written[:, :, CENTRE[2]] & truth).sum() > 0.9 * truth.sum()
    assert written.sum() < 1.2 * truth.sum()


def coloured_share(user: User) -> float:
    """Share of the slice view that is not grey, and so not of the image."""
    picture = user.view.picture().astype(int)
    return float((np.ptp(picture, axis=2) > 40).mean())


def test_mask_is_painted_in_the_slice_view_before_it_is_accepted(a_user: User) -> None:
    a_user.begin()
    a_user.segmentation.GetSegmentation().GetNthSegment(0).SetColor(1.0, 0.4, 0.0)
    a_user.click(CENTRE)
    assert coloured_share(a_user) > 0.05
    a_user.press("undo")
    assert coloured_share(a_user) < 0.01


def test_negative_click_takes_away_and_the_two_buttons_exclude_each_other(a_user: User) -> None:
    a_user.begin()
    a_user.click(CENTRE)
    a_user.press("negative")
    assert a_user.ui.negativeButton.checked
    assert not a_user.ui.positiveButton.checked
    a_user.click(EDGE)
    a_user.press("accept")
    assert a_user.segment()[CENTRE]
    assert not a_user.segment()[EDGE]


def test_button_pressed_twice_gives_the_mouse_back_to_the_views(a_user: User) -> None:
    a_user.begin()
    a_user.press("positive")
    a_user.click(CENTRE)
    assert not a_user.ui.positiveButton.checked
    assert a_user.panel.session.mask is None


def test_undo_and_redo_go_through_all_that_was_done(a_user: User) -> None:
    a_user.begin()
    a_user.click(CENTRE)
    a_user.press("accept")
    count = a_user.segment().sum()
    a_user.press("undo")
    assert not a_user.segment().any()
    assert a_user.status == "Accept the mask, or correct it with + and - prompts."
    a_user.press("undo")
    assert a_user.enabled() == {"positive", "negative", "redo"}
    a_user.press("redo", "redo")
    assert a_user.segment().sum() == count > 0
    assert "redo" not in a_user.enabled()


def test_propagation_runs_beside_the_window_and_fills_the_object(a_user: User, an_ellipsoid: np.ndarray) -> None:
    a_user.begin()
    a_user.click(CENTRE)
    a_user.press("propagate")
    assert a_user.enabled() == {"cancel"}
    choosers = ("volumeSelector", "segmentationSelector", "segmentSelector", "newSegmentButton")
    assert not any(getattr(a_user.ui, name).enabled for name in choosers)
    assert a_user.ui.progressBar.isVisible()
    assert a_user.panel._timer.active
    a_user.wait()
    a_user.host.wait_until(lambda: not a_user.panel._timer.active)
    assert not a_user.ui.progressBar.isVisible()
    assert all(getattr(a_user.ui, name).enabled for name in choosers)
    overlap = (a_user.segment() & an_ellipsoid).sum()
    assert 2 * overlap / (a_user.segment().sum() + an_ellipsoid.sum()) > 0.8


def test_cancelled_propagation_keeps_what_it_has_done(a_user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic

    a_user.begin()
    a_user.click(CENTRE)
    waiting = SegmentationLogic.update
    monkeypatch.setattr(SegmentationLogic, "update", lambda session, seconds=0.0: session.isBusy)
    a_user.press("propagate", "cancel")
    monkeypatch.setattr(SegmentationLogic, "update", waiting)
    a_user.wait()
    assert a_user.segment()[CENTRE]
    assert a_user.segment().any(axis=(0, 1)).sum() <= SHAPE[2]
    assert "propagate" in a_user.enabled()


def test_clicks_are_cleared_to_point_at_a_further_part(a_user: User) -> None:
    a_user.begin()
    a_user.click(CENTRE)
    a_user.press("accept", "clear")
    a_user.click(OTHER_CENTRE)
    a_user.press("accept")
    assert a_user.segment()[CENTRE]
    assert a_user.segment()[OTHER_CENTRE]


def test_chosen_segment_is_the_one_that_is_written(a_user: User, a_segmentation: Any) -> None:
    from Testing.host.user import choose

    choose(a_user.ui.segmentationSelector, "Segmentation")
    choose(a_user.ui.segmentSelector, "organ")
    a_user.press("positive")
    a_user.click(CENTRE)
    a_user.press("accept")
    assert not a_user.segment("lesion").any()
    assert a_user.segment("organ")[CENTRE]


def test_undo_goes_back_to_the_segment_of_the_undone_action(a_user: User, a_segmentation: Any) -> None:
    from Testing.host.user import choose

    choose(a_user.ui.segmentationSelector, "Segmentation")
    a_user.press("positive")
    a_user.click(CENTRE)
    a_user.press("accept")
    choose(a_user.ui.segmentSelector, "organ")
    a_user.press("undo")
    assert a_user.ui.segmentSelector.currentSegmentID() == "lesion"
    assert not a_user.segment("lesion").any()


def test_click_outside_of_the_volume_is_refused_with_a_reason(a_user: User) -> None:
    a_user.begin()
    a_user.view.node.SetFieldOfView(200.0, 200.0, 2.5)
    a_user.click((-40, CENTRE[1], CENTRE[2]))
    assert a_user.message
    assert a_user.panel.session.promptNodes.pointNodes[0].GetNumberOfControlPoints() == 0
    a_user.click(CENTRE)
    assert a_user.status == "Accept the mask, or correct it with + and - prompts."


def test_leaving_the_module_ends_placing_and_coming_back_finds_all_as_it_was(a_user: User) -> None:
    a_user.begin()
    a_user.click(CENTRE)
    a_user.host.leave()
    a_user.click(OTHER_CENTRE)
    a_user.host.open(MODULE)
    assert not a_user.ui.positiveButton.checked
    assert a_user.panel.session.promptNodes.pointNodes[0].GetNumberOfControlPoints() == 1
    a_user.press("accept")
    assert a_user.segment()[CENTRE]
    assert not a_user.segment()[OTHER_CENTRE]


def test_closed_scene_leaves_an_empty_panel(a_user: User, a_scene: Any) -> None:
    a_user.begin()
    a_user.click(CENTRE)
    a_scene.Clear(False)
    a_user.host.process_events()
    assert a_user.ui.volumeSelector.currentNode() is None
    assert a_user.status == "Choose a volume."
    assert a_user.enabled() == set()


def test_scene_can_be_closed_in_the_middle_of_a_propagation(a_user: User, a_scene: Any) -> None:
    a_user.begin()
    a_user.click(CENTRE)
    a_user.press("propagate")
    a_scene.Clear(False)
    a_user.host.wait_until(lambda: not a_user.panel._timer.active)
    assert a_user.enabled() == set()


@pytest.mark.parametrize("gone", ["volume", "segmentation"])
def test_node_removed_under_the_panel_is_told_of(a_user: User, a_scene: Any, gone: str) -> None:
    a_user.begin()
    a_user.click(CENTRE)
    node = a_user.volume if gone == "volume" else a_user.segmentation
    a_scene.RemoveNode(node)
    a_user.host.process_events()
    assert a_user.message == f"'{node.GetName()}' was removed: choose a volume and a segment to go on."
    assert a_user.status.startswith("Choose a volume." if gone == "volume" else "Choose a tool")
    assert a_user.enabled() == (set() if gone == "volume" else {"positive", "negative"})
    assert not a_user.ui.positiveButton.checked


def test_removed_segment_gives_place_to_the_next_one(a_user: User, a_segmentation: Any) -> None:
    from Testing.host.user import choose

    choose(a_user.ui.segmentationSelector, "Segmentation")
    a_user.press("positive")
    a_user.click(CENTRE)
    a_segmentation.GetSegmentation().RemoveSegment("lesion")
    a_user.host.process_events()
    assert a_user.ui.segmentSelector.currentSegmentID() == "organ"
    assert a_user.panel.choices.node.segmentID == "organ"
    assert a_user.panel.session.promptNodes.segmentID == "organ"


def test_segmentation_made_in_the_list_of_segmentations_gets_its_first_segment(a_user: User) -> None:
    from Testing.host.user import choose

    choose(a_user.ui.segmentationSelector, "Create new Segmentation")
    assert a_user.status == "Choose a tool and point at the object in a slice view."
    a_user.begin()
    a_user.click(CENTRE)
    a_user.press("accept")
    assert a_user.segment()[CENTRE]


def test_choices_come_back_with_a_saved_scene(a_user: User, a_scene: Any, a_segmentation: Any, tmp_path: Path) -> None:
    from Testing.host.user import choose

    choose(a_user.ui.segmentationSelector, "Segmentation")
    choose(a_user.ui.segmentSelector, "organ")
    a_user.press("positive")
    a_user.click(CENTRE)
    mask = a_user.panel.session.mask
    path = str(tmp_path / "scene.mrb")
    assert a_scene.WriteToMRB(path, None)
    a_scene.Clear(False)
    assert a_scene.ReadFromMRB(path, True, None)
    a_user.host.process_events()
    a_user.volume = a_user.ui.volumeSelector.currentNode()
    assert a_user.volume.GetName() == "Volume"
    assert a_user.ui.segmentationSelector.currentNode().GetName() == "Segmentation"
    assert a_user.ui.segmentSelector.currentSegmentID() == "organ"
    assert a_user.status == "Choose a tool and point at the object in a slice view."
    assert a_user.panel.session.showPlane(a_scene.GetFirstNodeByClass("vtkMRMLSliceNode"))
    np.testing.assert_array_equal(a_user.panel.session.mask, mask)
    a_user.press("accept")
    assert a_user.segment("organ").sum() == mask.sum()


def test_reloaded_module_goes_on_and_the_old_panel_is_silent(a_user: User) -> None:
    import slicer

    a_user.begin()
    a_user.click(CENTRE)
    old = a_user.widget
    slicer.util.reloadScriptedModule(MODULE)
    a_user.host.process_events()
    a_user.widget = slicer.modules.InteractiveAdaptSegWidget
    assert a_user.widget is not old
    assert (old.panel, old.Observations) == (None, [])
    assert a_user.ui.positiveButton.checked
    a_user.click(BESIDE)
    a_user.press("accept")
    assert a_user.segment()[CENTRE]


@pytest.mark.parametrize("doing", ["nothing", "placing", "propagating", "learning"])
def test_slicer_can_end_while_the_panel_is_in_use(a_user: User, a_scene: Any, doing: str) -> None:
    if doing != "nothing":
        a_user.begin()
        a_user.click(CENTRE)
    if doing == "propagating":
        a_user.press("propagate")
    if doing == "learning":
        a_user.panel.session.setLearning(True)
        a_user.press("accept")
    widget, choices = a_user.widget, a_user.panel.choices
    a_user.host.close()
    assert (widget.panel, widget.Observations, choices._observations._known) == (None, [], [])
    a_scene.Clear(False)


def test_missing_packages_are_installed_only_after_a_yes(
    a_host: Any, a_loaded_module: Any, a_volume: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import slicer

    from InteractiveAdaptSegLib import InstallLogic
    from Testing.host.user import press

    installed: list[str] = []
    versions = {"torch": "2.13.0"}
    monkeypatch.setattr(InstallLogic, "installedPackageVersion", lambda name: versions.get(name))

    def install(requirements: Any) -> None:
        installed.extend(requirement.name for requirement in requirements)
        versions.update(dict.fromkeys(installed, ""))

    monkeypatch.setattr(InstallLogic, "installPackagesWithSlicer", install)
    ui = a_host.open(MODULE).ui
    assert ui.statusLabel.text == "Python packages are missing: press Install."
    assert ui.installButton.isVisible()
    slicer.app.setTestingEnabled(False)
    for answer, expected in (("Cancel", False), ("OK", True)):
        a_host.answer_next_dialog(answer)
        press(ui.installButton)
        assert bool(installed) is expected
    assert "torch" not in installed
    assert not ui.installButton.isVisible()
    assert ui.statusLabel.text == "Choose a tool and point at the object in a slice view."


def test_task_that_is_typed_is_chosen_and_learns(a_user: User) -> None:
    from Testing.host.user import press, type_text

    type_text(a_user.ui.taskSelector, "lesions")
    assert a_user.panel.session.task.name == "lesions"
    assert a_user.ui.taskLabel.text.startswith("lesions: nothing accepted yet")
    press(a_user.ui.learnCheckBox)
    assert a_user.panel.session.task.isOn is False
    assert a_user.ui.taskLabel.text.endswith("not learning")
    type_text(a_user.ui.taskSelector, " ")
    assert a_user.panel.session.task.name is None


def test_long_line_on_a_task_is_wrapped_and_does_not_widen_the_panel(a_user: User) -> None:
    width = a_user.widget.parent.width
    a_user.ui.taskLabel.text = (
        "Lesion: 12 slices accepted; the frozen model predicts, the adapted one is not clearly better"
    )
    a_user.widget.parent.resize(1, 1)
    for _ in range(5):
        a_user.host.process_events()
    assert a_user.widget.parent.width <= width


def test_self_test_passes_in_the_host(
    a_user: User, a_scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import slicer

    from AdaptCore.models.registry import load_model
    from InteractiveAdaptSegLib import SegmentationLogic

    monkeypatch.setattr(SegmentationLogic, "_loadModel", load_model)
    monkeypatch.setattr(slicer.util, "tempDirectory", lambda: str(tmp_path))
    monkeypatch.setattr(slicer.util, "saveScene", lambda path: a_scene.WriteToMRB(path, None))
    monkeypatch.setattr(slicer.util, "loadScene", lambda path: a_scene.ReadFromMRB(path, True, None))
    sys.modules[MODULE].InteractiveAdaptSegTest("runTest").runTest()
    a_user.host.process_events()


def test_nothing_is_under_way_while_nobody_does_anything(a_user: User) -> None:
    a_user.begin()
    a_user.click(CENTRE)
    a_user.press("accept")
    assert not a_user.panel._timer.active
