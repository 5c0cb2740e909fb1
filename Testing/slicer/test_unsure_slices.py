"""What a propagation was not sure of, in a scene that was saved and loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Testing.slicer.panel import Panel, save_and_reload
from Testing.slicer.scenes import CENTRE
from Testing.toy_model import ToyModel


@pytest.fixture
def a_propagated(a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any) -> Iterator[Panel]:
    """A panel whose segment "lesion" was propagated from its middle slice."""
    panel = Panel(a_scene, a_slice_view, ToyModel())
    panel.choose(a_volume, a_segmentation, "lesion")
    panel.click(CENTRE)
    panel.logic.propagate()
    while panel.logic.update(0.05):
        pass
    yield panel
    panel.logic.close()


def unsure_slices(panel: Panel) -> list[int]:
    """The slices that the user is led to, in order."""
    found: list[int] = []
    while panel.logic.hasUnsurePlane:
        panel.logic.showUnsurePlane()
        index = int(panel.logic.activePlane.plane_to_ijk[2, 2])
        if index in found:
            return found
        found.append(index)
    return found


def test_unsure_slices_are_led_to_in_the_same_order(a_propagated: Panel, tmp_path: Path) -> None:
    before = unsure_slices(a_propagated)
    assert len(before) > 2
    a_propagated.logic.showUnsurePlane()
    a_propagated.logic.accept()
    left = [index for index in before if index != int(a_propagated.logic.activePlane.plane_to_ijk[2, 2])]
    a_propagated.logic.close()
    loaded = save_and_reload(a_propagated, tmp_path)
    assert unsure_slices(loaded) == left
    loaded.logic.close()


def test_carried_mask_can_be_corrected_after_loading(a_propagated: Panel, tmp_path: Path) -> None:
    segment = a_propagated.segment("lesion")
    above = (CENTRE[0], CENTRE[1], CENTRE[2] + 1)
    assert segment[above]
    a_propagated.logic.close()
    loaded = save_and_reload(a_propagated, tmp_path)
    loaded.click(above, positive=False)
    loaded.logic.accept()
    corrected = loaded.segment("lesion")
    assert not corrected[above], "what the propagation had written is taken out again"
    others = np.ones(segment.shape[2], bool)
    others[above[2]] = False
    assert np.array_equal(corrected[:, :, others], segment[:, :, others])
    loaded.logic.close()


def test_what_others_have_drawn_beside_a_propagation_stays_after_loading(a_propagated: Panel, tmp_path: Path) -> None:
    """A slice that no propagation has reached holds the voxels of others: a mask is added to them."""
    from AdaptCore.predict.geometry import axis_plane

    a_propagated.logic.close()
    loaded = save_and_reload(a_propagated, tmp_path)
    target = loaded.logic._target
    reached = {int(plane.plane_to_ijk[2, 2]) for plane in target.confidences}
    outside = next(index for index in range(target.session.shape[2]) if index not in reached and index != CENTRE[2])
    assert target.session.plane(axis_plane(target.session.shape, 2, outside)).prediction is None
    inside = next(iter(reached))
    assert target.session.plane(axis_plane(target.session.shape, 2, inside)).prediction is not None
    loaded.logic.close()
