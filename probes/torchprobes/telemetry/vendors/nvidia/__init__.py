"""NVIDIA's GPUs through NVML: which call fills which cells, how often, and what each answer means.

Only the sampler child imports this; it holds pynvml.
"""
