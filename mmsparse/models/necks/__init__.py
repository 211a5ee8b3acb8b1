"""Token sparsifiers: what leaves the stream. One file, one paper."""
