"""The demo's page: tables, learning curves, and what the models draw.

``python -m fewlabels.demo.report FOLDER`` writes it again from the stored runs.
"""

import json
import sys
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from fewlabels.experiments.page import STYLE, picture
from fewlabels.files import write_atomically
from fewlabels.results import Run, Summary, percent, read_runs, summarise

__all__ = ["write_report"]

PAGE = "report.html"
TITLES = {
    "digits": "Images: handwritten digits, 5 labels a class",
    "hkcancor": "Sentences: parts of speech of conversational Cantonese, 100 labelled utterances",
}
NAMES = {
    "supervised": "supervised (labels alone)",
    "pretrain": "pre-training, then fine-tuning",
    "joint": "joint training",
    "sklearn_svc": "SVC, tuned (scikit-learn)",
    "sklearn_self_training": "self-training with SVC (scikit-learn)",
    "sklearn_label_spreading": "label spreading, tuned (scikit-learn)",
    "crfsuite": "CRFsuite, window features",
    "most_frequent_tag": "most frequent tag of each word",
}
OURS = ("supervised", "pretrain", "joint")


def write_report(out: Path, runs: list[Run]) -> Path:
    """Write ``report.html`` into a folder of stored runs and return its path."""
    sections = []
    for dataset in dict.fromkeys(run.dataset for run in runs):
        own = [run for run in runs if run.dataset == dataset]
        details = {method: _details(out, dataset, method) for method in OURS}
        summaries = sorted(summarise(own), key=lambda summary: summary.mean)
        sections.append(
            {
                "title": TITLES[dataset],
                "rows": summaries,
                "bars": picture(_bars(own, summaries)),
                "curves": picture(_curves({m: d["history"] for m, d in details.items() if "history" in d})),
                "sheets": [
                    (NAMES[method], picture(_sheet(np.array(d["samples"]))))
                    for method, d in details.items()
                    if dataset == "digits" and "samples" in d
                ],
                "sentences": [
                    (NAMES[method], [" ".join(words) for words in d["samples"]])
                    for method, d in details.items()
                    if dataset == "hkcancor" and "samples" in d
                ],
                "choices": sorted(
                    {(r.seed, r.config["choice"]) for r in own if r.config.get("choice", "").startswith("chose")}
                ),
            }
        )
    html = _TEMPLATE.render(
        sections=sections, names=NAMES, style=STYLE, percent=percent, run=runs[0], seeds=len({r.seed for r in runs})
    )
    page = out / PAGE
    write_atomically(page, html.encode())
    return page


def _details(out: Path, dataset: str, method: str) -> dict[str, Any]:
    path = out / f"{dataset}-{method}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _bars(runs: list[Run], summaries: list[Summary]) -> Figure:
    """Mean errors as bars, every seed as a dot."""
    figure, axes = plt.subplots(figsize=(8, 0.45 * len(summaries) + 1), layout="constrained")
    for place, summary in enumerate(summaries):
        axes.barh(place, 100 * summary.mean, color="#2a6f97" if summary.method in OURS else "#bbbbbb")
        values = [100 * run.value for run in runs if run.method == summary.method]
        axes.plot(values, [place] * len(values), "o", color="black", markersize=3)
    axes.set_yticks(range(len(summaries)), [NAMES[summary.method] for summary in summaries])
    axes.invert_yaxis()
    axes.set_xlabel("test error, %: bar = mean, dots = seeds")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _curves(histories: dict[str, list[Any]]) -> Figure:
    """Each method's loss terms over its steps, on one logarithmic scale a method."""
    figure, panels = plt.subplots(1, max(1, len(histories)), figsize=(11, 3.2), layout="constrained", squeeze=False)
    for axes, (method, history) in zip(panels[0], histories.items(), strict=False):
        step, offset, previous, seen, begins = 0, 0, None, {}, []
        for stage, at, values, _ in history:
            if stage != previous:
                begins.append((step + at, stage))
                offset, previous = step, stage
            step = max(step, offset + at)
            for name, value in values.items():
                seen.setdefault(name, []).append((offset + at, value))
        for name in ("supervised", "pseudo_likelihood", "entropy", "generator", "u_data", "u_samples"):
            if name in seen:
                at, value = np.array(seen[name]).T
                axes.plot(at, value, label=name, linewidth=1)
        for at, stage in begins:
            axes.axvline(at, color="#cccccc", linewidth=1)
            axes.text(at, 1.01, stage, transform=axes.get_xaxis_transform(), fontsize=7)
        axes.set_yscale("symlog", linthresh=0.1)
        axes.set_xlabel("step")
        axes.set_title(NAMES[method], fontsize=9, pad=14)
        axes.legend(fontsize=7, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _sheet(images: np.ndarray) -> Figure:
    """Images in rows of twenty."""
    columns = 20
    rows = -(-len(images) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(0.5 * columns, 0.5 * rows), squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    for axes, image in zip(panels.flat, images, strict=False):
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    figure.subplots_adjust(0, 0, 1, 1, 0.05, 0.05)
    return figure


_TEMPLATE = jinja2.Environment(autoescape=True).from_string("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>fewlabels demo</title><style>
{{ style|safe }}
</style></head><body>
<h1>Few labels, many unlabelled examples</h1>
<p>Mean test error over {{ seeds }} draws of the labels, ± standard deviation; differences from supervised training are
taken draw by draw. The test split was looked at once, by the finished model. Methods of this library are in bold.</p>
{% for s in sections %}<h2>{{ s.title }}</h2>
<div class="wide"><table><tr><th>method</th><th>error %</th><th>minus supervised</th><th>seconds a run</th></tr>
{% for r in s.rows %}<tr{% if r.method in ("supervised", "pretrain", "joint") %} class="ours"{% endif %}>
<th scope="row">{{ names[r.method] }}</th><td>{{ percent(r.mean, r.sd) }}</td>
<td>{{ percent(r.paired_mean, r.paired_sd) }}</td>
<td>{{ "%.1f"|format(r.seconds) }}</td></tr>{% endfor %}</table></div>
<img alt="bars of the mean test errors in the table above" src="data:image/png;base64,{{ s.bars }}">
{% if s.choices %}<h3>What joint training chose, and why</h3><ul>
{% for seed, choice in s.choices %}<li>draw {{ seed }}: {{ choice }}</li>{% endfor %}</ul>{% endif %}
<h3>Training, first draw</h3><img alt="for each method, its loss terms over the steps of training"
src="data:image/png;base64,{{ s.curves }}">
{% for name, sheet in s.sheets %}<h3>Digits drawn by the model: {{ name }}</h3>
<img alt="a sheet of digits, some more and some less like handwritten ones"
src="data:image/png;base64,{{ sheet }}">{% endfor %}
{% for name, lines in s.sentences %}<h3>Sentences drawn by the model: {{ name }}</h3>
<p lang="yue">{% for line in lines %}{{ line }}<br>{% endfor %}</p>{% endfor %}
{% endfor %}
<p><small>fewlabels {{ run.version }}; Python {{ run.environment.python }}, torch {{ run.environment.torch }},
scikit-learn {{ run.environment["scikit-learn"] }} on {{ run.environment.machine }}. Sentences: the Hong Kong Cantonese
Corpus (CC BY 4.0) as shipped by pycantonese. Every run is a line of results.jsonl.</small></p>
</body></html>
""")


def main(folder: Path) -> None:
    """Write the page of a folder's stored runs again."""
    runs = read_runs(folder / "results.jsonl")
    if not runs:
        raise SystemExit(f"expected stored runs in {folder / 'results.jsonl'}, found none: run the demo first")
    print(write_report(folder, runs))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
