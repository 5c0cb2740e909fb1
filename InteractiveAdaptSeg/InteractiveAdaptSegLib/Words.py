"""The words for what the panel shows: states in, text out. Each function is given `_`, which translates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from AdaptCore.printable import printable

if TYPE_CHECKING:
    from AdaptCore.adapt.trial import Estimate
    from AdaptCore.models.registry import ModelEntry
    from InteractiveAdaptSegLib.CandidateViews import CandidateView
    from InteractiveAdaptSegLib.Looking import Hindrance
    from InteractiveAdaptSegLib.Measures import Measures
    from InteractiveAdaptSegLib.ViewModel import GalleryState, ModelState, ProfileState, Status, Step, TaskState

Translate = Callable[[str], str]

MEGABYTE = 1e6


def statusText(status: Status, _: Translate) -> str:
    """A status of the panel."""
    return {
        "PACKAGES_MISSING": _("Python packages are missing: press Install."),
        "NOTHING_CHOSEN": _("Choose a volume."),
        "READY_FOR_CLICK": _("Choose a tool and point at the object in a slice view."),
        "MASK_TO_ACCEPT": _("Accept the mask, or correct it with + and - prompts."),
        "ACCEPTED": _("Accepted. Propagate it, or go on with another slice."),
        "OBJECT_ACCEPTED": _("Accepted. Correct it with + and - prompts, or go on with the next segment."),
        "UNSURE": _("The model is not confident of this slice: accept it as it is, or correct it."),
        "PREDICTING": _("The model is predicting. This may take a while on this computer."),
        "PROPAGATING": _("Propagating..."),
    }[status.name]


def sentence(text: str) -> str:
    """A message as a sentence: a capital letter first, a full stop at its end."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def measuresText(measures: Measures | None, _: Translate) -> str:
    """The size of the segment."""
    if measures is None:
        return ""
    slices = _("1 slice") if measures.slices == 1 else _("{count} slices").format(count=measures.slices)
    return _("{volume} mL, longest diameter {diameter:.1f} mm, {slices}").format(
        volume=f"{measures.volume:.3g}" if measures.volume < 1000 else f"{measures.volume:.0f}",
        diameter=measures.diameter,
        slices=slices,
    )


def undoText(step: Step | None, _: Translate) -> str:
    """What Undo would take back."""
    return _("Nothing to undo.") if step is None else _("Undo: {step}").format(step=stepText(step, _))


def redoText(step: Step | None, _: Translate) -> str:
    """What Redo would do again."""
    return _("Nothing to redo.") if step is None else _("Redo: {step}").format(step=stepText(step, _))


def stepText(step: Step, _: Translate) -> str:
    """One step of undo."""
    text = {
        "POSITIVE_POINT": _("point + on {slice}"),
        "NEGATIVE_POINT": _("point - on {slice}"),
        "POSITIVE_SCRIBBLE": _("scribble + on {slice}"),
        "NEGATIVE_SCRIBBLE": _("scribble - on {slice}"),
        "BOX": _("box on {slice}"),
        "LASSO": _("lasso on {slice}"),
        "PICK": _("picked candidate on {slice}"),
        "CLEAR": _("cleared prompts on {slice}"),
        "ACCEPT": _("accepted {slice}"),
        "PROPAGATE": _("propagated from {slice}"),
        "NEW_SEGMENT": _("new segment"),
        "FORGET": _("forgotten slice"),
    }[step.kind.name]
    if step.isOfObject:
        return text.format(slice=_("object"))
    return text.format(
        slice=_("oblique slice") if step.slice is None else _("slice {number}").format(number=step.slice)
    )


def unitText(hindrance: Hindrance | None, _: Translate) -> str:
    """What Object means, or why it cannot be chosen."""
    if hindrance is None:
        return _("A prompt in any view gives the whole object, in all slices at once.")
    return {
        "ONE_SLICE": _("This volume is one slice: a prompt gives its mask."),
        "COLOUR": _(
            "Whole objects need a volume with one value a voxel, and this one is in colour: work slice by slice."
        ),
        "NO_MODEL": _("The model of volumes is not on this computer: work slice by slice."),
        "PROPOSAL": _("The proposals of a cohort are corrected slice by slice."),
    }[hindrance.name]


def propagateText(isAtObject: bool, _: Translate) -> str:
    """What Propagate does, or why it is not needed."""
    if isAtObject:
        return _("An object has its mask on all slices already. Choose Slice to carry the mask of one slice to others.")
    return _("Carry the mask of this slice to its neighbours until the object ends.")


def taskText(state: TaskState | None, _: Translate) -> str:
    """What is told of a task."""
    if state is None:
        return _("No task: nothing is learnt.")
    if not state.accepted:
        text = _("{name}: nothing accepted yet").format(name=state.name)
    else:
        parts = acceptedText(state, _), predictingText(state, _), gainText(state, _)
        text = f"{state.name}: {'; '.join(parts)}"
    return text if state.isLearning else text + _("; not learning")


def acceptedText(state: TaskState, _: Translate) -> str:
    """How many slices or objects of how many volumes were accepted."""
    if state.isOfObjects:
        accepted = _("1 object") if state.accepted == 1 else _("{count} objects").format(count=state.accepted)
    else:
        accepted = _("1 slice") if state.accepted == 1 else _("{count} slices").format(count=state.accepted)
    volumes = _("1 volume") if state.images == 1 else _("{count} volumes").format(count=state.images)
    return _("{accepted} of {volumes} accepted").format(accepted=accepted, volumes=volumes)


def predictingText(state: TaskState, _: Translate) -> str:
    """Which model predicts under a task."""
    return _("the adapted model predicts") if state.isAdapted else _("the frozen model predicts")


def gainText(state: TaskState, _: Translate) -> str:
    """What learning has brought, as far as the trial knows; nothing is claimed without it."""
    if not state.isMeasured:
        return _("gain not measured")
    if state.gain is None:
        return _("gain not known yet")
    gain = _("{value:+.2f} IoU ({low:+.2f} to {high:+.2f})").format(**_rounded(state.gain, 2))
    if not state.gain.is_known:
        return _("gain of the first mask not known yet: {gain}").format(gain=gain)
    text = _("gain of the first mask {gain}").format(gain=gain)
    if state.clicksSaved is not None and state.clicksSaved.is_known:
        clicks = _("{value:.1f} clicks saved for each object ({low:.1f} to {high:.1f})")
        text += _(", ") + clicks.format(**_rounded(state.clicksSaved, 1))
    if state.cost is not None:
        text += _(", measuring has cost {count} clicks").format(count=max(0, round(state.cost)))
    return text


def _rounded(estimate: Estimate, digits: int) -> dict[str, float]:
    """Value and bounds without a minus before zero."""
    numbers = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: round(number, digits) + 0 for name, number in numbers.items()}


def profileText(state: ProfileState | None, _: Translate) -> str:
    """What is told of a profile."""
    if state is None:
        return _("No user: what you pick is not learnt.")
    if not state.picks:
        return _("{user}: nothing picked or accepted yet").format(user=state.user)
    count = _("1 mask") if state.picks == 1 else _("{count} masks").format(count=state.picks)
    return _("{user}: has learnt from {count}").format(user=state.user, count=count)


def galleryText(state: GalleryState, _: Translate) -> str:
    """The line above the candidates."""
    if state.isAsking:
        return _("Computing candidates...")
    if not state.round:
        return _("Candidates appear here with the next mask.")
    if not state.views:
        return _("No candidate differs from this mask.")
    return _("Round {round} of {rounds}. Blue: added, orange: removed.").format(round=state.round, rounds=state.rounds)


def candidateText(number: int, view: CandidateView, _: Translate) -> str:
    """The lines below a candidate's picture."""
    return _("{number}: likely\n{percent} %\n{area}").format(
        number=number, percent=round(100 * view.probability), area=changeText(view)
    )


def candidateToolTip(number: int, view: CandidateView, _: Translate) -> str:
    """What a candidate's numbers mean."""
    return _(
        "Candidate {number}: {area} against the present mask; {percent} % of the masks that you may want look like"
        " it. Blue is added, orange is removed. Click on it or press {number} to pick it."
    ).format(number=number, percent=round(100 * view.probability), area=changeText(view))


def changeText(view: CandidateView) -> str:
    """By how much a candidate's mask is larger."""
    return areaText(view.areaChange) if view.areaChange is not None else f"{view.volumeChange:+.3g} mL"


def areaText(area: float) -> str:
    """A change of area, given in mm², in at most three digits or so."""
    if abs(area) >= 1000:
        return f"{area / 100:+.1f} cm²"
    return f"{area:+.0f} mm²" if abs(area) >= 10 else f"{area:+.1f} mm²"


def modelText(state: ModelState, _: Translate) -> str:
    """What is told of a model."""
    facts = [text for text in (printable(state.licence), sizeText(state.size)) if text]
    text = {
        "READY": _("ready"),
        "LOADING": _("is being loaded"),
        "NOT_DOWNLOADED": _("not downloaded"),
        "DOWNLOADING": _("is being downloaded"),
        "DAMAGED": _("the file was changed or is damaged"),
        "GONE": _("the file is gone: put it back, or add it again under another name"),
        "PACKAGES_MISSING": _("needs Python packages: press Install packages"),
        "FAILED": _("could not be loaded: {problem}").format(problem=state.problem),
        "UNKNOWN": _("not on this computer"),
    }[state.status.name]
    lines = [", ".join([text, *facts])]
    if state.answering != state.name:
        lines.append(_("Meanwhile {name} predicts.").format(name=state.answering))
    if state.computesOn:
        lines.append(_("Computes on: {device}").format(device=deviceText(state.computesOn, _)))
    return "\n".join(lines)


def sizeText(size: int | None) -> str:
    """Bytes in whole megabytes; empty where they are not known."""
    return "" if size is None else f"{max(1, round(size / MEGABYTE))} MB"


def deviceText(device: str, _: Translate) -> str:
    """A device; "" is the fastest one."""
    kind, *number = device.split(":")
    names = {
        "": _("Automatic"),
        "cpu": _("Processor (CPU)"),
        "cuda": _("NVIDIA GPU (CUDA)"),
        "mps": _("Apple GPU (MPS)"),
    }
    return " ".join((names.get(kind, kind), *number))


def downloadText(entry: ModelEntry, _: Translate) -> str:
    """The question before a model is downloaded."""
    return _(
        "{name} will be downloaded to this computer: {description}\n\n"
        "Size: {size}\nFrom: {url}\nTo: {path}\nLicence: {licence}\n\n{notes}"
    ).format(
        name=entry.name,
        description=printable(entry.description),
        size=sizeText(entry.size) or _("not known"),
        url=printable(entry.url or ""),
        path=entry.path,
        licence=printable(entry.licence),
        notes=printable(entry.modality_notes),
    )


def removalText(entry: ModelEntry, _: Translate) -> str:
    """The question before a downloaded model is deleted."""
    return _("{path} ({size}) will be deleted from this computer. {name} can be downloaded again.").format(
        path=entry.path, size=sizeText(entry.size) or _("size not known"), name=entry.name
    )


def samPackagesText(requirements: Sequence[Any], _: Translate) -> str:
    """The question before the packages of Segment Anything are installed."""
    return _(
        "Models of Segment Anything need these Python packages: {names}. They will be downloaded and installed into "
        "Slicer. It may take some minutes."
    ).format(names=", ".join(map(str, requirements)))


def reasonText(reason: str, _: Translate) -> str:
    """Why a case is asked for; other reasons, of cases that are set aside, as they are."""
    return {
        "unlike anything labelled": _("unlike anything labelled"),
        "hard at the boundary": _("hard at the boundary"),
        "like many that are unlike anything labelled": _("like many that are unlike anything labelled"),
        "like many that are hard at the boundary": _("like many that are hard at the boundary"),
        "uncertain in many places": _("uncertain in many places"),
        "drawn by chance": _("drawn by chance"),
    }.get(reason, reason)


def stateText(status: str, isOpen: bool, _: Translate) -> str:
    """The state of a case."""
    if isOpen:
        return _("open, accepted") if status == "accepted" else _("open")
    return {
        "proposed": _("waiting"),
        "waiting": _("no label yet"),
        "not examined": _("not examined"),
        "set aside": _("set aside"),
        "accepted": _("accepted"),
    }[status]


def itemToolTip(item: Any, _: Translate) -> str:
    """What is told of a case under the mouse."""
    if item.score is None:
        return ": ".join(filter(None, (item.case, reasonText(item.reason, _))))
    return _("{case}: asked for, {reason} (score {score:.3f})").format(
        case=item.case, reason=reasonText(item.reason, _), score=item.score
    )


def doubtText(doubt: str, names: str, _: Translate) -> str:
    """The question about what looks like a slip."""
    return {
        "EMPTY": _("Segments without a voxel: {names}. They are accepted as empty."),
        "LEFT_OUT": _("Segments that are no class of the cohort: {names}. They are left out."),
        "PENDING": _("A mask of {names} is shown that was not accepted. It is left out."),
        "AGAIN": _("A label was accepted before: {names}. It is kept, and the new one counts."),
    }[doubt].format(names=names)


def progressText(progress: Any, folder: Path | None, _: Translate) -> str:
    """How far the review is, and what is to be done next."""
    if folder is None:
        return _("Open a cohort folder to review what is proposed for its cases.")
    total = progress.accepted + progress.waiting
    if not progress.areAskedFor:
        text = _("{folder}: {accepted} of {total} cases are accepted.")
        following = _("Which to review first tells: adaptseg cohort next")
    else:
        text = _("{folder}: {accepted} of {total} cases that were asked for are accepted.")
        following = (
            "" if progress.waiting else _("Next, in a terminal: adaptseg cohort train, then adaptseg cohort next")
        )
    return f"{text} {following}".strip().format(folder=folder.name, accepted=progress.accepted, total=total)
