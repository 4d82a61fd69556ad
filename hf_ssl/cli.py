# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The command `hf-ssl`. Each sub-command imports what it needs when it runs."""

import argparse
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0, or 1 after an error in what the user gave (told in one line)."""
    arguments = _parser().parse_args(argv)
    arguments.argv = sys.argv[1:] if argv is None else list(argv)
    try:
        _check_only_with(arguments)
        arguments.run(arguments)
    except (ValueError, OSError, ImportError) as error:
        from .hub import explain_hub_error

        print(f"hf-ssl {arguments.command}: {explain_hub_error(error) or error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hf-ssl", description="Self-supervised pre-training for transformers.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_convert(commands)
    _add_export(commands)
    _add_transcribe(commands)
    _add_features(commands)
    _add_plan(commands)
    _add_benchmark(commands)
    _add_probe(commands)
    _add_report(commands)

    _add_health(commands)
    _add_card(commands)
    return parser


def _only_with(command: argparse.ArgumentParser, needed: str, *names: str) -> None:
    """Has options refused that have no effect without another one."""
    rules = command.get_default("only_with") or {}
    command.set_defaults(only_with=rules | {needed: {name: command.get_default(name) for name in names}})


def _check_only_with(arguments: argparse.Namespace) -> None:
    for needed, defaults in vars(arguments).get("only_with", {}).items():
        if vars(arguments)[needed]:
            continue
        given = [name for name, default in defaults.items() if vars(arguments)[name] != default]
        if given:
            names = ", ".join(f"--{name}" for name in given)
            raise ValueError(f"{names}: without effect unless --{needed} is given too.")


def _add_demo(commands: argparse._SubParsersAction) -> None:
    demo = commands.add_parser(
        "demo",
        help="pre-train and fine-tune a small speech model here and now, and see what it learned",
        description="Synthesises a spoken corpus (or takes your recordings), pre-trains a small speech model on it, "
        "and compares it with the same network without pre-training. About a quarter of an hour on two CPU cores.",
    )
    demo.add_argument(
        "--model_type",
        default="data2vec2-audio",
        metavar="NAME",
        help="which family of models: data2vec2-audio or best-rq (default: %(default)s)",
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
        action="append",
        default=[],
        metavar="NAME",
        help="with --data: a column with one label per clip, to see what the features know of it; may be repeated",
    )
    demo.add_argument("--output_dir", default="hf_ssl_demo", help="where everything goes (default: %(default)s)")
    demo.add_argument("--minutes", type=float, default=None, help="minutes of pre-training (default: 2.5)")
    demo.add_argument("--seed", type=int, default=0, help="seed of everything random (default: %(default)s)")
    demo.add_argument(
        "--results",
        metavar="FILE",
        help="JSON lines to append the figures to (default: results.jsonl in --output_dir)",
    )
    _only_with(demo, "data", "text_column", "label_column")
    demo.set_defaults(run=_run_demo)


def _run_demo(arguments: argparse.Namespace) -> None:
    from .demo.run import DemoConfig, run_demo
    from .training.allocator import keep_freed_memory

    keep_freed_memory()
    config = DemoConfig(
        output_dir=arguments.output_dir,
        model_type=arguments.model_type,
        data=arguments.data,
        text_column=arguments.text_column,
        label_columns=tuple(arguments.label_column),
        seed=arguments.seed,
        results=arguments.results,
        command=["hf-ssl", *arguments.argv],
    )
    if arguments.minutes is not None:
        config = config.with_minutes(arguments.minutes)
    run_demo(config)


def _add_convert(commands: argparse._SubParsersAction) -> None:
    convert = commands.add_parser(
        "convert",
        help="turn an original checkpoint into a folder that from_pretrained loads, or back",
        description="Converts a fairseq checkpoint of data2vec for speech or text, data2vec-aqc, or data2vec 2.0 for "
        "speech, images or text, pre-trained (student and teacher) or fine-tuned (CTC; classification of images or "
        "texts), or SpeechBrain's checkpoint folder of BEST-RQ; with --to, such a folder of ours to a checkpoint. "
        "Nothing in a checkpoint is executed.",
    )
    convert.add_argument(
        "source", metavar="CHECKPOINT", help="the original's .pt file or CKPT+... folder; with --to, our folder"
    )
    convert.add_argument(
        "target",
        metavar="OUT_DIR",
        help="folder to write; with --to fairseq, a new .pt file; speechbrain, a new folder",
    )
    convert.add_argument(
        "--to", choices=("transformers", "fairseq", "speechbrain"), default="transformers", help="default: %(default)s"
    )
    convert.add_argument(
        "--dictionary",
        metavar="FILE",
        help="dict.ltr.txt of a fine-tuned checkpoint of speech that has no symbols of its own; dict.txt of text",
    )
    convert.add_argument(
        "--bpe", metavar="FOLDER", help="for text, with --dictionary: folder with GPT-2's encoder.json and vocab.bpe"
    )
    convert.add_argument(
        "--license", metavar="NAME", help="for the folder's card (default: unknown; checkpoints do not say)"
    )
    convert.set_defaults(run=_run_convert)


def _run_convert(arguments: argparse.Namespace) -> None:
    from .conversion import convert_checkpoint, convert_to_fairseq, convert_to_speechbrain

    if arguments.to != "transformers":
        if arguments.dictionary or arguments.bpe:
            raise ValueError(
                f"--dictionary and --bpe have no use with --to {arguments.to}: the folder has a tokenizer."
            )
        if arguments.license is not None:
            raise ValueError(f"--license has no use with --to {arguments.to}: a checkpoint has no card.")
        convert_back = convert_to_fairseq if arguments.to == "fairseq" else convert_to_speechbrain
        print(f"Wrote {convert_back(arguments.source, arguments.target)}.")
        return
    folder = convert_checkpoint(
        arguments.source,
        arguments.target,
        dictionary=arguments.dictionary,
        byte_pair_encoding=arguments.bpe,
        license=arguments.license or "unknown",
    )
    print(f"Wrote {folder}. Its README.md says how to load it.")


def _add_transcribe(commands: argparse._SubParsersAction) -> None:
    transcribe = commands.add_parser(
        "transcribe",
        help="turn speech into text with a fine-tuned model, files of any length",
        description="Transcribes audio with any model that AutoModelForCTC opens and that reads waveforms or "
        "BEST-RQ's features (ours, wav2vec 2.0, HuBERT, WavLM, ...). Files that cannot be used are named on stderr, "
        "and the exit status is 1. With --stream, words come while one file is read, or a microphone: "
        "arecord -t raw -f S16_LE -r 16000 -c 1 | %(prog)s MODEL --stream -",
    )
    _add_inference_arguments(transcribe)
    transcribe.add_argument("--language_model", metavar="FILE", help="n-gram model of words, .arpa or KenLM's .bin")
    transcribe.add_argument(
        "--language_model_weight", type=float, default=0.5, metavar="WEIGHT", help="default: %(default)s"
    )
    transcribe.add_argument(
        "--word_bonus", type=float, default=1.5, metavar="BONUS", help="for every word, with --language_model: 1.5"
    )
    transcribe.add_argument(
        "--beam_width", type=int, metavar="N", help="beam search with N hypotheses (100 with --language_model)"
    )
    transcribe.add_argument(
        "--timestamps", action="store_true", help="words with their times (jsonl, tsv, and --stream: a line per word)"
    )
    transcribe.add_argument(
        "--format", choices=("text", "jsonl", "tsv", "srt"), default="text", help="default: %(default)s"
    )
    transcribe.add_argument("--output", metavar="FILE", help="a new file to write instead of the standard output")
    _add_stream_arguments(transcribe)
    _only_with(transcribe, "stream", "realtime", "sampling_rate")
    _only_with(transcribe, "language_model", "language_model_weight", "word_bonus")
    transcribe.set_defaults(run=_run_transcribe)


_NOT_FOR_STREAMS = (
    "batch_size",
    "window_seconds",
    "overlap_seconds",
    "language_model",
    "language_model_weight",
    "word_bonus",
    "beam_width",
    "format",
    "output",
)


def _add_stream_arguments(transcribe: argparse.ArgumentParser) -> None:
    transcribe.set_defaults(not_for_streams={name: transcribe.get_default(name) for name in _NOT_FOR_STREAMS})
    transcribe.add_argument(
        "--stream",
        action="store_true",
        help="feed one file as a microphone would, or - for raw samples (signed 16-bit little-endian mono) on the "
        "standard input, and print each word when it is complete; for BEST-RQ models with chunks",
    )
    transcribe.add_argument("--realtime", action="store_true", help="with --stream FILE: not faster than it sounds")
    transcribe.add_argument(
        "--sampling_rate", type=int, metavar="HZ", help="with --stream -: of the samples (default: the model's)"
    )


def _run_transcribe(arguments: argparse.Namespace) -> None:
    from .inference import commands, stream_command

    if arguments.stream:
        stream_command.run_stream(arguments)
    else:
        commands.run_transcribe(arguments)


def _add_features(commands: argparse._SubParsersAction) -> None:
    features = commands.add_parser(
        "features",
        help="write the hidden states of audio files, of any length",
        description="Writes one file of hidden states per file of audio, and an index.jsonl, with any encoder that "
        "reads waveforms or BEST-RQ's features. Files that cannot be used are named on stderr, and the exit status is "
        "1.",
    )
    _add_inference_arguments(features)
    features.add_argument(
        "--layer",
        required=True,
        metavar="K",
        help="as transformers' hidden_states: 0 is the input of the first layer, K the output of the K-th, -1 the "
        "last, or all",
    )
    features.add_argument("--out", required=True, metavar="DIR", help="a new or empty folder")
    features.add_argument(
        "--format", choices=("npy", "safetensors", "parquet"), default="npy", help="default: %(default)s"
    )
    features.set_defaults(run=_run_features)


def _run_features(arguments: argparse.Namespace) -> None:
    from .inference import commands

    commands.run_features(arguments)


def _add_probe(commands: argparse._SubParsersAction) -> None:
    probe = commands.add_parser(
        "probe",
        help="see what frozen encoders of speech, images or text know, ours or not",
        description="Trains small heads on the frozen features of all layers, the same for every model, and compares "
        "them with the features of no network at all. Everything is chosen on validation, and the test is used once.",
    )
    probe.add_argument("models", metavar="MODEL", nargs="*", help="folder, or name on the Hub")
    probe.add_argument(
        "--arm",
        dest="arms",
        action="append",
        default=[],
        metavar="NAME=MODEL",
        help="a model under a name; models of one name are its seeds of pre-training; may be repeated",
    )
    probe.add_argument(
        "--task",
        required=True,
        choices=("classification", "multilabel", "recognition", "frames", "verification"),
        help="one label per item (weighted sum of layers, linear classifier by layer, nearest neighbours); several, "
        "with ; between (mean average precision); transcripts (CTC); labels of segments, frame by frame; same speaker "
        "or not, without training (equal error rate)",
    )
    _add_probe_data_arguments(probe)
    probe.add_argument("--untrained", action="store_true", help="add each model's twin with random weights")
    probe.add_argument(
        "--methods",
        nargs="+",
        choices=("weighted_sum", "linear", "neighbours", "single_layer"),
        help="classification: the first three; multilabel, frames: the first two; recognition: weighted_sum, and only "
        "if it is named single_layer, a head for each layer (default: all others)",
    )
    probe.add_argument("--seeds", type=int, default=1, metavar="N", help="heads per model (default: %(default)s)")
    probe.add_argument("--epochs", type=int, metavar="N", help="of heads (default: 100; recognition: 12; frames: 20)")
    probe.add_argument("--by_layer", action="store_true", help="print figures of every layer too")
    probe.add_argument("--cache", metavar="DIR", help="keep features in files, and take them from there")
    probe.add_argument("--results", metavar="FILE", help="JSON lines to append the figures to")
    probe.add_argument(
        "--batch_size", type=int, default=8, metavar="N", help="items at once, if of one length (default: %(default)s)"
    )
    probe.add_argument("--device", metavar="NAME", help="such as cuda:0 or cpu (default: a GPU if there is one)")
    probe.set_defaults(run=_run_probe)


def _add_probe_data_arguments(probe: argparse.ArgumentParser) -> None:
    probe.add_argument(
        "--data",
        required=True,
        metavar="FOLDER",
        help="with train/, validation/ (or a fifth of train/) and test/: recordings or images with a metadata.csv, "
        "images in a sub-folder per label, or texts in train.csv, ...; or a data set on the Hub",
    )
    probe.add_argument(
        "--column", required=True, metavar="NAME", help="label, labels, transcript, segments or speaker"
    )
    probe.add_argument(
        "--splits",
        nargs=3,
        default=["train", "validation", "test"],
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help="names of the splits (default: train validation test)",
    )
    probe.add_argument("--text_column", default="text", metavar="NAME", help="of texts (default: %(default)s)")
    probe.add_argument(
        "--image_column", default="image", metavar="NAME", help="of parquet and Hub data (default: %(default)s)"
    )
    probe.add_argument("--min_seconds", type=float, metavar="SECONDS", help="leave shorter recordings out")
    probe.add_argument(
        "--max_seconds", type=float, metavar="SECONDS", help="leave longer recordings out; Whisper reads 30 s"
    )


def _run_probe(arguments: argparse.Namespace) -> None:
    import hf_ssl  # noqa: F401  (registers the classes)

    from .evaluation.probe import ProbeConfig, parse_arms, run_probe
    from .evaluation.probe_data import DataConfig

    run_probe(
        ProbeConfig(
            arms=parse_arms(arguments.models, arguments.arms),
            task=arguments.task,
            data=DataConfig(
                source=arguments.data,
                column=arguments.column,
                splits=tuple(arguments.splits),
                text_column=arguments.text_column,
                image_column=arguments.image_column,
                min_seconds=arguments.min_seconds,
                max_seconds=arguments.max_seconds,
            ),
            untrained=arguments.untrained,
            methods=arguments.methods,
            num_seeds=arguments.seeds,
            num_epochs=arguments.epochs,
            by_layer=arguments.by_layer,
            cache=arguments.cache,
            results=arguments.results,
            batch_size=arguments.batch_size,
            device=arguments.device,
            command=["hf-ssl", *arguments.argv],
        )
    )


def _add_report(commands: argparse._SubParsersAction) -> None:
    report = commands.add_parser(
        "report",
        help="write one HTML page on a training run: curves, health, what its features know, a sample",
        description="Writes a page that needs nothing but a browser. With --data it holds a sample of the data, and "
        "of recognisers transcripts; transcripts that training left in the folder are in it anyway.",
    )
    report.add_argument("folder", metavar="RUN_DIR", help="a training's --output_dir")
    report.add_argument(
        "--data",
        nargs="+",
        metavar="SOURCE",
        help="recordings, images or texts, as training scripts take them: what the model makes of one is shown; of "
        "recognisers, recordings with transcripts",
    )
    report.add_argument(
        "--split", metavar="NAME", help="of --data with several (default: validation, if there is one)"
    )
    report.add_argument(
        "--sample", type=int, default=0, metavar="N", help="which item of --data (default: %(default)s)"
    )
    report.add_argument(
        "--text_column", metavar="NAME", help="with transcripts or texts (default: transcription, or text)"
    )
    report.add_argument("--image_column", default="image", metavar="NAME", help="default: %(default)s")
    report.add_argument("--results", metavar="FILE", help="what hf-ssl probe and hf-ssl health --results wrote")
    report.add_argument("--model_name", metavar="NAME", help="what the model is called there, if not RUN_DIR")
    report.add_argument("--output", metavar="FILE", help="where to write (default: _report.html in RUN_DIR)")
    _only_with(report, "data", "split", "sample", "text_column", "image_column")
    _only_with(report, "results", "model_name")
    report.set_defaults(run=_run_report)


def _run_report(arguments: argparse.Namespace) -> None:
    from .health_results import health_results
    from .own_results import ResultsOfModel, results_of_model
    from .report import SampleSource, write_report
    from .report.probes import probe_figures
    from .report.run_folder import read_run

    sample, results = None, ResultsOfModel([], [])
    if arguments.results is not None:
        names = [] if arguments.model_name is None else [arguments.model_name]
        model_folder = read_run(arguments.folder).model_folder
        results = results_of_model(arguments.results, arguments.folder, names, model_folder=model_folder)
    if arguments.data is not None:
        sample = SampleSource(
            data=arguments.data,
            split=arguments.split,
            index=arguments.sample,
            text_column=arguments.text_column,
            image_column=arguments.image_column,
        )
    path = write_report(
        arguments.folder,
        sample=sample,
        probes=probe_figures(results.probes),
        health=health_results(results.health),
        notes=results.notes,
        output=arguments.output,
    )
    print(f"Wrote {path}.")


def _add_health(commands: argparse._SubParsersAction) -> None:
    health = commands.add_parser(
        "health",
        help="measure how encoders use their space, on data without labels",
        description="Effective rank (RankMe), dimensional collapse, isotropy, and where the variance lies, of every "
        "layer of any encoder of speech, images or text; of quantizers, how many codes are used. No label is needed.",
    )
    health.add_argument("models", metavar="MODEL", nargs="+", help="folder, or name on the Hub")
    health.add_argument(
        "--data", required=True, metavar="FOLDER", help="recordings, images or texts; or a data set on the Hub"
    )
    health.add_argument("--split", default="train", metavar="NAME", help="where there are several: %(default)s")
    health.add_argument("--max_items", type=int, default=128, metavar="N", help="at most (default: %(default)s)")
    health.add_argument("--text_column", default="text", metavar="NAME", help="of texts (default: %(default)s)")
    health.add_argument(
        "--image_column", default="image", metavar="NAME", help="of parquet and Hub data (default: %(default)s)"
    )
    health.add_argument(
        "--min_seconds", type=float, default=0.5, metavar="SECONDS", help="leave shorter clips out: %(default)s"
    )
    health.add_argument(
        "--max_seconds", type=float, default=20.0, metavar="SECONDS", help="cut longer ones: %(default)s"
    )
    health.add_argument("--untrained", action="store_true", help="add each model's twin with random weights")
    health.add_argument("--by_layer", action="store_true", help="print all layers instead of the last")
    health.add_argument("--results", metavar="FILE", help="JSON lines to append the figures to")
    health.add_argument("--batch_size", type=int, default=8, metavar="N", help="items at once (default: %(default)s)")
    health.add_argument("--device", metavar="NAME", help="such as cuda:0 or cpu (default: a GPU if there is one)")
    health.set_defaults(run=_run_health)


def _run_health(arguments: argparse.Namespace) -> None:
    import hf_ssl  # noqa: F401  (registers the classes)

    from .evaluation.health import HealthConfig, run_health
    from .evaluation.unlabelled import UnlabelledConfig

    run_health(
        HealthConfig(
            models=arguments.models,
            data=UnlabelledConfig(
                source=arguments.data,
                split=arguments.split,
                max_items=arguments.max_items,
                text_column=arguments.text_column,
                image_column=arguments.image_column,
                min_seconds=arguments.min_seconds,
                max_seconds=arguments.max_seconds,
            ),
            untrained=arguments.untrained,
            by_layer=arguments.by_layer,
            results=arguments.results,
            batch_size=arguments.batch_size,
            device=arguments.device,
            command=["hf-ssl", *arguments.argv],
        )
    )


def _add_card(commands: argparse._SubParsersAction) -> None:
    card = commands.add_parser(
        "card",
        help="make the model card of a finished run",
        description="Prints the card of a model that a training script has trained: method, recipe, compute, final "
        "figures, and the health and probes of a results file, the latter also for the Hub (model-index). What the "
        "run cannot know, data and licences, is said by flags; nothing else is claimed.",
    )
    card.add_argument("run_dir", metavar="RUN_DIR", help="folder of the run")
    card.add_argument("--results", metavar="FILE", help="as of hf-ssl probe and hf-ssl health --results FILE")
    card.add_argument("--model_name", metavar="NAME", help="what the model is called there, if not RUN_DIR")
    card.add_argument("--title", metavar="NAME", help="of the card (default: the folder's name)")
    card.add_argument("--license", metavar="NAME", help="of the weights, such as apache-2.0")
    card.add_argument("--language", nargs="+", metavar="CODE", help="such as en")
    card.add_argument("--dataset_name", nargs="+", metavar="NAME", help="what it was trained on; names on the Hub")
    card.add_argument("--dataset_license", metavar="NAME", help="of these data")
    card.add_argument("--write", action="store_true", help="write RUN_DIR/README.md, anew, instead of printing")
    _only_with(card, "results", "model_name")
    card.set_defaults(run=_run_card)


def _run_card(arguments: argparse.Namespace) -> None:
    from pathlib import Path

    from .card import CardWords, write_card

    said = {"license": arguments.license, "language": arguments.language, "datasets": arguments.dataset_name}
    words = CardWords(
        name=arguments.title or Path(arguments.run_dir).resolve().name,
        metadata={name: value for name, value in said.items() if value is not None},
        dataset_license=arguments.dataset_license,
    )
    names = [] if arguments.model_name is None else [arguments.model_name]
    text = write_card(arguments.run_dir, words, results=arguments.results, names=names, write=arguments.write)
    print(f"Wrote {Path(arguments.run_dir) / 'README.md'}." if arguments.write else text)


def _add_inference_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="MODEL", help="folder, or name on the Hub")
    command.add_argument(
        "files", metavar="FILES", nargs="+", help="wav, flac, ogg, opus or mp3 files, or folders of them"
    )
    command.add_argument(
        "--batch_size", type=int, default=8, metavar="N", help="windows at once (default: %(default)s)"
    )
    command.add_argument(
        "--window_seconds",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="longer recordings are encoded in overlapping windows of this length (default: %(default)s)",
    )
    command.add_argument(
        "--overlap_seconds",
        type=float,
        default=3.0,
        metavar="SECONDS",
        help="of a window at either end that are only context, and dropped (default: %(default)s)",
    )
    command.add_argument("--device", metavar="NAME", help="such as cuda:0 or cpu (default: a GPU if there is one)")
    command.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="that the model computes in (default: %(default)s)",
    )


def _add_plan(commands: argparse._SubParsersAction) -> None:
    plan = commands.add_parser(
        "plan",
        help="say what a pre-training recipe needs: memory, batches, steps and time",
        description="Takes a few steps of the recipe's model on noise, and prints memory by part, batches that reach "
        "the recipe's global batch, steps and time; each figure with where it comes from.",
    )
    plan.add_argument("recipe", metavar="RECIPE", help="YAML recipe of a pretrain_*.py script")
    plan.add_argument("--gpus", type=int, required=True, metavar="N", help="how many share the batch")
    plan.add_argument("--gpu-memory", type=float, required=True, metavar="GB", help="of each, in GiB")
    plan.add_argument(
        "--data", type=float, nargs="+", default=[], metavar="HOURS", help="hours of audio (images, tokens) there are"
    )
    plan.add_argument("--fsdp", action="store_true", help="model and optimizer sharded over the GPUs (FSDP2)")
    plan.add_argument("--global_batch", type=int, metavar="N", help="clips, images or blocks (default: the recipe's)")
    plan.add_argument(
        "--peak_tflops", type=float, default=312.0, metavar="P", help="10^12 operations/s at most: %(default)s (A100)"
    )
    plan.add_argument(
        "--utilisation", type=float, default=0.3, metavar="U", help="share of the peak that is reached: %(default)s"
    )
    plan.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="wins over the recipe's; may be repeated"
    )
    plan.add_argument("--whole_model", action="store_true", help="measure all layers instead of 1 and 2 of them")
    plan.set_defaults(run=_run_plan)


def _run_plan(arguments: argparse.Namespace) -> None:
    from .planning.command import run_plan

    run_plan(arguments)


def _add_benchmark(commands: argparse._SubParsersAction) -> None:
    benchmark = commands.add_parser(
        "benchmark",
        help="measure a recipe's training step on this machine, phase by phase",
        description="Takes training steps of the recipe's model on noise of the longest length, or on your data, and "
        "prints seconds by phase, throughput, model FLOPs utilisation, and memory; for one batch, or for one size or "
        "length after the other. Model FLOPs utilisation (MFU): the operations that a step needs, of student, teacher "
        "and backward pass and without what is computed again to save memory, as a share of what matrix products "
        "reach here. A step is forward and backward pass, clipping, optimizer and teacher; the Trainer's logging, "
        "checks and schedules are not in it.",
    )
    benchmark.add_argument("recipe", metavar="RECIPE", help="YAML recipe of a pretrain_*.py script")
    benchmark.add_argument("--items", type=int, metavar="N", help="clips, images or blocks (default: the recipe's)")
    benchmark.add_argument("--seconds", type=float, metavar="S", help="length of clips (default: the longest)")
    benchmark.add_argument("--tokens", type=int, metavar="N", help="length of blocks of text (default: the recipe's)")
    benchmark.add_argument(
        "--precision",
        choices=("float32", "bfloat16", "both"),
        help="default: the recipe's (both, one after the other, with --against)",
    )
    benchmark.add_argument(
        "--data",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="batches as training makes them of this data instead of noise; loading is a phase of its own then",
    )
    benchmark.add_argument(
        "--loader", action="store_true", help="also how much the data loader delivers by itself; with --data"
    )
    benchmark.add_argument("--workers", type=int, metavar="N", help="with --loader: its processes (default: 8)")
    benchmark.add_argument(
        "--curve",
        metavar="NAME=V,V,...",
        help="items=1,2,4,8, seconds=2,5,10 (speech) or tokens=64,128 (text): one value after the other, each in a "
        "process of its own, until one does not fit into memory",
    )
    benchmark.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    benchmark.add_argument("--rounds", type=int, default=5, help="steps that count, after two (default: %(default)s)")
    benchmark.add_argument("--compile", action="store_true", help="compile the model; stages are not told apart then")
    benchmark.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="wins over the recipe's; may be repeated"
    )
    benchmark.add_argument("--output", metavar="FILE", help="write the figures as JSON")
    benchmark.add_argument(
        "--results", metavar="FILE", help="with --against: JSON lines to append the figures to, of each comparison"
    )
    benchmark.add_argument("--compare", metavar="FILE", help="print ratios to figures of an earlier --output")
    benchmark.add_argument(
        "--against",
        choices=("transformers",),
        help="instead of training, the encoder's forward pass beside transformers' own encoder of equal size",
    )
    benchmark.set_defaults(run=_run_benchmark)


def _run_benchmark(arguments: argparse.Namespace) -> None:
    from .benchmarking.command import run_command

    run_command(arguments)


def _add_export(commands: argparse._SubParsersAction) -> None:
    export = commands.add_parser(
        "export",
        help="write the encoder alone, without teacher, decoder and heads",
        description="Writes the encoder of a pre-trained or fine-tuned model into a folder of its own.",
    )
    export.add_argument("model", metavar="MODEL", help="folder, or name on the Hub")
    export.add_argument("out_dir", metavar="OUT_DIR", help="folder to write")
    export.add_argument(
        "--weights",
        choices=("student", "teacher"),
        default="student",
        help="whose weights become the encoder (default: %(default)s, which is what is fine-tuned)",
    )
    export.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), help="type of the written weights (default: as saved)"
    )
    export.set_defaults(run=_run_export)


def _run_export(arguments: argparse.Namespace) -> None:
    import torch

    import hf_ssl  # noqa: F401  (registers the classes)

    from .export import export_encoder

    dtype = {None: None, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    folder = export_encoder(
        arguments.model, arguments.out_dir, weights=arguments.weights, dtype=dtype[arguments.dtype]
    )
    print(f"Wrote the {arguments.weights}'s encoder to {folder}. Load it with AutoModel.from_pretrained.")


if __name__ == "__main__":
    sys.exit(main())
