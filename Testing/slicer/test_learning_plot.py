"""Charts of what a task has learnt, in Slicer's own plot nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from AdaptCore.adapt.history import Outcome
from AdaptCore.adapt.learner import Knowledge
from AdaptCore.adapt.tasks import TaskStore
from Testing.learning_toy import LearningToy
from Testing.slicer.scenes import CENTRE
from Testing.slicer.user import User

HISTORY = (Outcome(7, 0.41, 0.41), Outcome(5, 0.38, 0.62), Outcome(2, 0.44, 0.81))
CLASSES = ("vtkMRMLTableNode", "vtkMRMLPlotSeriesNode", "vtkMRMLPlotChartNode")


@pytest.fixture
def a_plot(a_host: Any, a_scene: Any) -> Any:
    from InteractiveAdaptSegWidgets.LearningPlot import LearningPlot

    return LearningPlot(a_scene)


def count_nodes(scene: Any) -> tuple[int, ...]:
    return tuple(scene.GetNumberOfNodesByClass(name) for name in CLASSES)


def columns(scene: Any) -> dict[str, list[float]]:
    """The table of the charts."""
    from vtk.util.numpy_support import vtk_to_numpy

    table = scene.GetFirstNodeByClass("vtkMRMLTableNode").GetTable()
    arrays = [table.GetColumn(index) for index in range(table.GetNumberOfColumns())]
    return {array.GetName(): vtk_to_numpy(array).tolist() for array in arrays}


def test_table_holds_the_records_of_the_task(a_plot: Any, a_scene: Any) -> None:
    a_plot.show("Lesion", HISTORY)
    assert columns(a_scene) == {
        "Slice": [1, 2, 3],
        "Frozen model": [0.41, 0.38, 0.44],
        "Adapted model": [0.41, 0.62, 0.81],
        "Clicks": [7, 5, 2],
    }


def test_charts_draw_the_columns_over_the_images(a_plot: Any, a_scene: Any) -> None:
    a_plot.show("Lesion", HISTORY)
    drawn = {}
    for number in range(2):
        chart = a_scene.GetNthNodeByClass(number, "vtkMRMLPlotChartNode")
        series = [chart.GetNthPlotSeriesNode(place) for place in range(chart.GetNumberOfPlotSeriesNodes())]
        drawn[chart.GetTitle()] = [(one.GetXColumnName(), one.GetYColumnName()) for one in series]
        assert all(one.GetTableNode() is a_scene.GetFirstNodeByClass("vtkMRMLTableNode") for one in series)
    assert drawn == {
        "Lesion: agreement of the first mask (IoU)": [("Slice", "Frozen model"), ("Slice", "Adapted model")],
        "Lesion: clicks for each slice": [("Slice", "Clicks")],
    }


def test_chart_of_the_first_masks_is_what_the_plot_view_shows(a_plot: Any, a_scene: Any) -> None:
    import slicer

    a_plot.show("Lesion", HISTORY)
    selection = slicer.app.applicationLogic().GetSelectionNode()
    shown = a_scene.GetNodeByID(selection.GetActivePlotChartID())
    assert shown.GetTitle() == "Lesion: agreement of the first mask (IoU)"
    assert shown.GetYAxisRange() == (0.0, 1.0)


def test_one_set_of_nodes_is_used_again_and_completed(a_plot: Any, a_scene: Any) -> None:
    from InteractiveAdaptSegWidgets.LearningPlot import LearningPlot

    a_plot.show("Lesion", HISTORY[:1])
    assert count_nodes(a_scene) == (1, 3, 2)
    LearningPlot(a_scene).show("Organ", HISTORY)
    assert count_nodes(a_scene) == (1, 3, 2)
    assert columns(a_scene)["Slice"] == [1, 2, 3]
    a_scene.RemoveNode(a_scene.GetFirstNodeByClass("vtkMRMLPlotSeriesNode"))
    a_plot.show("Organ", HISTORY)
    assert count_nodes(a_scene) == (1, 3, 2)
    chart = a_scene.GetFirstNodeByClass("vtkMRMLPlotChartNode")
    assert {chart.GetNthPlotSeriesNode(place).GetYColumnName() for place in range(2)} == {
        "Frozen model",
        "Adapted model",
    }


def test_charts_follow_the_task_only_where_they_were_asked_for(a_plot: Any, a_scene: Any) -> None:
    a_plot.follow("Lesion", HISTORY)
    assert count_nodes(a_scene) == (0, 0, 0)
    a_plot.show("Lesion", HISTORY[:2])
    a_plot.follow("Lesion", HISTORY)
    assert columns(a_scene)["Clicks"] == [7, 5, 2]
    a_plot.follow(None, ())
    assert columns(a_scene)["Clicks"] == [7, 5, 2]


def test_charts_are_drawn_anew_when_their_table_is_whole(a_plot: Any, a_scene: Any) -> None:
    import vtk

    a_plot.show("Lesion", HISTORY[:2])
    rows: list[int] = []

    def note(chart: Any, event: str) -> None:
        rows.append(len(columns(a_scene)["Adapted model"]))

    for number in range(2):
        chart = a_scene.GetNthNodeByClass(number, "vtkMRMLPlotChartNode")
        chart.AddObserver(vtk.vtkCommand.ModifiedEvent, note)
    a_plot.follow("Lesion", HISTORY)
    assert set(rows) == {3} and len(rows) >= 2


def test_charts_stay_out_of_saved_scenes_and_go_with_closed_ones(a_plot: Any, a_scene: Any, tmp_path: Path) -> None:
    a_plot.show("Lesion", HISTORY)
    path = str(tmp_path / "scene.mrb")
    assert a_scene.WriteToMRB(path, None)
    a_scene.Clear(False)
    a_plot.follow("Lesion", HISTORY)
    assert count_nodes(a_scene) == (0, 0, 0)
    assert a_scene.ReadFromMRB(path, True, None)
    assert count_nodes(a_scene) == (0, 0, 0)


@pytest.mark.usefixtures("a_learning_model")
def test_panel_shows_what_the_task_has_learnt_and_goes_on_showing_it(a_user: User, a_scene: Any) -> None:
    from Testing.host.user import type_text

    frozen = LearningToy()
    task = TaskStore().load("tube", frozen)
    TaskStore().save(task, Knowledge(frozen, frozen, task.known.memory, HISTORY))
    assert not a_user.ui.learningButton.enabled
    type_text(a_user.ui.taskSelector, "tube")
    a_user.press("learning")
    assert columns(a_scene)["Adapted model"] == pytest.approx([0.41, 0.62, 0.81])
    a_user.begin()
    a_user.click(CENTRE)
    a_user.press("accept")
    a_user.wait()
    history = a_user.panel.session.task.history
    assert len(history) == 4
    assert columns(a_scene)["Frozen model"] == pytest.approx([outcome.frozen for outcome in history])
    assert columns(a_scene)["Clicks"] == [7, 5, 2, history[-1].clicks]
    a_scene.Clear(False)
    a_user.host.process_events()
    assert count_nodes(a_scene) == (0, 0, 0)
    assert a_user.ui.learningButton.enabled
