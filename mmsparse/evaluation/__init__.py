"""What a model costs and what it reaches."""

from .cost import published_macs, rows_per_layer

__all__ = ['published_macs', 'rows_per_layer']
