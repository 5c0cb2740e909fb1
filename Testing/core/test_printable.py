"""Text from outside, as it is shown: nothing hides in it and nothing moves."""

from __future__ import annotations

import pytest

from AdaptCore.printable import printable, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "optic cup, \u00fc \u89c6\u676f \u0639\u0635\u0628 \U0001fac0",
            "optic cup, \u00fc \u89c6\u676f \u0639\u0635\u0628 \U0001fac0",
        ),
        ("a\x1b[31mred", r"a\x1b[31mred"),
        ("MIT\nadaptseg: all is well", r"MIT\nadaptseg: all is well"),
        ("tab\there\r", r"tab\there\r"),
        ("gpj.\u202egod", r"gpj.\u202egod"),
        ("\u2066a\u2069\u200f\ufeff", r"\u2066a\u2069\u200f\ufeff"),
        ("line\u2028end\x85\x9b", r"line\u2028end\x85\x9b"),
        ("half \ud800", r"half \ud800"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_cannot_be_seen_is_shown_by_its_number(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_a_long_text_is_cut() -> None:
    assert shortened("x" * 300) == "x" * 300
    assert shortened("x" * 301) == "x" * 297 + "..."
    assert shortened("abcdef", 5) == "ab..."
