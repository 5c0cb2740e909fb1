"""The contact sheet of one round: the recommended mask and the candidates side by side, with what each would change."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from AdaptCore.evaluate.learning_curve import DOTS_PER_INCH
from AdaptCore.io import Volume
from AdaptCore.predict.geometry import PlaneGeometry, axis_plane, extract
from AdaptCore.predict.intensity import Window, apply_window
from AdaptCore.preference.adviser import Round
from AdaptCore.preference.candidates import Candidate, Proposal
from AdaptCore.preference.object_change import change_of
from AdaptCore.preference.thumbnails import ADDED_COLOUR, OUTLINE_COLOUR, REMOVED_COLOUR, thumbnail, thumbnails

SIDE = 192
PANEL_INCHES = 2.1
LEGEND = ((ADDED_COLOUR, "added"), (REMOVED_COLOUR, "removed"), (OUTLINE_COLOUR, "outline of the recommended mask"))


def contact_sheet(image: np.ndarray, proposal: Proposal, recommended: np.ndarray, masks: Sequence[np.ndarray]) -> bytes:
    """PNG of the recommended mask and each candidate, all of the same square of the image.

    Args:
        image: (h, w) or (h, w, 3) in [0, 1], of just what the proposal's maps show, at any resolution.
        recommended: bool (H, W) of the whole plane.
        masks: those of the candidates; what their titles say of areas is about these.
    """
    nothing = np.zeros(proposal.logits.shape, bool)
    itself = Candidate(-1, proposal.members, proposal.logits, nothing, nothing, proposal.probability)
    everything = replace(proposal, candidates=(itself, *proposal.candidates))
    titles = [
        f"recommended\n{np.count_nonzero(recommended)} pixels\nprobability {proposal.probability:.0%}",
        *(
            f"candidate {number}\n{area_change(mask, recommended)}\nprobability {candidate.probability:.0%}"
            for number, (candidate, mask) in enumerate(zip(proposal.candidates, masks), start=1)
        ),
    ]
    return _sheet(thumbnails(image, everything, SIDE), titles)


def object_sheet(volume: Volume, window: Window, shown: Round, axis: int) -> bytes:
    """PNG of the recommended object where it is largest, and of each candidate on the slice where it differs most.

    Args:
        window: intensities from black to white.
        shown: a round of an object's candidates.
        axis: across the slices.
    """
    present, geometry = shown.present, volume.geometry
    voxels = present.mask.sum(axis=tuple(other for other in range(3) if other != axis))
    place = present.box[axis].start + int(voxels.argmax()) if present.mask.size else 0
    plane = axis_plane(geometry.size, axis, place)
    itself = extract(present.on(geometry.size), plane)
    pictures = [thumbnail(_seen(volume, plane, window), itself, itself, SIDE)]
    millilitres = np.count_nonzero(present.mask) * geometry.voxel_millilitres
    titles = [
        f"recommended\n{millilitres:.3g} mL, {'IJK'[axis]} = {place}\nprobability {shown.proposal.probability:.0%}"
    ]
    for number, (look, candidate) in enumerate(zip(shown.looks, shown.proposal.candidates), start=1):
        change = change_of(present, look, geometry.size, geometry.voxel_millilitres, axis)
        plane = axis_plane(geometry.size, axis, change.index)
        pictures.append(thumbnail(_seen(volume, plane, window), change.before, change.after, SIDE))
        share = f" ({change.millilitres / millilitres:+.0%})" if millilitres else ""
        titles.append(
            f"candidate {number}\n{change.millilitres:+.3g} mL{share}, {'IJK'[axis]} = {change.index}\n"
            f"probability {candidate.probability:.0%}"
        )
    return _sheet(pictures, titles)


def _seen(volume: Volume, plane: PlaneGeometry, window: Window) -> np.ndarray:
    return apply_window(extract(volume.array, plane), window)


def _sheet(pictures: Sequence[np.ndarray], titles: Sequence[str]) -> bytes:
    """PNG of pictures side by side with their titles, and what the colours mean."""
    figure = Figure(figsize=(PANEL_INCHES * max(2, len(titles)), PANEL_INCHES + 1.1), layout="compressed")
    panels = figure.subplots(1, len(titles), squeeze=False).ravel()
    for panel, picture, title in zip(panels, pictures, titles):
        panel.imshow(picture, interpolation="nearest")
        panel.set_title(title, fontsize=9)
        panel.set_axis_off()
    keys = [Patch(facecolor=f"#{bytes(colour).hex()}", edgecolor="black", label=label) for colour, label in LEGEND]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), frameon=False, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def area_change(mask: np.ndarray, recommended: np.ndarray) -> str:
    """By how much a mask is larger than the recommended one, in pixels and percent of that."""
    area = np.count_nonzero(recommended)
    pixels = np.count_nonzero(mask) - area
    return f"{pixels:+d} pixels ({pixels / area:+.0%})" if area else f"{pixels:+d} pixels"
