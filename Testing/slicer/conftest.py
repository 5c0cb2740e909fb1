"""A real MRML scene for each test, set up as Slicer's application does it, and the nodes that tests start from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Testing.bright_model import BrightModel
from Testing.learning_toy import LearningToy
from Testing.slicer.scenes import (
    CENTRE,
    OTHER_CENTRE,
    RADII,
    SHAPE,
    SceneApplication,
    add_slice_node,
    matrix_of,
    rotation,
)
from Testing.slicer.user import MODULE, User
from Testing.toy_model import ToyModel

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session", autouse=True)
def slicer_libraries() -> None:
    """Skip where Slicer's libraries or what they load are missing; make the module's package importable."""
    pytest.importorskip("vtk", reason="vtk cannot be loaded", exc_type=ImportError)
    pytest.importorskip("slicer.util", reason="slicer-core cannot be loaded", exc_type=ImportError)
    for folder in (REPOSITORY, REPOSITORY / "InteractiveAdaptSeg"):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


@pytest.fixture
def a_scene(slicer_libraries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty scene with the logics and default nodes that Slicer adds at its start."""
    import slicer

    application = SceneApplication(tmp_path)
    monkeypatch.setattr(slicer, "mrmlScene", application.scene, raising=False)
    monkeypatch.setattr(slicer, "app", application.app, raising=False)
    monkeypatch.setattr(slicer, "modules", application.modules, raising=False)
    yield application.scene
    application.close()


@pytest.fixture
def an_ellipsoid() -> np.ndarray:
    """Truth of the bright ellipsoid in the test volumes, bool (i, j, k)."""
    offsets = np.indices(SHAPE).transpose(1, 2, 3, 0) - CENTRE
    return ((offsets / RADII) ** 2).sum(axis=3) <= 1.0


@pytest.fixture
def voxels(an_ellipsoid: np.ndarray) -> np.ndarray:
    """A bright ellipsoid and a fainter cube on dark, slightly noisy ground, int16 (i, j, k)."""
    image = np.random.default_rng(0).normal(0, 3, SHAPE)
    image[an_ellipsoid] += 500
    cube = tuple(slice(centre - 2, centre + 3) for centre in OTHER_CENTRE)
    image[cube] += 250
    return image.astype(np.int16)


@pytest.fixture
def make_volume(a_scene: Any, voxels: np.ndarray) -> Callable[..., Any]:
    """Adds a volume: make_volume(array=None, ijkToRAS=None)."""
    import slicer

    def make(array: np.ndarray | None = None, ijkToRAS: np.ndarray | None = None) -> Any:
        node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Volume")
        slicer.util.updateVolumeFromArray(node, np.ascontiguousarray((voxels if array is None else array).T))
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.eye(4) if ijkToRAS is None else ijkToRAS))
        node.CreateDefaultDisplayNodes()
        return node

    return make


@pytest.fixture
def a_volume(make_volume: Callable[..., Any]) -> Any:
    """A volume with spacing 0.8 x 0.9 x 2.5 mm along the patient's axes, stored as most scanners do (LPS)."""
    matrix = np.diag([-0.8, -0.9, 2.5, 1.0])
    matrix[:3, 3] = (15.0, 20.0, -30.0)
    return make_volume(ijkToRAS=matrix)


@pytest.fixture
def an_oblique_volume(make_volume: Callable[..., Any]) -> Any:
    """A volume whose axes are turned against the patient's by 25 and 15 degrees, with unequal spacing."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(2, 25.0) @ rotation(0, 15.0) @ np.diag([-0.8, -0.9, 2.5])
    matrix[:3, 3] = (15.0, 20.0, -30.0)
    return make_volume(ijkToRAS=matrix)


@pytest.fixture
def a_segmentation(a_scene: Any, a_volume: Any) -> Any:
    """A segmentation of `a_volume` with the empty segments "lesion" and "organ"."""
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(a_volume)
    for segmentID in ("lesion", "organ"):
        node.GetSegmentation().AddEmptySegment(segmentID, segmentID)
    return node


@pytest.fixture
def a_slice_view(a_scene: Any) -> Any:
    """An axial slice view."""
    return add_slice_node(a_scene)


@pytest.fixture
def bend(a_scene: Any) -> Callable[..., None]:
    """Puts nodes under a non-linear transform named "Bend": bend(*nodes)."""
    transform = a_scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "Bend")

    def put(*nodes: Any) -> None:
        for node in nodes:
            node.SetAndObserveTransformNodeID(transform.GetID())

    return put


@pytest.fixture
def put_under_transform(a_scene: Any) -> Callable[..., Any]:
    """Puts nodes under a new linear transform: put_under_transform(matrix, *nodes)."""
    import slicer

    def put(matrix: np.ndarray, *nodes: Any) -> Any:
        transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Transform")
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
        for node in nodes:
            node.SetAndObserveTransformNodeID(transform.GetID())
        return transform

    return put


@pytest.fixture
def a_host(a_scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Slicer's Python and Qt environment around the scene; what goes wrong in a slot fails the test at its end."""
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    pytest.importorskip("PySide6.QtWidgets", reason="PySide6 cannot be loaded", exc_type=ImportError)
    from Testing.host.host import Host

    host = Host(a_scene, monkeypatch, tmp_path)
    yield host
    host.close()


@pytest.fixture
def a_loaded_module(a_host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module in Slicer's list, with a toy model and without tasks of the user."""
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path / "home"))
    a_host.application.userSettings().setValue("InteractiveAdaptSeg/KeyScheme", "Interactive AdaptSeg")
    module = a_host.load(REPOSITORY / MODULE / f"{MODULE}.py")
    from InteractiveAdaptSegLib import SegmentationLogic

    monkeypatch.setattr(SegmentationLogic, "_loadModel", lambda name, device: ToyModel())
    monkeypatch.setattr(SegmentationLogic, "_loadVolumeModel", lambda device: BrightModel(100.0))
    return module


@pytest.fixture
def a_learning_model(a_loaded_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module's model is a toy that can learn; to be asked for before `a_user`."""
    from InteractiveAdaptSegLib import SegmentationLogic

    monkeypatch.setattr(SegmentationLogic, "_loadModel", lambda name, device: LearningToy())


@pytest.fixture
def a_user(a_host: Any, a_loaded_module: Any, a_slice_view: Any, a_volume: Any) -> Iterator[User]:
    """The user in front of the opened panel."""
    from Testing.host.slice_view import SliceView

    view = SliceView(a_slice_view, a_volume)
    yield User(a_host, view, a_volume)
    try:
        a_host.close()
    finally:
        view.close()


@pytest.fixture
def an_oblique_view(
    a_host: Any, a_slice_view: Any, an_oblique_volume: Any, put_under_transform: Callable[..., Any]
) -> Iterator[Any]:
    """A view of a slice of a volume that lies obliquely under a transform."""
    from Testing.host.slice_view import SliceView

    put_under_transform(matrix_of(rotation(1, 30.0), (5.0, -7.0, 2.5)), an_oblique_volume)
    a_slice_view.RotateToVolumePlane(an_oblique_volume)
    view = SliceView(a_slice_view, an_oblique_volume)
    yield view
    try:
        a_host.close()
    finally:
        view.close()


@pytest.fixture
def an_oblique_user(a_host: Any, a_loaded_module: Any, an_oblique_view: Any, an_oblique_volume: Any) -> User:
    """The user in front of a slice of a volume that lies obliquely under a transform."""
    return User(a_host, an_oblique_view, an_oblique_volume)


@pytest.fixture
def an_object_user(a_host: Any, a_loaded_module: Any, an_oblique_view: Any, an_oblique_volume: Any) -> User:
    """The same user, whose prompts give whole objects."""
    return User(a_host, an_oblique_view, an_oblique_volume, "object")
