"""What a run saves: a state is one folder, with tensors as safetensors and everything else as JSON, nothing pickled.

- adapter.safetensors: what trains, and buffers outside frozen models (`saved_tensors`)
- adapter.json, the card: host and its fingerprint, normalisation, classes, score, config (`card`)
- resume.json, resume.safetensors: optimiser, schedules, random state (`pack`); not with best states

`folder`: how states are written, found and removed · `files`: read and written · `schema`: the form of the JSON ·
`resume_form`: what resume needs ·
`agreement`: whether one belongs to the model at hand · `trust`, `pipeline`: what may be built from a
stranger's card · `plain_weights`: files without a card · `mmengine_checkpoint`: states for MMEngine's loader
"""
