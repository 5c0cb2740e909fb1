"""The session of an object in AdaptCore, with the prompts of the scene that it was given."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from InteractiveAdaptSegLib.PromptNodes import PromptStep
from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

if TYPE_CHECKING:
    from AdaptCore.models.volumetric import VolumetricModel
    from AdaptCore.predict.block import BlockSession, ObjectPrediction
    from AdaptCore.predict.guess import SliceGuess
    from AdaptCore.predict.learning import Example, Learning, Taught
    from AdaptCore.predict.object_prompts import KnownSlice, ObjectPrompts


class ObjectSession:
    """Prompts as the scene holds them, on planes of any view, become prompts in voxels.

    Args:
        open: gives the session that answers, and a model of planes, which outlines in a box or lasso what is meant;
            called with the first prompt, on the thread that asks, since it loads a model.
        learner: learns from accepted objects, and its model then answers.
        image: random name of the volume, for the learner.

    Attributes:
        isRestored: whether it was given the prompts that the scene held when work on it was begun.
        accepted: slices that the user has accepted; those that the object meets are told with the next prompt.
    """

    def __init__(self, open: Callable[[], tuple[BlockSession, SliceGuess]], learner: Learning, image: str) -> None:
        self._open = open
        self._learner = learner
        self._image = image
        self._opened: tuple[BlockSession, SliceGuess] | None = None
        self._given: list[PromptStep | None] = []
        self._confidences: tuple[Any, Mapping[int, float]] = (None, {})
        self.isRestored = False
        self.accepted: Sequence[KnownSlice] = ()

    def __copy__(self) -> ObjectSession:
        other = ObjectSession(self._open, self._learner, self._image)
        if self._opened is not None:
            block, guess = self._opened
            other._opened = copy.copy(block), guess
        other._given, other.isRestored, other.accepted = self._given, self.isRestored, self.accepted
        return other

    @property
    def prediction(self) -> ObjectPrediction | None:
        return self._opened[0].prediction if self._opened else None

    @property
    def has_question(self) -> bool:
        """Whether there is an answer that others can be offered beside."""
        return self.prediction is not None

    @property
    def block(self) -> BlockSession:
        """A copy of the session that answers, to be asked for others."""
        return copy.copy(self._block)

    def confidences(self, axis: int) -> Mapping[int, float]:
        """How confident the model is of each slice of the present answer; kept, since the panel asks often."""
        key = self.prediction, axis
        if self._confidences[0] != key:
            self._confidences = key, self.prediction.confidences(axis) if self.prediction else {}
        return self._confidences[1]

    @property
    def given(self) -> tuple[PromptStep, ...]:
        """The prompts that the present answer answers."""
        given: list[PromptStep] = []
        for step in self._given[: self._block.steps] if self._opened else ():
            given = [] if step is None else [*given, step]
        return tuple(given)

    @property
    def can_redo(self) -> bool:
        """Whether a prompt that was taken back can be given again."""
        return self._opened is not None and self._opened[0].can_redo

    def give(self, action: PromptStep) -> None:
        """Add an action of the user.

        Raises:
            AdaptSegError: it does not fit the volume, or a model cannot answer.
        """
        from AdaptCore.predict.object_prompts import ObjectPrompts, VolumeClick

        plane = action.plane
        if action.picked:
            picked = VoxelBlock.unpacked(action.picked)
            i, j, k = picked.slices
            self._block.take_mask((i, j, k), picked.mask)
            self._note(action)
            return
        assert plane is not None, "prompts on an object say where they were given"
        added = ObjectPrompts(
            tuple(VolumeClick(plane.voxel(click.x, click.y), click.positive) for click in action.clicks)
        )
        if action.isOutline:
            added = self._ready[1].outlined(plane, action.box, action.lasso)
        self._block.go_on_with(cast("VolumetricModel", self._learner.opening(self._image)))
        met = tuple(known for known in self.accepted if self._meets(known, added) and not self._knows(known))
        self._block.add(added.with_more(ObjectPrompts(slices=met)))
        self._note(action)

    def take(self, picked: ObjectPrediction, action: PromptStep) -> None:
        """Make another answer the present one, as one step."""
        self._block.take(picked)
        self._note(action)

    def undo(self) -> None:
        self._block.undo()

    def redo(self) -> None:
        self._block.redo()

    def reset(self) -> None:
        """Begin anew without prompts; undo brings them back."""
        self._block.reset()
        self._note(None)

    def examples(self, block: VoxelBlock) -> list[Example]:
        """What an accepted mask says about what was asked."""
        mask = np.zeros(self._block.shape, bool)
        mask[block.slices] = block.mask
        return self._block.examples(mask)

    @property
    def _ready(self) -> tuple[BlockSession, SliceGuess]:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    @property
    def _block(self) -> BlockSession:
        return self._ready[0]

    def learn(self, examples: Sequence[Example]) -> Taught | None:
        """Learn from what an accepted mask says, in the background."""
        return self._learner.learn(examples, self._image) if examples else None

    def _note(self, action: PromptStep | None) -> None:
        self._given = [*self._given[: self._block.steps - 1], action]

    def _knows(self, known: KnownSlice) -> bool:
        """Whether a slice was told as it is now."""
        return any(
            one.is_certain
            and (one.axis, one.index) == (known.axis, known.index)
            and np.array_equal(one.mask, known.mask)
            for one in self._block.prompts.slices
        )

    def _meets(self, known: KnownSlice, added: ObjectPrompts) -> bool:
        """Whether a slice shows the object: its mask lies over a + click, or on voxels of the present answer.

        Others may show another object of the same segment.
        """
        for click in (*self._block.prompts.clicks, *added.clicks):
            if click.positive and known.mask[tuple(_places(click.position, known))]:
                return True
        answer = self.prediction
        if answer is None or not answer.mask.size:
            return False
        at = known.index - answer.box[known.axis].start
        if not 0 <= at < answer.mask.shape[known.axis]:
            return False
        here = [part if axis != known.axis else slice(0, 1) for axis, part in enumerate(answer.box)]
        return bool((known.mask[tuple(here)] & np.take(answer.mask, [at], known.axis)).any())


def _places(position: Sequence[float], known: KnownSlice) -> list[int]:
    """The voxel of a slice that lies over a position."""
    shape = known.mask.shape
    return [0 if axis == known.axis else min(max(0, round(at)), shape[axis] - 1) for axis, at in enumerate(position)]
