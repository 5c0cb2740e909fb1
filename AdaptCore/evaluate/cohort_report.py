"""The report on a cohort: one page with counts, rounds, and pictures of labels; no path, no header of an image."""

from __future__ import annotations

from AdaptCore.cohort.folder import Cohort
from AdaptCore.cohort.records import Case
from AdaptCore.cohort.summary import ACCEPTED, PROPOSED, Summary, describe_round, summarize
from AdaptCore.errors import ImageError
from AdaptCore.evaluate.pictures import Scene, curve_picture, orthogonal_picture
from AdaptCore.evaluate.report import Picture, Report
from AdaptCore.predict.intensity import auto_window

AGREEMENT = "Agreement of each round with the one before"
MOST_PICTURES = 6


def cohort_report(cohort: Cohort) -> Report:
    """The page: what was done, and the labels of the cases to review next, or of the first ones.

    Raises:
        CohortError: the cohort's state cannot be used.
    """
    summary = summarize(cohort)
    pictures = [*_agreement(summary), *_labels(cohort, summary)]
    shown = sum(picture.heading != AGREEMENT for picture in pictures)
    text = (
        f"This page holds pictures of {shown} of {len(summary.cases)} images with their labels, and the names of image "
        "files without their folders; nothing from the headers of the images. Treat it like the images."
    )
    return Report("Cohort", text, _facts(cohort, summary), pictures, has_clicks=False)


def _facts(cohort: Cohort, summary: Summary) -> list[tuple[str, str]]:
    facts = [
        ("Model", cohort.settings.model.replace("\\", "/").rpartition("/")[2]),
        ("Template", cohort.settings.template),
        ("Classes", ", ".join(map(str, cohort.settings.labels))),
        ("Cases", ", ".join(f"{count} {status}" for status, count in summary.counts.items() if count)),
    ]
    facts += [(f"Round {one.number}", describe_round(one)) for one in summary.state.rounds]
    if summary.reviewed_dice:
        count, dice = summary.reviewed_dice
        facts.append(("Reviewed", f"mean Dice {dice:.3f} of the proposals with the {count} labels accepted for them"))
    facts += [(f"To review: {query.case}", query.reason) for query in summary.queries]
    return facts + [(f"Set aside: {case.id}", case.aside) for case, _ in summary.cases if case.aside]


def _agreement(summary: Summary) -> list[Picture]:
    values = {one.number: one.agreement for one in summary.state.rounds if one.agreement is not None}
    if len(values) < 2:
        return []
    given_up = [one.number for one in summary.state.rounds if one.collapsed]
    caption = "Mean Dice of the proposed labels with those before; dashed: rounds whose labels were given up."
    return [Picture(AGREEMENT, caption, curve_picture(values, "round", "mean Dice", given_up))]


def _labels(cohort: Cohort, summary: Summary) -> list[Picture]:
    asked = {query.case: query.reason for query in summary.queries}
    statuses = {case.id: (case, status) for case, status in summary.cases if status in (ACCEPTED, PROPOSED)}
    pictures: list[Picture] = []
    for name in (*asked, *(name for name in statuses if name not in asked)):
        if len(pictures) == MOST_PICTURES:
            break
        case, status = statuses[name]
        try:
            scene = _scene(cohort, case, summary.state.current)
        except ImageError:
            continue
        caption = f"{status} label{f'; to review: {asked[name]}' if name in asked else ''}"
        pictures.append(Picture(name, caption, orthogonal_picture(scene)))
    return pictures


def _scene(cohort: Cohort, case: Case, current: int) -> Scene:
    volume = cohort.image(case)
    label = cohort.label(case, case.label) if case.label else cohort.proposal(case, current)
    return Scene(volume.array, volume.geometry, auto_window(volume.array), label)
