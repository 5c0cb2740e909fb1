"""What the keys of the page do: the names of buttons, by the keys as the page tells them."""

from __future__ import annotations

from InteractiveAdaptSegLib.Keys import KEYS, PREVIOUS_SEGMENT

CANDIDATES = ("1", "2", "3", "4")


def button_of_key(key: str) -> str | None:
    """The button that a key such as "Ctrl+Z" or "Return" presses; None for no button."""
    if key == PREVIOUS_SEGMENT:
        return "previousSegment"
    return next((name for name, keys in KEYS.items() if key in keys), None)


def known_keys() -> list[str]:
    """All keys that do something."""
    return [*(key for keys in KEYS.values() for key in keys), PREVIOUS_SEGMENT, *CANDIDATES]


def first_key(name: str) -> str:
    """The key that is shown on a button; empty where it has none."""
    return KEYS.get(name, ("",))[0]
