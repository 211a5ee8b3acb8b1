"""Classifiers that collect what mmpretrain's does not."""

from mmsparse.models.classifiers.sparse_classifier import SparseClassifier
from mmsparse.models.classifiers.video_classifier import VideoClassifier
from mmsparse.models.classifiers.video_preprocessor import VideoDataPreprocessor

__all__ = ['SparseClassifier', 'VideoClassifier', 'VideoDataPreprocessor']
