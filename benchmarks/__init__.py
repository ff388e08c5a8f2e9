"""Measurements: tinynet beside its peers and beside the limits of the machine, always in one interleaved run."""
