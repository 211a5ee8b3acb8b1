"""Segmentation datasets that mmseg lacks; imported when one is asked for, because mmseg is (`mmsparse.registry.register_segmentation`)."""
