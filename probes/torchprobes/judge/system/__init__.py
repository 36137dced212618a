"""Rules of `ddp.*`, `data.*`, `serving.*` and `system.*`."""
