"""What a model gets wrong on labelled data: by class, by what is taken for what, by spans; and how sure that is.

Everything heavy is imported inside the functions, so that the command line answers at once.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

__all__ = ["certainty", "count_errors", "most_confused", "named_alike", "span_scores"]


def named_alike(labels: Sequence[Any], classes: Sequence[Any]) -> list[Any]:
    """Labels under the names that a model's classes have: 1, "1" and "1.0" are one; of no class, as they are."""
    from fewlabels.data.tables import canonical

    known = {canonical(name): name for name in classes} | {str(name): name for name in classes}
    return [known.get(str(label), known.get(canonical(label), label)) for label in labels]


def count_errors(truth: Sequence[Any], predicted: Sequence[Any]) -> dict[str, Any]:
    """Errors, in all and by true class, and what was taken for what.

    Examples
    --------
    >>> found = count_errors(["cat", "cat", "dog"], ["cat", "dog", "dog"])
    >>> round(found["error"], 3), found["classes"]["cat"]["errors"], found["confusion"]["cat"]
    (0.333, 1, {'cat': 1, 'dog': 1})
    """
    wrong = [one != other for one, other in zip(truth, predicted, strict=True)]
    classes = {}
    for name in sorted(set(truth), key=str):
        own = [error for error, label in zip(wrong, truth, strict=True) if label == name]
        classes[str(name)] = {"examples": len(own), "errors": sum(own), "error": sum(own) / len(own)}
    error = sum(wrong) / len(wrong)
    counts = Counter(zip(map(str, truth), map(str, predicted), strict=True))
    confusion = {name: {other: n for (one, other), n in sorted(counts.items()) if one == name} for name in classes}
    return {
        "error": error, "accuracy": 1 - error, "examples": len(wrong), "classes": classes, "confusion": confusion,
    }  # fmt: skip


def certainty(truth: Sequence[Any], classes: Sequence[Any], p: Any) -> dict[str, Any]:
    """Wilson's interval of the error rate, 95 %, and the expected calibration error, of independent examples.

    The words of a sentence are none: they err together.

    Parameters
    ----------
    truth
        N labels; one that is of no class has the probability 0.
    classes
        K.
    p
        p(y | x), (N, K).

    Examples
    --------
    >>> certainty(["cat"] * 4, ["cat", "dog"], [[0.75, 0.25]] * 4)["calibration_error"]
    0.25
    """
    import numpy as np

    from fewlabels.calibration import calibrate, error_interval

    place = {name: i for i, name in enumerate(classes)}
    y = np.array([place.get(label, len(classes)) for label in truth])
    p = np.pad(np.asarray(p), ((0, 0), (0, 1)))  # the last column is for what is of no class
    errors = int((p.argmax(1) != y).sum())
    return {"error_interval": list(error_interval(errors, len(y))), "calibration_error": calibrate(p, y).ece}


def most_confused(confusion: dict[str, dict[str, int]], most: int) -> list[list[str]]:
    """The most frequent mistakes: the true class, what it was taken for, and how often."""
    mistakes = [(n, one, other) for one, row in confusion.items() for other, n in row.items() if one != other]
    return [[one, other, str(n)] for n, one, other in sorted(mistakes, key=lambda m: (-m[0], m[1:]))[:most]]


def span_scores(truth: list[list[str]], predicted: list[list[str]]) -> dict[str, dict[str, float]]:
    """Scores of spans by type, and of all under ""; read leniently, as the official scorer of CoNLL does.

    Where tags do not write down spans, nothing.
    """
    from fewlabels.sequence.spans import encode_spans, read_spans, score_spans

    if not encode_spans([*truth, *predicted]):
        return {}
    scores = score_spans([read_spans(tags) for tags in truth], [read_spans(tags) for tags in predicted])
    return {
        kind: {"spans": one.true, "precision": one.precision, "recall": one.recall, "f1": one.f1}
        for kind, one in scores.items()
    }
