"""The panel: buttons become calls, states become what its widgets show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from InteractiveAdaptSegLib.Choices import Choices
from InteractiveAdaptSegLib.CohortReview import CohortReview
from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic
from InteractiveAdaptSegLib.ViewModel import (
    PanelState,
    Status,
    galleryState,
    modelState,
    panelState,
    profileState,
    stepState,
    taskActions,
    taskState,
)
from InteractiveAdaptSegLib.Words import measuresText, propagateText, redoText, statusText, taskText, undoText, unitText
from InteractiveAdaptSegWidgets.Gallery import Gallery
from InteractiveAdaptSegWidgets.LearningPlot import LearningPlot
from InteractiveAdaptSegWidgets.Messages import Messages
from InteractiveAdaptSegWidgets.ModelChooser import ModelChooser
from InteractiveAdaptSegWidgets.ProfileChooser import ProfileChooser
from InteractiveAdaptSegWidgets.ReviewList import ReviewList
from InteractiveAdaptSegWidgets.SegmentSection import SegmentSection
from InteractiveAdaptSegWidgets.Shortcuts import Shortcuts
from InteractiveAdaptSegWidgets.TaskButtons import TaskButtons
from InteractiveAdaptSegWidgets.Tools import Tools

NEWS_INTERVAL, NEWS_PATIENCE = 5, 0.02
"""Milliseconds between two looks at work that is under way, and seconds that each waits to let it go on."""

MEASURE_DELAY = 300
"""Milliseconds without a change before the segment is measured."""

CHOOSERS = ("volumeSelector", "segmentationSelector", "segmentSelector", "newSegmentButton")
"""Widgets that choose what is segmented."""


class Panel:
    """Everything that is shown, on a session of its own.

    Args:
        ui: the panel's widgets.
        logic: the module's logic: starts sessions, knows and installs packages.
    """

    def __init__(self, ui: Any, logic: Any) -> None:
        self.ui = ui
        self._logic = logic
        self._isClosed = False
        self._answering = ""
        self._timer = qt.QTimer()
        self._timer.setInterval(NEWS_INTERVAL)
        self._timer.connect("timeout()", self.onTimer)
        self._measureTimer = qt.QTimer()
        self._measureTimer.setSingleShot(True)
        self._measureTimer.setInterval(MEASURE_DELAY)
        self._measureTimer.connect("timeout()", self.onMeasure)
        self.messages = Messages(ui, self.follow)
        reported = self.messages.reported
        self.session: SegmentationLogic = logic.startSession(
            onChanged=self.follow,
            onMessage=self.messages.show,
            defer=lambda function: qt.QTimer.singleShot(0, function),
        )
        session = self.session
        self.choices = Choices(
            slicer.mrmlScene,
            session,
            ui.segmentSelector,
            isReady=lambda: not logic.missingPackages(),
            reported=reported,
            onChanged=self.follow,
            onNames=lambda: qt.QTimer.singleShot(0, self.showNames),
        )
        self.tools = Tools(
            ui,
            session,
            reported,
            onTaken=lambda: self._segmentSection.putDown(),
            begin=self.choices.beginSegment,
            onMessage=self.messages.show,
            onChanged=self.show,
        )
        self._segmentSection = SegmentSection(ui, self.choices, session, reported, self.tools.stop)
        review = CohortReview(slicer.mrmlScene, session)
        self.reviewList = ReviewList(ui, review, reported, self.onCohortOpened, self.onCaseShown)
        self._gallery = Gallery(ui, session.candidates, reported, self.onPick, self.onHover)
        self._profileChooser = ProfileChooser(ui, session.profile, reported, self.onUserChosen)
        self._taskButtons = TaskButtons(ui, session, reported)
        self._modelChooser = ModelChooser(ui, session, reported, self.onModelChosen)
        self._learningPlot = LearningPlot(slicer.mrmlScene)
        self._connectButtons()
        self._shortcuts = Shortcuts(ui, self.onPreviousSegment)

    def close(self) -> None:
        """Let go of everything when the module is unloaded or Slicer ends."""
        self._isClosed = True
        self._segmentSection.leave()
        self.tools.close()
        self._timer.stop()
        self._measureTimer.stop()
        self._shortcuts.close()
        self.reviewList.close()
        self.choices.use(None)
        self.session.close()

    def leave(self) -> None:
        """The user goes to another module, to which the mouse is left; what is under way goes on."""
        self.tools.stop()
        self._segmentSection.leave()

    def use(self, parameterNode: Any) -> None:
        """Work on what a parameter node holds; None for nothing, as while a scene is closed."""
        self.choices.use(parameterNode)
        if parameterNode is not None and not self._logic.missingPackages():
            self.reviewList.follow(parameterNode.cohortFolder)
            self.follow()

    def follow(self) -> None:
        """Something has changed: bring what follows the session in line with it, and show all."""
        if self._isClosed:
            return
        self.choices.follow()
        state = self._state()
        if not (state.canPlace or state.keepsTool):
            self.tools.stopDrawing(mayBegin=state.canBegin)
        self._learningPlot.follow(self.session.task.name, self.session.task.history)
        self._followWork()
        self._segmentSection.follow()
        self.show()
        self._followModel()
        self.choices.takeUpNames()

    def show(self) -> None:
        """Show the state of the session; nothing else is changed."""
        if self._isClosed:
            return
        state = self._state()
        self._showButtons(state)
        self.tools.show(state.canPlace or state.canBegin)
        self._showProgress(state)
        self._showSegment()
        self._showTask(state)
        self._gallery.show(galleryState(self.session))
        self._modelChooser.show(modelState(self.session))
        self.reviewList.show(not self._logic.missingPackages(), self.session.isIdle)

    def showNames(self) -> None:
        """List tasks and users, and show those that are chosen."""
        if self._isClosed or self._logic.missingPackages():
            return
        self.ui.taskSelector.clear()
        self.ui.taskSelector.addItems(list(self.session.task.names()))
        self.ui.taskSelector.setEditText(self.session.task.name or "")
        self._profileChooser.listUsers()
        self._modelChooser.takeUpSettings()
        self.follow()
        if not self.ui.messageLabel.text and (offer := self._shortcuts.offered()):
            self.messages.show(offer)

    def onNewSegment(self) -> None:
        choice = self.choices.node
        if choice is None or choice.inputVolume is None:
            self.messages.show(_("Choose a volume first."))
            return
        with self.messages.reported():
            self.choices.addSegment()

    def onNextSegment(self) -> None:
        with self.messages.reported():
            self.choices.nextSegment()

    def onPreviousSegment(self) -> None:
        with self.messages.reported():
            self.choices.chooseNeighbour(-1)

    def onInstall(self) -> None:
        with self.messages.reported():
            self._logic.installPackages(_confirmInstallation)
            self.choices.apply()
            self.showNames()

    def onTaskChosen(self) -> None:
        """The user has chosen a task or typed a name; without a name, nothing is learnt."""
        name = self.ui.taskSelector.currentText.strip() or None
        if self._isClosed or name == self.session.task.name or self._logic.missingPackages():
            return
        with self.messages.reported():
            self.session.setTask(name)
            self.choices.node.task = name or ""
        self.showNames()

    def onUserChosen(self, name: str | None) -> None:
        self.choices.node.user = name or ""

    def onModelChosen(self, name: str) -> None:
        self.choices.node.model = name

    def onLearn(self, checked: bool) -> None:
        with self.messages.reported():
            self.session.setLearning(checked)

    def onMeasureGain(self, checked: bool) -> None:
        with self.messages.reported():
            self.session.setMeasured(checked)

    def onOnlyPointed(self, checked: bool) -> None:
        self.choices.node.onlyPointed = checked

    def onUnit(self, isObject: bool) -> None:
        """The user has chosen whether prompts are about the object or a slice."""
        if self.choices.node is not None:
            self.choices.node.wholeObject = isObject

    def onPick(self, number: int) -> None:
        with self.messages.reported():
            self.session.pick(number)

    def onHover(self, number: int | None) -> None:
        """The mouse is on a candidate, or has left it: None."""
        if not self._isClosed:
            self.session.preview(number)

    def onAccept(self) -> None:
        with self.messages.reported():
            self.session.accept()

    def onPropagate(self) -> None:
        with self.messages.reported():
            self.tools.stopPlacing()
            self.session.propagate()

    def onUnsure(self) -> None:
        with self.messages.reported():
            self.session.showUnsurePlane()

    def onCohortOpened(self, folder: Any) -> None:
        self.choices.node.cohortFolder = str(folder)

    def onCaseShown(self, volumeNode: Any, segmentationNode: Any, segmentID: str) -> None:
        """Work on a case that the review has opened, beginning with the slice that is least sure."""
        self.choices.chooseCase(volumeNode, segmentationNode, segmentID)
        if self.session.hasUnsurePlane:
            self.session.showUnsurePlane()

    def onShowLearning(self) -> None:
        with self.messages.reported():
            self._learningPlot.show(self.session.task.name or "", self.session.task.history)

    def onCancel(self) -> None:
        self.session.cancelPropagation()
        self.session.cancelPrediction()

    def onClear(self) -> None:
        with self.messages.reported():
            self.session.clearPrompts()

    def onUndo(self) -> None:
        with self.messages.reported():
            self.session.undo()

    def onRedo(self) -> None:
        with self.messages.reported():
            self.session.redo()

    def onTimer(self) -> None:
        """Runs only while something is under way, such as a propagation, a slow answer, or what is learnt and saved."""
        with slicer.util.tryWithErrorDisplay(_("The work in the background has failed.")):
            self.session.update(NEWS_PATIENCE)
            if not self.session.needsTime:
                self._timer.stop()

    def onMeasure(self) -> None:
        """Tell the size of what is previewed or written, once nothing has changed for a while: that takes time."""
        self.ui.resultLabel.text = measuresText(self.choices.measures, _)

    def _state(self) -> PanelState:
        choice = self.choices.node
        return panelState(self.session, bool(self._logic.missingPackages()), choice and choice.inputVolume)

    def _followWork(self) -> None:
        if not self.session.needsTime:
            self._timer.stop()
        elif not self._timer.active:
            self._timer.start()

    def _followModel(self) -> None:
        """Another model has other tasks and users."""
        before, self._answering = self._answering, self.session.model.answering
        if before and before != self._answering:
            self.showNames()

    def _showButtons(self, state: PanelState) -> None:
        ui = self.ui
        for button, enabled in (
            (ui.acceptButton, state.canAccept),
            (ui.propagateButton, state.canPropagate),
            (ui.unsureButton, state.canGoToUnsure),
            (ui.clearButton, state.canClear),
            (ui.undoButton, state.canUndo),
            (ui.redoButton, state.canRedo),
            (ui.cancelButton, state.canCancel),
            (ui.taskSelector, state.canChooseTask),
            (ui.learnCheckBox, state.canChooseTask),
            (ui.measureCheckBox, state.canChooseTask),
            (ui.nextSegmentButton, state.canPlace),
            (ui.onlyPointedCheckBox, state.canChooseTask),
            (ui.objectButton, state.canChooseSegment and state.hindrance is None),
            (ui.sliceButton, state.canChooseSegment),
            *((getattr(ui, name), state.canChooseSegment) for name in CHOOSERS),
        ):
            button.enabled = enabled
        ui.objectButton.checked, ui.sliceButton.checked = state.isAtObject, not state.isAtObject
        ui.objectButton.toolTip = unitText(state.hindrance, _)
        ui.propagateButton.toolTip = propagateText(state.isAtObject, _)
        undone, redone = map(stepState, self.session.nextSteps)
        ui.undoButton.toolTip, ui.redoButton.toolTip = undoText(undone, _), redoText(redone, _)

    def _showProgress(self, state: PanelState) -> None:
        ui = self.ui
        ui.installButton.visible = state.status is Status.PACKAGES_MISSING
        ui.progressBar.visible = state.canCancel or state.isLoading
        ui.cancelButton.visible = state.canCancel
        ui.progressBar.maximum = state.progress[1]
        ui.progressBar.value = state.progress[0]
        ui.statusLabel.text = statusText(state.status, _)

    def _showSegment(self) -> None:
        self.ui.onlyPointedCheckBox.checked = self.choices.node is None or self.choices.node.onlyPointed
        self._measureTimer.start()
        colour = self.choices.colour
        shown = "" if colour is None else f"background-color: rgb({', '.join(str(round(255 * c)) for c in colour)});"
        if self.ui.segmentColour.styleSheet != shown:
            self.ui.segmentColour.styleSheet = shown

    def _showTask(self, state: PanelState) -> None:
        task = taskState(self.session)
        self.ui.learnCheckBox.checked = self.session.task.isOn
        self.ui.measureCheckBox.checked = self.session.task.isMeasured
        self.ui.taskLabel.text = taskText(task, _)
        self.ui.learningButton.enabled = task is not None and task.accepted > 0
        self._profileChooser.show(profileState(self.session), state.canChooseTask)
        self._taskButtons.show(taskActions(self.session))

    def _connectButtons(self) -> None:
        ui = self.ui
        ui.segmentSelector.connect("currentSegmentChanged(QString)", self.choices.chooseSegment)
        ui.taskSelector.connect("activated(int)", self.onTaskChosen)
        ui.taskSelector.lineEdit().connect("editingFinished()", self.onTaskChosen)
        ui.learnCheckBox.connect("clicked(bool)", self.onLearn)
        ui.measureCheckBox.connect("clicked(bool)", self.onMeasureGain)
        ui.onlyPointedCheckBox.connect("clicked(bool)", self.onOnlyPointed)
        ui.objectButton.connect("clicked()", lambda: self.onUnit(True))
        ui.sliceButton.connect("clicked()", lambda: self.onUnit(False))
        calls: tuple[tuple[Any, Callable[[], None]], ...] = (
            (ui.newSegmentButton, self.onNewSegment),
            (ui.nextSegmentButton, self.onNextSegment),
            (ui.installButton, self.onInstall),
            (ui.acceptButton, self.onAccept),
            (ui.propagateButton, self.onPropagate),
            (ui.unsureButton, self.onUnsure),
            (ui.learningButton, self.onShowLearning),
            (ui.clearButton, self.onClear),
            (ui.undoButton, self.onUndo),
            (ui.redoButton, self.onRedo),
            (ui.cancelButton, self.onCancel),
        )
        for button, call in calls:
            button.connect("clicked()", call)


def _confirmInstallation(requirements: Any) -> bool:
    names = "\n".join(str(requirement) for requirement in requirements)
    return bool(
        slicer.util.confirmOkCancelDisplay(
            _("These Python packages will be downloaded and installed into Slicer. It may take some minutes."),
            _("Install Python packages"),
            detailedText=names,
        )
    )
