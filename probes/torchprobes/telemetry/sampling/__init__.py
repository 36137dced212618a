"""What the sampler child is made of: a thread a GPU, its schedule, and what is shown when the driver is silent."""
