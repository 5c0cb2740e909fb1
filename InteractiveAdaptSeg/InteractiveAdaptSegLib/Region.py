"""What prompts are about: a plane or an object, in one form for all that asks, shows, writes, undoes and teaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from AdaptCore.prompts import Click
from InteractiveAdaptSegLib.CandidateViews import Asked
from InteractiveAdaptSegLib.PromptNodes import PromptStep
from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.learning import Example

Mask = Any
"""Of a plane, bool (H, W); of an object, a `VoxelBlock`."""

Session = Any
"""Of a plane, a `PlaneSession` of AdaptCore; of an object, an `ObjectSession`."""


@dataclass(frozen=True)
class Change:
    """Voxels that a region's new mask adds to the segment, and those of its earlier mask that it gives up."""

    add: VoxelBlock | None
    remove: VoxelBlock | None


class Region(Protocol):
    """A plane or the object of a target; all that lasts is kept by the target."""

    @property
    def isSlow(self) -> bool:
        """Whether answers take long with any model."""

    @property
    def session(self) -> Session:
        """The session, with the prompts that the scene holds."""

    @property
    def steps(self) -> list[PromptStep]:
        """The prompts that the scene holds."""

    @property
    def openSteps(self) -> list[PromptStep]:
        """The prompts that the scene holds and the session was not given yet."""

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks that the scene holds on the plane, those of scribbles too."""

    @property
    def canRedo(self) -> bool:
        """Whether the session still holds the answer that was undone last."""

    @property
    def isChanged(self) -> bool:
        """Whether the prompts in the scene are no longer those of the session."""

    @property
    def mask(self) -> Mask | None:
        """The mask that accepting would write; None without a prediction."""

    @property
    def confidences(self) -> Mapping[PlaneGeometry, float]:
        """How confident of each slice what gave them is, 0 to 1, of those that wait to be looked at."""

    @property
    def lesson(self) -> Mask | None:
        """What accepting the present answer teaches."""

    def middle(self, plane: PlaneGeometry) -> Click:
        """A point in the middle of what is shown or was written on a slice."""

    def noteStart(self) -> None:
        """Before a prompt is given: what the first one is given on is stored with the scene."""

    def give(self, session: Session, action: PromptStep) -> None:
        """Give a session one action; raises an AdaptSegError where it does not fit or the model cannot answer."""

    def copied(self) -> Session:
        """A copy of the session, to be asked and then taken or dropped."""

    def take(self, answered: Session) -> None:
        """Go on from a copy of the session that was given all prompts of the scene."""

    def rebuild(self) -> None:
        """Answer the prompts that the scene holds afresh, when the region is looked at."""

    def clear(self) -> None:
        """Take the prompts out of session and scene; what was accepted is kept with the masks to come."""

    def removePrompts(self) -> None:
        """Take the prompts out of the scene."""

    def confirm(self, mask: Mask) -> bool:
        """The mask is accepted, as one step of the target's session; whether it was not before."""

    def storeAccepted(self, mask: Mask) -> None:
        """Store the mask as accepted, with what the segment did not take of it."""

    def isWritten(self, mask: Mask) -> bool:
        """Whether the segment holds the mask, but for what it did not take when that was accepted."""

    def change(self, mask: Mask) -> Change:
        """What writing the mask changes in the segment; what others have drawn there stays."""

    def examples(self, mask: Mask) -> list[Example]:
        """What a mask says as the answer to the prompts."""

    def asked(self) -> Asked:
        """The region as it is now, to be asked for candidates."""

    def pick(self, look: Any) -> PromptStep:
        """Make a candidate the answer, as one step, which the scene stores."""

    def teach(self, mask: Mask, examples: Sequence[Example] | None) -> None:
        """Let a mask be learnt, as part of the latest step of the target's session."""
