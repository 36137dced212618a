"""All faults of the corpus, family by family."""

from __future__ import annotations

import faults_compiler
import faults_cuda
import faults_data
import faults_entry
import faults_environment
import faults_jobs
import faults_system
import faults_toolchain
from fault import Fault

FAMILIES: dict[str, tuple[Fault, ...]] = {
    "environment": faults_environment.FAULTS,
    "toolchain": faults_toolchain.FAULTS,
    "system": faults_system.FAULTS,
    "cuda": faults_cuda.FAULTS,
    "compiler": faults_compiler.FAULTS,
    "entry": faults_entry.FAULTS,
    "jobs": faults_jobs.FAULTS,
    "data": faults_data.FAULTS,
}

FAULTS: tuple[Fault, ...] = tuple(fault for family in FAMILIES.values() for fault in family)
