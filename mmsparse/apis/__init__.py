"""What scripts and notebooks call."""

from mmsparse.apis.load import load
from mmsparse.apis.predict import Choice, Prediction, Segmentation

__all__ = ['Choice', 'Prediction', 'Segmentation', 'load']
