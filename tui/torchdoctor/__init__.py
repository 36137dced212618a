"""torchdoctor shows it: the console and the command line over torchprobes."""
