"""The scripted module InteractiveAdaptSeg, introduced to Slicer: module, choices, panel, logic and self test.

Nothing outside of Slicer and the standard library is imported before the panel is opened.
"""

from pathlib import Path

import qt
import slicer
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


class InteractiveAdaptSeg(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Interactive AdaptSeg")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Markups", "Plots", "Segmentations"]
        self.parent.contributors = ["InteractiveAdaptSeg contributors"]
        self.parent.helpText = _("""
Click on a structure in a slice view, or draw a box or a lasso around it: the module answers with the whole object or,
slice by slice, with a mask. Further clicks and scribbles on the object (+) or beside it (-) correct it, in any view, or
one of the candidates beside a mask is picked. Accept writes it into the chosen segment; propagate carries the mask of a
slice to its neighbours. Masking and overwriting are those of
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
    wholeObject - whether a prompt gives the whole object, where the volume allows that, and not one slice of it.
    onlyPointed - whether the parts of masks that were not pointed at are dropped.
    task, user - the names that are learnt under. A new scene takes over model, task and user of the one before it.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    segmentID: str = ""
    cohortFolder: str = ""
    model: str = ""
    task: str = ""
    user: str = ""
    wholeObject: bool = True
    onlyPointed: bool = True


class InteractiveAdaptSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Gives the panel its place in Slicer's window, and the choices of the scene that is open."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None

    def setup(self):
        """Build the panel when the user opens the module for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/InteractiveAdaptSeg.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = InteractiveAdaptSegLogic()
        from InteractiveAdaptSegWidgets.Panel import Panel

        self.panel = Panel(self.ui, self.logic)
        scene = slicer.mrmlScene
        for event in (scene.StartCloseEvent, scene.StartImportEvent):
            self.addObserver(scene, event, self.onSceneStartsToChange)
        for event in (scene.EndCloseEvent, scene.EndImportEvent):
            self.addObserver(scene, event, self.onSceneChanged)
        self.initializeParameterNode()
        if self.parent.isEntered:
            qt.QTimer.singleShot(0, self.panel.showNames)

    def cleanup(self):
        """Let go of everything when the module is unloaded or Slicer ends."""
        self.removeObservers()
        panel, self.panel = self.panel, None
        if panel is not None:
            panel.close()

    def enter(self):
        """The user comes (back) to the module."""
        self.initializeParameterNode()
        qt.QTimer.singleShot(0, self.panel.showNames)

    def exit(self):
        """The user goes to another module; a propagation under way goes on."""
        self.panel.leave()
        self.setParameterNode(None)

    def onSceneStartsToChange(self, caller, event):
        """The scene is closed, or loaded: choices are there before the nodes that they name."""
        self.setParameterNode(None)
        self.panel.reviewList.follow("")

    def onSceneChanged(self, caller, event):
        self.panel.choices.noteNewScene()
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        """Take up what the scene holds of the user's choices; choose the first volume if there is none."""
        self.setParameterNode(self.logic.getParameterNode())
        self.panel.choices.chooseFirstVolume()

    def setParameterNode(self, parameterNode):
        """Show and work on the choices of a scene; None for nothing."""
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            mouse = slicer.app.applicationLogic().GetInteractionNode()
            if not self.hasObserver(mouse, mouse.InteractionModeChangedEvent, self.onMouseMode):
                self.addObserver(mouse, mouse.InteractionModeChangedEvent, self.onMouseMode)
        self.panel.use(parameterNode)

    def onMouseMode(self, caller, event):
        self.panel.show()


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


class InteractiveAdaptSegTest(ScriptedLoadableModuleTest):
    """Self test, for Slicer's *Reload and Test* and its test runner."""

    def runTest(self):
        missing = InteractiveAdaptSegLogic().missingPackages()
        if missing:
            self.skipTest(f"{', '.join(map(str, missing))}: open the module and press Install")
        from InteractiveAdaptSegLib.SelfTest import SelfTest

        SelfTest(self).run()
        self.delayDisplay("All tests passed")
