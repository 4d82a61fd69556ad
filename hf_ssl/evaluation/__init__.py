# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Metrics that need no network (`metrics`) and probes of frozen features (`probe`, the command `hf-ssl probe`).

Nothing is imported here: `metrics` brings in `evaluate` and `datasets`, which take seconds, and not every user of
`probing` needs them.
"""
