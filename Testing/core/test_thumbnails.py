"""Thumbnails: one square for all, blue for what is added, orange for what is removed, a white outline."""

from __future__ import annotations

import numpy as np
import pytest

from AdaptCore.preference.candidates import Candidate, Proposal, propose
from AdaptCore.preference.samples import Samples
from AdaptCore.preference.thumbnails import ADDED_COLOUR, COVER, OUTLINE_COLOUR, REMOVED_COLOUR, thumbnails


def discs(*radii: float, side: int = 64, centre: tuple[float, float] = (30, 40)) -> Proposal:
    rows, columns = np.mgrid[:side, :side]
    logits = np.stack([30 * (radius + 0.01 - np.hypot(rows - centre[0], columns - centre[1])) for radius in radii])
    logits = logits.astype(np.float32)
    return propose(Samples(logits, np.zeros((len(radii), 1))), np.median(logits, axis=0), 0)


def tinted(grey: float, colour: tuple[int, int, int]) -> list[int]:
    return [round((1 - COVER) * 255 * grey + COVER * channel) for channel in colour]


def share_of(picture: np.ndarray, colour: object) -> float:
    return float((picture == np.array(colour, np.uint8)).all(axis=2).mean())


def test_colours_are_those_of_okabe_and_ito() -> None:
    assert (ADDED_COLOUR, REMOVED_COLOUR) == ((0, 114, 178), (230, 159, 0))


def test_each_candidate_has_a_small_picture() -> None:
    proposal = discs(10, 10, 10, 10, 6, 14)
    pictures = thumbnails(np.full((64, 64), 0.5), proposal, side=80)
    assert len(pictures) == len(proposal.candidates) == 2
    assert all(picture.shape == (80, 80, 3) and picture.dtype == np.uint8 for picture in pictures)


def test_removed_is_orange_and_added_is_blue() -> None:
    small, large = thumbnails(np.full((64, 64), 0.5), discs(10, 10, 10, 10, 6, 14))
    orange, blue = tinted(0.5, REMOVED_COLOUR), tinted(0.5, ADDED_COLOUR)
    frame = (1.5 * 29) ** 2
    assert share_of(small, orange) == pytest.approx(np.pi * (9.6**2 - 36) / frame, rel=0.1), "less the outline"
    assert share_of(large, blue) == pytest.approx(np.pi * (196 - 100) / frame, rel=0.15)
    assert share_of(small, blue) == share_of(large, orange) == 0


def test_the_recommended_mask_is_outlined_in_the_same_place_in_all() -> None:
    small, large = thumbnails(np.zeros((64, 64)), discs(10, 10, 10, 10, 6, 14))
    outlines = [(picture == OUTLINE_COLOUR).all(axis=2) for picture in (small, large)]
    assert np.array_equal(*outlines)
    scale = 96 / (1.5 * 29)
    rows, columns = np.nonzero(outlines[0])
    apart = np.hypot(rows - 47.5, columns - 47.5) / scale
    assert apart.min() > 9 and apart.max() < 11 and len(apart) > 2 * np.pi * 10 * scale * 0.8
    assert tuple(small[48, 48]) == (0, 0, 0)


def test_the_square_lies_around_all_masks() -> None:
    image = np.zeros((64, 64))
    image[30 - 24 : 30 + 25, 40 - 23 : 40 + 24] = 0.8
    (large,) = thumbnails(image, discs(10, 10, 10, 14))
    assert (large[[0, 0, -1, -1], [0, -1, 0, -1]] == 204).all(), "29 pixels and a quarter more on each side"
    blue = (large == tinted(0.8, ADDED_COLOUR)).all(axis=2)
    rows = np.flatnonzero(blue.any(axis=1))
    assert rows[0] / 96 == pytest.approx(0.25 / 1.5, abs=0.02) and (rows[-1] + 1) / 96 == pytest.approx(
        1.25 / 1.5, abs=0.02
    )


def test_the_image_may_be_finer_than_the_masks() -> None:
    coarse = np.tile(np.arange(64) / 63, (64, 1))
    fine = np.repeat(np.repeat(coarse, 4, axis=0), 4, axis=1)
    proposal = discs(10, 10, 10, 14, centre=(32, 32))
    one, other = (thumbnails(image, proposal)[0].astype(int) for image in (coarse, fine))
    assert abs(one - other).max() <= 3
    assert one[0, -1, 0] > one[0, 0, 0] + 100


def test_an_image_in_colour_is_shown_grey() -> None:
    colour = np.zeros((64, 64, 3))
    colour[..., 1] = 0.6
    (picture,) = thumbnails(colour, discs(10, 10, 10, 14))
    assert tuple(picture[48, 48]) == (51, 51, 51)


def test_an_object_at_the_border_is_shown_whole() -> None:
    (picture,) = thumbnails(np.full((64, 64), 0.5), discs(10, 10, 10, 14, centre=(0, 63)))
    assert share_of(picture, tinted(0.5, ADDED_COLOUR)) > 0.1
    assert (picture[[0, -1, -1], [0, 0, -1]] == 128).all()


def test_the_square_stays_in_the_image() -> None:
    rows = np.tile(np.arange(64)[:, None] / 63, (1, 64))
    (picture,) = thumbnails(rows, discs(10, 10, 10, 14, centre=(0, 63)))
    assert picture[0, 0, 0] <= 2 and picture[-1, 0, 0] == pytest.approx(255 * 22 / 63, abs=4), "15 rows and a half more"
    (whole,) = thumbnails(rows, discs(30, 30, 30, 60, centre=(32, 32)))
    assert whole[10, 48, 0] == 26 and whole[90, 48, 0] == 242, "never more than the image"


def test_outside_of_an_oblong_image_all_is_black() -> None:
    mask = np.zeros((32, 64), bool)
    mask[:, 8:24] = True
    shown, wider = (np.where(each, 9, -9).astype(np.float32) for each in (mask, np.ones_like(mask)))
    candidate = Candidate(0, np.array([0]), wider, ~mask, np.zeros_like(mask), 1.0)
    (picture,) = thumbnails(np.full((32, 64), 0.5), Proposal(shown, np.array([], int), 0.0, (candidate,)), side=64)
    assert not picture[:16].any() and not picture[48:].any()
    assert tuple(picture[32, 40]) == tuple(tinted(0.5, ADDED_COLOUR)) and tuple(picture[32, 16]) == (128, 128, 128)


def test_without_candidates_there_is_no_picture() -> None:
    assert thumbnails(np.zeros((64, 64)), discs(10, 10)) == ()


def test_a_mask_that_recommends_nothing_can_be_added_to() -> None:
    mask = np.zeros((8, 8), bool)
    mask[2:5, 3:6] = True
    logits = np.where(mask, 9, -9).astype(np.float32)
    candidate = Candidate(0, np.array([0]), logits, mask, np.zeros((8, 8), bool), 1.0)
    proposal = Proposal(np.full((8, 8), -9, np.float32), np.array([], int), 0.0, (candidate,))
    (picture,) = thumbnails(np.zeros((8, 8)), proposal)
    assert tuple(picture[48, 48]) == tuple(tinted(0, ADDED_COLOUR)) and share_of(picture, OUTLINE_COLOUR) == 0


@pytest.mark.parametrize("shape", [(4,), (0, 5), (2, 3, 4, 5)])
def test_what_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected an image \(H, W\) or \(H, W, 3\)"):
        thumbnails(np.zeros(shape), discs(10, 10, 14))
