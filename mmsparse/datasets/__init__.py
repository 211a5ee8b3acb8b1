"""Datasets and transforms that mmpretrain lacks; registries import what is in here, a new file too."""
