# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""What the card of a model says of its method: a sentence, the paper, how to cite it."""

from typing import NamedTuple


class Method(NamedTuple):
    """`name`; `summary`, what is learned; `paper`, its number on arXiv; `citation`, BibTeX."""

    name: str
    summary: str
    paper: str
    citation: str


_DATA2VEC2_CITATION = """\
@inproceedings{baevski2023data2vec2,
  title = {Efficient Self-supervised Learning with Contextualized Target Representations for Vision, Speech and
    Language},
  author = {Baevski, Alexei and Babu, Arun and Hsu, Wei-Ning and Auli, Michael},
  booktitle = {International Conference on Machine Learning (ICML)}, year = {2023}, note = {arXiv:2212.07525}
}"""

_DATA2VEC_CITATION = """\
@inproceedings{baevski2022data2vec,
  title = {data2vec: A General Framework for Self-supervised Learning in Speech, Vision and Language},
  author = {Baevski, Alexei and Hsu, Wei-Ning and Xu, Qiantong and Babu, Arun and Gu, Jiatao and Auli, Michael},
  booktitle = {International Conference on Machine Learning (ICML)}, year = {2022}, note = {arXiv:2202.03555}
}"""

_AQC_CITATION = """\
@inproceedings{lodagala2023data2vecaqc,
  title = {data2vec-aqc: Search for the Right Teaching Assistant in the Teacher-Student Training Setup},
  author = {Lodagala, Vasista Sai and Ghosh, Sreyan and Umesh, S.},
  booktitle = {IEEE International Conference on Acoustics, Speech and Signal Processing (ICASSP)}, year = {2023},
  note = {arXiv:2211.01246}
}"""

_BEST_RQ_CITATION = """\
@inproceedings{chiu2022bestrq,
  title = {Self-supervised Learning with Random-projection Quantizer for Speech Recognition},
  author = {Chiu, Chung-Cheng and Qin, James and Zhang, Yu and Yu, Jiahui and Wu, Yonghui},
  booktitle = {International Conference on Machine Learning (ICML)}, year = {2022}, note = {arXiv:2202.01855}
}"""

_METHODS = {
    "data2vec2": Method(
        "data2vec 2.0",
        "A student that sees the visible part of its input predicts, for several masks at once, what a teacher (the "
        "moving average of the student) makes of the whole of it.",
        "2212.07525",
        _DATA2VEC2_CITATION,
    ),
    "data2vec-aqc": Method(
        "data2vec-aqc",
        "data2vec with an augmented view for the student, a quantizer, and contrastive losses whose negatives are "
        "chosen by clustering.",
        "2211.01246",
        _AQC_CITATION,
    ),
    "data2vec": Method(
        "data2vec",
        "A student that sees its input masked predicts what a teacher (the moving average of the student) makes of "
        "the whole of it.",
        "2202.03555",
        _DATA2VEC_CITATION,
    ),
    "best-rq": Method(
        "BEST-RQ",
        "The encoder predicts, where its input is hidden, the codes that a frozen random-projection quantizer gives "
        "the input.",
        "2202.01855",
        _BEST_RQ_CITATION,
    ),
}


def method_of(model_type: str) -> Method | None:
    """The method that models of a type, such as `"data2vec2-audio"`, are pre-trained with; `None` for other types."""
    names = [name for name in _METHODS if model_type == name or model_type.startswith(f"{name}-")]
    return _METHODS[max(names, key=len)] if names else None
