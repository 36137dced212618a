"""Rules of `compute.*`: right numbers, and figures against what a device can reach."""
