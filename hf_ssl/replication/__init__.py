# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""A table of all methods on somebody's data: equal updates and equal time, probes and fine-tuning, several seeds."""
