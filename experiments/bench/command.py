"""``python -m experiments bench [integrators|scaling]``: measure, print, and write CSV files and a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments import tables
from experiments.bench import integrators, scaling
from experiments.bench.timing import threads

__all__ = ["BENCHES", "run"]

BENCHES = {"integrators": integrators.run, "scaling": scaling.run}


def run(names: list[str], quick: bool, out: Path) -> None:
    """Run the benches and write NAME.csv, and scaling.png where matplotlib is installed, to a folder."""
    out.mkdir(parents=True, exist_ok=True)
    print(threads()[1])
    for name in names:
        rows = BENCHES[name](quick, print)
        tables.write(out / f"{name}.csv", rows)
        print(f"{out / name}.csv")
        if name == "scaling":
            _draw(rows, out / "scaling.png")


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no figure: pip install 'matode[plots]'")
        return
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    time, memory = figure.subplots(1, 2)
    for substep, marker in (("Euler", "o"), ("RK4", "s")):
        chosen = [row for row in rows if row["substep"] == substep]
        n = [row["n"] for row in chosen]
        label = f"{substep}: n^{scaling.exponent(rows, substep):.2f}"
        time.loglog(n, [row["seconds"] for row in chosen], marker + "-", label=label)
        memory.semilogx(n, [row["numbers_per_factor_entry"] for row in chosen], marker + "-", label=substep)
    first = rows[0]
    time.loglog(n, [first["seconds"] * k / first["n"] for k in n], "k:", label="n")
    time.set(xlabel="n", ylabel="seconds per step", title="augmented BUG, Lyapunov, r = 10")
    memory.set(xlabel="n", ylabel="numbers / ((m + n) r)", title="peak memory of a step", ylim=(0, None))
    for axes in (time, memory):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    print(path)
