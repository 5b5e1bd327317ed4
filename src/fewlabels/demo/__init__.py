"""The demo: supervised, pre-training and joint training on real images and real sentences, with outside baselines.

Its packages are the extra ``fewlabels[demo]``.
"""

from fewlabels.demo.run import run_demo

__all__ = ["run_demo"]
