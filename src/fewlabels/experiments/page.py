"""What all pages share: their style, the colours of the methods, and pictures within the text."""

import base64
import io

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

mpl.use("Agg")

__all__ = ["COLOURS", "STYLE", "picture"]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .25rem .8rem; border-bottom: 1px solid #ddd; }
td:not(:first-child), th:not(:first-child) { text-align: right; font-variant-numeric: tabular-nums; }
tr > th[scope=row] { font-weight: 400; text-align: left; } tr.ours td, tr.ours th[scope=row] { font-weight: 600; }
div.wide { overflow-x: auto; } img { max-width: 100%; } small { color: #666; }
"""

COLOURS = {
    "supervised": "#555555",
    "crfsuite": "#bbbbbb",
    "pretrain": "#e08214",
    "joint": "#2a6f97",
    "bilm": "#7fbf7b",
    "self_training": "#af8dc3",
    "bilm_self_training": "#1b7837",
    "pretrain_self_training": "#b35806",
    "joint_self_training": "#c51b7d",
    "pretrain_pseudo_label": "#666666",
    "pretrain_entropy": "#a6761d",
    "pretrain_mean_teacher": "#e6ab02",
    "pretrain_vat": "#7570b3",
    "pretrain_conditional_nce": "#fdb863",
    "pretrain_nce": "#8c510a",
    "joint_nce": "#01665e",
    "persistent_cd": "#92c5de",
    "vat": "#1b9e77",
}


def picture(figure: Figure) -> str:
    """A figure as the text of a PNG's data, for a page that needs no other file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    plt.close(figure)
    return base64.b64encode(content.getvalue()).decode()
