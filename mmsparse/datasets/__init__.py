"""Datasets and transforms that mmpretrain lacks."""

from mmsparse.registry import import_all

import_all(__name__)
