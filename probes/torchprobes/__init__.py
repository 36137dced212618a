"""torchprobes looks at the machine and at PyTorch: probes, telemetry, judgement and reports, without a screen."""

__version__ = "0.1.0"
