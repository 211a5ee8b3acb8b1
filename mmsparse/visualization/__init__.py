"""Pictures of what a model does with an image."""

from mmsparse.visualization.token_map import TokenStage, draw_stages, token_stages

__all__ = ['TokenStage', 'draw_stages', 'token_stages']
