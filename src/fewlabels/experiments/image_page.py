"""The pages of Table 2 and Fig. 1: pictures first, then the numbers."""

from collections.abc import Mapping, Sequence

import jinja2
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, StrMethodFormatter

from fewlabels.calibration import Calibration
from fewlabels.diagrams import reliability_diagram
from fewlabels.experiments.image_tables import FIG_1_HEADINGS, METHODS, TABLE_2_HEADINGS, Rows
from fewlabels.experiments.page import COLOURS, STYLE, picture
from fewlabels.experiments.published import FIG_1
from fewlabels.results import Run

__all__ = ["fig1_page", "plot_errors", "table2_page"]


def table2_page(
    titles: Mapping[str, str],
    tables: Mapping[str, Rows],
    runs: Sequence[Run],
    sheets: Mapping[str, str],
    notes: Sequence[str],
) -> str:
    """The page of Table 2.

    Parameters
    ----------
    titles, tables
        By data set.
    runs
        All that are stored.
    sheets
        Samples: name to the text of PNG data.
    notes
        What is to be said of the tables.
    """
    sections = [
        {
            "title": titles[name],
            "headings": TABLE_2_HEADINGS,
            "rows": rows,
            "diagrams": _diagrams([run for run in runs if run.dataset == name]),
            "sheets": {key: data for key, data in sheets.items() if key.startswith(f"{name}-")},
        }
        for name, rows in tables.items()
    ]
    return _TEMPLATE.render(
        title="Table 2", style=STYLE, sections=sections, notes=notes, figure="", run=runs[-1], runs=len(runs)
    )


def fig1_page(tables: Mapping[str, Rows], runs: Sequence[Run], notes: Sequence[str]) -> str:
    """The page of Fig. 1: arguments as of `table2_page`."""
    sections = [
        {"title": name, "headings": FIG_1_HEADINGS, "rows": rows, "diagrams": {}, "sheets": {}}
        for name, rows in tables.items()
    ]
    figure = _curves(list(tables), runs)
    return _TEMPLATE.render(
        title="Fig. 1", style=STYLE, sections=sections, notes=notes, figure=figure, run=runs[-1], runs=len(runs)
    )


def _diagrams(runs: Sequence[Run]) -> dict[str, str]:
    """A reliability diagram for each method, of its first draw."""
    first = {run.method: run for run in reversed(runs) if run.metric == "ece"}
    return {METHODS.get(name, name): picture(reliability_diagram(_calibration(run))) for name, run in first.items()}


def _calibration(run: Run) -> Calibration:
    bins = {name: np.array(values, dtype=float) for name, values in run.config["calibration"].items()}
    return Calibration(run.value, **bins)


def _curves(datasets: Sequence[str], runs: Sequence[Run]) -> str:
    """Error over the share of the labels, a panel for each data set; the paper's points are crosses."""
    figure, panels = plt.subplots(
        1, len(datasets), figsize=(4.6 * len(datasets), 3.6), layout="constrained", squeeze=False
    )
    for name, axes in zip(datasets, panels[0], strict=True):
        plot_errors(axes, name, [run for run in runs if run.dataset == name and run.metric == "error"])
    return picture(figure)


def plot_errors(axes: Axes, dataset: str, runs: Sequence[Run]) -> None:
    """Test error over the share of the labels, both on log scales that read in plain percent; means ± sd over draws.

    The dashed line is supervised training with all labels, the crosses are the paper's points.
    """
    for method in sorted({run.method for run in runs}, key=[*METHODS, *(run.method for run in runs)].index):
        shares = sorted({run.labelled for run in runs if run.method == method})
        values = [
            [100 * run.value for run in runs if run.method == method and run.labelled == share] for share in shares
        ]
        spread = [float(np.std(one, ddof=1)) if len(one) > 1 else 0.0 for one in values]
        means = [float(np.mean(one)) for one in values]
        axes.errorbar(
            [100 * share for share in shares],
            means,
            spread,
            color=COLOURS.get(method, "#888888"),
            capsize=2,
            marker="o",
            markersize=4,
            label=METHODS.get(method, method),
        )
        if method == "supervised" and shares[-1] == 1:
            axes.axhline(means[-1], linestyle="--", linewidth=1, color=COLOURS[method], label="supervised, all labels")
    for (name, method, share), error in FIG_1.items():
        if name == dataset:
            axes.plot(
                100 * share,
                error,
                marker="x",
                linestyle="",
                color=COLOURS[method],
                label=f"the paper: {METHODS[method]}",
            )
    axes.set(xscale="log", yscale="log", title=dataset, xlabel="labelled, %", ylabel="test error, %")
    axes.xaxis.set_major_locator(FixedLocator([100 * share for share in sorted({run.labelled for run in runs})]))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.spines[["top", "right"]].set_visible(False)
    legend = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    axes.legend(legend.values(), legend.keys(), fontsize=8, frameon=False)


_TEMPLATE = jinja2.Environment(autoescape=True).from_string("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>fewlabels: {{ title }}</title><style>
{{ style|safe }}
body { max-width: 80rem; } figure { display: inline-block; margin: .5rem; }
figcaption { font-size: .85em; color: #666; }
</style></head><body>
<h1>{{ title }}: joint training, pre-training and labels alone, on images</h1>
<p>Mean ± standard deviation over draws of the labels, on the test sets; differences are taken seed by seed.
No images are augmented, unless a row says so.</p>
<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>
{% if figure %}<img alt="test error over the share of the labels, a line a method; the table below has the figures"
src="data:image/png;base64,{{ figure }}">{% endif %}
{% for s in sections %}<h2>{{ s.title }}</h2>
<div class="wide"><table><tr>{% for heading in s.headings %}<th>{{ heading }}</th>{% endfor %}</tr>
{% for row in s.rows %}<tr><th scope="row">{{ row[0] }}</th>
{% for value in row[1:] %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
{% for name, data in s.diagrams.items() %}<figure><img alt="accuracy over confidence of {{ name }}"
src="data:image/png;base64,{{ data }}"><figcaption>{{ name }}, first draw</figcaption></figure>{% endfor %}
{% for name, data in s.sheets.items() %}<figure><img alt="a sheet of images: {{ name }}"
style="image-rendering: pixelated" width="320"
src="data:image/png;base64,{{ data }}"><figcaption>{{ name }}</figcaption></figure>{% endfor %}
{% endfor %}
<p><small>{{ runs }} stored results; the last is of fewlabels {{ run.version }}. The paper: Song, Zheng and Ou, An
empirical comparison of joint-training and pre-training for domain-agnostic semi-supervised learning via energy-based
models, MLSP 2021.</small></p>
</body></html>
""")
