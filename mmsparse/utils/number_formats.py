"""Number formats by their names on the command line, and in configs and torch."""

FORMATS = dict(auto='auto', fp32='float32', bf16='bfloat16', fp16='float16')
