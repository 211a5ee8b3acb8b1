"""Classifiers that collect what mmpretrain's does not."""

from mmsparse.models.classifiers.sparse_classifier import SparseClassifier

__all__ = ['SparseClassifier']
