"""Runs that Dagster launches, executed by run workers: processes that stay warm, on as many machines as wanted.

Dagster's own launcher has its code server start a process for each run, which imports everything anew. A run worker
(`pipeline worker`) keeps processes that have it imported. What is to be done stands in Dagster's own run storage; who
does it is an advisory lock in the same database, gone with the worker that held it. So there is no queue to keep true.
"""
