"""From a chapter to its notebook, executed; and the rules that a notebook keeps."""

import asyncio
import base64
import copy
import importlib
import io
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

import tinynet
from tinynet.errors import UsageError
from tinynet.files import replacing
from tinynet.notebooks.session import Outcome
from tinynet.notebooks.source import Chapter

THUMBNAIL = (280, 160)  # pixels, at most
CPU_SECONDS, FIGURE_BYTES, NOTEBOOK_BYTES = 120, 200_000, 1_000_000
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
_PROBE = "from tinynet.notebooks.session import outcome\n\noutcome()"


class Run(NamedTuple):
    """An executed notebook, what the chapter did, and why it stopped, if it did."""

    notebook: object
    done: Outcome
    error: str | None


def notebook_of(chapter: Chapter, solved: bool = False):
    """The chapter as a notebook (nbformat 4.5) that has not run. solved: with the exercises done."""
    nbformat = _jupyter("nbformat").v4
    cells = []
    for index, cell in enumerate(chapter.cells):
        text = cell.solved if solved and cell.solved is not None else cell.text
        new = nbformat.new_markdown_cell if cell.kind == "markdown" else nbformat.new_code_cell
        cells.append(new(text, id=f"s{chapter.number:02}-{index:03}"))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.new_notebook(
        cells=cells,
        metadata={"kernelspec": kernel, "language_info": {"name": "python"}, "tinynet": tinynet.__version__},
    )


def run(chapter: Chapter, solved: bool = False) -> Run:
    """Execute the chapter in a fresh kernel, in the folder that it will lie in."""
    nbclient = _jupyter("nbclient")
    notebook = notebook_of(chapter, solved)
    metadata = copy.deepcopy(notebook.metadata)
    notebook.cells.append(_jupyter("nbformat").v4.new_code_cell(_PROBE))
    where = {"metadata": {"path": str(chapter.notebook.parent)}}
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", record_timing=False, resources=where)
    error, done = None, Outcome(0.0, [], {})
    try:
        # What goes to the kernel's own standard error are its remarks; what cells write there comes as output.
        _execute(client, stderr=subprocess.DEVNULL, env=os.environ | dict.fromkeys(THREADS, "2"))
        done = Outcome(**json.loads(notebook.cells[-1].outputs[0].text))
    except nbclient.exceptions.CellExecutionError as failure:
        error = f"{failure.ename}: {failure.evalue}"
    except (nbclient.exceptions.CellTimeoutError, nbclient.exceptions.DeadKernelError) as failure:
        error = str(failure).splitlines()[0]
    notebook.cells.pop()
    notebook.metadata = metadata  # the kernel adds its versions, which differ between machines
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        _join(cell.get("outputs", []))
        _lighten(cell.get("outputs", []))
    return Run(notebook, done, error)


def _execute(client, **how):
    """Execute a notebook in a thread: in the main one nbclient would answer Ctrl-C itself, and trip over it."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: asyncio.run(client.async_execute(**how)))
        try:
            running.result()
        except KeyboardInterrupt:
            if client.km is not None and client.km.has_kernel:
                client.km.provisioner.process.kill()
            raise


def _join(outputs):
    """Make one of what was written in pieces: where they are cut depends on the moment."""
    for i in range(len(outputs) - 1, 0, -1):
        this, following = outputs[i - 1], outputs[i]
        if this.output_type == following.output_type == "stream" and this.name == following.name:
            this.text += following.text
            del outputs[i]


def _lighten(outputs):
    """Write large pictures, which are photographs, with 256 colours: a third of the bytes."""
    for output in outputs:
        png = base64.b64decode(output.get("data", {}).get("image/png", ""))
        if len(png) > FIGURE_BYTES // 2:
            light = io.BytesIO()
            Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(light, format="png", optimize=True)
            output.data["image/png"] = base64.b64encode(light.getvalue()).decode()


def write(chapter: Chapter, notebook) -> Path:
    """Write the notebook, and the small picture that stands for it."""
    with replacing(chapter.notebook) as whole:
        whole.write_text(_jupyter("nbformat").writes(notebook) + "\n", encoding="utf-8")
    pictures = _pictures(notebook)
    if len(pictures) >= chapter.figure:
        picture = Image.open(io.BytesIO(pictures[chapter.figure - 1])).convert("RGB")
        picture.thumbnail(THUMBNAIL, Image.Resampling.LANCZOS)
        chapter.thumbnail.parent.mkdir(exist_ok=True)
        with replacing(chapter.thumbnail) as whole:
            picture.quantize(64).save(whole, format="png", optimize=True)
    return chapter.notebook


def _pictures(notebook):
    """All that the notebook draws, as the bytes of PNGs."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return [base64.b64decode(o.data["image/png"]) for o in outputs if "image/png" in o.get("data", {})]


def broken_rules(chapter: Chapter) -> list[str]:
    """What is wrong with the committed notebook as a file, one line a fault; it is not executed."""
    path = chapter.notebook
    build = f"run `python -m tinynet.notebooks build {chapter.number}`"
    if not path.exists():
        return [f"{path.name} is missing; {build}"]
    notebook, wanted = _jupyter("nbformat").read(path, as_version=4), notebook_of(chapter)
    faults = []
    if [(c.cell_type, c.id, c.source) for c in notebook.cells] != [(c.cell_type, c.id, c.source) for c in wanted.cells]:
        faults.append(f"its cells are not those of src/{chapter.path.name}; {build}")
    if notebook.metadata != wanted.metadata:
        faults.append(f"its metadata are {dict(notebook.metadata)}, expected {dict(wanted.metadata)}; {build}")
    if chapter.figure > (drawn := len(_pictures(notebook))):
        faults.append(f"its picture is to be its figure {chapter.figure}, and it draws {drawn}")
    elif not chapter.thumbnail.exists():
        faults.append(f"its picture thumbnails/{chapter.thumbnail.name} is missing; {build}")
    if path.stat().st_size > NOTEBOOK_BYTES:
        faults.append(f"it has {path.stat().st_size:,} bytes, at most {NOTEBOOK_BYTES:,} are allowed; draw less")
    return faults + broken_outputs(notebook)


def broken_outputs(notebook) -> list[str]:
    """What is wrong with the outputs of an executed notebook, one line a fault."""
    faults = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        faults.append("its cells were not executed once each from top to bottom")
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        if cell.metadata:
            faults.append(f"{cell.id}: a cell has no metadata, got {dict(cell.metadata)}")
        pictures = 0
        for output in cell.outputs:
            if output.output_type == "error":
                faults.append(f"{cell.id}: {output.ename}: {output.evalue}")
            elif output.get("name") == "stderr":
                faults.append(f"{cell.id}: wrote to standard error: {output.text.strip().splitlines()[-1]}")
            data = output.get("data", {})
            if strange := [kind for kind in data if kind not in ("text/plain", "text/html", "image/png")]:
                faults.append(f"{cell.id}: {strange[0]} is not shown on GitHub; use text, HTML or a PNG")
            if "image/png" in data:
                pictures += 1
                size = len(base64.b64decode(data["image/png"]))
                if size > FIGURE_BYTES:
                    faults.append(f"{cell.id}: a figure of {size:,} bytes; at most {FIGURE_BYTES:,}: draw less or smaller")
        following = notebook.cells[index + 1] if index + 1 < len(notebook.cells) else None
        if pictures and not (following and following.source.startswith("**Figure")):
            faults.append(f"{cell.id}: draws, and no prose below begins with **Figure.** and says what is to be seen")
    return faults


def broken_run(chapter: Chapter, result: Run, solved: bool) -> list[str]:
    """What was wrong with a run of the chapter, one line a fault."""
    if result.error:
        return [result.error]
    faults = broken_outputs(result.notebook)
    if not result.done.claims:
        faults.append("it claims nothing; say with claim(...) what the prose relies on")
    if result.done.cpu > CPU_SECONDS:
        faults.append(f"it took {result.done.cpu:.0f} s of CPU; at most {CPU_SECONDS}")
    for exercise in chapter.exercises:
        wanted = "pass" if solved else "fail" if exercise.starts else "unattempted"
        if (state := result.done.exercises.get(exercise.name)) != wanted:
            faults.append(f"{exercise.short} {'solved' if solved else 'as it starts'}: {state}, expected {wanted}")
    return faults


def _jupyter(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UsageError(f'{name} is missing; chapters want: pip install -e ".[notebooks]"') from None
