"""A prompt on its way into the scene and to its plane's answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from AdaptCore.errors import AdaptSegError, PromptError
from AdaptCore.prompts import CONTRADICTION, contradict
from InteractiveAdaptSegLib.Asker import Asker, RegionQuestion
from InteractiveAdaptSegLib.Commands import PromptCommand
from InteractiveAdaptSegLib.Errors import Refusal, SceneError
from InteractiveAdaptSegLib.OpenTargets import OpenTargets
from InteractiveAdaptSegLib.PromptNodes import PromptStep, unmarkedPoints
from InteractiveAdaptSegLib.SceneWatch import SceneWatch
from InteractiveAdaptSegLib.Target import Target
from InteractiveAdaptSegLib.TargetWriter import TargetWriter
from InteractiveAdaptSegLib.VolumeGeometry import displayWindow
from InteractiveAdaptSegLib.WorldPrompts import WorldPrompts

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry


class Prompting:
    """Stores prompts and asks their planes; a prompt without an answer is taken out of the scene again.

    Args:
        onAnswered: called with a command that undoes the prompt.
        onMessage: called with why a placed point is no prompt.
    """

    def __init__(
        self,
        asker: Asker,
        watch: SceneWatch,
        targets: OpenTargets,
        writes: TargetWriter,
        onAnswered: Callable[[PromptCommand], None],
        onMessage: Callable[[str], None],
    ) -> None:
        self._onMessage = onMessage
        self._asker = asker
        self._watch = watch
        self._targets = targets
        self._writes = writes
        self._onAnswered = onAnswered
        self._waiting: list[tuple[Target, PlaneGeometry, PromptStep]] = []

    def give(
        self, target: Target, geometry: PlaneGeometry, action: PromptStep, store: Callable[[], None] | None = None
    ) -> None:
        """Store a prompt and ask its plane, or the object; one that comes before the answer to another waits for it.

        Args:
            store: puts the prompt into the scene where it is not to be added as nodes and points of its own.

        Raises:
            AdaptSegError: the prompt contradicts another one or does not fit the plane, or the model cannot answer.
        """
        if self._asker.isAsking:
            self._waiting.append((target, geometry, action))
            return
        region = target.region(geometry)
        if geometry.of_object:
            action = replace(action, plane=geometry)
        if contradict(action.clicks, region.clicks):
            raise PromptError(CONTRADICTION)
        self._writes.aim(target)
        window = displayWindow(target.volumeNode)
        if window is not None and window != target.session.window:
            target.session.set_window(window)
        outlines = (
            [step for step in region.steps if step.isOutline and step.plane in (None, geometry)]
            if action.isOutline
            else []
        )
        command = PromptCommand(target, geometry, action, outlines[-1] if outlines else None)
        self._targets.bindToImage(target)
        region.noteStart()
        question = RegionQuestion.of(
            target,
            geometry,
            lambda: self._onAnswered(command),
            prompt=action,
            takeBack=lambda: self._changeScene(target, command.takeOut),
        )
        self._changeScene(target, store or partial(target.prompts.addStep, geometry, action))
        self._asker.ask(question)

    def givePlaced(self, pointNode: Any, see: Callable[[], WorldPrompts]) -> None:
        """Make prompts of the points of a list that are none yet, the latest first; one that waits or is none goes.

        Args:
            see: gives the plane that they were placed on.
        """
        target = self._targets.withPoints(pointNode)
        if target is None or pointNode.GetScene() is None:
            return
        for index in reversed(unmarkedPoints(pointNode)):
            try:
                self._requireCurrent(target)
                self._givePoint(target, pointNode, index, see())
            except AdaptSegError as error:
                self._onMessage(Refusal(error))
            if pointNode.GetScene() is not None and index in unmarkedPoints(pointNode):
                with self._watch.ownChange():
                    pointNode.RemoveNthControlPoint(index)

    def goOn(self) -> None:
        """Give the prompts that have waited, one after the other."""
        while self._waiting and not self._asker.isAsking:
            target, geometry, action = self._waiting.pop(0)
            if target is self._targets.current:
                try:
                    self.give(target, geometry, replace(action, step=target.prompts.nextStep))
                except AdaptSegError as error:
                    self._onMessage(Refusal(error))

    def dropWaiting(self) -> None:
        """Give none of the prompts that wait."""
        self._waiting.clear()

    def _requireCurrent(self, target: Target) -> None:
        if target is not self._targets.current:
            raise SceneError("the point belongs to another segment than the chosen one: choose its segment first")

    def _givePoint(self, target: Target, pointNode: Any, index: int, seen: WorldPrompts) -> None:
        world = tuple(pointNode.GetNthControlPointPositionWorld(index))
        clicks = seen.clicks([world], pointNode is target.prompts.pointNodes[0])
        action = PromptStep(target.prompts.nextStep, clicks)
        place = partial(target.prompts.takePlaced, pointNode, index, world, seen.geometry, action.step)
        self.give(target, seen.geometry, action, place)

    def giveAgain(self, command: PromptCommand, finish: Callable[[], None]) -> None:
        """Ask anew what was undone on a plane that has begun anew since, so that there is an answer to bring back.

        Raises:
            AdaptSegError: see `give`.
        """
        target, geometry = command.target, command.geometry

        def bringBack() -> None:
            target.region(geometry).session.undo()
            finish()

        target.region(geometry).noteStart()
        self._asker.ask(RegionQuestion.of(target, geometry, bringBack, prompt=command.action))

    def _changeScene(self, target: Target, change: Callable[[], None]) -> None:
        with self._watch.ownChange():
            change()
        self._watch.add(target)
