"""Rules of `env.*`: the interpreter, its packages, kernels, variables and extensions."""
