# question: How can a program differentiate itself?
# reading: 20
# %% [markdown]
# # A tape of scalars
#
# placeholder
# %%
from tinynet.notebooks import begin, claim

rng = begin(1)
claim("one and one is two", 1 + 1 == 2)
# %% [exercise] e01
