"""Sub-networks that a config names by their file."""

from mmengine.config import Config

from mmsparse.models.adapters.search_space import read_subnet


def read_subnets(cfg: Config) -> None:
    """Put the sizes of a sub-network in the place of the file that names them: a state's card holds no paths.

    Raises:
        InputError: no such file, or not JSON.
    """
    nodes = [cfg.get('model')]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict) and isinstance(node.get('subnet'), str):
            node['subnet'] = read_subnet(node['subnet'])
        if isinstance(node, dict | list | tuple):
            nodes += node.values() if isinstance(node, dict) else node
