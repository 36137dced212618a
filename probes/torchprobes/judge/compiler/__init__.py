"""Rules of `compile.*`, `cudagraph.*` and `export.*`."""
