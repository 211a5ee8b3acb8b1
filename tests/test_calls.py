"""What the contract costs: calls of the package's Python functions, a count that no other load on the machine
changes.
"""

import sys
from pathlib import Path

import torch

import mmsparse
from hosts import timm_host
from small_classifier import adapter, classifier, step

PACKAGE = str(Path(mmsparse.__file__).parent)


def calls_of(run) -> int:
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += event == 'call' and frame.f_code.co_filename.startswith(PACKAGE)

    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


def test_a_training_step_of_tiny_digits_makes_few_calls_of_the_package():
    """As configs/sparse_tuning/tiny_digits.py builds it: 12 layers, a Dense Adapter, EViT at 4, 7 and 10."""
    evit = dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.7)
    model = classifier(evit, adapter(), kind='mmpretrain.ImageClassifier', host=timm_host(depth=12))
    optimiser = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad])
    step(model, optimiser)
    found = calls_of(lambda: step(model, optimiser))
    assert 0 < found <= 550, found
