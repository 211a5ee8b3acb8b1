"""VTAB-1K: nineteen tasks of 1,000 training pictures each (Zhai et al., 2019, arXiv 1910.04867)."""
