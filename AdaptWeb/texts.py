"""The words on the panel's buttons and in their tool tips, read from the file that draws the panel in Slicer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from AdaptWeb.resources import resource_path


@dataclass(frozen=True)
class Text:
    """What stands on a widget, and what it shows under the mouse."""

    text: str = ""
    tip: str = ""


def panel_texts(path: Path | None = None) -> dict[str, Text]:
    """The words of all widgets of the panel, by the widgets' names."""
    root = ElementTree.parse(path or resource_path("UI/InteractiveAdaptSeg.ui")).getroot()
    return {widget.get("name", ""): _text_of(widget) for widget in root.iter("widget")}


def _text_of(widget: ElementTree.Element) -> Text:
    properties = {found.get("name"): "".join(found.itertext()).strip() for found in widget.findall("property")}
    return Text(properties.get("text", ""), properties.get("toolTip", ""))
