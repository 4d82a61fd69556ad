# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf-ssl report`: one HTML page on a training run, that needs nothing but a browser."""

from .page import REPORT_NAME, write_report
from .samples import SampleSource

__all__ = ["REPORT_NAME", "SampleSource", "write_report"]
