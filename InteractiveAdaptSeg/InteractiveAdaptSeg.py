"""The scripted module InteractiveAdaptSeg: module, panel, logic and self test.

Nothing outside of Slicer and the standard library is imported before the panel is opened.
"""

import os
from contextlib import contextmanager
from pathlib import Path

import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

MODULE_FOLDER = Path(__file__).resolve().parent
HOMEPAGE = "https://example.org/InteractiveAdaptSeg"
NEWS_INTERVAL, NEWS_PATIENCE = 5, 0.02
"""Milliseconds between two looks at work that is under way, and seconds that each waits to let it go on."""


class InteractiveAdaptSeg(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Interactive AdaptSeg")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Markups", "Plots", "Segmentations"]
        self.parent.contributors = ["InteractiveAdaptSeg contributors"]
        self.parent.helpText = _("""
Click on a structure in a slice view, or draw a box or a lasso around it: the module answers with a mask. Further clicks
and scribbles on the object (+) or beside it (-) correct the mask, or one of the candidates beside it is picked. Accept
writes it into the chosen segment; propagate carries it to the neighbouring slices. Masking and overwriting are those of
the Segment Editor. Under the name of a task, every accepted mask teaches the model; under the name of a user, picks and
accepted masks teach a profile of what this user prefers. What they have learnt is kept on this computer, where
everything is computed; so are features of the images that were accepted under a task, but not the images.
Not for clinical use.
""")
        self.parent.helpText += _('<p>Tutorial and more: <a href="{address}">{address}</a></p>').format(
            address=HOMEPAGE
        )
        self.parent.acknowledgementText = _("""
The built-in model was trained on synthetic images only.
""")
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Offer the phantom, a file of the module, in Slicer's Sample Data module."""
    import SampleData

    resources = MODULE_FOLDER / "Resources"
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="Interactive AdaptSeg",
        sampleName="AdaptSegPhantom",
        thumbnailFileName=str(resources / "Icons" / "AdaptSegPhantom.png"),
        uris=(resources / "SampleData" / "AdaptSegPhantom.nrrd").as_uri(),
        fileNames="AdaptSegPhantom.nrrd",
        checksums="SHA256:a9e4cdddd6366fada522f8bc222d4117150107641e1883cb3f093de6f97fbed5",
        nodeNames="AdaptSegPhantom",
    )


@parameterNodeWrapper
class InteractiveAdaptSegParameterNode:
    """What the user has chosen; saved with the scene.

    inputVolume - the volume that is looked at; it is never written.
    segmentation - the segmentation that masks are accepted into.
    segmentID - the segment of it that is worked on.
    cohortFolder - the cohort that is reviewed, if one was opened.
    model - name of the model that answers; where it cannot be used, the built-in one does.
    task, user - the names that are learnt under. A new scene takes over model, task and user of the one before it.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    segmentID: str = ""
    cohortFolder: str = ""
    model: str = ""
    task: str = ""
    user: str = ""


class InteractiveAdaptSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: passes the user's wishes to the logic and shows its state."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.session = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._isApplyingChoice = False
        self._isSceneNew = True
        self._timer = None
        self._gallery = None
        self._profileChooser = None
        self._taskButtons = None
        self._modelChooser = None
        self._shortcuts = None
        self._drawMode = None
        self._learningPlot = None
        self._reviewList = None

    def setup(self):
        """Build the panel when the user opens the module for the first time."""
        from InteractiveAdaptSegLib.DrawMode import DrawMode
        from InteractiveAdaptSegWidgets.LearningPlot import LearningPlot
        from InteractiveAdaptSegWidgets.Shortcuts import Shortcuts

        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/InteractiveAdaptSeg.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = InteractiveAdaptSegLogic()
        self.session = self.logic.startSession(
            onChanged=self.updateGui,
            onMessage=self.showMessage,
            defer=lambda function: qt.QTimer.singleShot(0, function),
        )
        self._drawMode = DrawMode(
            slicer.mrmlScene,
            onDrawn=lambda *drawn: qt.QTimer.singleShot(0, lambda: self.onDrawn(*drawn)),
            onMessage=self.showMessage,
            onChanged=self.updateGui,
        )
        self._timer = qt.QTimer()
        self._timer.setInterval(NEWS_INTERVAL)
        self._timer.connect("timeout()", self.onTimer)
        self._connectButtons()
        self._shortcuts = Shortcuts(self.ui)
        self._learningPlot = LearningPlot(slicer.mrmlScene)
        self._addCohortReview()
        self._addCandidates()
        scene = slicer.mrmlScene
        for event in (scene.StartCloseEvent, scene.StartImportEvent):
            self.addObserver(scene, event, self.onSceneStartsToChange)
        for event in (scene.EndCloseEvent, scene.EndImportEvent):
            self.addObserver(scene, event, self.onSceneChanged)
        self.initializeParameterNode()
        if self.parent.isEntered:
            qt.QTimer.singleShot(0, self._showTask)

    def cleanup(self):
        """Let go of everything when the module is unloaded or Slicer ends."""
        self.removeObservers()
        if self._drawMode is not None:
            self._drawMode.stop()
        if self._timer is not None:
            self._timer.stop()
        if self._shortcuts is not None:
            self._shortcuts.close()
        if self._reviewList is not None:
            self._reviewList.close()
        session, self.session = self.session, None
        if session is not None:
            session.close()

    def enter(self):
        """The user comes (back) to the module."""
        self.initializeParameterNode()
        qt.QTimer.singleShot(0, self._showTask)

    def exit(self):
        """The user goes to another module; a propagation under way goes on."""
        self._drawMode.stop()
        if self._parameterNode is not None:
            self._stopPlacing()
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self._parameterNodeGuiTag = None
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)
            self._parameterNode = None

    def onSceneStartsToChange(self, caller, event):
        """The scene is closed, or loaded: choices are there before the nodes that they name."""
        self.setParameterNode(None)
        self._reviewList.follow("")

    def onSceneChanged(self, caller, event):
        self._isSceneNew = True
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        """Take up what the scene holds of the user's choices; choose the first volume if there is none."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            volumeNode = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if volumeNode:
                self._parameterNode.inputVolume = volumeNode

    def setParameterNode(self, parameterNode):
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)
            interactionNode = slicer.app.applicationLogic().GetInteractionNode()
            if not self.hasObserver(interactionNode, interactionNode.InteractionModeChangedEvent, self.onMouseMode):
                self.addObserver(interactionNode, interactionNode.InteractionModeChangedEvent, self.onMouseMode)
            self.applyChoice()
            if not self.logic.missingPackages():
                self._reviewList.follow(parameterNode.cohortFolder)
                self.updateGui()

    def _takeUpNames(self, choice):
        """Take up task and user of a new scene once its model is there; one without them takes over what is chosen."""
        if not self._isSceneNew or self.session.model.isComing:
            return
        self._isSceneNew = False
        choice.model = choice.model or self.session.model.name
        task, user = choice.task, choice.user
        if user and user != self.session.profile.user:
            with self._reported():
                self.session.profile.choose(user)
        if task and task != self.session.taskName:
            with self._reported():
                self.session.setTask(task)
        choice.task, choice.user = task or self.session.taskName or "", user or self.session.profile.user or ""
        qt.QTimer.singleShot(0, self._showTask)

    def onParameterNodeModified(self, caller=None, event=None):
        self.applyChoice()

    def applyChoice(self):
        """Work on the chosen segment; nothing is loaded before all is chosen and all packages are there."""
        choice = self._parameterNode
        if self._isApplyingChoice or choice is None:
            return
        self._isApplyingChoice = True
        try:
            if self.ui.segmentSelector.currentNode() != choice.segmentation:
                self.ui.segmentSelector.setCurrentNode(choice.segmentation)
            if self._chosenSegment() is None:
                choice.segmentID = self.ui.segmentSelector.currentSegmentID()
            if self._chosenSegment() is None or self.logic.missingPackages():
                self.session.clearTarget()
            else:
                self.ui.segmentSelector.setCurrentSegmentID(choice.segmentID)
                with self._reported():
                    self.session.setTarget(choice.inputVolume, choice.segmentation, choice.segmentID)
            if choice.model not in ("", self.session.model.name) and not self.logic.missingPackages():
                with self._reported():
                    self.session.setModel(choice.model)
        finally:
            self._isApplyingChoice = False
        self.updateGui()

    def onSegmentChanged(self, segmentID):
        """The user chose another segment, or Slicer did since one was added or removed."""
        if self._parameterNode is not None and not self._isApplyingChoice:
            self._parameterNode.segmentID = segmentID

    def onNewSegment(self):
        """Add a segment, and a segmentation to put it in if none is chosen."""
        choice = self._parameterNode
        if choice is None or choice.inputVolume is None:
            self.showMessage(_("Choose a volume first."))
            return
        with self._reported():
            self._isApplyingChoice = True
            try:
                if choice.segmentation is None:
                    choice.segmentation = self.logic.addSegmentation(choice.inputVolume)
                    self.ui.segmentSelector.setCurrentNode(choice.segmentation)
                segmentID = self.session.addSegment(choice.inputVolume, choice.segmentation)
            finally:
                self._isApplyingChoice = False
            choice.segmentID = segmentID
            self.applyChoice()

    def onInstall(self):
        with self._reported():
            self.logic.installPackages(self._confirmInstallation)
            self.applyChoice()
            self._showTask()

    def onTaskChosen(self):
        """The user has chosen a task or typed a name; without a name, nothing is learnt."""
        name = self.ui.taskSelector.currentText.strip() or None
        if self.session is None or name == self.session.taskName or self.logic.missingPackages():
            return
        with self._reported():
            self.session.setTask(name)
            self._parameterNode.task = name or ""
        self._showTask()

    def onUserChosen(self, name):
        self._parameterNode.user = name or ""

    def onModelChosen(self, name):
        self._parameterNode.model = name

    def onLearn(self, checked):
        with self._reported():
            self.session.setLearning(checked)

    def onPick(self, number):
        with self._reported():
            self.session.pick(number)

    def onHover(self, number):
        """The mouse is on a candidate, or has left it: None."""
        if self.session is not None:
            self.session.preview(number)

    def onOthers(self):
        with self._reported():
            self.session.candidates.askForOthers()

    def onMore(self):
        with self._reported():
            self.session.candidates.askForMore()

    def onCandidatesCollapsed(self, isCollapsed):
        with self._reported():
            self.session.candidates.setWanted(not isCollapsed)

    def onPlacePositive(self, checked):
        self._place(0, checked)

    def onPlaceNegative(self, checked):
        self._place(1, checked)

    def onDraw(self, tool, checked):
        if checked:
            self._drawMode.start(tool)
        else:
            self._drawMode.stop()

    def onDrawn(self, tool, sliceNode, worldPoints):
        """The user has drawn in a slice view."""
        from InteractiveAdaptSegLib.DrawMode import givePrompt

        if self.session is not None:
            with self._reported():
                givePrompt(self.session, tool, sliceNode, worldPoints)

    def onAccept(self):
        with self._reported():
            self.session.accept()

    def onPropagate(self):
        with self._reported():
            self._stopPlacing()
            self.session.propagate()

    def onUnsure(self):
        with self._reported():
            self.session.showUnsurePlane()

    def onCohortOpened(self, folder):
        self._parameterNode.cohortFolder = str(folder)

    def onCaseShown(self, volumeNode, segmentationNode, segmentID):
        """Work on a case that the review has opened, beginning with the slice that is least sure."""
        choice = self._parameterNode
        self._isApplyingChoice = True
        try:
            choice.inputVolume = volumeNode
            choice.segmentation = segmentationNode
            self.ui.segmentSelector.setCurrentNode(segmentationNode)
        finally:
            self._isApplyingChoice = False
        choice.segmentID = segmentID
        self.applyChoice()
        if self.session.hasUnsurePlane:
            self.session.showUnsurePlane()

    def onShowLearning(self):
        with self._reported():
            self._learningPlot.show(self.session.taskName, self.session.taskHistory)

    def onCancel(self):
        self.session.cancelPropagation()
        self.session.cancelPrediction()

    def onClear(self):
        with self._reported():
            self.session.clearPrompts()

    def onUndo(self):
        with self._reported():
            self.session.undo()

    def onRedo(self):
        with self._reported():
            self.session.redo()

    def onTimer(self):
        """Runs only while something is under way, such as a propagation, a slow answer, or what is learnt and saved."""
        with slicer.util.tryWithErrorDisplay(_("The work in the background has failed.")):
            self.session.update(NEWS_PATIENCE)
            if not self.session.needsTime:
                self._timer.stop()

    def onMouseMode(self, caller, event):
        self.updateGui()

    def updateGui(self):
        """Show the state of the logic."""
        from InteractiveAdaptSegLib.ViewModel import (
            galleryState,
            modelState,
            panelState,
            profileState,
            taskActions,
            taskState,
        )

        if self.session is None:
            return
        self._followSession()
        state = panelState(self.session, bool(self.logic.missingPackages()))
        for button, enabled in (
            (self.ui.positiveButton, state.canPlace),
            (self.ui.negativeButton, state.canPlace),
            (self.ui.boxButton, state.canPlace),
            (self.ui.lassoButton, state.canPlace),
            (self.ui.scribblePositiveButton, state.canPlace),
            (self.ui.scribbleNegativeButton, state.canPlace),
            (self.ui.acceptButton, state.canAccept),
            (self.ui.propagateButton, state.canPropagate),
            (self.ui.unsureButton, state.canGoToUnsure),
            (self.ui.clearButton, state.canClear),
            (self.ui.undoButton, state.canUndo),
            (self.ui.redoButton, state.canRedo),
            (self.ui.cancelButton, state.canCancel),
            (self.ui.taskSelector, state.canChooseTask),
            (self.ui.learnCheckBox, state.canChooseTask),
            (self.ui.volumeSelector, state.canChooseSegment),
            (self.ui.segmentationSelector, state.canChooseSegment),
            (self.ui.segmentSelector, state.canChooseSegment),
            (self.ui.newSegmentButton, state.canChooseSegment),
        ):
            button.enabled = enabled
        if not (state.canPlace or state.keepsTool):
            self._drawMode.stop()
        self._showPlacing()
        self.ui.installButton.visible = state.status.name == "PACKAGES_MISSING"
        self.ui.progressBar.visible = state.canCancel
        self.ui.progressBar.maximum = state.progress[1]
        self.ui.progressBar.value = state.progress[0]
        self.ui.statusLabel.text = statusText(state.status.name)
        self.ui.learnCheckBox.checked = self.session.mustLearn
        task = taskState(self.session)
        self.ui.taskLabel.text = taskText(task)
        self.ui.learningButton.enabled = task is not None and task.accepted > 0
        self._learningPlot.follow(self.session.taskName, self.session.taskHistory)
        self._profileChooser.show(profileState(self.session), state.canChooseTask)
        self._taskButtons.show(taskActions(self.session))
        self._modelChooser.show(modelState(self.session))
        self._showGallery(galleryState(self.session))
        self._reviewList.show(not self.logic.missingPackages(), self.session.isIdle)
        if not self.session.needsTime:
            self._timer.stop()
        elif not self._timer.active:
            self._timer.start()
        if self._parameterNode is not None and not self._isApplyingChoice and not self.logic.missingPackages():
            self._takeUpNames(self._parameterNode)

    def showMessage(self, text):
        """Tell the user something that goes beyond the status."""
        from AdaptCore.printable import printable

        self.ui.messageLabel.text = printable(text)

    def _connectButtons(self):
        self.ui.segmentSelector.connect("currentSegmentChanged(QString)", self.onSegmentChanged)
        self.ui.newSegmentButton.connect("clicked()", self.onNewSegment)
        self.ui.installButton.connect("clicked()", self.onInstall)
        self.ui.positiveButton.connect("clicked(bool)", self.onPlacePositive)
        self.ui.negativeButton.connect("clicked(bool)", self.onPlaceNegative)
        self._connectTools()
        self.ui.acceptButton.connect("clicked()", self.onAccept)
        self.ui.propagateButton.connect("clicked()", self.onPropagate)
        self.ui.unsureButton.connect("clicked()", self.onUnsure)
        self.ui.learningButton.connect("clicked()", self.onShowLearning)
        self.ui.clearButton.connect("clicked()", self.onClear)
        self.ui.undoButton.connect("clicked()", self.onUndo)
        self.ui.redoButton.connect("clicked()", self.onRedo)
        self.ui.cancelButton.connect("clicked()", self.onCancel)
        self.ui.taskSelector.connect("activated(int)", self.onTaskChosen)
        self.ui.taskSelector.lineEdit().connect("editingFinished()", self.onTaskChosen)
        self.ui.learnCheckBox.connect("clicked(bool)", self.onLearn)

    def _connectTools(self):
        from InteractiveAdaptSegLib.DrawMode import Tool

        for tool in Tool:
            self._toolButton(tool).connect("clicked(bool)", lambda checked, tool=tool: self.onDraw(tool, checked))

    def _toolButton(self, tool):
        return getattr(self.ui, f"{tool.value}Button")

    def _addCandidates(self):
        from InteractiveAdaptSegWidgets.Gallery import Gallery
        from InteractiveAdaptSegWidgets.ModelChooser import ModelChooser
        from InteractiveAdaptSegWidgets.ProfileChooser import ProfileChooser
        from InteractiveAdaptSegWidgets.TaskButtons import TaskButtons

        ui = self.ui
        buttons = (ui.candidateButton1, ui.candidateButton2, ui.candidateButton3, ui.candidateButton4)
        self._gallery = Gallery(buttons, self.onPick, self.onHover)
        self._profileChooser = ProfileChooser(ui, self.session.profile, self._reported, self.onUserChosen)
        self._taskButtons = TaskButtons(ui, self.session, self._reported)
        self._modelChooser = ModelChooser(ui, self.session, self._reported, self.onModelChosen, self._showTask)
        self.session.candidates.setWanted(not ui.candidatesSection.collapsed)
        ui.candidatesSection.connect("contentsCollapsed(bool)", self.onCandidatesCollapsed)
        ui.othersButton.connect("clicked()", self.onOthers)
        ui.moreButton.connect("clicked()", self.onMore)

    def _addCohortReview(self):
        from InteractiveAdaptSegLib.CohortReview import CohortReview
        from InteractiveAdaptSegWidgets.ReviewList import ReviewList

        review = CohortReview(slicer.mrmlScene, self.session)
        self._reviewList = ReviewList(self.ui, review, self._reported, self.onCohortOpened, self.onCaseShown)

    def _showGallery(self, state):
        from InteractiveAdaptSegWidgets.Gallery import galleryText

        self._gallery.show(state)
        self.ui.galleryLabel.text = galleryText(state)
        self.ui.othersButton.enabled = state.canAskForOthers
        self.ui.moreButton.enabled = state.canAskForMore

    def _chosenSegment(self):
        choice = self._parameterNode
        if choice.inputVolume is None or choice.segmentation is None or not choice.segmentID:
            return None
        return choice.segmentation.GetSegmentation().GetSegment(choice.segmentID)

    def _followSession(self):
        """Undo may have gone back to another segment: choose that one."""
        choice, prompts = self._parameterNode, self.session.promptNodes
        if self._isApplyingChoice or choice is None or prompts is None or prompts.segmentID == choice.segmentID:
            return
        self._isApplyingChoice = True
        try:
            choice.segmentID = prompts.segmentID
            self.ui.segmentSelector.setCurrentSegmentID(prompts.segmentID)
        finally:
            self._isApplyingChoice = False

    def _place(self, which, isOn):
        from InteractiveAdaptSegLib.PlaceMode import startPlacing

        if isOn and self.session.promptNodes is not None:
            startPlacing(slicer.mrmlScene, self.session.promptNodes.pointNodes[which])
        else:
            self._stopPlacing()
        self.updateGui()

    def _stopPlacing(self):
        from InteractiveAdaptSegLib.PlaceMode import placedSign, stopPlacing

        if placedSign(slicer.mrmlScene) is not None:
            stopPlacing(slicer.mrmlScene)

    def _showPlacing(self):
        """Show which button the mouse in the views belongs to; it may be left with the Escape key."""
        from InteractiveAdaptSegLib.DrawMode import Tool
        from InteractiveAdaptSegLib.PlaceMode import isPlacing

        prompts = self.session.promptNodes
        nodes = prompts.pointNodes if prompts is not None else (None, None)
        for button, node in zip((self.ui.positiveButton, self.ui.negativeButton), nodes):
            button.checked = isPlacing(slicer.mrmlScene, node)
        for tool in Tool:
            self._toolButton(tool).checked = tool is self._drawMode.tool

    def _showTask(self):
        """List tasks and users, and show those that are chosen."""
        if self.session is not None and not self.logic.missingPackages():
            self.ui.taskSelector.clear()
            self.ui.taskSelector.addItems(list(self.session.taskNames()))
            self.ui.taskSelector.setEditText(self.session.taskName or "")
            self._profileChooser.listUsers()
            self._modelChooser.takeUpSettings()
            self.updateGui()

    def _confirmInstallation(self, requirements):
        names = "\n".join(str(requirement) for requirement in requirements)
        return slicer.util.confirmOkCancelDisplay(
            _("These Python packages will be downloaded and installed into Slicer. It may take some minutes."),
            _("Install Python packages"),
            detailedText=names,
        )

    @contextmanager
    def _reported(self):
        """What the user can act on is shown in the panel, anything else in Slicer's error window."""
        from AdaptCore.errors import AdaptSegError

        self.showMessage("")
        with slicer.util.tryWithErrorDisplay(_("Unexpected error."), waitCursor=True):
            try:
                yield
            except AdaptSegError as error:
                self.showMessage(str(error))
        self.updateGui()


def statusText(status):
    """The words for a status of the panel."""
    return {
        "PACKAGES_MISSING": _("Python packages are missing: press Install."),
        "NOTHING_CHOSEN": _("Choose a volume and a segment."),
        "READY_FOR_CLICK": _("Press + and click on the object in a slice view."),
        "MASK_TO_ACCEPT": _("Accept the mask, or correct it with + and - clicks."),
        "ACCEPTED": _("Accepted. Propagate it, or go on with another slice."),
        "UNSURE": _("The model is not sure of this slice: accept it as it is, or correct it."),
        "PREDICTING": _("The model is looking at the slice. This may take a while here."),
        "PROPAGATING": _("Propagating..."),
    }[status]


def taskText(state):
    """The words for what is told of a task."""
    if state is None:
        return _("No task: nothing is learnt.")
    count = _("1 image accepted") if state.accepted == 1 else _("{count} images accepted").format(count=state.accepted)
    text = f"{state.name}: {count}; {answeringText(state)}"
    return text if state.isLearning else text + _("; not learning")


def answeringText(state):
    """The words for which model answers under a task, and why."""
    if state.gain is None:
        return _("the adapted model answers") if state.isAdapted else _("the original model answers")
    text = (
        _("the adapted model answers, its first masks {gain:+.2f} IoU over the original model")
        if state.isAdapted
        else _("the original model answers, the adapted one is not clearly better (first masks {gain:+.2f} IoU)")
    )
    return text.format(gain=round(state.gain, 2) + 0)


class InteractiveAdaptSegLogic(ScriptedLoadableModuleLogic):
    """Entry to the module's logic for the panel, for scripts and for the self test."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        from InteractiveAdaptSegLib.CorePath import makeAdaptCoreImportable

        makeAdaptCoreImportable(MODULE_FOLDER)
        from InteractiveAdaptSegLib.InstallLogic import InstallLogic

        self._installLogic = InstallLogic(MODULE_FOLDER / "Resources" / "requirements.txt")
        self._allInstalled = False

    def getParameterNode(self):
        return InteractiveAdaptSegParameterNode(super().getParameterNode())

    def startSession(self, **callbacks):
        """A SegmentationLogic on Slicer's scene; see there for the callbacks and all that it can do."""
        from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic

        return SegmentationLogic(slicer.mrmlScene, **callbacks)

    def missingPackages(self):
        """The Python packages that must be installed before the first prompt."""
        if self._allInstalled:
            return []
        missing = self._installLogic.missing()
        self._allInstalled = not missing
        return missing

    def installPackages(self, confirm):
        """Install what is missing after a yes from `confirm`; whether everything is there now."""
        return self._installLogic.install(confirm)

    def addSegmentation(self, volumeNode):
        """A new segmentation with the volume's geometry and transform.

        Raises:
            SceneError: the volume is under a non-linear transform.
        """
        from InteractiveAdaptSegLib.VolumeGeometry import requireLinearTransforms

        requireLinearTransforms(volumeNode)
        name = slicer.mrmlScene.GenerateUniqueName(f"{volumeNode.GetName()} segmentation")
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        node.CreateDefaultDisplayNodes()
        node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
        node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
        return node


class InteractiveAdaptSegTest(ScriptedLoadableModuleTest):
    """Self test: a phantom is segmented by clicks through the logic, in a scene that is then saved and loaded."""

    def setUp(self):
        """Begin with an empty scene and a user who has no tasks and profiles; those of the real one stay untouched."""
        slicer.mrmlScene.Clear()
        self._home = os.environ.get("ADAPTSEG_HOME")
        os.environ["ADAPTSEG_HOME"] = slicer.util.tempDirectory()

    def tearDown(self):
        del os.environ["ADAPTSEG_HOME"]
        if self._home is not None:
            os.environ["ADAPTSEG_HOME"] = self._home

    def runTest(self):
        for test in (
            self.test_clickGivesMaskInSegment,
            self.test_pick,
            self.test_undoAndRedo,
            self.test_learning,
            self.test_propagation,
            self.test_savedScene,
        ):
            self.setUp()
            try:
                test()
            finally:
                self.tearDown()
        self.delayDisplay("All tests passed")

    def test_clickGivesMaskInSegment(self):
        logic, volumeNode, segmentationNode, sliceNode = self._start()
        logic.addClick(sliceNode, self._centre(volumeNode))
        self.assertEqual(self._countVoxels(segmentationNode, volumeNode), 0)
        logic.accept()
        count = self._countVoxels(segmentationNode, volumeNode)
        self.assertGreater(count, 0.7 * self._discSize())
        self.assertLess(count, 1.3 * self._discSize())
        logic.close()

    def test_pick(self):
        logic, volumeNode, segmentationNode, sliceNode = self._start()
        logic.candidates.setWanted(True)
        logic.addClick(sliceNode, self._centre(volumeNode))
        self._wait(logic)
        answer, candidate = logic.mask, logic.candidates.view(1)
        logic.pick(1)
        logic.accept()
        added, removed = int(candidate.added.sum()), int(candidate.removed.sum())
        self.assertGreater(added + removed, 0)
        self.assertEqual(self._countVoxels(segmentationNode, volumeNode), int(answer.sum()) + added - removed)
        logic.close()

    def test_undoAndRedo(self):
        logic, volumeNode, segmentationNode, sliceNode = self._start()
        logic.addClick(sliceNode, self._centre(volumeNode))
        logic.accept()
        count = self._countVoxels(segmentationNode, volumeNode)
        logic.undo()
        self.assertEqual(self._countVoxels(segmentationNode, volumeNode), 0)
        logic.redo()
        self.assertEqual(self._countVoxels(segmentationNode, volumeNode), count)
        logic.close()

    def test_learning(self):
        logic, volumeNode, segmentationNode, sliceNode = self._start()
        logic.setTask("Self test")
        logic.addClick(sliceNode, self._centre(volumeNode))
        logic.accept()
        self._wait(logic)
        self.assertEqual(len(logic.taskHistory), 1)
        logic.close()
        logic, volumeNode, segmentationNode, sliceNode = self._start(volumeNode, segmentationNode)
        logic.setTask("Self test")
        self.assertEqual(len(logic.taskHistory), 1)
        logic.close()

    def test_propagation(self):
        logic, volumeNode, segmentationNode, sliceNode = self._start()
        logic.addClick(sliceNode, self._centre(volumeNode))
        logic.accept()
        count = self._countVoxels(segmentationNode, volumeNode)
        logic.propagate()
        self._wait(logic)
        self.assertGreater(self._countVoxels(segmentationNode, volumeNode), 2 * count)
        logic.close()

    def test_savedScene(self):
        logic, volumeNode, segmentationNode, sliceNode = self._start()
        logic.addClick(sliceNode, self._centre(volumeNode))
        mask = logic.mask.copy()
        logic.close()
        path = str(Path(slicer.util.tempDirectory()) / "InteractiveAdaptSegTest.mrb")
        slicer.util.saveScene(path)
        slicer.mrmlScene.Clear()
        slicer.util.loadScene(path)
        logic, volumeNode, segmentationNode, sliceNode = self._start(
            slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"),
            slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode"),
        )
        self.assertTrue(logic.showPlane(sliceNode))
        self.assertTrue((logic.mask == mask).all())
        logic.accept()
        self.assertEqual(self._countVoxels(segmentationNode, volumeNode), int(mask.sum()))
        logic.close()

    def _wait(self, logic):
        """Wait until nothing is under way any more."""
        while logic.update():
            slicer.app.processEvents()

    def _start(self, volumeNode=None, segmentationNode=None):
        """A session on the phantom, and a slice view through its centre."""
        moduleLogic = InteractiveAdaptSegLogic()
        missing = moduleLogic.missingPackages()
        if missing:
            self.skipTest(f"{', '.join(map(str, missing))}: open the module and press Install")
        volumeNode = volumeNode or self._addPhantom()
        if segmentationNode is None:
            segmentationNode = moduleLogic.addSegmentation(volumeNode)
            segmentationNode.GetSegmentation().AddEmptySegment("Segment_1")
        logic = moduleLogic.startSession()
        logic.setTarget(volumeNode, segmentationNode, "Segment_1")
        return logic, volumeNode, segmentationNode, self._sliceNode(volumeNode)

    def _addPhantom(self):
        """A bright ball of 24 voxels' diameter in a volume of 64 x 64 x 32, with unequal spacing."""
        import numpy as np

        k, j, i = np.mgrid[0:32, 0:64, 0:64]
        ball = (i - 34) ** 2 + (j - 30) ** 2 + (2 * (k - 16)) ** 2 <= 12**2
        image = np.where(ball, 400, 100) + np.random.default_rng(0).normal(0, 10, ball.shape)
        volumeNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Phantom")
        slicer.util.updateVolumeFromArray(volumeNode, image.astype(np.int16))
        volumeNode.SetSpacing(0.8, 0.8, 1.6)
        volumeNode.CreateDefaultDisplayNodes()
        return volumeNode

    def _discSize(self):
        return 3.1416 * 12**2

    def _centre(self, volumeNode):
        matrix = vtk.vtkMatrix4x4()
        volumeNode.GetIJKToRASMatrix(matrix)
        return matrix.MultiplyPoint((34, 30, 16, 1))[:3]

    def _sliceNode(self, volumeNode):
        """The red slice view, or one of our own where Slicer runs without a window."""
        node = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSliceNode")
            node.UnRegister(None)
            node.SetLayoutName("Red")
            node.SetName("Red")
            node = slicer.mrmlScene.AddNode(node)
        node.SetOrientation("Axial")
        node.JumpSliceByCentering(*self._centre(volumeNode))
        return node

    def _countVoxels(self, segmentationNode, volumeNode):
        segmentID = segmentationNode.GetSegmentation().GetNthSegmentID(0)
        return int(slicer.util.arrayFromSegmentBinaryLabelmap(segmentationNode, segmentID, volumeNode).sum())
