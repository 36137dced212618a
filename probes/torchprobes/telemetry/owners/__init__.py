"""Who is on the GPUs: user, command, job and container of each process, kept after its end."""
