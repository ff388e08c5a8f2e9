"""Text for people: tables with aligned columns. `html.py` has the same for notebooks."""

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], align: str) -> str:
    """Rows of texts as lines. align: "l" or "r" for each column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    put = {"l": str.ljust, "r": str.rjust}
    return "\n".join(
        "  ".join(put[a](cell, width) for a, cell, width in zip(align, row, widths, strict=True)).rstrip() for row in rows
    )
