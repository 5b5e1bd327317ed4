"""The page of Tables 3 and 4: curves over U/L first, then the numbers."""

from collections.abc import Callable, Sequence

import jinja2
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewlabels.experiments.page import COLOURS, STYLE, picture
from fewlabels.experiments.published import RATIOS, published
from fewlabels.experiments.tables import (
    METHODS,
    SAME_DATA,
    TASK_OF,
    Cell,
    Grid,
    error_reduction,
    notes,
    ratio_text,
    reduction_rows,
    signed,
)
from fewlabels.results import Run, percent

__all__ = ["page"]

Paper = Callable[[str, float, float], dict[str, float]]
"""Data set, proportion and ratio -> the paper's figures by method."""


def page(cells: Grid, runs: Sequence[Run]) -> str:
    """The page of stored runs."""
    datasets = list(dict.fromkeys(key[0] for key in cells))
    return _TEMPLATE.render(
        style=STYLE,
        run=runs[-1],
        runs=len(runs),
        notes=notes(cells, runs),
        curves=picture(_curves(cells, datasets, _value, _published)),
        avoided=picture(_curves(cells, datasets, _avoided, _published_avoided)),
        sections=[_section(cells, dataset) for dataset in datasets],
        reductions=reduction_rows(cells),
    )


def _section(cells: Grid, dataset: str) -> dict[str, object]:
    own = {key[1:]: cell for key, cell in cells.items() if key[0] == dataset}
    methods = [name for name in METHODS if any(key[2] == name for key in own)]
    rows = [
        _row([own.get((labelled, ratio, name)) for name in methods], own.get((labelled, ratio, "joint")))
        for labelled, ratio in dict.fromkeys(key[:2] for key in own)
    ]
    headings = [METHODS[name] for name in methods]
    return {"title": dataset, "metric": next(iter(own.values())).metric, "methods": headings, "rows": rows}


def _row(row: list[Cell | None], joint: Cell | None) -> list[tuple[str, str]]:
    """Pairs of our figure and the paper's."""
    first = next(cell for cell in row if cell)
    figures = [(percent(cell.mean, cell.sd), percent(cell.paper)) if cell else ("", "") for cell in row]
    differences = (signed(joint.supervised), signed(joint.pretrain)) if joint else ("", "")
    seeds = "/".join(sorted({str(cell.seeds) for cell in row if cell}))
    plain = [f"{first.labelled:.0%}", ratio_text(row)], [*differences, seeds]
    return [*((value, "") for value in plain[0]), *figures, *((value, "") for value in plain[1])]


def _curves(cells: Grid, datasets: list[str], read: Callable[[Cell], float], paper: Paper) -> Figure:
    """A panel for each data set and proportion: a figure over U/L, ours in solid lines, the paper's dotted."""
    proportions = sorted({key[1] for key in cells})
    size = 3.6 * len(proportions) + 1, 2.8 * len(datasets) + 0.6
    figure, panels = plt.subplots(len(datasets), len(proportions), figsize=size, layout="constrained", squeeze=False)
    for dataset, line in zip(datasets, panels, strict=True):
        for labelled, axes in zip(proportions, line, strict=True):
            _panel(axes, [cell for key, cell in cells.items() if key[:2] == (dataset, labelled)], read)
            _paper_lines(axes, dataset, labelled, paper)
            axes.set_title(f"{dataset}, {labelled:.0%} of the labels", fontsize=9)
    legends = [axes.get_legend_handles_labels() for axes in panels.flat]
    shown = {label: handle for handles, labels in legends for handle, label in zip(handles, labels, strict=True)}
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    return figure


def _panel(axes: Axes, cells: list[Cell], read: Callable[[Cell], float]) -> None:
    for method in (name for name in METHODS if any(cell.method == name for cell in cells)):
        own = [cell for cell in cells if cell.method == method and read(cell) == read(cell)]
        if own and own[0].ratio == 0:
            axes.axhline(read(own[0]), linestyle="--", color=COLOURS[method], label=METHODS[method])
        elif own:
            _points(axes, own, read, COLOURS[method])
    axes.set_xscale("log")
    axes.set_xticks(RATIOS, [f"{ratio}" for ratio in RATIOS])
    axes.set_xlim(0.9 * RATIOS[0], 1.1 * RATIOS[-1])
    axes.minorticks_off()
    axes.set_xlabel("U/L", fontsize=8)
    axes.set_ylabel("%", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _points(axes: Axes, cells: list[Cell], read: Callable[[Cell], float], colour: str) -> None:
    """A method's line, with the spread of its results; an open dot where the ratio is capped."""
    at, values = [cell.ratio for cell in cells], [read(cell) for cell in cells]
    spread = [0.0 if cell.sd != cell.sd else 100 * cell.sd for cell in cells] if read is _value else None
    axes.errorbar(at, values, spread, color=colour, capsize=2, label=METHODS[cells[0].method])
    faces = ["white" if cell.capped else colour for cell in cells]
    axes.scatter(at, values, s=18, c=faces, edgecolors=colour, zorder=3)


def _paper_lines(axes: Axes, dataset: str, labelled: float, paper: Paper) -> None:
    lines = [paper(dataset, labelled, ratio) for ratio in RATIOS]
    for method in lines[0]:
        if all(method in line for line in lines):
            values = [line[method] for line in lines]
            axes.plot(RATIOS, values, linestyle=":", color=COLOURS[method], label=f"paper: {METHODS[method]}")


def _value(cell: Cell) -> float:
    return 100 * cell.mean


def _published(dataset: str, labelled: float, ratio: float) -> dict[str, float]:
    figures = published(TASK_OF[dataset], labelled, ratio) if dataset in SAME_DATA else None
    return figures._asdict() if figures else {}


def _avoided(cell: Cell) -> float:
    return cell.supervised.reduction if cell.ratio else float("nan")


def _published_avoided(dataset: str, labelled: float, ratio: float) -> dict[str, float]:
    figures = published(TASK_OF[dataset], labelled, ratio) if dataset in TASK_OF else None
    if figures is None:
        return {}
    of = {name: getattr(figures, name) / 100 for name in figures._fields}
    return {name: error_reduction(of[name], of["supervised"]) for name in ("pretrain", "joint")}


_TEMPLATE = jinja2.Environment(autoescape=True).from_string("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>fewlabels: Tables 3 and 4</title><style>
{{ style|safe }}
body { max-width: 80rem; } td .paper { color: #666; font-size: .85em; display: block; }
</style></head><body>
<h1>Joint training, pre-training and labels alone, on sentences</h1>
<p>U/L is the number of unlabelled sentences for each labelled one. Mean ± standard deviation over seeds, on the test
sets; the paper's single runs are in grey beneath ours and dotted in the pictures. Differences are taken seed by seed.
A star, or an open dot, marks a ratio for which there are too few unlabelled sentences.</p>
<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>
<img alt="results over U/L for each data set and share of the labels" src="data:image/png;base64,{{ curves }}">
<p>Errors of supervised training that the others avoid, which compares across data sets:</p>
<img alt="errors avoided, over U/L" src="data:image/png;base64,{{ avoided }}">
<h2>Table 3: results</h2>
{% for s in sections %}<h3>{{ s.title }}: test {{ s.metric }}, %</h3>
<div class="wide"><table><tr><th>labelled</th><th>U/L</th>{% for name in s.methods %}<th>{{ name }}</th>{% endfor %}
<th>joint - supervised</th><th>joint - pre-train</th><th>seeds</th></tr>
{% for row in s.rows %}<tr>{% for ours, paper in row %}{% if loop.first %}<th scope="row">{{ ours }}</th>{% else %}
<td>{{ ours }}{% if paper %}<span class="paper">{{ paper }}</span>{% endif %}</td>{% endif %}{% endfor %}</tr>
{% endfor %}</table></div>{% endfor %}
<h2>Table 4: errors avoided by joint training, %</h2>
<div class="wide"><table><tr><th>data</th><th>labelled</th><th>U/L</th><th>over supervised</th><th>paper</th>
<th>over pre-train</th><th>paper</th></tr>
{% for row in reductions %}<tr><th scope="row">{{ row[0] }}</th>
{% for value in row[1:] %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
<p><small>{{ runs }} stored results; the last is of fewlabels {{ run.version }}. The paper: Song, Zheng and Ou, An
empirical comparison of joint-training and pre-training for domain-agnostic semi-supervised learning via energy-based
models, MLSP 2021.</small></p>
</body></html>
""")
