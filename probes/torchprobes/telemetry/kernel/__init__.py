"""What the kernel and the driver report once: the kernel's log, and XIDs as they happen."""
