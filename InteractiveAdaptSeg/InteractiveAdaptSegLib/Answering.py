"""What answers and learns: model, task, profile and candidates; sessions of segments are opened with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from AdaptCore.errors import AdaptSegError, TaskError
from InteractiveAdaptSegLib.Candidates import Candidates
from InteractiveAdaptSegLib.ChosenModel import ChosenModel, LoadModel
from InteractiveAdaptSegLib.ChosenProfile import ChosenProfile
from InteractiveAdaptSegLib.ChosenTask import ChosenTask
from InteractiveAdaptSegLib.Commands import LessonCommand
from InteractiveAdaptSegLib.Errors import Refusal
from InteractiveAdaptSegLib.ObjectSession import ObjectSession
from InteractiveAdaptSegLib.Target import Target
from InteractiveAdaptSegLib.Tasks import Tasks
from InteractiveAdaptSegLib.VolumeGeometry import displayWindow, voxelArray

if TYPE_CHECKING:
    from AdaptCore.models.base import Model
    from AdaptCore.models.volumetric import VolumetricModel
    from AdaptCore.predict.block import BlockSession
    from AdaptCore.predict.guess import SliceGuess
    from AdaptCore.predict.volume import VolumeSession

LoadVolumeModel = Callable[["str | None"], "VolumetricModel"]
"""Loads the model of volumes on a device or, for None, on the fastest one."""


class Answering:
    """One model, one task, one profile and its candidates for all segments.

    Each is handed out; what changes answers asks `requireIdle` first.

    Args:
        loadModel: gives a model by its name, on a device.
        loadVolumeModel: gives the model of volumes, on a device.
        requireIdle: raises a SceneError while something is asked.
        onMessage: called with what the user should know.
        onChanged: called when what the panel shows may have changed.
        onTask: called when another task answers, or the chosen one begins anew.

    Attributes:
        onlyPointed: whether sessions drop the parts of masks that were not pointed at.
    """

    def __init__(
        self,
        loadModel: LoadModel,
        loadVolumeModel: LoadVolumeModel,
        requireIdle: Callable[[], None],
        onMessage: Callable[[str], None],
        onChanged: Callable[[], None],
        onTask: Callable[[], None],
    ) -> None:
        self._requireIdle = requireIdle
        self._onMessage = onMessage
        self._onChanged = onChanged
        self.model = ChosenModel(loadModel, onMessage, requireIdle, onChanged)
        self.task = ChosenTask(self.model.load, onMessage, requireIdle, onTask)
        volumes = lambda: cast("Model", loadVolumeModel(self.model.device))  # noqa: E731
        self.tasks = Tasks(self.task, ChosenTask(volumes, onMessage, requireIdle, onTask, ofObjects=True))
        self.profile = ChosenProfile(onMessage, self._onProfile, requireIdle)
        self.objectsProfile = ChosenProfile(onMessage, self._onProfile, requireIdle)  # without a user
        self.candidates = Candidates(self.profile, self.objectsProfile, onMessage, requireIdle)
        self.onlyPointed = True
        self._imageNames: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    @property
    def isBusy(self) -> bool:
        """Whether there will be news of what is asked beside the mask, loaded, learnt or saved."""
        waits = (self.tasks, self.profile, self.model)
        return self.candidates.isAsking or any(chosen.isBusy for chosen in waits)

    @cached_property
    def hasVolumeModel(self) -> bool:
        """Whether the built-in model of volumes is there."""
        from AdaptCore.models.registry import VOLUMETRIC, find_model

        return find_model(VOLUMETRIC).is_present

    @property
    def teaches(self) -> bool:
        """Whether accepted planes teach anyone."""
        return self.task.isOn and not (self.task.name is None and self.profile.user is None)

    def chooseTask(self, name: str | None) -> None:
        """Let another task answer and learn, with the user's profile for it; None for the frozen model.

        Raises:
            AdaptSegError: one of them cannot be used; nothing has changed.
        """
        self._requireIdle()
        choice = self.profile.prepared(self.profile.user, name)
        self.tasks.choose(name)
        self.profile.use(choice)

    def openSession(self, target: Target) -> VolumeSession:
        """A session of a segment, where the scene left off.

        Raises:
            AdaptSegError: the model, the task or the profile cannot be used.
        """
        from AdaptCore.predict.volume import VolumeSession

        model = self.task.open()
        self.profile.open(model)
        session = VolumeSession(
            model,
            voxelArray(target.volumeNode),
            window=displayWindow(target.volumeNode),
            spacing=target.volumeNode.GetSpacing(),
            cache=self.model.cache,
            learner=self.task,
            preference=self.profile,
            only_pointed=self.onlyPointed,
            image_name=self._imageName(target.volumeNode),
        )
        target.takeUp(session)
        return session

    def openObject(self, target: Target) -> ObjectSession:
        """A session of the object of a segment; models are loaded with its first prompt, on the thread that asks."""
        voxels, spacing = voxelArray(target.volumeNode), target.volumeNode.GetSpacing()
        planes, window, onlyPointed = self.task.open(), target.session.window, self.onlyPointed
        learner, profile = self.tasks.objects, self.objectsProfile

        def open() -> tuple[BlockSession, SliceGuess]:
            from AdaptCore.predict.block import BlockSession
            from AdaptCore.predict.guess import SliceGuess

            guess = SliceGuess(planes, voxels, spacing, window)
            profile.open(learner.open())
            model = cast("VolumetricModel", learner.model)
            return BlockSession(model, voxels, spacing, guess=guess, only_pointed=onlyPointed), guess

        return ObjectSession(open, learner, self._imageName(target.volumeNode))

    def _imageName(self, volumeNode: Any) -> str:
        """One for each volume, whose objects are one image for the trial; it tells nothing of the volume."""
        from AdaptCore.predict.volume import new_image_name

        if volumeNode not in self._imageNames:
            self._imageNames[volumeNode] = new_image_name()
        return self._imageNames[volumeNode]

    def update(self) -> None:
        """Take the news of the background."""
        if any([chosen.update() for chosen in (self.tasks, self.profile, self.candidates, self.model)]):
            self._onChanged()

    @property
    def hasModel(self) -> bool:
        """Whether a model was loaded since that `useModel` lets answer, or could not be."""
        return self.model.hasArrived and not (self.tasks.isBusy or self.profile.isBusy)

    def useModel(self, targets: Iterable[Target]) -> bool:
        """Let a model answer that was loaded since, and all sessions begin anew with it; False if it was not loaded."""
        model = self.model.arrived()
        if model is None:
            self._onChanged()
            return False
        texts = [f"Now using model {self.model.answering}.", self.task.useModel(model)]
        texts.append(self.profile.useModel(model, self.task.name))
        self._onMessage(" ".join(filter(None, texts)))
        self.model.cache.clear()
        self.tasks.objects.forgetModel()
        self.renew(targets)
        return True

    def renew(self, targets: Iterable[Target]) -> None:
        """Other sessions in place of the open ones, which answer the prompts anew; labels stay."""
        self.candidates.drop()
        for target in targets:
            try:
                target.beginAnew()
            except AdaptSegError as error:
                self._onMessage(Refusal(error))

    def forgetLesson(self, task: ChosenTask) -> LessonCommand:
        """Let a task forget what it has learnt last.

        Raises:
            TaskError: there is none that can be taken back.
        """
        lesson = task.latestLesson
        if lesson is None:
            raise TaskError("nothing was learnt since the panel was opened, or it was taken back already")
        command = LessonCommand(lesson, self._onMessage)
        command.redo()
        return command

    def tellOfProblems(self) -> None:
        """Tell once of what has gone wrong with the device, with clicks, and with stored files."""
        self.model.tellOfLeftDevice()
        self.tasks.tellOfProblems()

    def _onProfile(self) -> None:
        self.candidates.askAnew()
        self._onChanged()


def loadVolumeModel(device: str | None) -> VolumetricModel:
    """The built-in model of volumes on a device or, for None, on the fastest one."""
    from AdaptCore.models.registry import load_volume_model

    return load_volume_model(device=device)
