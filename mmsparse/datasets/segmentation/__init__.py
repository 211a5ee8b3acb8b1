"""Segmentation datasets that mmseg lacks; imported when one is asked for (`utils.imports`), because mmseg is."""
