"""Chapters: notebooks that are written as plain Python, executed, and held to what they say.

`python -m tinynet.notebooks` lists them. This page is for authors. A chapter is one file, `notebooks/src/NN_name.py`, which
is edited; `python -m tinynet.notebooks build NN` makes `notebooks/NN_name.ipynb` from it, executed, for GitHub to show; and
`check NN` proves that the two agree, that the chapter runs, and that what it says holds. Both files are committed.

    # question: How can a program differentiate itself?       what the chapter answers, on one line
    # reading: 20                                             minutes, to read it and run its cells
    # figure: 2                                               which of its figures is its picture in tables, default 1
    # %% [markdown]                                           a cell of prose, as comments; the first starts with "# # Title"
    # # A tape of scalars
    # %%                                                      a cell of code
    # %% [exercise] e01                                       its statement, what the learner starts with, and its judge

The builder adds the line below the title (times, exercises) and the way to the next chapter. A code cell that draws is
followed by prose that begins with "**Figure.**" and says what is to be seen, for those who do not see it. The first code
cell calls `begin`, the last before the exercises makes the `claim`s: whatever the prose relies on, with some slack.
"""

from tinynet.notebooks.session import begin, claim, photo

__all__ = ["begin", "claim", "photo"]
