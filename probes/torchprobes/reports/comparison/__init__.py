"""Two to many reports held against each other: what works where, which figures differ, and what explains it."""
