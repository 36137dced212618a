"""torchprobes looks at the machine and at PyTorch: probes, telemetry, judgement and reports, without a screen."""
