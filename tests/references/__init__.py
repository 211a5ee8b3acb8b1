"""Second implementations in float64 and plain loops. They import nothing from mmsparse and were written from the
equations alone.
"""
