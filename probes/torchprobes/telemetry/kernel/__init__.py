"""What the kernel and the driver report once: the kernel's log, live XIDs, and what an XID means."""
