"""Classifiers that collect what mmpretrain's does not."""

from .sparse_classifier import SparseClassifier

__all__ = ['SparseClassifier']
