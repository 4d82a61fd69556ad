# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Speech synthesis with eSpeak NG, in a process of its own.

eSpeak NG (GPL-3.0-or-later) is not part of this package. It is a separately installed shared library, brought by the
`espeakng-loader` wheel (`pip install "hf-ssl[demo]"`) and called through `ctypes`.

Why a process of its own: the library keeps state between calls that its interface cannot reset (phases of flutter and
tremolo, random generators for breath and fricatives), so what a call returns depends on all calls
before it. A fresh process that gets the same calls in the same order returns the same samples. The child runs this
very file and imports the standard library only, which makes it start in about 50 ms.

Protocol, all on the child's standard streams: a JSON line with the paths of the library and of its data, answered by
the sampling rate; then one JSON line per `SpeechRequest`, answered by the size of the audio in bytes and the audio.
Integers are 32 bits, little-endian.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import IO

# Constants of eSpeak NG's public header, speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_DONT_EXIT = 0x8000
PARAMETER_RATE, PARAMETER_PITCH, PARAMETER_RANGE = 1, 3, 4
POSITION_CHARACTER = 1
CHARACTERS_UTF8 = 1

INTEGER = struct.Struct("<i")


class EspeakError(RuntimeError):
    """eSpeak NG could not be started or refused a request."""


@dataclass(frozen=True)
class SpeechRequest:
    """What to say, and how.

    Args:
        text (`str`): The text to speak.
        voice (`str`): Accent and variant, for example `"en-us+f3"`.
        rate (`int`): Speaking rate in words per minute, 80 to 450.
        pitch (`int`): Base pitch, 0 to 100.
        pitch_range (`int`): Pitch range, 0 (monotone) to 100.
    """

    text: str
    voice: str
    rate: int = 160
    pitch: int = 50
    pitch_range: int = 50


class EspeakProcess:
    """A running eSpeak NG, used as a context manager.

    ```python
    >>> with EspeakProcess() as espeak:
    ...     samples = espeak.synthesize(SpeechRequest("seven blue", voice="en-us+f3"))
    ```

    Raises:
        ImportError: `espeakng-loader` is not installed.
        EspeakError: The library could not be initialised.
    """

    def __init__(self) -> None:
        library_path, data_path = espeak_paths()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        # -I: the child must not import a user's json.py or struct.py from the working directory.
        command = [sys.executable, "-I", __file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors)
        try:
            self.sampling_rate: int = self._ask({"library": library_path, "data": data_path})
        except BaseException:
            self.close()
            raise

    def synthesize(self, request: SpeechRequest) -> bytes:
        """Speaks one text.

        Returns:
            `bytes`: Samples, 16-bit signed native-endian mono at `sampling_rate`.

        Raises:
            EspeakError: The voice does not exist or eSpeak NG failed.
        """
        return self._read(self._ask(asdict(request)))

    def close(self) -> None:
        """Ends the child process."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            # The child may have died with a request unread; closing frees the pipe all the same.
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self._process.wait()
        self._errors.close()

    def __enter__(self) -> EspeakProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, message: dict) -> int:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:  # the child is gone
            raise self._failure() from None
        return INTEGER.unpack(self._read(INTEGER.size))[0]

    def _read(self, num_bytes: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(num_bytes)
        if len(data) != num_bytes:
            raise self._failure()
        return data

    def _failure(self) -> EspeakError:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else "no message"
        return EspeakError(f"eSpeak NG's process ended with exit code {code}: {reason}")


def espeak_paths() -> tuple[str, str]:
    """Returns the paths of eSpeak NG's shared library and of its data folder.

    Raises:
        ImportError: `espeakng-loader` is not installed.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise ImportError(
            "Synthesising speech needs eSpeak NG from the package espeakng-loader, which is not installed. "
            'Install it with: pip install "hf-ssl[demo]"'
        ) from error
    return str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path())


# From here on: the child.


def _initialise(library_path: str, data_path: str) -> tuple[ctypes.CDLL, int]:
    library = ctypes.CDLL(library_path)
    sampling_rate = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data_path.encode(), INITIALIZE_DONT_EXIT)
    if sampling_rate <= 0:
        # eSpeak NG copies the path into a short fixed buffer, so a long path can be the cause.
        raise EspeakError(
            f"eSpeak NG could not read its data in {data_path} (status {sampling_rate}). "
            "Reinstall espeakng-loader; if that path is longer than 140 characters, use a shorter one."
        )
    # It seeds the noise of breathy voices from the clock otherwise.
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    return library, sampling_rate


def _collect_samples(library: ctypes.CDLL, samples: bytearray) -> object:
    """Appends all audio to `samples`; returns the callback, which must be kept alive."""
    signature = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)

    def on_audio(audio: int | None, num_samples: int, events: int | None) -> int:
        if audio and num_samples > 0:
            samples.extend(ctypes.string_at(audio, 2 * num_samples))
        return 0

    callback = signature(on_audio)
    library.espeak_SetSynthCallback(callback)
    return callback


def _speak(library: ctypes.CDLL, request: SpeechRequest) -> None:
    def check(status: int, action: str) -> None:
        if status != 0:
            raise EspeakError(f"eSpeak NG refused to {action} (status {status}).")

    check(library.espeak_SetVoiceByName(request.voice.encode()), f"use the voice {request.voice!r}")
    # A voice keeps the parameters of the one before it, so all of them are set for every request.
    for parameter, value in (
        (PARAMETER_RATE, request.rate),
        (PARAMETER_PITCH, request.pitch),
        (PARAMETER_RANGE, request.pitch_range),
    ):
        check(library.espeak_SetParameter(parameter, value, 0), f"set parameter {parameter} to {value}")
    text = request.text.encode()
    synthesise: Callable[..., int] = library.espeak_Synth
    synthesise.argtypes = [  # type: ignore[attr-defined]
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    check(
        synthesise(text, len(text) + 1, 0, POSITION_CHARACTER, 0, CHARACTERS_UTF8, None, None),
        f"speak {request.text!r}",
    )


def _serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    paths = json.loads(requests.readline())
    library, sampling_rate = _initialise(paths["library"], paths["data"])
    samples = bytearray()
    callback = _collect_samples(library, samples)
    replies.write(INTEGER.pack(sampling_rate))
    replies.flush()
    for line in requests:
        samples.clear()
        _speak(library, SpeechRequest(**json.loads(line)))
        replies.write(INTEGER.pack(len(samples)) + samples)
        replies.flush()
    del callback  # only now may the library's callback go


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
