"""What is shown of text from outside: every character can be seen, stays on its line, and in its place."""

from __future__ import annotations

import unicodedata

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of Unicode: control and format characters (such as those of the direction of writing), halves of
characters, line ends."""

JOINERS = "\u200c\u200d"
"""Format characters that letters of some languages, and emoji, are made with."""

MOST_CHARACTERS = 300


def hidden_in(text: str) -> list[str]:
    """The characters that cannot be seen or change how the others are shown."""
    if text.isascii() and text.isprintable():
        return []
    return [character for character in text if unicodedata.category(character) in HIDDEN and character not in JOINERS]


def printable(text: str) -> str:
    r"""The text with its hidden characters by their numbers, such as `\x1b` and `\u202e`."""
    shown = {ord(character): character.encode("unicode_escape").decode() for character in hidden_in(text)}
    return text.translate(shown)


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """The text as it may stand in a message."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
