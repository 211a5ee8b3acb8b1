"""Load a file of weights into a host of mmpretrain's."""

from __future__ import annotations

from mmengine.logging import print_log
from torch import Tensor, nn

from mmsparse.models.hosts.activations import refuse_other_mmpretrain_activation
from mmsparse.models.hosts.checkpoint_contents import rooted
from mmsparse.models.hosts.load_weights import Filed, load_strictly
from mmsparse.models.hosts.position_tables import Grid, fit_positions
from mmsparse.models.hosts.weight_files import read_weights


def load_mmpretrain(host: nn.Module, path: str, prefix: str = 'backbone.', grid: Grid | None = None) -> Filed:
    """Load an mmpretrain host from a file of the backbone or of a whole model; a URL goes through torch.hub's cache.

    A file of pre-training has no norm behind the mean of the patches (`ln2`) and one before it that MAE's fine-tuning
    leaves out (`final_norm=False`): there `ln2` stays as built. Phases of rotary positions are the host's own.

    Args:
        prefix: under which to look; the backbone is then found by its patch projection.
        host, path, grid: as for `load_weights.load_timm`, returns and errors too; positions are resized by
            mmpretrain's own rule.
    """
    state = read_weights(path)
    inside = {key: value for key, value in state.items() if key.startswith(prefix)}
    found = rooted(inside or state, ('patch_embed.projection.weight',), path)
    left = [key for key in state if not key.startswith(found.prefix)]
    refuse_other_mmpretrain_activation(host, path, found.state, left)
    ours = host.state_dict()
    found.state.update({key: value for key, value in ours.items() if key not in dict(host.named_parameters())})
    if 'ln1.weight' in found.state.keys() - ours.keys() and 'ln2.weight' in ours.keys() - found.state.keys():
        print_log(f'{path}: it has no norm behind the mean of the patches, ln2, which begins as built.', 'current')
        found.state.update({key: value for key, value in ours.items() if key.startswith('ln2.')})
        left += [key for key in list(found.state) if key.startswith('ln1.') and len(found.state.pop(key))]

    def resize(table: Tensor, own: Grid, wanted: Grid, extra: int) -> Tensor:
        return host.resize_pos_embed(table, own, wanted, host.interpolate_mode, extra)

    filed = fit_positions(
        host, 'pos_embed', host.patch_resolution, host.num_extra_tokens, found.state, grid, path, resize
    )
    load_strictly(host, found.state, path, found.prefix, left)
    return filed
