"""Many runs of tools/train.py: what they are, whose turn it is, and who trains them."""
