# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The command `hf-ssl`. Each sub-command imports what it needs when it runs."""

import argparse
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0, or 1 after an error in what the user gave (told in one line)."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, FileNotFoundError, ImportError) as error:
        print(f"hf-ssl {arguments.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hf-ssl", description="Self-supervised pre-training for transformers.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_convert(commands)
    return parser


def _add_demo(commands: argparse._SubParsersAction) -> None:
    demo = commands.add_parser(
        "demo",
        help="pre-train and fine-tune a small speech model here and now, and see what it learned",
        description="Synthesises a spoken corpus (or takes your recordings), pre-trains a small data2vec 2.0 on it, "
        "and compares it with the same network without pre-training. About a quarter of an hour on two CPU cores.",
    )
    demo.add_argument(
        "--data",
        metavar="FOLDER",
        help="your own recordings instead of the synthetic corpus: a folder of audio; with a metadata.csv (file_name "
        "and further columns), or train/, validation/ and test/ folders that have one, also to recognise and classify",
    )
    demo.add_argument("--text_column", default="transcription", help="with --data: transcripts (default: %(default)s)")
    demo.add_argument(
        "--label_column",
        dest="label_columns",
        action="append",
        default=[],
        metavar="NAME",
        help="with --data: a column with one label per clip, to see what the features know of it; may be repeated",
    )
    demo.add_argument("--output_dir", default="hf_ssl_demo", help="where everything goes (default: %(default)s)")
    demo.add_argument("--minutes", type=float, default=None, help="minutes of pre-training (default: 2.5)")
    demo.add_argument("--seed", type=int, default=0, help="seed of everything random (default: %(default)s)")
    demo.set_defaults(run=_run_demo)


def _run_demo(arguments: argparse.Namespace) -> None:
    from .demo.run import DemoConfig, run_demo

    config = DemoConfig(
        output_dir=arguments.output_dir,
        data=arguments.data,
        text_column=arguments.text_column,
        label_columns=tuple(arguments.label_columns),
        seed=arguments.seed,
    )
    if arguments.minutes is not None:
        config = config.with_minutes(arguments.minutes)
    run_demo(config)


def _add_convert(commands: argparse._SubParsersAction) -> None:
    convert = commands.add_parser(
        "convert",
        help="turn an original checkpoint into a folder that from_pretrained loads",
        description="Converts a fairseq checkpoint of data2vec 2.0 audio pre-training, student and teacher. Nothing "
        "in the file is executed.",
    )
    convert.add_argument("checkpoint", metavar="CHECKPOINT", help="the original's .pt file")
    convert.add_argument("out_dir", metavar="OUT_DIR", help="folder to write")
    convert.set_defaults(run=_run_convert)


def _run_convert(arguments: argparse.Namespace) -> None:
    from .conversion import convert_checkpoint

    folder = convert_checkpoint(arguments.checkpoint, arguments.out_dir)
    print(f"Wrote {folder}. Load it with AutoModelForPreTraining.from_pretrained({str(folder)!r}).")


if __name__ == "__main__":
    sys.exit(main())
