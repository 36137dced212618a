"""The libraries that read GPUs, each as rows of readings behind one protocol (`telemetry.readings`)."""
