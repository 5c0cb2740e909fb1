"""Names that users give, and the files that are called after them."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from AdaptCore.errors import AdaptSegError
from AdaptCore.printable import hidden_in

MOST_NAME_LENGTH = 200
SLUG_LENGTH, HASH_LENGTH = 40, 12


def clean_name(name: str, what: str, error: type[AdaptSegError]) -> str:
    """A name in Unicode's composed form, without space around it.

    Args:
        what: is named, such as "task".
        error: raised when this cannot be a name: it is empty, too long, or has characters that cannot be shown on one
            line, or change how the others are shown.
    """
    clean = unicodedata.normalize("NFC", name).strip()
    hidden = [character for character in hidden_in(clean) if unicodedata.category(character) == "Cf"]
    if hidden:
        raise error(
            f"The character U+{ord(hidden[0]):04X} in the {what} name {name!r:.80} cannot be seen, or changes the "
            "order of the others. Leave it out."
        )
    if not clean or len(clean) > MOST_NAME_LENGTH or hidden_in(clean):
        raise error(f"Expected a {what} name of 1 to {MOST_NAME_LENGTH} characters on one line, got {name!r:.80}.")
    return clean


def file_stem(*clean: str, otherwise: str) -> str:
    """Beginning of a file's name: ASCII letters of clean names, and a hash that tells all names apart.

    It is valid on every system and differs by more than upper and lower case from that of any other names.

    Args:
        otherwise: stands for names without such letters.
    """
    letters = unicodedata.normalize("NFKD", " ".join(clean)).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")[:SLUG_LENGTH].strip("-")
    mark = hashlib.sha256("\n".join(clean).encode()).hexdigest()[:HASH_LENGTH]
    return f"{slug or otherwise}-{mark}"
