"""Section `scaling`: how the speed of training grows with threads, batch and width, so that a run can be predicted."""

from dataclasses import asdict, replace

from benchmarks import children, machine, steps
from benchmarks.bench import Bench, Section
from benchmarks.plan import Plan
from benchmarks.report import Column, row_of

SHOWN = {"width": ("width", "g"), "threads": ("threads", "d"), "net": ("", "")}  # otherwise than in the step's table
COLUMNS = [
    Column("axis", "along", "text"),
    *(Column(column.key, *SHOWN.get(column.key, (column.header, column.form))) for column in steps.COLUMNS),
]
ROUNDS = 3  # at most: the large batches take long


def cases(plan):
    """(axis, value): what is varied; the rest stays at `scaling_width`, `scaling_batch` and all threads."""
    threads, most = [1], min(plan.scaling_threads, machine.usable_cores())
    while threads[-1] < most:
        threads.append(min(2 * threads[-1], most))
    # scaling_width last: the network of one case is kept for the next.
    widths = [("width", width) for width in sorted(plan.scaling_widths, key=lambda width: width == plan.scaling_width)]
    return [("threads", n) for n in threads] + widths + [("batch", n) for n in plan.scaling_batches]


def measure(bench, case):
    axis, value = case
    plan = asdict(bench.plan) | {"rounds": min(bench.plan.rounds, ROUNDS)}
    if axis == "threads":
        bench.say(f"{value} threads, in a process of its own")
        row = children.call("benchmarks.scaling", value, engines=list(bench.engines), plan=plan)
    else:
        sizes = dict(batch=plan["scaling_batch"], width=plan["scaling_width"]) | {axis: value}
        row = steps.whole_net(replace(bench, plan=Plan(**plan)), "2012", **sizes)
    return [row_of(COLUMNS, axis=axis, **row)]


def child(engines, plan):
    """A row of the step section, with the number of threads that this process was started with."""
    found, _ = machine.find_engines(engines)
    bench = Bench(Plan(**plan), found, machine.set_threads(None, found))
    return steps.whole_net(bench, "2012", bench.plan.scaling_batch, bench.plan.scaling_width)


SCALING = Section(
    "scaling",
    "How a training step of AlexNet 2012 grows with threads, width and batch.",
    COLUMNS,
    cases=cases,
    measure=measure,
)

if __name__ == "__main__":
    children.answer(child)
