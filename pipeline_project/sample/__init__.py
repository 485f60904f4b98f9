"""Sample cases for the workflow `returns`, with a seed and a known truth that the pipeline cannot see.

A night's files depend on the seed, the night and the size alone, so nights can be made one by one, in any order.
"""

from pipeline_project.sample.files import SampleSummary, make_sample

__all__ = ["SampleSummary", "make_sample"]
