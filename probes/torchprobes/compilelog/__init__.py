"""What a compile leaves behind: the growing tree followed, its files indexed, searched and marked. No screen."""
