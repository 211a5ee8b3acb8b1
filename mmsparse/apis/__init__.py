"""What scripts and notebooks call."""

from .load import load
from .predict import Choice, Prediction, Segmentation

__all__ = ['Choice', 'Prediction', 'Segmentation', 'load']
