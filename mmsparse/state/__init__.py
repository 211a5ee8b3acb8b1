"""What a run leaves behind: one folder per state, with tensors as safetensors and everything else as JSON.

`folder`: how it is written, found and removed · `card`: what adapter.json says · `kept`: which tensors it holds · `files`: reading and
writing them · `pack`: what resume needs as JSON and tensors · `agreement`: does it belong to this model · `trust`: what may be built from it.
"""
