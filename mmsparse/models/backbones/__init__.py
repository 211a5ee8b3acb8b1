"""MMEngine backbones."""

from mmsparse.models.backbones.sparse_vit import SparseViT

__all__ = ['SparseViT']
