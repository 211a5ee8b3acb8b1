"""MMEngine backbones."""

from .sparse_vit import SparseViT

__all__ = ['SparseViT']
