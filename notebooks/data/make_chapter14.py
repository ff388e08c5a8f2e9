"""Train what chapter 14 looks at: python notebooks/data/make_chapter14.py   (about six minutes on two cores)

Three default runs of alexnet.py, seeds 0, 1 and 2. Of the first the weights are kept, in 16 bits; of all three the numbers.
"""

import json
import tempfile
from pathlib import Path

import numpy as np

from alexnet import PROGRAM, main
from tinynet.devices import devices
from tinynet.training import checkpoint

HERE = Path(__file__).parent


def colourfulness(kernels):
    """For each kernel (3, h, w): the part of its energy that is colour and not grey, 0 to 1."""
    grey = kernels.mean(axis=1, keepdims=True)
    return 1 - 3 * (grey**2).sum(axis=(1, 2, 3)) / (kernels**2).sum(axis=(1, 2, 3))


def trained(seed, folder):
    """The arrays and the state of a default run, and what it reached."""
    if main(["--seed", str(seed), "--out", str(folder)]) != 0:
        raise SystemExit("the training was stopped; nothing was written")
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return *checkpoint.load(folder), [record for record in records if record["kind"] == "epoch"][-1]


if __name__ == "__main__":
    seeds = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(3):
            arrays, state, last = trained(seed, Path(folder) / str(seed))
            model, _ = PROGRAM.build(state["options"], len(state["classes"]), devices("cpu:0"))
            checkpoint.restore(model, arrays, folder)
            colour = [colourfulness(kernels) for kernels in model.first_kernels()]
            seeds.append({"seed": seed, "val_error": round(last["val_error"], 4),
                          "colourfulness": [[round(float(c), 3) for c in tower] for tower in colour]})  # fmt: skip
            if seed == 0:
                kept = {name: a.astype(np.float16) for name, a in arrays.items() if name.startswith("model.")}
                kept["mean"] = arrays["mean"].astype(np.float16)
                about = {"options": state["options"], "classes": state["classes"]}
                checkpoint.save(HERE / "chapter14.safetensors", kept, about)
    (HERE / "chapter14.json").write_text(json.dumps(seeds, indent=1) + "\n", encoding="utf-8")
