"""Tables for people, JSON for machines: the same rows."""

import json
from dataclasses import dataclass

SCHEMA = 1


@dataclass(frozen=True)
class Column:
    """One key of a section's rows: its header, which names the unit, and how its numbers look.

    `form` is a format specification; "text" for words, "" for a key that only the JSON file has.
    """

    key: str
    header: str = ""
    form: str = ""


def table(title, columns, rows):
    """The rows as aligned text; a number that was not measured is a dash."""
    shown = [column for column in columns if column.form]
    lines = [[column.header for column in shown]] + [[_text(row[c.key], c.form) for c in shown] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(shown))]
    aligned = [
        "  ".join(
            cell.ljust(width) if column.form == "text" else cell.rjust(width)
            for cell, width, column in zip(line, widths, shown, strict=True)
        ).rstrip()
        for line in lines
    ]
    return "\n".join([title, "", *aligned, ""])


def row_of(columns, **values):
    """A row with every key of the section, None for what is not given; raises KeyError for a key that it does not have."""
    row = {column.key: None for column in columns}
    unknown = set(values) - set(row)
    if unknown:
        raise KeyError(f"row of a benchmark: unknown keys {sorted(unknown)}")
    return row | values


def document(machine, engines, missing, options, sections, interrupted):
    """Everything that was measured, with stable keys; `sections` is name -> rows."""
    return {
        "schema": SCHEMA,
        "machine": machine,
        "engines": engines,
        "missing": missing,
        "options": options,
        "interrupted": interrupted,
        "sections": sections,
    }


def write(path, content):
    """Write a document to a file."""
    with open(path, "w") as file:
        json.dump(content, file, indent=1)
        file.write("\n")


def heading(machine, missing):
    """The lines above the tables: which machine, and who is not there."""
    lines = [
        f"{machine['cpu']}, {machine['usable_cores']} of {machine['cores']} cores, load {machine['load_average']}; "
        f"{machine['threads']} threads for every engine",
        f"Python {machine['python']}, NumPy {machine['numpy']} with {machine['blas']} ({machine['blas_kernels']}, "
        f"{machine['blas_threads']} threads), PyTorch {machine['torch'] or 'not installed'}",
        "Medians over rounds in which the engines take turns. speed: how many times as fast as PyTorch tinynet is, median",
        "of each round's ratio; above 1 tinynet is faster.",
    ]
    return "\n".join([*lines, *missing.values(), ""])


def _text(value, form):
    if value is None:
        return "-"
    return str(value) if form == "text" else format(value, form)
