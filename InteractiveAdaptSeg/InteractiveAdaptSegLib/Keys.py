"""The keys of the panel's buttons: our own, and those that users of nnInteractive know."""

from __future__ import annotations

KEYS = {
    "positive": ("+",),
    "negative": ("-",),
    "box": ("X",),
    "lasso": ("L",),
    "scribblePositive": ("D",),
    "scribbleNegative": ("E",),
    "accept": ("Return", "Enter"),
    "propagate": ("P",),
    "unsure": ("N",),
    "nextSegment": ("W",),
    "undo": ("Z", "Ctrl+Z"),
    "redo": ("Y", "Ctrl+Y"),
    "cancel": ("Esc",),
}
"""Keys for each button; the first one is shown on it. Slicer's window and slice views use none of them."""

NNINTERACTIVE = {
    **KEYS,
    "positive": ("P",),
    "negative": (),
    "box": ("B",),
    "scribblePositive": ("S",),
    "scribbleNegative": (),
    "clear": ("R",),
    "propagate": ("Shift+P",),
    "nextSegment": ("E",),
    "undo": ("Ctrl+Z", "Z"),
    "redo": ("Ctrl+Y", "Y"),
}
"""Keys as users of nnInteractive know them; some of them are those of slice views too, which then do without."""

SCHEMES = {"Interactive AdaptSeg": KEYS, "nnInteractive": NNINTERACTIVE}

PREVIOUS_SEGMENT = "Q"
CHANGE_SIGN = "T"
"""Takes up the tool of the other sign in place of the one in hand; for the keys of nnInteractive."""

PUT_DOWN = "cancel"
TOOLS = ("positive", "negative", "box", "lasso", "scribblePositive", "scribbleNegative")
"""Buttons that give the mouse to prompts; the key of `PUT_DOWN` gives it back."""

SIGNS = (("positive", "negative"), ("scribblePositive", "scribbleNegative"))
