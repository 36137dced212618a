"""torch's flight recorder: what a rank's last collectives were, read from its server, its files and on demand.

An own reader: `torchfrtrace` takes 2 s to import torch and fails on dumps of gloo (torch 2.13), whose `pg_config` knows
no group that the entries name.
"""

from .parse import BadDump, parse, parse_json, parse_pickle

__all__ = ["BadDump", "parse", "parse_json", "parse_pickle"]
