"""What is written down in two places says the same in both."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_ruff_is_the_same_everywhere_because_another_one_formats_otherwise():
    pinned = re.findall(r"ruff==([\d.]+)", (ROOT / "setup.cfg").read_text() + (ROOT / ".pre-commit-config.yaml").read_text())
    assert len(pinned) == 3 and len(set(pinned)) == 1
