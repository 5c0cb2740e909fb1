"""The words for what the panel shows: states in, text out. Each function is given `_`, which translates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from AdaptCore.printable import printable

if TYPE_CHECKING:
    from AdaptCore.models.registry import ModelEntry
    from InteractiveAdaptSegLib.Candidates import CandidateView
    from InteractiveAdaptSegLib.ViewModel import GalleryState, ModelState, ProfileState, Status, TaskState

Translate = Callable[[str], str]

MEGABYTE = 1e6


def statusText(status: Status, _: Translate) -> str:
    """A status of the panel."""
    return {
        "PACKAGES_MISSING": _("Python packages are missing: press Install."),
        "NOTHING_CHOSEN": _("Choose a volume and a segment."),
        "READY_FOR_CLICK": _("Press + and click on the object in a slice view."),
        "MASK_TO_ACCEPT": _("Accept the mask, or correct it with + and - clicks."),
        "ACCEPTED": _("Accepted. Propagate it, or go on with another slice."),
        "UNSURE": _("The model is not sure of this slice: accept it as it is, or correct it."),
        "PREDICTING": _("The model is looking at the slice. This may take a while here."),
        "PROPAGATING": _("Propagating..."),
    }[status.name]


def taskText(state: TaskState | None, _: Translate) -> str:
    """What is told of a task."""
    if state is None:
        return _("No task: nothing is learnt.")
    count = _("1 image accepted") if state.accepted == 1 else _("{count} images accepted").format(count=state.accepted)
    text = f"{state.name}: {count}; {answeringText(state, _)}"
    return text if state.isLearning else text + _("; not learning")


def answeringText(state: TaskState, _: Translate) -> str:
    """Which model answers under a task, and why."""
    if state.gain is None:
        return _("the adapted model answers") if state.isAdapted else _("the original model answers")
    text = (
        _("the adapted model answers, its first masks {gain:+.2f} IoU over the original model")
        if state.isAdapted
        else _("the original model answers, the adapted one is not clearly better (first masks {gain:+.2f} IoU)")
    )
    return text.format(gain=round(state.gain, 2) + 0)


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
        return _("Looking for other masks...")
    if not state.round:
        return _("Other masks that you may want appear here.")
    if not state.views:
        return _("No other mask differs from this one.")
    return _("Round {round} of {rounds}. Blue: added, orange: removed.").format(round=state.round, rounds=state.rounds)


def candidateText(number: int, view: CandidateView, _: Translate) -> str:
    """The lines below a candidate's picture."""
    return _("{number}: {percent} %\n{area}").format(
        number=number, percent=round(100 * view.probability), area=areaText(view.areaChange)
    )


def candidateToolTip(number: int, view: CandidateView, _: Translate) -> str:
    """What a candidate's numbers mean."""
    return _(
        "Candidate {number}: {area} against the present mask; {percent} % of the masks that you may want look like"
        " it. Blue is added, orange is removed. Click on it or press {number} to pick it."
    ).format(number=number, percent=round(100 * view.probability), area=areaText(view.areaChange))


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
        lines.append(_("Meanwhile {name} answers.").format(name=state.answering))
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
