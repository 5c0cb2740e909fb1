"""How benchmark results are shown and kept: plain-text tables and JSON files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from AdaptCore.atomic import write_bytes
from AdaptCore.printable import printable


def text_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their widest cell: the first to the left, the others to the right; floats get 3 decimals."""
    lines = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(_joined(line, widths) for line in lines)


def write_json(path: Path, result: dict[str, Any]) -> None:
    """Write a result whole or not at all.

    Raises:
        OutputError: the file cannot be written; an older one stays whole.
    """
    write_bytes(path, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else printable(str(value))


def _joined(line: Sequence[str], widths: Sequence[int]) -> str:
    others = (text.rjust(width) for text, width in zip(line[1:], widths[1:]))
    return "  ".join([line[0].ljust(widths[0]), *others]).rstrip()
