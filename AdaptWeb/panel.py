"""The panel of the page: buttons become calls, states become what the page shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from trame_server import Server

from AdaptCore.errors import AdaptSegError
from AdaptWeb.application import Application
from AdaptWeb.choice_node import ChoiceNode
from AdaptWeb.messages import UNEXPECTED, Messages, log_place, refusal
from AdaptWeb.pictures import data_address
from AdaptWeb.segment_list import SegmentList
from AdaptWeb.tools import Tools
from AdaptWeb.views import DrawnViews
from InteractiveAdaptSegLib.Choices import Choices
from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic
from InteractiveAdaptSegLib.ViewModel import (
    PanelState,
    galleryState,
    panelState,
    profileState,
    stepState,
    taskActions,
    taskState,
)
from InteractiveAdaptSegLib.Words import (
    candidateText,
    candidateToolTip,
    galleryText,
    measuresText,
    profileText,
    propagateText,
    redoText,
    statusText,
    taskText,
    undoText,
    unitText,
)

PAUSE = 0.02
"""Seconds between two looks at work that is under way."""

MEASURE_DELAY = 0.3
"""Seconds without a change before the segment is measured."""


def _(text: str) -> str:
    """The page speaks English."""
    return text


class Panel:
    """Everything that the panel shows, on a session of its own.

    Args:
        server: its state is what the page shows; its triggers are what the page calls.
        application: scene and views.
        on_rest: called once nothing has changed for a while.
    """

    def __init__(self, server: Server, application: Application, on_rest: Callable[[], None]) -> None:
        self._state, self._scene = server.state, application.scene
        self._application, self._on_rest = application, on_rest
        self._loop = asyncio.get_running_loop()
        self._is_open = False
        self._work: asyncio.Task[None] | None = None
        self._measuring: asyncio.TimerHandle | None = None
        self._shown_candidates: Any = None
        self.messages = Messages(server.state, self.follow)
        self.session = SegmentationLogic(self._scene, onChanged=self.follow, onMessage=self.tell, defer=self._defer)
        self.segments = SegmentList()
        self.choices = Choices(
            self._scene,
            self.session,
            self.segments,
            isReady=lambda: True,
            reported=self.messages.reported,
            onChanged=self.follow,
            onNames=self._show_names,
        )
        self.segments.on_chosen = self.choices.chooseSegment
        self.tools = Tools(
            self._scene,
            DrawnViews(application.core.view_manager),
            self.session,
            self.messages.reported,
            self.choices.beginSegment,
            self.tell,
            self.show,
            self._defer,
        )
        self.session.candidates.setWanted(True)
        self._is_open = True
        self.choices.use(ChoiceNode(self._scene))

    def close(self) -> None:
        """Let go of everything when the server ends."""
        self._is_open = False
        if self._work is not None:
            self._work.cancel()
        self.tools.stop()
        self.choices.use(None)
        self.session.close()

    def use(self, volume_node: Any) -> None:
        """Work on a volume, in the segmentation that was made for it, if one was."""
        choice = self.choices.node
        self.tools.stop()
        choice.segmentation = self._segmentation_of(volume_node)
        choice.inputVolume = volume_node
        self._application.show(volume_node)
        self._show_names()

    def use_names(self, task: str | None, user: str | None) -> None:
        """Learn under these names from now on; None leaves things as they are.

        Raises:
            AdaptSegError: one of them cannot be used.
        """
        choice = self.choices.node
        if user is not None:
            self.session.profile.choose(user)
            choice.user = user
        if task is not None:
            self.session.setTask(task)
            choice.task = task
        self._show_names()

    def refuse(self, error: AdaptSegError) -> None:
        """Show why something cannot be done."""
        with self._state:
            self.messages.show(refusal(error))

    # What the user does

    def press(self, name: str) -> None:
        """A button was pressed, or its key; one that is grey does nothing.

        Raises:
            KeyError: there is no such button.
        """
        calls: dict[str, Callable[[], Any]] = {
            "newSegment": self.choices.addSegment,
            "nextSegment": self.choices.nextSegment,
            "previousSegment": lambda: self.choices.chooseNeighbour(-1),
            "accept": self.session.accept,
            "propagate": self._propagate,
            "unsure": self.session.showUnsurePlane,
            "clear": self.session.clearPrompts,
            "undo": self.session.undo,
            "redo": self.session.redo,
            "cancel": self._cancel,
            "others": self.session.candidates.askForOthers,
            "more": self.session.candidates.askForMore,
            "undoLesson": self.session.undoLesson,
        }
        call = calls[name]
        if self._enabled().get(name, True):
            with self.messages.reported():
                call()

    def take(self, name: str) -> None:
        """A tool was pressed."""
        if name == "windowLevel" or self._enabled()["tools"]:
            with self.messages.reported():
                self.tools.press(name)

    def put_down(self) -> None:
        """Escape: give up the tool; without one, cancel what is under way."""
        if self.tools.name:
            self.tools.stop()
            self.show()
        else:
            self.press("cancel")

    def pick(self, number: int) -> None:
        """Pick a candidate, from 1."""
        state = galleryState(self.session)
        if state.canPick and 1 <= number <= len(state.views):
            with self.messages.reported():
                self.session.pick(number)

    def hover(self, number: int | None) -> None:
        """The mouse is on a candidate, or has left it: None."""
        state = galleryState(self.session)
        if number is None or (state.canPick and 1 <= number <= len(state.views)):
            self.session.preview(number)

    def choose_segment(self, segment_id: str) -> None:
        if self._state_now().canChooseSegment:
            with self.messages.reported():
                self.segments.setCurrentSegmentID(segment_id)

    def set_task(self, name: str | None) -> None:
        """The user has chosen a task or typed a name; without a name, nothing is learnt."""
        name = (name or "").strip() or None
        if name != self.session.task.name and self._state_now().canChooseTask:
            with self.messages.reported():
                self.session.setTask(name)
                self.choices.node.task = name or ""
        self._show_names()

    def set_user(self, name: str | None) -> None:
        """The user has chosen or typed a name; without a name, nobody's preference is learnt."""
        name = (name or "").strip() or None
        if name != self.session.profile.user and self._state_now().canChooseTask:
            with self.messages.reported():
                self.session.profile.choose(name)
                self.choices.node.user = name or ""
        self._show_names()

    def set_learning(self, must_learn: bool) -> None:
        with self.messages.reported():
            self.session.setLearning(must_learn)

    def set_measured(self, is_measured: bool) -> None:
        with self.messages.reported():
            self.session.setMeasured(is_measured)

    def set_only_pointed(self, is_only: bool) -> None:
        with self.messages.reported():
            self.choices.node.onlyPointed = is_only

    def set_whole_object(self, is_object: bool) -> None:
        """The user has chosen whether prompts are about the object or a slice."""
        with self.messages.reported():
            self.choices.node.wholeObject = is_object

    def _propagate(self) -> None:
        self.tools.stopPlacing()
        self.session.propagate()

    def _cancel(self) -> None:
        self.session.cancelPropagation()
        self.session.cancelPrediction()

    # What is shown

    def follow(self) -> None:
        """Something has changed: bring what follows the session in line with it, and show all."""
        if not self._is_open:
            return
        self.choices.follow()
        state = self._state_now()
        if not (state.canPlace or state.keepsTool):
            self.tools.stopDrawing(mayBegin=state.canBegin)
        self._follow_work()
        self.show()
        self.choices.takeUpNames()

    def show(self) -> None:
        """Show the state of the session; nothing else is changed."""
        if not self._is_open:
            return
        with self._state as shown:
            state = self._state_now()
            shown.status = statusText(state.status, _)
            shown.is_waiting = state.canCancel or state.isLoading
            shown.progress = list(state.progress)
            shown.enabled = self._enabled()
            shown.tool = self.tools.name
            undone, redone = map(stepState, self.session.nextSteps)
            shown.tips = {
                "undo": undoText(undone, _),
                "redo": redoText(redone, _),
                "object": unitText(state.hindrance, _),
                "propagate": propagateText(state.isAtObject, _),
            }
            shown.is_at_object = state.isAtObject
            shown.segments = [asdict(segment) for segment in self.segments.segments]
            shown.segment_id = self.choices.node.segmentID
            shown.only_pointed = self.choices.node.onlyPointed
            self._show_learning(shown)
            self._show_gallery(shown)
        self._measure_soon()

    def _show_learning(self, shown: Any) -> None:
        shown.learn, shown.measures = self.session.task.isOn, self.session.task.isMeasured
        shown.task_text = taskText(taskState(self.session), _)
        shown.profile_text = profileText(profileState(self.session), _)

    def _show_gallery(self, shown: Any) -> None:
        gallery = galleryState(self.session)
        shown.gallery_text = galleryText(gallery, _)
        shown.picked = gallery.picked or 0
        if gallery.views is not self._shown_candidates:
            self._shown_candidates = gallery.views
            shown.candidates = [
                {
                    "text": candidateText(number, view, _),
                    "tip": candidateToolTip(number, view, _),
                    "picture": data_address(view.thumbnail),
                }
                for number, view in enumerate(gallery.views, start=1)
            ]

    def _show_names(self) -> None:
        """List tasks and users, and show those that are chosen."""
        with self._state as shown:
            shown.tasks, shown.task = list(self.session.task.names()), self.session.task.name or ""
            shown.users, shown.user = list(self.session.profile.users()), self.session.profile.user or ""
        self.follow()

    def _enabled(self) -> dict[str, bool]:
        """Which buttons can be pressed."""
        state, gallery, lessons = self._state_now(), galleryState(self.session), taskActions(self.session)
        return {
            "tools": state.canPlace or state.canBegin,
            "accept": state.canAccept,
            "propagate": state.canPropagate,
            "unsure": state.canGoToUnsure,
            "clear": state.canClear,
            "undo": state.canUndo,
            "redo": state.canRedo,
            "cancel": state.canCancel,
            "nextSegment": state.canPlace,
            "newSegment": state.canChooseSegment and self.choices.node.inputVolume is not None,
            "task": state.canChooseTask,
            "object": state.canChooseSegment and state.hindrance is None,
            "segment": state.canChooseSegment,
            "pick": gallery.canPick,
            "others": gallery.canAskForOthers,
            "more": gallery.canAskForMore,
            "undoLesson": lessons.canUndoLesson,
        }

    def _state_now(self) -> PanelState:
        return panelState(self.session, volumeNode=self.choices.node.inputVolume)

    def _measure_soon(self) -> None:
        """Tell the size of the segment, once nothing has changed for a while: measuring a large one takes time."""
        if self._measuring is not None:
            self._measuring.cancel()
        self._measuring = self._loop.call_later(MEASURE_DELAY, self._measure)

    def _measure(self) -> None:
        if self._is_open:
            with self._state as shown:
                shown.result = measuresText(self.choices.measures, _)
            self._on_rest()

    # Work in the background

    def _follow_work(self) -> None:
        if self.session.needsTime and self._work is None:
            self._work = self._loop.create_task(self._keep_up())

    async def _keep_up(self) -> None:
        """Take the news of what is under way, such as a propagation, a slow answer, or what is learnt and saved."""
        try:
            while self.session.needsTime:
                with self._state:
                    self.session.update(0.0)
                await asyncio.sleep(PAUSE)
        except Exception as error:
            log_place(error)
            self.tell("The work in the background has failed: the terminal says where.")
        finally:
            self._work = None

    def _defer(self, function: Callable[[], None]) -> None:
        def run() -> None:
            with self._state:
                try:
                    function()
                except Exception as error:
                    log_place(error)
                    self.messages.show(UNEXPECTED)

        self._loop.call_soon(run)

    def tell(self, text: str) -> None:
        """Show what the user should know and did not ask for."""
        with self._state:
            self.messages.show(text)

    def _segmentation_of(self, volume_node: Any) -> Any:
        """The segmentation that was made for a volume; None before its first segment."""
        role = "vtkMRMLSegmentationNode"
        nodes = [
            self._scene.GetNthNodeByClass(index, role) for index in range(self._scene.GetNumberOfNodesByClass(role))
        ]
        return next((node for node in nodes if _is_made_for(node, volume_node)), None)


def _is_made_for(segmentation_node: Any, volume_node: Any) -> bool:
    role = segmentation_node.GetReferenceImageGeometryReferenceRole()
    return segmentation_node.GetNodeReference(role) is volume_node
