# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What a pre-training recipe needs: memory, batches, steps and time, before anything is trained (`hf-ssl plan`)."""
