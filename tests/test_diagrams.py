"""Diagrams: what is drawn is what was computed."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from fewlabels.calibration import Calibration, calibrate
from fewlabels.diagrams import reliability_diagram
from fewlabels.experiments.page import picture


@pytest.fixture
def calibration() -> Calibration:
    rng = np.random.default_rng(0)
    return calibrate(rng.dirichlet([1, 0.3, 0.3], 300), rng.integers(0, 3, 300))


def test_bars_are_accuracy_and_share_by_bin(calibration):
    above, below = reliability_diagram(calibration).axes
    for axes, values in ((above, calibration.accuracy), (below, calibration.share)):
        assert [bar.get_height() for bar in axes.patches] == np.nan_to_num(values).tolist()
        np.testing.assert_allclose([bar.get_x() for bar in axes.patches], np.arange(15) / 15)
        np.testing.assert_allclose([bar.get_width() for bar in axes.patches], 1 / 15)
    np.testing.assert_array_equal(above.lines[0].get_xydata(), [[0, 0], [1, 1]])
    assert above.get_title() == f"ECE {100 * calibration.ece:.1f} %"


def test_it_is_a_picture_like_the_others_and_leaves_no_window_behind(calibration):
    before = plt.get_fignums()
    assert len(picture(reliability_diagram(calibration))) > 1000
    assert plt.get_fignums() == before
