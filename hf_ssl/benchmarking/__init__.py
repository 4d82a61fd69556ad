# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""`hf-ssl benchmark`: what a training step takes, phase by phase, on this machine."""
