"""Segmentation datasets that mmseg lacks; imported when one is asked for, because mmseg is (`utils.imports.register_segmentation`)."""
