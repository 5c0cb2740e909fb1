"""The stand-in host fails where Slicer fails: each of PythonQt's rules that code can break, and what is not broken."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def qt(a_host: Any) -> Any:
    """The module `qt` as code in Slicer imports it."""
    import qt

    return qt


@pytest.fixture
def a_button(qt: Any) -> Any:
    return qt.QPushButton("Go")


@pytest.fixture
def heard() -> list[Any]:
    """What slots were called with."""
    return []


def test_properties_are_values(a_button: Any) -> None:
    assert (a_button.text, a_button.enabled) == ("Go", True)
    a_button.text = "Stop"
    a_button.setEnabled(False)
    assert (a_button.text, a_button.enabled, a_button.isEnabled()) == ("Stop", False, False)


def test_property_that_is_called_fails(a_button: Any) -> None:
    with pytest.raises(TypeError, match="not callable"):
        a_button.text()


def test_unknown_attribute_cannot_be_read(a_button: Any) -> None:
    with pytest.raises(AttributeError, match="QPushButton has no attribute named 'txt'"):
        a_button.txt  # noqa: B018
    assert not hasattr(a_button, "txt")


def test_new_attribute_cannot_be_set(a_button: Any) -> None:
    with pytest.raises(AttributeError, match="'candidate' of QPushButton cannot be set"):
        a_button.candidate = 3
    with pytest.raises(AttributeError, match="'setText' of QPushButton cannot be set"):
        a_button.setText = print


def test_dynamic_property_is_made_with_set_property_only(a_button: Any) -> None:
    a_button.setProperty("candidate", 3)
    assert (a_button.candidate, a_button.property("candidate")) == (3, 3)
    a_button.candidate = 4
    assert a_button.property("candidate") == 4
    assert a_button.property("unknown") is None


def test_property_that_cannot_be_written_is_refused(a_button: Any) -> None:
    with pytest.raises(AttributeError, match="Property 'width' of QPushButton does not accept 3"):
        a_button.width = 3


def test_property_refuses_values_of_other_types(qt: Any) -> None:
    bar = qt.QProgressBar()
    bar.value = 41.9
    assert bar.value == 41
    with pytest.raises(AttributeError, match="Property 'value' of QProgressBar does not accept None"):
        bar.value = None
    label = qt.QLabel()
    label.text = None
    assert label.text == "None"


def test_keyword_arguments_are_refused(qt: Any, a_button: Any) -> None:
    with pytest.raises(TypeError):
        a_button.setText(text="Stop")
    with pytest.raises(TypeError):
        qt.QPushButton(text="Stop")


def test_classes_are_not_related(qt: Any, a_button: Any) -> None:
    assert type(a_button) is qt.QPushButton
    assert not isinstance(a_button, qt.QWidget)
    assert a_button.inherits("QWidget")


def test_objects_are_found_below_others(qt: Any, a_button: Any) -> None:
    parent = qt.QWidget()
    a_button.setParent(parent)
    a_button.name = "goButton"
    assert a_button.objectName == "goButton"
    assert parent.goButton is a_button
    assert parent.findChild(qt.QPushButton, "goButton") is a_button
    assert parent.findChildren("QWidget") == (a_button,)
    assert parent.findChild(qt.QLabel) is None


def test_deleted_object_cannot_be_used(qt: Any, a_button: Any) -> None:
    parent = qt.QWidget()
    a_button.setParent(parent)
    parent.delete()
    with pytest.raises(ValueError, match="a destroyed QPushButton object was used"):
        a_button.text  # noqa: B018


@pytest.mark.parametrize("signature", ["clicked(bool)", "clicked( bool )"])
def test_slots_are_connected_by_signature(a_button: Any, heard: list[Any], signature: str) -> None:
    a_button.checkable = True
    assert a_button.connect(signature, heard.append)
    a_button.click()
    a_button.disconnect(signature, heard.append)
    a_button.click()
    assert heard == [True]


def test_slots_are_connected_to_a_signal_attribute(a_button: Any, heard: list[Any]) -> None:
    def slot() -> None:
        heard.append("clicked")

    a_button.clicked.connect(slot)
    a_button.click()
    a_button.clicked.disconnect(slot)
    a_button.click()
    assert heard == ["clicked"]


def test_unknown_signal_is_never_heard_and_reported(a_host: Any, a_button: Any, heard: list[Any]) -> None:
    assert not a_button.connect("clickd()", heard.append)
    assert not a_button.connect("clicked(int)", heard.append)
    first, second = a_host.take_failures()
    assert "signal 'clickd()' does not exist on QPushButton" in first
    assert "signal 'clicked(int)' does not exist on QPushButton" in second
    with pytest.raises(AttributeError):
        a_button.clickd.connect(heard.append)


def test_slot_gets_as_many_arguments_as_it_takes(a_button: Any, heard: list[Any]) -> None:
    class Listener:
        def none(self) -> None:
            heard.append(())

        def one(self, checked: bool = True) -> None:
            heard.append(checked)

        def any(self, *arguments: Any) -> None:
            heard.append(arguments)

    listener = Listener()
    for slot in (listener.none, listener.one, listener.any, lambda: heard.append("lambda")):
        a_button.connect("clicked(bool)", slot)
    a_button.click()
    assert heard == [(), False, (False,), "lambda"]


def test_slot_that_takes_more_than_the_signal_gives_is_reported(a_host: Any, a_button: Any) -> None:
    a_button.connect("clicked()", lambda checked: None)
    a_button.click()
    assert "missing 1 required positional argument: 'checked'" in a_host.take_failures()[0]


def test_partial_as_a_slot_gets_all_arguments(a_host: Any, a_button: Any) -> None:
    def pick(candidate: int) -> None: ...

    a_button.connect("clicked(bool)", functools.partial(pick, 2))
    a_button.click()
    assert "takes 1 positional argument but 2 were given" in a_host.take_failures()[0]


def test_exception_in_a_slot_is_reported_and_other_slots_go_on(a_host: Any, a_button: Any, heard: list[Any]) -> None:
    a_button.connect("clicked()", lambda: 1 / 0)
    a_button.connect("clicked()", lambda: heard.append("second"))
    a_button.click()
    assert "ZeroDivisionError" in a_host.take_failures()[0]
    assert heard == ["second"]


def test_exception_in_a_single_shot_is_reported(a_host: Any, qt: Any) -> None:
    qt.QTimer.singleShot(0, lambda: 1 / 0)
    a_host.wait_until(lambda: bool(a_host.failures))
    assert "ZeroDivisionError" in a_host.take_failures()[0]


def test_single_shot_keeps_the_object_of_its_slot(a_host: Any, qt: Any, heard: list[Any]) -> None:
    class Listener:
        def hear(self) -> None:
            heard.append("timeout")

    qt.QTimer.singleShot(0, Listener().hear)
    gc.collect()
    a_host.wait_until(lambda: bool(heard))


def test_exception_in_an_observer_of_the_scene_is_reported(a_host: Any, a_volume: Any) -> None:
    a_volume.AddObserver("ModifiedEvent", lambda caller, event: 1 / 0)
    a_volume.Modified()
    assert "ZeroDivisionError" in a_host.take_failures()[0]


def test_timer_without_a_reference_is_gone(a_host: Any, qt: Any, heard: list[Any]) -> None:
    timer = qt.QTimer()
    timer.connect("timeout()", lambda: heard.append("timeout"))
    timer.start(0)
    del timer
    gc.collect()
    other = qt.QTimer()
    other.interval = 0
    other.connect("timeout()", lambda: heard.append("other"))
    other.start()
    a_host.wait_until(lambda: "other" in heard)
    assert "timeout" not in heard


def test_single_shot_of_a_timer_is_no_property(qt: Any) -> None:
    timer = qt.QTimer()
    with pytest.raises(AttributeError, match="'singleShot' of QTimer cannot be set"):
        timer.singleShot = True
    timer.setSingleShot(True)
    assert timer.isSingleShot()


def test_enum_values_are_numbers_of_their_class(qt: Any) -> None:
    assert qt.QMessageBox.Ok | qt.QMessageBox.Cancel == 0x400 | 0x400000
    assert qt.Qt.AlignLeft == 1
    with pytest.raises(AttributeError):
        qt.QMessageBox.Okay  # noqa: B018
    with pytest.raises(AttributeError):
        qt.QPushButtn  # noqa: B018


def test_signals_of_nodes_are_known_by_slicers_types(a_host: Any, a_scene: Any, heard: list[Any]) -> None:
    import slicer

    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.setMRMLScene(a_scene)
    assert box.connect("currentNodeChanged(vtkMRMLNode*)", heard.append)
    assert not box.connect("currentNodeChanged(PyObject)", heard.append)
    assert len(a_host.take_failures()) == 1
    node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert heard == []
    box.setCurrentNode(node)
    assert heard == [node]


def test_list_of_nodes_follows_the_scene(a_host: Any, a_scene: Any, a_volume: Any) -> None:
    import slicer

    box = slicer.qMRMLNodeComboBox()
    box.addEnabled = False
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    assert not box.enabled
    box.setMRMLScene(a_scene)
    assert box.currentNode() is a_volume
    other = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Other")
    assert (box.currentNode(), box.nodeCount()) == (a_volume, 2)
    a_scene.RemoveNode(a_volume)
    assert box.currentNode() is other
    a_scene.RemoveNode(other)
    assert (box.currentNode(), box.currentNodeID) == (None, "")


@pytest.fixture
def a_choice(a_host: Any, a_scene: Any) -> Callable[[], Any]:
    """Wraps the one parameter node of the scene."""
    import slicer
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    node = a_scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    types = {"volume": slicer.vtkMRMLScalarVolumeNode, "name": str, "isOn": bool, "count": int}
    wrapper = parameterNodeWrapper(type("Choice", (), {"__annotations__": types, "name": "cup", "isOn": True}))
    return lambda: wrapper(node)


def test_parameters_are_kept_in_the_node(a_choice: Callable[[], Any], a_volume: Any) -> None:
    choice = a_choice()
    assert (choice.volume, choice.name, choice.isOn, choice.count) == (None, "cup", True, 0)
    choice.volume, choice.name, choice.isOn, choice.count = a_volume, "disc", False, 7
    again = a_choice()
    assert (again.volume, again.name, again.isOn, again.count) == (a_volume, "disc", False, 7)


def test_parameters_refuse_other_types(a_choice: Callable[[], Any], a_segmentation: Any) -> None:
    choice = a_choice()
    for name, value in (("volume", a_segmentation), ("name", None), ("count", 1.5)):
        with pytest.raises(TypeError):
            setattr(choice, name, value)


def test_parameters_are_read_when_the_node_reports_a_change(a_choice: Callable[[], Any]) -> None:
    choice, heard = a_choice(), []
    choice.AddObserver("ModifiedEvent", lambda caller, event: heard.append(choice.name))
    choice.parameterNode.SetParameter("name", "disc")
    assert (choice.name, heard) == ("disc", ["disc"])
    choice.parameterNode.SetDisableModifiedEvent(True)
    choice.parameterNode.SetParameter("name", "rim")
    assert choice.name == "disc"


def test_error_in_a_module_method_is_reported_and_slicer_goes_on(a_host: Any, tmp_path: Any) -> None:
    file = tmp_path / "Broken.py"
    file.write_text(
        "from slicer.ScriptedLoadableModule import *\n"
        "class Broken(ScriptedLoadableModule):\n"
        "    def __init__(self, parent):\n"
        "        ScriptedLoadableModule.__init__(self, parent)\n"
        "        self.parent.title = 'Broken'\n"
        "class BrokenWidget(ScriptedLoadableModuleWidget):\n"
        "    def setup(self):\n"
        "        self.ui.button.click()\n"
        "    def enter(self):\n"
        "        self.isHere = self.parent.isEntered\n"
        "    def exit(self):\n"
        "        self.isHere = self.parent.isEntered\n",
        encoding="utf-8",
    )
    assert a_host.load(file).title == "Broken"
    panel = a_host.open("Broken")
    assert "has no attribute 'ui'" in a_host.take_failures()[0]
    assert panel.isHere
    a_host.leave()
    assert not panel.isHere


def test_unseen_error_fails_the_test_at_its_end(a_host: Any, a_button: Any) -> None:
    a_button.connect("clicked()", lambda: 1 / 0)
    a_button.click()
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        a_host.close()


def test_python_class_filters_the_events_of_a_widget(qt: Any, a_host: Any, a_button: Any) -> None:
    from Testing.host.user import hover

    class Filter(qt.QObject):
        def __init__(self, heard: list[Any]) -> None:
            qt.QObject.__init__(self)
            self.heard = heard

        def eventFilter(self, watched: Any, event: Any) -> bool:
            if event.type() == qt.QEvent.Enter:
                self.heard.append(watched.text)
            return False

    heard: list[Any] = []
    a_filter = Filter(heard)
    a_button.show()
    a_host.process_events()
    a_button.installEventFilter(a_filter)
    hover(a_button)
    assert heard == ["Go"]
    del a_filter
    gc.collect()
    hover(a_button)
    assert heard == ["Go"], "what nobody holds is gone"


def test_error_in_an_event_filter_is_printed(qt: Any, a_host: Any, a_button: Any) -> None:
    class Filter(qt.QObject):
        def eventFilter(self, watched: Any, event: Any) -> bool:
            return watched.txt

    a_filter = Filter()
    a_button.installEventFilter(a_filter)
    a_button.show()
    a_button.removeEventFilter(a_filter)
    assert any("QPushButton has no attribute named 'txt'" in failure for failure in a_host.take_failures())


@pytest.mark.parametrize("question", ["getOpenFileName", "getSaveFileName"])
def test_question_for_a_file_gives_its_path_alone(qt: Any, a_host: Any, tmp_path: Any, question: str) -> None:
    path = tmp_path / "file.txt"
    if question == "getOpenFileName":
        path.write_text("there", encoding="utf-8")
    a_host.name_file_in_next_dialog(path)
    assert getattr(qt.QFileDialog, question)(None, "Which?", "", "Text (*.txt)") == str(path)
    a_host.answer_next_dialog("Cancel")
    assert getattr(qt.QFileDialog, question)(None, "Which?", "", "Text (*.txt)") == ""


def test_question_for_a_folder_gives_its_path(qt: Any, a_host: Any, tmp_path: Any) -> None:
    (tmp_path / "cases").mkdir()
    a_host.name_file_in_next_dialog(tmp_path / "cases")
    assert qt.QFileDialog.getExistingDirectory(None, "Which?") == str(tmp_path / "cases")
    a_host.answer_next_dialog("Cancel")
    assert qt.QFileDialog.getExistingDirectory(None, "Which?") == ""


def test_table_tells_of_a_double_click_and_of_the_chosen_row(qt: Any, a_host: Any) -> None:
    from Testing.host.user import double_click_row, select_row

    table, opened, chosen = qt.QTableWidget(30, 1), [], []
    for row in range(table.rowCount):
        table.setItem(row, 0, qt.QTableWidgetItem(f"row {row}"))
    table.connect("cellDoubleClicked(int,int)", lambda row, column: opened.append(row))
    table.connect("itemSelectionChanged()", lambda: chosen.append(table.currentRow()))
    table.show()
    select_row(table, 2)
    double_click_row(table, 25)
    assert (chosen, opened) == ([2, 25], [25])
    with pytest.raises(TypeError, match="not callable"):
        table.rowCount()


def test_settings_are_kept_for_the_application(a_host: Any) -> None:
    import slicer

    assert slicer.app.userSettings().value("Name") is None
    slicer.app.userSettings().setValue("Name", "Anna")
    assert slicer.app.userSettings().value("Name") == "Anna"


def test_slice_views_are_found_by_their_names(a_host: Any, a_slice_view: Any, a_volume: Any, heard: list[Any]) -> None:
    import slicer

    from Testing.host.slice_view import SliceView

    layout = slicer.app.layoutManager()
    assert layout.sliceViewNames() == ()
    layout.connect("layoutChanged(int)", lambda: heard.append(layout.sliceViewNames()))
    view = SliceView(a_slice_view, a_volume)
    assert heard == [("Red",)]
    widget = layout.sliceWidget("Red")
    assert widget.mrmlSliceNode() is a_slice_view
    assert widget.sliceView().interactor().GetRenderWindow().GetRenderers().GetFirstRenderer() is not None
    assert layout.sliceWidget("Green") is None
    with pytest.raises(AttributeError, match="qMRMLSliceView has no attribute named 'node'"):
        widget.sliceView().node  # noqa: B018
    view.close()


def test_named_dialog_is_filled_in_after_another_question(qt: Any, a_host: Any, tmp_path: Any) -> None:
    file = tmp_path / "file.txt"
    file.write_text("there", encoding="utf-8")
    a_host.name_file_in_next_dialog(file)
    a_host.fill_in_dialog("Name", {"line": "Anna"}, "OK")
    assert qt.QFileDialog.getOpenFileName(None, "Which?", "", "Text (*.txt)") == str(file)
    dialog = qt.QDialog()
    dialog.objectName = "Name"
    layout = qt.QVBoxLayout(dialog)
    line, button = qt.QLineEdit(), qt.QPushButton("OK")
    line.objectName = "line"
    button.connect("clicked()", dialog.accept)
    layout.addWidget(line)
    layout.addWidget(button)
    assert dialog.exec_() == 1 and line.text == "Anna"


def test_contents_of_a_closed_section_are_hidden_until_it_is_opened(qt: Any, a_host: Any) -> None:
    import ctk

    window = qt.QWidget()
    section = ctk.ctkCollapsibleButton("More", window)
    section.collapsed = True
    button = qt.QPushButton("Press")
    qt.QVBoxLayout(section).addWidget(button)
    qt.QVBoxLayout(window).addWidget(section)
    window.show()
    a_host.process_events()
    assert section.isVisible() and not button.isVisible()
    section.collapsed = False
    assert button.isVisible()
    section.collapsed = True
    assert not button.isVisible()


def test_none_outlives_the_calls_that_give_it(qt: Any) -> None:
    widget = qt.QWidget()
    for _ in range(100_000):
        widget.update()
    assert sys.getrefcount(None) > 100_000
