"""Figures and facts in, findings and verdicts out: rules as data, and the cards behind every id.

`verdict.judge(probe, readings)` is pure, so that rules are tested without hardware and a stored run can be judged
again. A group of probes has a folder of rules; `registry` gathers them, `cards` says what each finding means.
"""
