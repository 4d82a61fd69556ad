# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""Configuration of the model, settings of the training, and what it ran on."""

import json
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from .markup import Child, element
from .privacy import without_paths
from .run_folder import Run
from .section import Section, facts, foldable, table

_ABOUT_THE_FILE = ("_name_or_path", "architectures", "auto_map", "dtype", "model_type", "transformers_version")
_LONGEST_VALUE = 300
_ENVIRONMENT_NAMES = {
    "device": "Device",
    "processes": "Processes",
    "precision": "Precision",
    "cores": "Processor cores",
    "threads": "Threads",
    "system": "System",
    "python": "Python",
}


def configuration_section(run: Run) -> Section:
    """What differs from the defaults, and, folded, everything."""
    defaults = _defaults(run)
    fields = {name: value for name, value in run.config.items() if name not in _ABOUT_THE_FILE}
    changed = {name: value for name, value in fields.items() if name not in defaults or value != defaults[name]}
    parts: list[Child] = [element("h3", "Model")]
    if not run.config:
        parts.append(element("p", "The run's folder has no config.json."))
    elif defaults:
        type_ = str(run.config.get("model_type"))
        parts.append(element("p", f"What differs from the defaults of models of type {type_}.", class_="introduction"))
        parts.append(_fields(changed, defaults) if changed else element("p", "Nothing does."))
        parts.append(foldable(f"All {len(fields)} fields", _fields(fields)))
    else:
        parts.append(_fields(fields))
    if run.preprocessor:
        parts.append(foldable(f"Preprocessor, {len(run.preprocessor)} fields", _fields(run.preprocessor)))
    return Section("Configuration", [*parts, *_settings(run)])


def _defaults(run: Run) -> dict[str, Any]:
    """The configuration of a new model of the type; empty if nobody here knows the type."""
    try:
        config: PreTrainedConfig = AutoConfig.for_model(str(run.config.get("model_type")))
    except ValueError:
        return {}
    # As if it came from a file: tuples are lists there.
    return json.loads(config.to_json_string(use_diff=False))


def _fields(fields: dict[str, Any], defaults: dict[str, Any] | None = None) -> Child:
    if defaults is None:
        return table(("Field", "Value"), [(element("code", name), _value(value)) for name, value in fields.items()])
    rows = [
        (element("code", name), _value(value), _value(defaults[name]) if name in defaults else "none")
        for name, value in fields.items()
    ]
    return table(("Field", "Here", "Default"), rows)


def _value(value: Any) -> str:
    text = without_paths(json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]} … ({len(text):,} characters)"


def _settings(run: Run) -> list[Child]:
    """Of the run's newest part."""
    begun = [event for event in run.events if isinstance(event.get("settings"), dict)]
    title = element("h3", "Training")
    if not begun:
        known: dict[str, Any] = {
            name: run.state[name] for name in ("train_batch_size", "logging_steps", "save_steps") if name in run.state
        }
        return [
            title,
            element("p", "The settings of this run were not written down in a form that is safe to read."),
            _fields(known) if known else None,
        ]
    return [
        title,
        element("p", "What differs from the defaults of the training arguments.", class_="introduction"),
        _fields(begun[-1]["settings"]),
    ]


def environment_section(run: Run) -> Section:
    """What the run's newest part ran on, as far as it was written down."""
    begun = [event["environment"] for event in run.events if isinstance(event.get("environment"), dict)]
    if not begun:
        version = run.config.get("transformers_version")
        words = "This run did not write down what it ran on."
        if version:
            words += f" Its configuration was written by transformers {version}."
        return Section("Environment", element("p", words))
    newest = begun[-1]
    pairs = [(_ENVIRONMENT_NAMES.get(name, name), _value(value)) for name, value in newest.items()]
    order = list(_ENVIRONMENT_NAMES.values())
    pairs.sort(key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order))
    differing = [before for before in begun[:-1] if before != newest]
    note = "Earlier parts of this run had another environment: see _run_record.jsonl." if differing else None
    return Section("Environment", [facts(pairs), element("p", note) if note else None])
