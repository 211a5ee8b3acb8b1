"""Segmentors that collect what mmseg's does not; imported when one is asked for, because mmseg is
(`utils.imports.register_segmentation`)."""

from mmsparse.models.segmentors.sparse_segmentor import SparseSegmentor

__all__ = ['SparseSegmentor']
