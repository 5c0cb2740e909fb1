"""A report: one HTML file with facts and pictures inside, readable in light and dark, without paths or patient data."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from AdaptCore.atomic import write_bytes
from AdaptCore.evaluate.pictures import (
    MASK_COLOUR,
    NEGATIVE_COLOUR,
    POSITIVE_COLOUR,
    TRUTH_COLOUR,
    Scene,
    curve_picture,
    orthogonal_picture,
    plane_strip,
)
from AdaptCore.evaluate.surface_picture import surface_picture
from AdaptCore.printable import printable

REPORT_SUFFIXES = (".html", ".htm")
MAX_PICTURED_PLANES = 9

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 2rem auto; padding: 0 1rem;
  background: light-dark(#ffffff, #16181b); color: light-dark(#1d1f22, #e4e6e9); }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { text-align: left; padding: .25rem 1.5rem .25rem 0; border-bottom: 1px solid #7a7a7a55; vertical-align: top; }
th { font-weight: 600; } figure { margin: 0; } img { max-width: 100%; height: auto; border-radius: 6px; }
figcaption, footer { font-size: .9rem; opacity: .8; margin-top: .4rem; }
.key { display: inline-block; width: 1.6em; height: .35em; border-radius: 2px; vertical-align: middle; }
@media (prefers-color-scheme: dark) { body { background: #16181b; color: #e4e6e9; } }
"""


@dataclass(frozen=True)
class Picture:
    """A PNG with a heading and a sentence below it."""

    heading: str
    caption: str
    png: bytes


@dataclass(frozen=True)
class Report:
    """What the page says: a title, one sentence, facts as (name, value), and pictures, which may show clicks."""

    title: str
    summary: str
    facts: Sequence[tuple[str, str]]
    pictures: Sequence[Picture]
    has_truth: bool = False
    has_clicks: bool = True


def result_pictures(
    scene: Scene, axis: int, prompted: Sequence[int], confidences: Mapping[int, float]
) -> list[Picture]:
    """The pictures that every result gets: the mask where it is largest, the planes with prompts, the confidences.

    Args:
        axis: axis across the planes that were predicted.
        prompted: indices of the planes with prompts; the first few are shown.
        confidences: plane index -> confidence, 0 to 1.
    """
    letter = "IJK"[axis]
    caption = "Planes with the largest area of the mask; whole above, close below."
    pictures = [Picture("Result", caption, orthogonal_picture(scene))]
    if scene.geometry.is_flat:
        return pictures
    shown = sorted(prompted)[:MAX_PICTURED_PLANES]
    caption = f"{len(shown)} of {len(prompted)} planes with prompts, across {letter}."
    pictures.append(Picture("Planes with prompts", caption, plane_strip(scene, axis, shown)))
    if len(confidences) > len(prompted):
        curve = curve_picture(confidences, f"plane {letter}", "confidence", prompted)
        caption = "The model's estimate of its agreement with the object; dashed: planes with prompts."
        pictures.append(Picture("Confidence of each plane", caption, curve))
    return pictures


def object_pictures(scene: Scene) -> list[Picture]:
    """The pictures that every whole object gets: three views through it, and its surface."""
    caption = "Planes with the largest area of the mask; whole above, close below."
    pictures = [Picture("Result", caption, orthogonal_picture(scene))]
    if scene.mask.any():
        caption = "The surface of the mask, from the patient's front and left."
        pictures.append(Picture("Surface", caption, surface_picture(scene.mask, scene.geometry)))
    return pictures


def write_report(report: Report, path: Path) -> None:
    """Write the page whole or not at all.

    Raises:
        OutputError: the system could not write.
    """
    write_bytes(path, render(report).encode())


def render(report: Report) -> str:
    """The page as HTML; it loads nothing from elsewhere."""
    facts = "\n".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in report.facts)
    figures = "\n".join(_figure(picture) for picture in report.pictures)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(report.title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(report.title)}</h1>
<p>{escape(report.summary)}</p>
<table>
{facts}
</table>
<p>{_legend(report.has_truth, report.has_clicks)}</p>
{figures}
<footer>Research use only. Check every mask before it is used.</footer>
</body>
</html>
"""


def escape(text: str) -> str:
    """A text as HTML that shows all of it."""
    return html.escape(printable(text))


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode()
    return (
        f"<h2>{escape(picture.heading)}</h2>\n"
        f'<figure><img alt="{escape(picture.heading)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _legend(has_truth: bool, has_clicks: bool) -> str:
    entries = [(MASK_COLOUR, "mask")]
    if has_truth:
        entries.append((TRUTH_COLOUR, "reference (dashed)"))
    if has_clicks:
        entries += [(POSITIVE_COLOUR, "+ click on the object"), (NEGATIVE_COLOUR, "\u00d7 click on the background")]
    return " &nbsp; ".join(f'<span class="key" style="background:{c}"></span> {escape(text)}' for c, text in entries)
