"""Rules of `cuda.*` and `accel.*`: driver, architectures, libraries, and the back ends beside CUDA."""
